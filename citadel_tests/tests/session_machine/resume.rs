//! Paths that end, and the ones that follow: nothing is lost, nothing comes twice (SCENARIOS 19, 19a, 19b).

use super::{ZERO, flow};
use bytes::{Bytes, BytesMut};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::PathId;
use citadel_proto::record;
use citadel_proto::session::{Input, PathRefused, RekeyPolicy, SessionConfig, TimerReason};
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelId, CloseReason, PathLoss, Taken};
use citadel_tests::session_world::{Side, Talk, World};
use rstest::rstest;
use std::time::Duration;

const MODES: [SecrecyMode; 2] = [SecrecyMode::BestEffort, SecrecyMode::Perfect];

/// Limits under which a message of 50 KB goes in many pieces.
pub(crate) fn tight() -> SessionConfig {
    let limits =
        Limits { max_message: 1 << 20, session_credit: 64 << 10, channel_credit: 16 << 10, max_channels: 16 };
    SessionConfig { limits, ..resumable() }
}

pub(crate) fn resumable() -> SessionConfig {
    SessionConfig { resume: Duration::from_secs(60), ..SessionConfig::default() }
}

/// A talk on two channels with rounds in between; ends in order.
fn talk(seed: u64, mode: SecrecyMode, prepare: impl FnOnce(&mut World)) -> World {
    let rekey = RekeyPolicy::Background { records: 8, bytes: u64::MAX, interval: Duration::ZERO };
    let mut world = World::new(seed, mode, &SessionConfig { rekey, ..tight() });
    let named = world.a.machine.open_channel(Bytes::from_static(b"second")).unwrap();
    let lanes = [(Side::A, ZERO), (Side::B, ZERO), (Side::A, named)];
    let mut talk = Talk::new(seed, &lanes, 14, 30_000);
    prepare(&mut world);
    talk.finish(&mut world);
    assert_eq!(world.b.machine.accept_channel(), Some(named));
    assert_eq!(world.a.machine.version(), world.b.machine.version());
    let version = world.a.machine.version();
    assert_eq!(world.a.machine.fingerprint(version), world.b.machine.fingerprint(version));
    world
}

fn end(mut world: World) {
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!((a.unconfirmed, b.unconfirmed), (vec![], vec![]));
}

#[rstest]
fn a_path_lost_at_every_record_boundary_loses_and_doubles_nothing(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let whole = talk(1, mode, |_| {});
    let records = whole.records;
    assert!(records > 40 && whole.a.machine.version().0 > 1, "{records} records");
    end(whole);
    for at in 1..=records {
        let world = talk(1, mode, |world| world.cut_at = Some(at));
        assert_eq!((world.a.losses, world.a.paths, world.b.paths), (1, 1, 1), "cut at {at}");
        assert_eq!(world.a.machine.path(), Some(PathId(1)));
        end(world);
    }
}

#[rstest]
fn a_path_cut_again_during_the_round_that_the_resumption_starts(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(3, 9, 17)] first: u64,
    #[values(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] then: u64,
) {
    let world = talk(2, mode, |world| {
        world.cut_at = Some(first);
        world.run();
        world.attach();
        world.cut_at = Some(first + then);
    });
    assert!(world.a.paths >= 1 && world.a.machine.version().0 > 1);
    end(world);
}

#[test]
fn each_resumption_is_followed_by_a_signed_round() {
    let mut world = World::new(3, SecrecyMode::BestEffort, &resumable());
    world.run();
    for version in 1..=3 {
        world.cut();
        world.attach();
        world.pass(Duration::from_secs(1));
        assert_eq!((world.a.rounds, world.b.rounds), (version, version), "one round, whoever asks");
        let stats = world.a.machine.rekey_view().expect("open");
        assert_eq!(stats.unsigned_rounds, 0);
    }
    end(world);
}

#[test]
fn a_path_id_serves_once_and_only_upwards() {
    let mut world = World::new(4, SecrecyMode::BestEffort, &resumable());
    world.run();
    assert_eq!(world.a.machine.accepts_path(PathId(0)), Err(PathRefused::Reused));
    world.cut();
    // The verdicts of two attempts are lost; the third counts on.
    let ids: Vec<_> = (0..3).map(|_| world.a.machine.next_path_id()).collect();
    assert_eq!(ids, [1, 2, 3].map(|id| Some(PathId(id))));
    world.attach_at(Side::B, PathId(1));
    world.lose(Side::B, PathLoss::Io);
    assert_eq!(world.b.machine.accepts_path(PathId(1)), Err(PathRefused::Reused));
    world.attach_at(Side::B, PathId(1));
    assert!(world.b.machine.is_detached(), "a path id again does nothing");
    world.attach_at(Side::B, PathId(3));
    world.attach_at(Side::A, PathId(3));
    for low in [1, 2, 3] {
        assert_eq!(world.b.machine.accepts_path(PathId(low)), Err(PathRefused::Reused));
    }
    assert_eq!(world.b.machine.accepts_path(PathId(u64::MAX)), Err(PathRefused::Reused));
    world.send(Side::A, ZERO, "on the third");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.message(Side::B, ZERO), "on the third");
    end(world);
}

/// The next record that `side` would write.
fn sealed(world: &mut World, side: Side) -> record::RawRecord {
    let now = world.now;
    let mut out = BytesMut::new();
    assert!(world.end(side).machine.poll_transmit(now, &mut out, 1), "there is something to send");
    record::split(&mut out).unwrap().expect("whole records only")
}

fn copy(raw: &record::RawRecord) -> record::RawRecord {
    record::RawRecord { header: raw.header, body: raw.body.clone() }
}

fn give(world: &mut World, side: Side, raw: record::RawRecord) {
    let now = world.now;
    world.end(side).machine.handle(now, Input::Record(raw));
}

#[rstest]
fn a_record_copied_from_one_path_to_another_ends_that_path_and_nothing_else(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(true, false)] arrived: bool,
) {
    let mut world = World::new(5, mode, &resumable());
    world.run();
    world.send(Side::A, ZERO, "one");
    let copied = sealed(&mut world, Side::A);
    if arrived {
        give(&mut world, Side::B, copy(&copied));
    }
    world.cut();
    world.attach();
    give(&mut world, Side::B, copied);
    assert!(world.b.machine.is_detached() && !world.a.machine.is_detached());
    world.lose(Side::A, PathLoss::Ended);
    world.attach();
    world.run();
    assert_eq!(world.message(Side::B, ZERO), "one");
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending, "once");
    end(world);
}

#[rstest]
fn one_forged_byte_ends_the_path_and_the_session_goes_on(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let len = {
        let mut world = World::new(6, mode, &resumable());
        world.send(Side::A, ZERO, "untouched");
        let raw = sealed(&mut world, Side::A);
        raw.header.len() + raw.body.len()
    };
    for at in 0..len {
        let mut world = World::new(6, mode, &resumable());
        world.send(Side::A, ZERO, "untouched");
        let mut raw = sealed(&mut world, Side::A);
        match raw.header.get_mut(at) {
            Some(byte) => *byte ^= 1,
            None => raw.body[at - record::HEADER_LEN] ^= 0x80,
        }
        give(&mut world, Side::B, raw);
        assert!(world.b.machine.is_detached(), "byte {at}");
        assert_eq!(world.b.machine.stage(), Stage::Running);
        world.lose(Side::A, PathLoss::Ended);
        world.attach();
        world.run();
        assert_eq!(world.message(Side::B, ZERO), "untouched");
        end(world);
    }
}

#[rstest]
fn without_a_time_to_resume_a_lost_path_ends_the_session(#[values(false, true)] forged: bool) {
    let mut world = World::simple(7);
    world.send(Side::A, ZERO, "x");
    let mut raw = sealed(&mut world, Side::A);
    if forged {
        raw.body[3] ^= 1;
        give(&mut world, Side::B, raw);
    }
    world.cut();
    assert_eq!(world.a.machine.accepts_path(PathId(1)), Err(PathRefused::Closing));
    let (_, b) = world.finish();
    let loss = if forged { PathLoss::NotAuthentic } else { PathLoss::Ended };
    assert_eq!(b.local, CloseReason::PathLost(loss));
}

#[test]
fn a_long_message_is_taken_up_where_it_was_cut() {
    const LONG: usize = 900_000;
    for mode in MODES {
        let mut at = 4;
        loop {
            let mut world = World::new(8, mode, &tight());
            let mut talk = Talk::new(8, &[(Side::A, ZERO)], 1, 1);
            talk.finish(&mut world);
            let body: Bytes = (0..LONG).map(|i| (i / 7) as u8).collect();
            world.send(Side::A, ZERO, body.clone());
            world.cut_at = Some(world.records + at);
            let message = loop {
                world.pass(Duration::from_millis(30));
                if world.is_detached() {
                    world.attach();
                }
                if let Taken::Message(message) = world.take(Side::B, ZERO) {
                    break message;
                }
            };
            assert!(message == body, "cut at {at}");
            let sent = world.a.machine.stats().bytes_sent;
            // At most one window was on the path that was cut; records, control and two rounds take some more.
            assert!(sent < LONG as u64 + (64 << 10) + 40_000, "{sent} bytes for a message cut at {at}");
            let was_cut = world.a.losses == 1;
            world.cut_at = None;
            end(world);
            if !was_cut {
                break;
            }
            at += 7;
        }
        assert!(at > 40, "{at} records");
    }
}

#[test]
fn what_arrived_is_not_sent_again() {
    let mut world = World::new(15, SecrecyMode::BestEffort, &resumable());
    world.run();
    (0..30).for_each(|_| world.send(Side::A, ZERO, vec![1; 5_000]));
    world.stalled = Some(Side::B);
    world.run();
    world.stalled = None;
    world.cut();
    let before = world.a.machine.stats().bytes_sent;
    world.attach();
    world.pass(Duration::from_secs(1));
    let again = world.a.machine.stats().bytes_sent - before;
    // A signed round and a few numbers.
    assert!(again < 15_000, "{again} bytes after the loss of acknowledgements alone");
    (0..30).for_each(|_| assert_eq!(world.message(Side::B, ZERO).len(), 5_000));
    end(world);
}

#[test]
fn what_is_sent_again_keeps_its_credit() {
    let mut world = World::new(16, SecrecyMode::BestEffort, &tight());
    world.run();
    let ids: Vec<_> = (0..8).map(|_| world.a.machine.open_channel(Bytes::new()).unwrap()).collect();
    let message = Bytes::from(vec![1; 7_000]);
    for id in &ids {
        while world.a.machine.try_send(*id, message.clone()).is_ok() {}
    }
    // Sealed, and lost with the path.
    world.a.machine.poll_transmit(world.now, &mut BytesMut::new(), 1 << 20);
    world.cut();
    world.attach();
    for id in &ids {
        let sent = world.a.machine.try_send(*id, message.clone());
        assert!(sent.is_err(), "the session's credit is taken");
    }
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "without any reader reading: {a} / {b}");
}

#[rstest]
fn both_windows_are_full_when_the_path_is_lost(#[values(true, false)] closes: bool) {
    let mut world = World::new(9, SecrecyMode::BestEffort, &resumable());
    let counts = [Side::A, Side::B].map(|side| flow::fill(&mut world, side, ZERO, 10_000));
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    world.cut();
    for side in [Side::A, Side::B] {
        let full = world.end(side).machine.try_send(ZERO, Bytes::from(vec![7; 10_000]));
        assert!(full.is_err(), "nothing is kept beyond credit");
    }
    if closes {
        world.close(Side::B, CloseReason::application(5, ""));
    }
    world.pass(Duration::from_secs(3));
    world.attach();
    world.run();
    for (side, count) in [(Side::B, counts[0]), (Side::A, counts[1])] {
        for _ in 0..count {
            assert_eq!(world.message(side, ZERO).len(), 10_000);
        }
    }
    if !closes {
        world.close(Side::B, CloseReason::application(5, ""));
    }
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!(a.reason(), &CloseReason::application(5, ""));
}

#[test]
fn handles_work_and_wait_while_there_is_no_path() {
    let mut world = World::new(10, SecrecyMode::BestEffort, &resumable());
    world.run();
    world.cut();
    assert_eq!((world.a.machine.path(), world.a.machine.is_detached()), (None, true));
    let id = world.a.machine.open_channel(Bytes::from_static(b"early")).unwrap();
    world.send(Side::A, id, "kept");
    world.send(Side::B, ZERO, "kept as well");
    world.trigger(Side::A);
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
    let mut nothing = BytesMut::new();
    assert!(!world.a.machine.poll_transmit(world.now, &mut nothing, 1 << 20));
    world.pass(Duration::from_secs(50));
    assert_eq!(world.a.machine.stage(), Stage::Running, "nobody is found dead without a path");
    world.attach();
    world.run();
    assert_eq!(world.b.machine.accept_channel(), Some(id));
    assert_eq!(world.message(Side::B, id), "kept");
    assert_eq!(world.message(Side::A, ZERO), "kept as well");
    assert!(world.a.machine.version().0 >= 1);
    world.pass(Duration::from_secs(100));
    assert_eq!(world.a.machine.stage(), Stage::Running, "silence counts from the new path on");
    end(world);
}

#[test]
fn a_peer_that_is_back_before_the_loss_was_seen_replaces_the_path() {
    let mut world = World::new(11, SecrecyMode::Perfect, &resumable());
    world.send(Side::A, ZERO, "first");
    world.send(Side::B, ZERO, "second");
    world.turn();
    world.lose(Side::A, PathLoss::Io);
    let path = world.attach();
    assert_eq!((world.a.losses, world.b.losses), (1, 0), "B learned nothing of it");
    assert_eq!(world.b.machine.path(), Some(path));
    world.run();
    assert_eq!(world.message(Side::B, ZERO), "first");
    assert_eq!(world.message(Side::A, ZERO), "second");
    end(world);
}

#[test]
fn the_time_to_resume_is_a_deadline_with_a_reason() {
    let mut world = World::new(12, SecrecyMode::BestEffort, &resumable());
    world.send(Side::A, ZERO, "unconfirmed");
    world.pass(Duration::from_secs(1));
    world.cut();
    let due = world.now + Duration::from_secs(60);
    let timers: Vec<_> = std::iter::from_fn(|| {
        let (at, reason) = world.a.machine.poll_timeout()?;
        (at < due).then(|| world.pass(at.since(world.now)))?;
        Some(reason)
    })
    .collect();
    assert!(!timers.contains(&TimerReason::Ping) && !timers.contains(&TimerReason::Acknowledge));
    assert_eq!(world.a.machine.poll_timeout(), Some((due, TimerReason::Resume)));
    world.pass(due.since(world.now) - Duration::from_nanos(1));
    assert_eq!(world.a.machine.stage(), Stage::Running);
    let (a, b) = world.finish();
    assert_eq!(a.local, CloseReason::PathLost(PathLoss::Ended));
    assert!(!a.clean && !b.clean);
}

#[rstest]
fn a_refused_resumption_ends_the_session_with_what_the_peer_said(
    #[values(
        PathLoss::ResumeUnknown,
        PathLoss::ResumeExpired,
        PathLoss::ResumeSuperseded,
        PathLoss::ResumeClosing
    )]
    loss: PathLoss,
) {
    let mut world = World::new(13, SecrecyMode::BestEffort, &resumable());
    world.run();
    world.cut();
    world.abandon(Side::A, loss);
    assert_eq!(world.a.machine.stage(), Stage::Closed, "nothing is waited for");
    let (a, _) = world.finish_after(Duration::from_secs(70));
    assert_eq!(a.local, CloseReason::PathLost(loss));
}

#[test]
fn names_that_start_with_a_zero_byte_are_the_nodes_own() {
    let config = SessionConfig { services: true, ..resumable() };
    let mut world = World::with_configs(14, SecrecyMode::BestEffort, &resumable(), &config);
    for name in [&b"\0"[..], b"\0citadel/kv", b"\0other"] {
        let refused = world.a.machine.open_channel(Bytes::from_static(name));
        assert_eq!(refused, Err(citadel_proto::OpenError::NameReserved));
    }
    let service = world.a.machine.open_service_channel("kv").unwrap();
    world.send(Side::A, service, "request");
    world.run();
    world.cut();
    world.attach();
    world.run();
    assert_eq!(world.b.machine.accept_channel(), None, "no application sees it");
    assert_eq!(world.b.machine.accept_service_channel(), Some(service));
    assert_eq!(world.b.machine.accept_service_channel(), None);
    assert_eq!(world.b.machine.channel_name(service), "\0citadel/kv");
    assert_eq!(world.message(Side::B, service), "request");
    // A has no services: what B opens there is given up at once.
    let other: ChannelId = world.b.machine.open_service_channel("kv").unwrap();
    world.run();
    assert_eq!((world.a.machine.accept_channel(), world.a.machine.accept_service_channel()), (None, None));
    assert_eq!(world.take(Side::B, other), Taken::Reset(0));
    end(world);
}
