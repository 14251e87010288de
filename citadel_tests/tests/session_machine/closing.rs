//! Every way to end, with rounds and data under way (SCENARIOS 15, 14a, 19b).

use super::{ZERO, flow};
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_proto::session::SessionConfig;
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, PathLoss, RekeyError, SendError, Taken};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    A,
    B,
    Both,
}

/// How far a round is when the close comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    Idle,
    /// Triggered by one side, so many turns ago.
    One(Side, usize),
    /// Triggered by both at once, so many turns ago.
    Two(usize),
}

#[rstest]
fn every_accepted_message_arrives_and_both_ends_are_clean(
    #[values(Who::A, Who::B, Who::Both)] who: Who,
    #[values(
        Round::Idle,
        Round::One(Side::A, 0),
        Round::One(Side::A, 1),
        Round::One(Side::A, 2),
        Round::One(Side::A, 3),
        Round::One(Side::B, 1),
        Round::One(Side::B, 2),
        Round::Two(0),
        Round::Two(1),
        Round::Two(2),
        Round::Two(3)
    )]
    round: Round,
    #[values(0, 1, 200)] messages: u32,
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let mut world = World::new(u64::from(messages) + 3, mode, &SessionConfig::default());
    for i in 0..messages {
        for side in [Side::A, Side::B] {
            world.send(side, ZERO, vec![i as u8; 3_000]);
        }
    }
    let turns = match round {
        Round::Idle => 0,
        Round::One(side, turns) => {
            world.trigger(side);
            turns
        }
        Round::Two(turns) => {
            world.trigger(Side::A);
            world.trigger(Side::B);
            turns
        }
    };
    for _ in 0..turns {
        world.turn();
    }
    if who != Who::B {
        world.close(Side::A, CloseReason::application(1, "a"));
    }
    if who != Who::A {
        world.close(Side::B, CloseReason::application(2, "b"));
    }
    let closing = if who == Who::B { Side::B } else { Side::A };
    let refused = world.end(closing).machine.try_send(ZERO, Bytes::new());
    assert!(matches!(refused, Err(citadel_proto::TrySendError::Send(SendError::Closed(_)))));
    world.pass(Duration::from_secs(1));
    for side in [Side::A, Side::B] {
        for i in 0..messages {
            assert_eq!(world.message(side, ZERO), vec![i as u8; 3_000], "readable after the end");
        }
        assert_eq!(world.take(side, ZERO), Taken::Cut, "then the end that the application did not make");
    }
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!((&a.unconfirmed[..], &b.unconfirmed[..]), (&[][..], &[][..]));
    match who {
        Who::A => assert_eq!((&a.local, b.reason()), (&CloseReason::application(1, "a"), &a.local)),
        Who::B => assert_eq!((&b.local, a.reason()), (&CloseReason::application(2, "b"), &b.local)),
        Who::Both => {
            assert_eq!(a.local, CloseReason::application(1, "a"));
            assert_eq!(b.local, CloseReason::application(2, "b"));
            assert_eq!((a.peer, b.peer), (Some(b.local), Some(a.local)));
        }
    }
}

#[test]
fn both_directions_hold_a_mebibyte_when_one_side_closes() {
    let mut world = World::simple(4);
    let counts = [Side::A, Side::B].map(|side| flow::fill(&mut world, side, ZERO, 10_000));
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    world.close(Side::B, CloseReason::GoingAway);
    world.pass(Duration::from_secs(1));
    for (side, count) in [(Side::B, counts[0]), (Side::A, counts[1])] {
        for _ in 0..count {
            world.message(side, ZERO);
        }
    }
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!(a.reason(), &CloseReason::GoingAway);
}

#[test]
fn a_message_that_finds_no_reader_is_reported_unconfirmed_after_the_flush_deadline() {
    let mut world = World::tight(5);
    world.send(Side::A, ZERO, vec![1; 500_000]);
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.a.machine.stage(), Stage::Flushing);
    let (a, b) = world.finish();
    assert!(!a.clean, "{a}");
    assert_eq!(a.unconfirmed.iter().map(|one| (one.channel, one.messages)).collect::<Vec<_>>(), [(0, 1)]);
    assert_eq!(a.peer, Some(CloseReason::PeerClosing));
    assert_eq!(b.reason(), &CloseReason::GoingAway);
}

#[rstest]
fn an_abort_tells_the_peer_once_and_waits_for_nothing(
    #[values(
        CloseReason::Aborted,
        CloseReason::HandlerPanicked,
        CloseReason::Revoked,
        CloseReason::Superseded
    )]
    reason: CloseReason,
) {
    let mut world = World::simple(6);
    world.send(Side::B, ZERO, "on its way");
    world.trigger(Side::B);
    world.turn();
    world.close(Side::A, reason.clone());
    world.run();
    assert_eq!(world.a.machine.stage(), Stage::Closed, "without any time passing");
    assert_eq!(world.b.machine.stage(), Stage::Closed);
    let (a, b) = world.finish();
    assert_eq!((&a.local, b.reason()), (&reason, &reason));
    assert!(!a.clean && !b.clean);
}

#[test]
fn a_path_that_ends_is_no_clean_end() {
    let mut world = World::simple(7);
    world.send(Side::A, ZERO, "arrived");
    world.run();
    world.send(Side::A, ZERO, "lost");
    world.cut();
    assert_eq!(world.message(Side::B, ZERO), "arrived");
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
    let now = world.now;
    assert_eq!(
        world.a.machine.trigger_rekey(now),
        Err(RekeyError::Closed(CloseReason::PathLost(PathLoss::Ended)))
    );
    let (a, b) = world.finish();
    assert_eq!(a.local, CloseReason::PathLost(PathLoss::Ended));
    assert!(!a.clean && !b.clean);
    assert_eq!(a.unconfirmed[0].messages, 2, "what no acknowledgement confirmed is reported");
}

#[rstest]
fn a_silent_path_is_found_dead_and_a_quiet_one_is_not(#[values(true, false)] stalls: bool) {
    let mut world = World::simple(8);
    world.pass(Duration::from_secs(600));
    assert_eq!(world.a.machine.stage(), Stage::Running, "pings keep it alive");
    assert!(world.a.machine.stats().round_trip.is_some());
    let pings = world.a.machine.stats().records_sent;
    assert!((60..=180).contains(&pings), "{pings} records in 600 s");
    if stalls {
        world.stalled = Some(Side::B);
        world.pass(Duration::from_secs(29));
        assert_eq!(world.a.machine.stage(), Stage::Running);
        world.pass(Duration::from_secs(12));
        assert_eq!(world.a.closed.as_ref().map(|report| report.local.clone()), Some(silent()));
        world.stalled = None;
        world.pass(Duration::from_secs(40));
        let (_, b) = world.finish();
        assert_eq!(b.local, silent());
    } else {
        world.close(Side::A, CloseReason::GoingAway);
        let (a, b) = world.finish();
        assert!(a.clean && b.clean);
    }
}

fn silent() -> CloseReason {
    CloseReason::PathLost(PathLoss::Silent)
}

#[test]
fn an_idle_session_closes_if_it_is_told_to() {
    let config = SessionConfig { idle_after: Some(Duration::from_secs(60)), ..SessionConfig::default() };
    let mut world = World::with_configs(9, SecrecyMode::BestEffort, &config, &SessionConfig::default());
    world.pass(Duration::from_secs(50));
    world.send(Side::B, ZERO, "not yet");
    world.pass(Duration::from_secs(50));
    assert_eq!(world.a.machine.stage(), Stage::Running);
    let (a, b) = world.finish_after(Duration::from_secs(20));
    assert_eq!((&a.local, b.reason()), (&CloseReason::Idle, &CloseReason::Idle));
    assert!(a.clean && b.clean);
}

#[test]
fn a_peer_that_never_answers_holds_the_close_no_longer_than_its_deadlines() {
    let mut world = World::simple(10);
    world.send(Side::A, ZERO, "into the void");
    world.trigger(Side::A);
    world.stalled = Some(Side::B);
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(Duration::from_millis(5_000 + 2_000 + 1_000 + 250));
    let report = world.a.closed.clone().expect("closed by its deadlines");
    assert!(!report.clean);
    assert_eq!(report.peer, None);
    world.stalled = None;
    world.finish();
}

#[test]
fn a_channel_opened_into_a_close_resolves_for_both() {
    let mut world = World::simple(11);
    let id = world.a.machine.open_channel(Bytes::new()).unwrap();
    world.send(Side::A, id, "too late to be accepted");
    world.close(Side::B, CloseReason::GoingAway);
    world.pass(Duration::from_secs(1));
    let (a, b) = world.finish();
    assert!(b.clean, "{b}");
    assert_eq!(a.reason(), &CloseReason::GoingAway);
}

#[test]
fn closing_twice_keeps_the_first_reason_and_aborting_cuts_it_short() {
    let mut world = World::simple(12);
    world.stalled = Some(Side::B);
    world.close(Side::A, CloseReason::application(1, "first"));
    world.close(Side::A, CloseReason::application(2, "second"));
    world.pass(Duration::from_millis(10));
    assert_eq!(world.a.machine.stage(), Stage::Flushing);
    world.close(Side::A, CloseReason::Aborted);
    world.run();
    let report = world.a.closed.clone().expect("an abort waits for nothing");
    assert_eq!(report.local, CloseReason::application(1, "first"));
    assert_eq!(report.cut_short, Some(CloseReason::Aborted));
    world.stalled = None;
    world.finish();
}

#[rstest]
fn fix_0033_room_given_back_after_the_end_is_no_output(#[values(false, true)] unused: bool) {
    let mut world = World::simple(15);
    let room = world.a.machine.reserve(ZERO, 100).unwrap().expect("there is room");
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.a.machine.stage(), Stage::Closed);
    if unused {
        world.a.machine.unreserve(room);
    } else {
        let sent = world.a.machine.send_reserved(room, Bytes::new());
        assert_eq!(sent, Err(SendError::Closed(CloseReason::GoingAway)));
    }
    // It panics if there is an output.
    world.finish();
}

#[test]
fn channels_that_nobody_took_before_the_close_are_still_readable_after_it() {
    let mut world = World::simple(13);
    let id = world.a.machine.open_channel(Bytes::new()).unwrap();
    world.send(Side::A, ZERO, "on zero");
    world.send(Side::A, id, "on another");
    world.run();
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.b.machine.stage(), Stage::Closed);
    assert_eq!(world.b.machine.take_channel_zero(), Ok(ZERO));
    assert_eq!(world.b.machine.accept_channel(), Some(id));
    assert_eq!(world.b.machine.accept_channel(), None);
    assert_eq!(world.message(Side::B, ZERO), "on zero");
    assert_eq!(world.message(Side::B, id), "on another");
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[test]
fn an_acknowledgement_in_the_record_of_the_close_counts() {
    let mut world = World::simple(14);
    world.send(Side::A, ZERO, "late");
    world.run();
    // Both ends' last words travel at once, each behind acknowledgements that nothing sent before.
    world.close(Side::A, CloseReason::GoingAway);
    world.close(Side::B, CloseReason::GoingAway);
    world.run();
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!((a.unconfirmed, b.unconfirmed), (vec![], vec![]));
}

/// More channels than one record can name, opened and written to before the close.
#[test]
fn fix_0081_a_close_is_told_after_the_channels_that_were_opened_before_it() {
    const COUNT: u32 = 400;
    let mut config = SessionConfig::default();
    config.limits.max_channels = COUNT;
    let mut world = World::new(16, SecrecyMode::BestEffort, &config);
    world.run();
    let name = Bytes::from_static(&[b'n'; 255]);
    let ids: Vec<_> = (0..COUNT).map(|_| world.a.machine.open_channel(name.clone()).unwrap()).collect();
    for id in &ids {
        world.send(Side::A, *id, "on another");
    }
    world.close(Side::A, CloseReason::GoingAway);
    let (mut came, mut heard) = (Vec::new(), 0);
    for _ in 0..100 {
        world.turn();
        came.extend(core::iter::from_fn(|| world.b.machine.accept_channel()));
        for id in &came {
            match world.take(Side::B, *id) {
                Taken::Message(said) => {
                    assert_eq!(said, "on another");
                    heard += 1;
                }
                Taken::Pending => {}
                // The close ends channels, and is told first.
                end => assert!(end == Taken::Cut && world.b.machine.stage() > Stage::Running, "{end:?}"),
            }
        }
    }
    assert_eq!((came, heard), (ids, COUNT));
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}
