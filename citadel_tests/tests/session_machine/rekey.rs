//! Rounds and messages together: nothing waits, nothing is lost, both ends agree.

use super::ZERO;
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::KeyLimits;
use citadel_crypt::ratchets::rekey::Version;
use citadel_proto::session::{RekeyPolicy, SessionConfig};
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, Fault};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

#[rstest]
fn messages_flow_both_ways_through_rounds_started_by_both(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(1, 2, 3, 4)] seed: u64,
) {
    let mut world = World::new(seed, mode, &SessionConfig::default());
    let mut sent = 0_u64;
    let mut read = [0_u64; 2];
    for round in 1..=60_u64 {
        world.trigger(Side::A);
        world.trigger(Side::B);
        for _ in 0..5 {
            for side in [Side::A, Side::B] {
                world.send(side, ZERO, sent.to_le_bytes().repeat(1 + sent as usize % 700));
            }
            sent += 1;
            world.turn();
        }
        world.run();
        for (side, next) in [Side::A, Side::B].into_iter().zip(&mut read) {
            while *next < sent {
                let message = world.message(side, ZERO);
                assert_eq!(message, next.to_le_bytes().repeat(1 + *next as usize % 700));
                *next += 1;
            }
        }
        world.pass(Duration::from_millis(40));
        let version = world.a.machine.version();
        assert_eq!(version, world.b.machine.version());
        assert!(version.0 >= round);
        let print = world.a.machine.fingerprint(version);
        assert!(print.is_some() && print == world.b.machine.fingerprint(version));
    }
    assert!(world.a.rounds == world.b.rounds && world.a.rounds == world.a.machine.version().0);
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[test]
fn perfect_mode_renews_its_keys_while_messages_flow_and_rests_when_they_do_not() {
    let mut world = World::new(5, SecrecyMode::Perfect, &SessionConfig::default());
    for i in 0..640_u32 {
        world.send(Side::A, ZERO, i.to_le_bytes().to_vec());
        world.pass(Duration::from_millis(1));
        world.message(Side::B, ZERO);
    }
    let version = world.a.machine.version();
    assert!((5..=12).contains(&version.0), "{version} after 640 records in 640 ms");
    world.pass(Duration::from_secs(100));
    assert!(world.a.machine.version().0 <= version.0 + 1, "no round without messages");
    world.close(Side::B, CloseReason::GoingAway);
    world.finish();
}

#[test]
fn best_effort_renews_its_keys_by_request_only() {
    let mut world = World::simple(6);
    for _ in 0..500 {
        world.send(Side::A, ZERO, "x");
        world.pass(Duration::from_millis(1));
        world.message(Side::B, ZERO);
    }
    assert_eq!(world.a.machine.version(), Version(0));
    world.close(Side::B, CloseReason::GoingAway);
    world.finish();
}

#[rstest]
#[case::a_round_renews_it(false)]
#[case::a_peer_that_does_not_answer_does_not(true)]
fn no_version_lives_longer_than_a_day(#[case] mute: bool) {
    let config =
        SessionConfig { reauth: None, dead_after: Duration::from_secs(1 << 30), ..SessionConfig::default() };
    let mut world = World::new(7, SecrecyMode::BestEffort, &config);
    world.pass(Duration::from_secs(22 * 3600));
    assert_eq!(world.a.machine.version(), Version(0));
    world.stalled = mute.then_some(Side::B);
    world.pass(Duration::from_secs(3 * 3600));
    if mute {
        assert_eq!(
            world.a.closed.as_ref().map(|report| &report.local),
            Some(&CloseReason::Fatal(Fault::KeyLimit))
        );
        world.stalled = None;
    } else {
        assert!(world.a.machine.version() > Version(0));
        assert_eq!(world.a.machine.stage(), Stage::Running);
        world.close(Side::A, CloseReason::GoingAway);
    }
    world.finish();
}

/// A key that may carry little.
fn worn_soon(by_bytes: bool) -> SessionConfig {
    let (records, bytes) = if by_bytes { (u64::MAX, 40_000) } else { (40, u64::MAX) };
    let key_limits = KeyLimits {
        soft_records: records / 2,
        soft_bytes: bytes / 2,
        hard_records: records,
        hard_bytes: bytes,
    };
    let never = Duration::from_secs(1 << 20);
    SessionConfig { key_limits, dead_after: never, ping_after: never, ..SessionConfig::default() }
}

#[rstest]
fn a_worn_key_is_renewed_and_one_at_its_hard_limit_ends_the_session(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(true, false)] by_bytes: bool,
    #[values(true, false)] answers: bool,
) {
    let config = SessionConfig { rekey: RekeyPolicy::Explicit, ..worn_soon(by_bytes) };
    let mut world = World::new(12, mode, &config);
    world.run();
    if !answers {
        world.stalled = Some(Side::B);
    }
    for _ in 0..100 {
        if world.a.machine.try_send(ZERO, Bytes::from(vec![1; 900])).is_err() {
            break;
        }
        world.run();
        while let citadel_proto::Taken::Message(_) = world.take(Side::B, ZERO) {}
    }
    if answers {
        assert!(world.a.machine.version() >= Version(4), "{}", world.a.machine.version());
        assert_eq!(world.a.machine.stage(), Stage::Running);
        world.close(Side::A, CloseReason::GoingAway);
        let (a, b) = world.finish();
        assert!(a.clean && b.clean, "{a} / {b}");
    } else {
        // No key is left that could seal a `Close`: its deadline is all that is waited for.
        world.pass(Duration::from_secs(1));
        let report = world.a.closed.clone().expect("closed");
        assert_eq!(report.local, CloseReason::Fatal(Fault::KeyLimit));
        world.stalled = None;
        world.finish_after(Duration::from_secs(1 << 21));
    }
}

#[test]
fn rounds_come_after_so_many_records_or_so_many_bytes() {
    for (records, bytes) in [(10, u64::MAX), (u64::MAX, 10_000)] {
        let rekey = RekeyPolicy::Background { records, bytes, interval: Duration::from_millis(1) };
        let config = SessionConfig { rekey, ..SessionConfig::default() };
        let mut world = World::new(13, SecrecyMode::BestEffort, &config);
        world.run();
        for _ in 0..100 {
            world.send(Side::A, ZERO, vec![1; 1_000]);
            world.pass(Duration::from_millis(2));
            world.message(Side::B, ZERO);
        }
        let version = world.a.machine.version().0;
        assert!((8..=11).contains(&version), "{version} rounds by {records} records or {bytes} bytes");
        world.close(Side::B, CloseReason::GoingAway);
        world.finish();
    }
}

#[test]
fn a_thousand_triggers_share_a_few_rounds() {
    let mut world = World::simple(8);
    for _ in 0..1_000 {
        world.trigger(Side::A);
        world.trigger(Side::B);
    }
    world.run();
    assert!((1..=3).contains(&world.a.machine.version().0), "{}", world.a.machine.version());
    assert_eq!(world.a.machine.version(), world.b.machine.version());
    world.close(Side::A, CloseReason::GoingAway);
    world.finish();
}

#[test]
fn rounds_complete_while_neither_reader_reads() {
    let mut world = World::tight(9);
    for side in [Side::A, Side::B] {
        while world.end(side).machine.try_send(ZERO, Bytes::from_static(&[1; 900])).is_ok() {}
    }
    for round in 1..=100 {
        world.trigger(if round % 2 == 0 { Side::A } else { Side::B });
        world.run();
        assert_eq!(world.a.machine.version(), Version(round));
        assert_eq!(world.b.machine.version(), Version(round));
    }
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "what was within credit was received: {a} / {b}");
}

#[test]
fn explicit_and_background_policies_are_what_they_say() {
    let background =
        RekeyPolicy::Background { records: 4, bytes: u64::MAX, interval: Duration::from_millis(1) };
    for (mode, policy, renews) in
        [(SecrecyMode::Perfect, RekeyPolicy::Explicit, false), (SecrecyMode::BestEffort, background, true)]
    {
        let config = SessionConfig { rekey: policy, ..SessionConfig::default() };
        let mut world = World::new(10, mode, &config);
        for _ in 0..200 {
            world.send(Side::A, ZERO, "x");
            world.pass(Duration::from_millis(1));
            world.message(Side::B, ZERO);
        }
        assert_eq!(world.a.machine.version() > Version(20), renews, "{policy:?}");
        world.close(Side::B, CloseReason::GoingAway);
        world.finish();
    }
}

#[test]
fn both_ends_export_the_same_for_the_life_of_the_session() {
    let mut world = World::simple(11);
    let export = |world: &World| {
        let (mut a, mut b, mut other) = ([0; 40], [0; 40], [0; 40]);
        world.a.machine.export("app", b"context", &mut a).unwrap();
        world.b.machine.export("app", b"context", &mut b).unwrap();
        world.a.machine.export("app", b"other", &mut other).unwrap();
        assert!(a == b && a != other);
        a
    };
    let before = export(&world);
    world.trigger(Side::A);
    world.run();
    assert_eq!(export(&world), before);
    world.close(Side::A, CloseReason::GoingAway);
    world.finish();
}
