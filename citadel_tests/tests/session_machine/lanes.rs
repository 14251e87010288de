//! Relay lanes: windows of their own that take nothing from applications, and what an end holds of them.

use super::ZERO;
use super::flow::fill;
use super::resume::resumable;
use bytes::{Bytes, BytesMut};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::frames::{self, Part};
use citadel_proto::session::SessionConfig;
use citadel_proto::{ChannelId, CloseReason, Fault, SendError, Taken, TrySendError};
use citadel_tests::session_world::{Rogue, Side, Talk, World};
use rstest::rstest;
use std::time::Duration;

/// Most units that wait for the reader of a lane.
const WINDOW: u64 = 256 << 10;
/// What a message takes beside its bytes.
const UNITS: u64 = 64;
/// Lanes of one opener.
const MOST: usize = 80;
const NAME: &[u8] = b"\0citadel/relay";

/// A lane's window is the channel's, 16 KiB; the session's credit is no more than four of them.
fn tight() -> SessionConfig {
    let limits =
        Limits { max_message: 400_000, session_credit: 64 << 10, channel_credit: 16 << 10, max_channels: 4 };
    SessionConfig { limits, services: true, ..resumable() }
}

fn roomy() -> SessionConfig {
    SessionConfig { services: true, ..resumable() }
}

fn world(seed: u64, config: &SessionConfig) -> World {
    let mut world = World::new(seed, SecrecyMode::BestEffort, config);
    world.run();
    world
}

/// `count` lanes that `side` opens and the other end accepts.
fn lanes(world: &mut World, side: Side, count: usize) -> Vec<ChannelId> {
    let open = |_| world.end(side).machine.open_service_channel("relay").expect("a place is free");
    let ids: Vec<ChannelId> = (0..count).map(open).collect();
    world.run();
    for id in &ids {
        let machine = &mut world.end(side.other()).machine;
        assert_eq!(machine.accept_service_channel(), Some(*id));
        assert_eq!(machine.channel_name(*id), NAME);
    }
    ids
}

fn end(mut world: World, lanes: &[ChannelId]) {
    for side in [Side::A, Side::B] {
        for id in lanes {
            world.end(side).machine.drop_sender(*id);
            world.end(side).machine.drop_receiver(*id, 0);
        }
    }
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[rstest]
#[case::of_256_kib(roomy(), WINDOW)]
#[case::of_the_channels_if_that_is_less(tight(), 16 << 10)]
fn a_lane_takes_a_window_and_no_more(#[case] config: SessionConfig, #[case] window: u64) {
    let mut world = world(1, &config);
    let id = lanes(&mut world, Side::A, 1)[0];
    for side in [Side::A, Side::B] {
        let accepted = fill(&mut world, side, id, 1_000) as u64 * (1_000 + UNITS);
        assert!((window - 2_000..=window).contains(&accepted), "{accepted} units");
        world.run();
        let more = world.end(side).machine.try_send(id, Bytes::from_static(&[1; 1_000]));
        assert!(matches!(more, Err(TrySendError::Full(_))));
    }
    world.message(Side::B, id);
    world.end(Side::A).machine.finish(id).expect("the end of a half needs no credit");
    world.run();
    while let Taken::Message(_) = world.take(Side::B, id) {}
    assert_eq!(world.take(Side::B, id), Taken::Finished);
    end(world, &[id]);
}

/// 80 lanes of each end, full both ways with nobody reading, hold twenty times the session's credit of `tight`; the
/// applications have all of it, to the last unit, and their messages flow.
#[rstest]
fn stalled_lanes_leave_applications_every_channel_and_all_credit(#[values(false, true)] cut: bool) {
    let mut world = world(2, &tight());
    let mut stalled = lanes(&mut world, Side::A, MOST);
    stalled.extend(lanes(&mut world, Side::B, MOST));
    let mut held = [0, 0];
    for id in &stalled {
        for (side, held) in [Side::A, Side::B].into_iter().zip(&mut held) {
            *held += fill(&mut world, side, *id, 4_000) as u64 * (4_000 + UNITS);
        }
    }
    world.run();
    let most = 2 * MOST as u64 * (16 << 10);
    assert!(held.iter().all(|held| (most / 2..=most).contains(held)), "{held:?} units of {most}");
    if cut {
        world.cut();
        world.attach();
        world.run();
    }
    let mut plain = vec![ZERO];
    plain.extend((0..4).map(|_| world.a.machine.open_channel(Bytes::new()).expect("lanes take no place")));
    world.run();
    // A fourth of the session's credit on each of four channels.
    for id in &plain[1..] {
        for side in [Side::A, Side::B] {
            let units = fill(&mut world, side, *id, 960) * 1_024;
            assert_eq!(units, 16 << 10, "channel {id} of {side:?}");
        }
    }
    assert_eq!(fill(&mut world, Side::A, ZERO, 960), 0, "there is no more than that");
    world.run();
    for id in &plain[1..] {
        for side in [Side::A, Side::B] {
            (0..16).for_each(|_| assert_eq!(world.message(side, *id).len(), 960));
        }
    }
    let spoken: Vec<_> = plain.iter().flat_map(|id| [(Side::A, *id), (Side::B, *id)]).collect();
    Talk::new(7, &spoken, 30, 30_000).finish(&mut world);
    end(world, &stalled);
}

#[test]
fn stalled_channels_of_applications_leave_lanes_alone() {
    let mut world = world(3, &tight());
    let ids = lanes(&mut world, Side::A, 2);
    for _ in 0..4 {
        let id = world.a.machine.open_channel(Bytes::new()).unwrap();
        world.run();
        fill(&mut world, Side::A, id, 960);
    }
    assert_eq!(fill(&mut world, Side::A, ZERO, 960), 0, "the session's credit is used up");
    let spoken = [(Side::A, ids[0]), (Side::B, ids[0]), (Side::A, ids[1])];
    Talk::new(8, &spoken, 100, 8_000).finish(&mut world);
    end(world, &ids);
}

/// The path is cut after each record, and lanes carry on exactly once and in order.
#[test]
fn lanes_outlive_paths_exactly_once() {
    for at in 1.. {
        let mut world = world(at, &tight());
        let ids = lanes(&mut world, if at % 2 == 0 { Side::A } else { Side::B }, 2);
        world.cut_at = Some(world.records + at);
        let spoken = [(Side::A, ids[0]), (Side::B, ids[0]), (Side::A, ids[1]), (Side::B, ZERO)];
        Talk::new(at, &spoken, 20, 8_000).finish(&mut world);
        let was_cut = world.cut_at.take().is_none();
        end(world, &ids);
        if !was_cut {
            assert!(at > 20, "only {at} records");
            return;
        }
    }
}

/// Messages on a lane fit half its window: they never need the budget that long messages of applications are paid from.
#[rstest]
#[case::of_256_kib(roomy(), WINDOW)]
#[case::of_the_channels_if_that_is_less(tight(), 16 << 10)]
fn a_message_on_a_lane_is_at_most_half_a_window_long(#[case] config: SessionConfig, #[case] window: u64) {
    let mut world = world(4, &config);
    let id = lanes(&mut world, Side::A, 1)[0];
    let longest = window / 2 - UNITS;
    assert_eq!(world.a.machine.longest_message(id), longest);
    assert_eq!(world.a.machine.longest_message(ZERO), config.limits.max_message);
    let len = usize::try_from(longest).unwrap();
    let too_long = SendError::TooLong { len: len + 1, limit: longest };
    let sent = world.a.machine.try_send(id, Bytes::from(vec![1; len + 1]));
    assert_eq!(sent, Err(TrySendError::Send(too_long.clone())));
    assert_eq!(world.a.machine.reserve(id, longest + 1).map(drop), Err(too_long));
    for _ in 0..2 {
        world.send(Side::A, id, vec![1; len]);
    }
    world.run();
    for _ in 0..2 {
        assert_eq!(world.message(Side::B, id).len(), len, "arrived before anyone asked");
    }
    end(world, &[id]);
}

/// Room that is kept on a lane is nobody else's loss, and is given back to lanes.
#[test]
fn room_kept_on_lanes_takes_none_from_applications() {
    let mut world = world(5, &tight());
    let ids = lanes(&mut world, Side::A, 40);
    let rooms: Vec<_> =
        ids.iter().map(|id| world.a.machine.reserve(*id, 8_000).unwrap().expect("there is room")).collect();
    for id in (0..4).map(|_| world.a.machine.open_channel(Bytes::new()).unwrap()).collect::<Vec<_>>() {
        world.run();
        assert_eq!(fill(&mut world, Side::A, id, 960), 16);
    }
    for (number, room) in rooms.into_iter().enumerate() {
        if number % 2 == 0 {
            world.a.machine.send_reserved(room, Bytes::from_static(&[1; 100])).unwrap();
        } else {
            world.a.machine.unreserve(room);
        }
    }
    world.run();
    for id in ids.iter().step_by(2) {
        assert_eq!(world.message(Side::B, *id).len(), 100);
    }
    assert_eq!(fill(&mut world, Side::A, ZERO, 960), 0, "nothing of it went to the session's credit");
    end(world, &ids);
}

const LIMITS: Limits =
    Limits { max_message: 100_000, session_credit: 40_000, channel_credit: 20_000, max_channels: 3 };

fn open(channel: u64, name: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames::put_open(&mut out, ChannelId(channel), name);
    out.to_vec()
}

fn data(channel: u64, offset: u64, part: Part, len: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames::put_data(&mut out, ChannelId(channel), offset, part, &vec![1; len]);
    out.to_vec()
}

fn reset(channel: u64, offset: u64) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames::put_reset(&mut out, ChannelId(channel), offset, 0);
    out.to_vec()
}

/// A channel's credit is 20,000 units, the session's 40,000.
#[rstest]
#[case::over_a_lanes_window(
    vec![open(2, NAME), data(2, 0, Part::Whole, 9_900), data(2, 9_964, Part::Whole, 9_900), data(2, 19_928, Part::Whole, 9)],
    Fault::FlowControl
)]
#[case::a_reset_beyond_a_lanes_window(vec![open(2, NAME), reset(2, 20_001)], Fault::FlowControl)]
#[case::a_message_over_half_a_lanes_window(vec![open(2, NAME), data(2, 0, Part::Whole, 9_937)], Fault::MessageTooLong)]
#[case::the_first_piece_of_one(
    vec![open(2, NAME), data(2, 0, Part::First { total: 9_937 }, 10)],
    Fault::MessageTooLong
)]
#[case::another_services_channels_are_no_lanes(
    vec![
        open(2, b"\0citadel/relays"),
        open(4, b"\0citadel/rela"),
        open(6, b"\0relay"),
        data(2, 0, Part::Whole, 19_000),
        data(4, 0, Part::Whole, 19_000),
        data(6, 0, Part::Whole, 2_000),
    ],
    Fault::FlowControl
)]
fn each_end_holds_the_other_to_the_windows_of_lanes(#[case] records: Vec<Vec<u8>>, #[case] fault: Fault) {
    let mut rogue =
        Rogue::with_config(&SessionConfig { limits: LIMITS, services: true, ..SessionConfig::default() });
    for frames in records {
        assert!(rogue.is_unharmed(), "{fault:?} came too early");
        rogue.send(&frames);
    }
    assert_eq!(rogue.reason(), CloseReason::Fatal(fault));
}

/// What a peer without manners can make this end hold: as many lanes as there may be, a window each, beside the limits.
#[test]
fn an_end_holds_eighty_windows_of_lanes_beside_its_limits_and_no_more() {
    let mut rogue =
        Rogue::with_config(&SessionConfig { limits: LIMITS, services: true, ..SessionConfig::default() });
    let opened: Vec<u64> = (1..=2 * MOST as u64).map(|number| 2 * number).collect();
    for id in &opened {
        rogue.send(&open(*id, NAME));
        rogue.send(&data(*id, 0, Part::Whole, 9_936));
        rogue.send(&data(*id, 10_000, Part::Whole, 9_936));
        assert!(rogue.is_unharmed());
    }
    for offset in [0, 10_000] {
        rogue.send(&data(0, offset, Part::Whole, 9_936));
    }
    assert!(rogue.is_unharmed(), "the session's credit is untouched");
    let accepted: Vec<_> = core::iter::from_fn(|| rogue.victim.accept_service_channel()).collect();
    assert_eq!(accepted.len(), MOST);
    let mut held = 0;
    for id in &opened {
        while let Taken::Message(message) =
            rogue.victim.take(citadel_crypt::Timestamp::default, ChannelId(*id)).0
        {
            held += message.len() as u64 + UNITS;
        }
    }
    assert_eq!(held, MOST as u64 * 20_000);
}

#[test]
fn a_lane_that_is_idle_keeps_nobody_from_working_and_costs_no_record() {
    let mut world = world(6, &roomy());
    let ids = lanes(&mut world, Side::A, 3);
    world.pass(Duration::from_millis(100));
    let before = world.a.machine.stats().records_sent;
    world.pass(Duration::from_millis(500));
    assert_eq!(world.a.machine.stats().records_sent, before);
    end(world, &ids);
}
