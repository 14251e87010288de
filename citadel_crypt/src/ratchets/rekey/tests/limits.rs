//! Window, drains, signed rounds, wants, the driver's outbox.

use super::bench::{End, SUITE, config, id, letter, line, pair, place, round};
use super::stand_in::Offer;
use crate::ratchets::rekey::{
    Body, CancelReason, Fatal, Input, MessageKind, Owed, Phase, Reauth, RekeyConfig, Side, TimerReason,
    Verdict, Version,
};
use core::time::Duration;

const ME: Side = Side::Initiator;
const PEER: Side = Side::Responder;

fn windows(window: u8) -> (End, End) {
    let of = |side| End::new(RekeyConfig { window, ..config(side) });
    (of(ME), of(PEER))
}

#[test]
fn the_window_never_grows_past_its_limit_and_a_full_one_is_announced() {
    for window in [2, 4, 16] {
        let (mut me, mut peer) = windows(window);
        for version in 1..=40_u64 {
            me.step(Input::Trigger);
            peer.take(me.letter());
            me.take(peer.letter());
            let finish = me.letter();
            let was_full = version >= u64::from(window);
            assert_eq!(matches!(finish.1.body, Body::Truncate { .. }), was_full, "W {window}, v{version}");
            peer.take(finish);
            me.take(peer.letter());
            for end in [&me, &peer] {
                let live = end.machine.latest().0 - end.machine.earliest().0 + 1;
                assert_eq!(live, (version + 1).min(window.into()));
            }
        }
    }
}

#[test]
fn low_bits_name_exactly_one_version_or_none() {
    let (mut me, mut peer) = windows(16);
    for _ in 0..300 {
        round(&mut me, &mut peer);
    }
    peer.step(Input::Trigger);
    me.take(peer.letter());
    assert_eq!(me.machine.candidate_version(), Some(Version(301)));
    let named: Vec<Version> = (0..=255).filter_map(|bits| me.machine.resolve(bits)).collect();
    assert_eq!(named.len(), 17);
    for version in (285..=301).map(Version) {
        assert_eq!(me.machine.resolve(version.low_bits()), Some(version));
    }
}

#[test]
fn old_receive_keys_go_after_a_drain_but_never_while_confirming() {
    let (mut me, mut peer) = pair(ME);
    me.step(Input::Trigger);
    peer.take(me.letter());
    me.take(peer.letter());
    let finish = me.letter();
    // The peer is suspended for ten minutes.
    for _ in 0..600 {
        me.pass(Duration::from_secs(1));
        me.step(Input::Timeout);
    }
    assert_eq!((place(&me.machine), me.machine.earliest()), ("Confirming".into(), Version(0)));
    peer.take(finish);
    assert_eq!(peer.machine.poll_timeout().map(|(_, why)| why), Some(TimerReason::Drain));
    me.take(peer.letter());
    assert_eq!(me.machine.earliest(), Version(0));
    let (at, why) = me.machine.poll_timeout().expect("a drain");
    assert_eq!(why, TimerReason::Drain);
    assert!(at.since(me.now) <= Duration::from_secs(30));
    me.now = at;
    assert_eq!(line(me.step(Input::Timeout), &me), "done > Idle Evict<1");
    assert_eq!(me.machine.poll_timeout(), None);
}

#[test]
fn a_want_outlives_a_yielded_round_and_ends_with_the_commit() {
    let (mut me, mut peer) = pair(ME);
    assert_eq!(me.step(Input::Trigger), Verdict::Waiting(Version(1)));
    peer.step(Input::Trigger);
    me.take(peer.letter());
    assert_eq!((place(&me.machine), me.machine.view().want), ("Answered".into(), Some(Version(1))));
    peer.take(me.letter());
    me.take(peer.letter());
    assert_eq!((place(&me.machine), me.machine.view().want), ("Idle".into(), None));
    peer.take(me.letter());
    assert_eq!(peer.machine.view().want, None);
}

#[test]
fn a_trigger_after_answering_starts_the_round_after_it() {
    let (mut me, mut peer) = pair(ME);
    peer.step(Input::Trigger);
    me.take(peer.letter());
    let answer = me.letter();
    assert_eq!(me.step(Input::Trigger), Verdict::Waiting(Version(2)));
    peer.take(answer);
    let verdict = me.take(peer.letter());
    assert_eq!(line(verdict, &me), "done > Offered Committed LeaderCanFinish +committed AliceToBob +started");
}

#[test]
fn the_losers_caller_is_served_when_the_winner_withdraws() {
    let (mut me, mut peer) = pair(ME);
    me.step(Input::Trigger);
    peer.step(Input::Trigger);
    me.take(peer.letter());
    peer.step(Input::Withdraw);
    let verdict = me.take(peer.letter());
    assert_eq!(line(verdict, &me), "done > Offered +cancelled:Peer(Withdrawn) CancelAck AliceToBob +started");
    let sent = me.sent.clone();
    // On any order: the offer is held until the acknowledgement is there.
    assert_eq!(peer.take(sent[1].clone()), Verdict::Done);
    assert_eq!(place(&peer.machine), "Withdrawing+held");
    let verdict = peer.take(sent[0].clone());
    assert_eq!(line(verdict, &peer), "done > Answered BobToAlice +started");
}

#[test]
fn a_want_registered_while_withdrawing_can_be_taken_back() {
    let (mut me, _) = pair(ME);
    me.step(Input::Trigger);
    me.step(Input::Withdraw);
    me.step(Input::Trigger);
    assert_eq!(me.step(Input::Withdraw), Verdict::Done);
    assert_eq!(me.machine.view().want, None);
    assert_eq!(line(me.take(letter(0, id(1, ME, 1), 0, Body::CancelAck)), &me), "done > Idle");
}

fn signing(interval: u64, rounds: u64) -> (End, End) {
    let reauth = Some(Reauth { interval: Duration::from_secs(interval), rounds });
    let of = |side| End::new(RekeyConfig { reauth, ..config(side) });
    (of(ME), of(PEER))
}

#[test]
fn a_signed_round_starts_by_itself_when_due_by_rounds() {
    let (mut me, mut peer) = signing(3600, 3);
    for _ in 0..2 {
        round(&mut me, &mut peer);
    }
    me.step(Input::Trigger);
    peer.take(me.letter());
    me.take(peer.letter());
    let verdict = peer.take(me.letter());
    assert_eq!(
        line(verdict, &peer),
        "done > Offered Committed LeaderCanFinish +committed AliceToBob +started"
    );
    assert_eq!(peer.machine.view().phase, Phase::Offered { round: id(4, PEER, 1), signed: true });
}

#[test]
fn a_signed_round_starts_by_itself_when_due_by_time() {
    let (mut me, mut peer) = signing(100, 1000);
    assert_eq!(me.machine.poll_timeout().map(|(_, why)| why), Some(TimerReason::ReauthDue));
    for end in [&mut me, &mut peer] {
        end.pass(Duration::from_secs(100));
    }
    me.step(Input::Timeout);
    assert_eq!(me.machine.view().phase, Phase::Offered { round: id(1, ME, 1), signed: true });
    peer.take(me.letter());
    me.take(peer.letter());
    peer.take(me.letter());
    me.take(peer.letter());
    for end in [&me, &peer] {
        assert_eq!(place(&end.machine), "Idle");
        assert!(!end.machine.view().signed_due);
        assert!(end.machine.view().outcomes[0].signed);
    }
}

#[test]
fn a_resumed_path_is_followed_by_a_signed_round() {
    let (mut me, _) = signing(3600, 1000);
    assert_eq!(line(me.step(Input::PathReplaced { reauthenticate: false }), &me), "done > Idle");
    assert_eq!(
        line(me.step(Input::PathReplaced { reauthenticate: true }), &me),
        "done > Offered AliceToBob +started"
    );
    assert_eq!(me.machine.view().phase, Phase::Offered { round: id(1, ME, 1), signed: true });
}

#[test]
fn signatures_cannot_be_put_off_by_time_or_by_rounds() {
    let (mut me, _) = signing(100, 1000);
    me.pass(Duration::from_secs(100));
    me.step(Input::Timeout);
    me.pass(Duration::from_secs(99));
    assert_eq!(me.step(Input::Timeout), Verdict::Done);
    me.pass(Duration::from_secs(1));
    assert_eq!(me.step(Input::Timeout), Verdict::Closed(Fatal::ReauthOverdue));

    // A peer that wins with unsigned offers whenever it may, and never answers.
    let (mut me, _) = signing(3600, 3);
    let mut attempt = 0;
    let closed = (1..100).find_map(|version| {
        attempt += 1;
        let body = Body::AliceToBob {
            suite: SUITE,
            signed: false,
            offer: Offer { share: version, signature: None },
        };
        me.take(letter(version - 1, id(version, PEER, attempt), attempt - 1, body));
        if matches!(me.machine.view().phase, Phase::Offered { .. }) {
            // Nothing more can be forced: the own signed offer wins this version.
            return Some(None);
        }
        match me.step(Input::Record { under: Version(version) }) {
            Verdict::Closed(fatal) => Some(Some(fatal)),
            _ => None,
        }
    });
    assert_eq!(closed, Some(None));
}

#[test]
fn halted_ends_keep_no_timer_and_still_repeat_what_the_peer_needs() {
    let (mut me, mut peer) = pair(ME);
    peer.step(Input::Trigger);
    me.take(peer.letter());
    let answer = me.letter();
    me.step(Input::Halt);
    peer.take(answer);
    let finish = peer.letter();
    assert_eq!(
        line(me.take(finish.clone()), &me),
        "done > Idle/Halted Committed LeaderCanFinish +committed HALTED"
    );
    assert_eq!(me.machine.poll_timeout(), None);
    assert_eq!(line(me.take(finish), &me), "done > Idle/Halted LeaderCanFinish");
    peer.take(me.letter());
    assert_eq!(place(&peer.machine), "Idle");
}

#[test]
fn what_is_owed_is_one_message_of_each_kind_in_order() {
    let (mut me, _) = pair(ME);
    let mut owed = Owed::new();
    let cancel =
        |attempt| letter(0, id(1, ME, attempt), attempt, Body::Cancel { reason: CancelReason::Unknown });
    me.step(Input::Trigger);
    let (under, offer) = me.letter();
    owed.push(under, offer.clone());
    owed.push(under, cancel(1).1);
    owed.push(under, offer.clone());
    assert_eq!(owed.len(), 2);
    owed.push(under, cancel(2).1);
    owed.push(under, letter(0, id(2, ME, 3), 2, offer.body).1);
    let kinds: Vec<_> = std::iter::from_fn(|| owed.pop()).map(|(_, m)| (m.kind(), m.header.round)).collect();
    assert_eq!(kinds, [(MessageKind::Cancel, id(1, ME, 2)), (MessageKind::AliceToBob, id(2, ME, 3))]);
    owed.push(Version(0), cancel(1).1);
    owed.drop_stale(Version(1));
    assert!(owed.is_empty());
}
