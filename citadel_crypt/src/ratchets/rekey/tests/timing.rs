//! Pace, backoff, jitter, round trip samples, clocks that jump.

use super::bench::{End, config, line, pair, place, round};
use super::stand_in::Arithmetic;
use crate::ratchets::rekey::{Input, RekeyConfig, Side, TimerReason, Timestamp, Timing};
use core::time::Duration;

const ME: Side = Side::Initiator;

fn lossy(jitter: u32) -> End {
    let provider = Arithmetic { jitter, ..Arithmetic::new(1) };
    End::with(RekeyConfig { reliable_path: false, ..config(ME) }, provider)
}

/// Time between the next `n` repetitions.
fn paces(end: &mut End, n: usize) -> Vec<u128> {
    (0..n)
        .map(|_| {
            let (at, why) = end.machine.poll_timeout().expect("a state that is not Idle has a timer");
            assert_eq!(why, TimerReason::Repeat);
            let wait = at.since(end.now).as_millis();
            end.now = at;
            end.step(Input::Timeout);
            assert_eq!(end.sent.len(), 1);
            wait
        })
        .collect()
}

#[test]
fn repetitions_double_to_ten_seconds() {
    let mut me = lossy(0);
    me.step(Input::Trigger);
    assert_eq!(paces(&mut me, 8), [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
}

#[test]
fn jitter_adds_up_to_a_quarter() {
    let mut me = lossy(u32::MAX);
    me.step(Input::Trigger);
    assert_eq!(paces(&mut me, 3), [312, 625, 1250]);
}

#[test]
fn a_reliable_path_and_an_answerer_repeat_slowly_but_do_repeat() {
    let (mut me, mut peer) = pair(ME);
    me.step(Input::Trigger);
    peer.take(me.letter());
    for end in [&mut me, &mut peer] {
        assert_eq!(paces(end, 5), [1000, 2000, 4000, 8000, 10_000]);
    }
}

#[test]
fn a_stall_is_reported_once_a_round() {
    let mut me = lossy(0);
    me.step(Input::Trigger);
    let stalls: Vec<bool> = (0..12)
        .map(|_| {
            paces(&mut me, 1);
            me.log.iter().any(|word| word.contains("Stalled"))
        })
        .collect();
    assert_eq!(stalls.iter().filter(|s| **s).count(), 1);
}

#[test]
fn measured_round_trips_set_the_pace() {
    let mut me = lossy(0);
    me.step(Input::RttSample(Duration::from_millis(40)));
    me.step(Input::Trigger);
    // 2 · 40 + 4 · 20
    assert_eq!(paces(&mut me, 1), [160]);
    let mut me = lossy(0);
    me.step(Input::RttSample(Duration::from_millis(1)));
    me.step(Input::Trigger);
    assert_eq!(paces(&mut me, 1), [50]);
    let mut me = lossy(0);
    me.step(Input::RttSample(Duration::MAX));
    me.step(Input::Trigger);
    assert_eq!(paces(&mut me, 1), [1000]);
}

#[test]
fn rounds_measure_themselves_but_not_from_repeated_messages() {
    let mut me = lossy(0);
    let mut peer = End::new(config(ME.peer()));
    me.step(Input::Trigger);
    let offer = me.letter();
    paces(&mut me, 1);
    peer.take(offer);
    me.pass(Duration::from_millis(30));
    me.take(peer.letter());
    assert_eq!(paces(&mut me, 1), [250], "the answer may have been to either copy");
    round_after(&mut me, &mut peer);
    me.step(Input::Trigger);
    peer.take(me.letter());
    me.pass(Duration::from_millis(60));
    me.take(peer.letter());
    assert_eq!(me.machine.poll_timeout().map(|(at, _)| at.since(me.now).as_millis()), Some(240));
}

/// Ends the round at hand in no time.
fn round_after(me: &mut End, peer: &mut End) {
    peer.take(me.letter());
    me.take(peer.letter());
    assert_eq!(place(&me.machine), "Idle");
}

#[test]
fn a_replaced_path_repeats_at_once_and_starts_anew() {
    let mut me = lossy(0);
    me.step(Input::Trigger);
    paces(&mut me, 6);
    assert_eq!(
        line(me.step(Input::PathReplaced { reauthenticate: false }), &me),
        "done > Offered AliceToBob"
    );
    assert_eq!(paces(&mut me, 2), [250, 500]);
}

#[test]
fn clocks_that_jump_change_nothing_but_when_timers_fire() {
    let (mut me, mut peer) = pair(ME);
    for jump in [0, 1, 10_000_000_000, 5, u64::MAX / 2, 3, u64::MAX, 0] {
        me.now = Timestamp::from_nanos(jump);
        peer.now = Timestamp::from_nanos(u64::MAX - jump);
        round(&mut me, &mut peer);
    }
    assert_eq!(me.machine.latest().0, 8);
}

#[test]
fn with_every_duration_zero_one_timeout_does_each_due_thing_once() {
    let of = |side| End::new(RekeyConfig { timing: Timing::ZERO, ..config(side) });
    let (mut me, mut peer) = (of(ME), of(ME.peer()));
    round(&mut me, &mut peer);
    assert_eq!(me.machine.poll_timeout(), Some((Timestamp::ZERO, TimerReason::Drain)));
    me.step(Input::Trigger);
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Offered Evict<1 AliceToBob");
    assert_eq!(me.machine.poll_timeout(), Some((Timestamp::ZERO, TimerReason::Repeat)));
}

#[test]
fn the_winner_repeats_its_offer_at_most_once_per_round_trip() {
    let (mut peer, mut me) = pair(ME);
    me.step(Input::RttSample(Duration::from_millis(100)));
    me.step(Input::Trigger);
    peer.step(Input::Trigger);
    let losing = peer.letter();
    assert_eq!(line(me.take(losing.clone()), &me), "ignored LostTie > Offered");
    me.pass(Duration::from_millis(100));
    assert_eq!(line(me.take(losing.clone()), &me), "ignored LostTie > Offered AliceToBob");
    assert_eq!(line(me.take(losing), &me), "ignored LostTie > Offered");
}

#[test]
fn no_configured_duration_is_too_long_for_the_arithmetic() {
    let forever = Duration::MAX;
    let timing = Timing {
        initial: forever,
        min: forever,
        max: forever,
        max_backoff: forever,
        slow_min: forever,
        min_drain: forever,
        max_drain: forever,
    };
    let of = |side, seed| {
        let provider = Arithmetic { jitter: u32::MAX, ..Arithmetic::new(seed) };
        End::with(RekeyConfig { timing, ..config(side) }, provider)
    };
    let (mut me, mut peer) = (of(ME, 1), of(ME.peer(), 1000));
    for _ in 0..3 {
        me.step(Input::RttSample(forever));
        round(&mut me, &mut peer);
        me.now = Timestamp::from_nanos(u64::MAX);
        me.step(Input::Timeout);
    }
}
