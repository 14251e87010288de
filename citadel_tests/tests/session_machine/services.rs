//! Service channels have places of their own, each end counts for itself, and what is too much is given up, not fatal.

use super::resume::resumable;
use bytes::{Bytes, BytesMut};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::frames;
use citadel_proto::session::SessionConfig;
use citadel_proto::{ChannelId, CloseReason, Fault, OpenError, SendError, Taken, TrySendError};
use citadel_tests::session_world::{Rogue, Side, World};
use rstest::rstest;
use std::time::Duration;

/// Alive of one opener.
const MOST: usize = 80;
/// Given up, and not confirmed by their opener.
const MOST_REFUSED: usize = 320;
/// What those are told that are too many.
const LIMIT: u32 = 0x100;

fn config() -> SessionConfig {
    let limits = Limits { max_channels: 1, ..Limits::default() };
    SessionConfig { limits, services: true, ..resumable() }
}

fn world(seed: u64) -> World {
    let mut world = World::new(seed, SecrecyMode::BestEffort, &config());
    world.run();
    world
}

fn open(world: &mut World, side: Side) -> ChannelId {
    world.end(side).machine.open_service_channel("test").expect("a place is free")
}

fn drop_both(world: &mut World, side: Side, id: ChannelId) {
    world.end(side).machine.drop_sender(id);
    world.end(side).machine.drop_receiver(id, 0);
}

/// 80 channels of A that A has forgotten, while B still has its handles.
fn held_by_the_other_end(world: &mut World) -> Vec<ChannelId> {
    let held = (0..MOST).map(|_| {
        let id = open(world, Side::A);
        world.a.machine.finish(id).unwrap();
        world.run();
        assert_eq!(world.b.machine.accept_service_channel(), Some(id));
        world.b.machine.finish(id).unwrap();
        world.run();
        assert_eq!(world.take(Side::A, id), Taken::Finished);
        drop_both(world, Side::A, id);
        world.pass(Duration::from_millis(30));
        id
    });
    let held = held.collect();
    assert_eq!(world.a.machine.stats().service_channels, 0);
    assert_eq!(world.b.machine.stats().service_channels, MOST);
    held
}

fn refused(world: &mut World, id: ChannelId, code: u32) {
    assert_eq!(world.b.machine.accept_service_channel(), None);
    assert_eq!(world.take(Side::A, id), Taken::Reset(code));
    let sent = world.a.machine.try_send(id, Bytes::new());
    assert_eq!(sent, Err(TrySendError::Send(SendError::Stopped { code })));
}

fn end(mut world: World) {
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[test]
fn eighty_of_each_end_beside_the_channels_of_applications() {
    let mut world = world(1);
    let mut ids = Vec::new();
    for side in [Side::A, Side::B] {
        for number in 0..MOST {
            if number == MOST / 2 {
                let plain = world.end(side).machine.open_channel(Bytes::new());
                plain.expect("services take no place of an application");
            }
            ids.push((side, open(&mut world, side)));
        }
        let machine = &mut world.end(side).machine;
        assert_eq!(machine.open_service_channel("test"), Err(OpenError::Limit));
        assert_eq!(machine.open_channel(Bytes::new()), Err(OpenError::Limit));
    }
    world.run();
    for (side, id) in ids {
        assert_eq!(world.end(side.other()).machine.accept_service_channel(), Some(id));
        world.send(side, id, id.0.to_be_bytes().to_vec());
        world.run();
        assert_eq!(world.message(side.other(), id), id.0.to_be_bytes().to_vec());
    }
    for side in [Side::A, Side::B] {
        let stats = world.end(side).machine.stats();
        assert_eq!((stats.channels, stats.service_channels), (3 + 2 * MOST, 2 * MOST));
        assert!(world.end(side).machine.accept_channel().is_some());
    }
    end(world);
}

#[test]
fn they_come_and_go_and_applications_gain_no_place_by_it() {
    let mut world = world(2);
    let plain = world.a.machine.open_channel(Bytes::new()).unwrap();
    for round in 0..300 {
        let side = if round % 3 == 0 { Side::B } else { Side::A };
        let id = open(&mut world, side);
        world.run();
        assert_eq!(world.end(side.other()).machine.accept_service_channel(), Some(id));
        drop_both(&mut world, side, id);
        drop_both(&mut world, side.other(), id);
        if round % 10 == 0 {
            world.cut();
            world.attach();
        }
        world.run();
        assert_eq!(world.a.machine.stats().service_channels, 0, "round {round}");
        assert_eq!(world.b.machine.stats().service_channels, 0, "round {round}");
        assert_eq!(world.a.machine.open_channel(Bytes::new()), Err(OpenError::Limit));
    }
    assert_eq!(world.b.machine.accept_channel(), Some(plain));
    end(world);
}

#[rstest]
fn one_more_than_the_other_end_has_forgotten_is_reset_typed(#[values(false, true)] cut: bool) {
    let mut world = world(3);
    let held = held_by_the_other_end(&mut world);
    for round in 0..3 {
        let late = open(&mut world, Side::A);
        world.send(Side::A, late, "into nothing");
        if cut {
            // The `Open`, then the refusal of it go with the path.
            for _ in 0..1 + round {
                world.turn();
            }
            world.cut();
            world.attach();
        }
        world.run();
        refused(&mut world, late, LIMIT);
        drop_both(&mut world, Side::A, late);
        world.pass(Duration::from_millis(30));
        assert_eq!(world.b.machine.stats().service_channels, MOST, "what was given up leaves nothing");
    }
    drop_both(&mut world, Side::B, held[7]);
    let next = open(&mut world, Side::A);
    world.run();
    assert_eq!(world.b.machine.accept_service_channel(), Some(next), "a place is free");
    drop_both(&mut world, Side::B, next);
    held.into_iter().for_each(|id| drop_both(&mut world, Side::B, id));
    end(world);
}

#[test]
fn a_session_without_services_gives_up_as_many_as_may_be_alive() {
    let mut world = World::with_configs(4, SecrecyMode::BestEffort, &config(), &resumable());
    let ids: Vec<ChannelId> = (0..MOST).map(|_| open(&mut world, Side::A)).collect();
    world.run();
    for id in ids {
        refused(&mut world, id, 0);
        drop_both(&mut world, Side::A, id);
    }
    world.pass(Duration::from_millis(30));
    assert_eq!(world.a.machine.stats().service_channels, 0);
    assert_eq!(world.b.machine.stats().service_channels, 0);
    end(world);
}

#[test]
fn one_opened_into_a_close_is_given_up() {
    let mut world = world(5);
    let id = open(&mut world, Side::A);
    world.close(Side::B, CloseReason::GoingAway);
    world.run();
    assert_eq!(world.b.machine.accept_service_channel(), None);
    let refused = world.a.machine.open_service_channel("test");
    assert_eq!(refused, Err(OpenError::Closed(CloseReason::GoingAway)));
    assert_eq!(world.take(Side::A, id), Taken::Reset(0));
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

/// A peer that opens and never confirms a refusal.
#[rstest]
#[case::to_a_session_with_services(true, MOST + MOST_REFUSED)]
#[case::to_one_without(false, MOST_REFUSED)]
fn refusals_that_nobody_confirms_are_bounded(#[case] services: bool, #[case] most: usize) {
    let mut rogue = Rogue::with_config(&SessionConfig { services, ..config() });
    for number in 1..=most + 1 {
        assert!(rogue.is_unharmed(), "after {}", number - 1);
        let mut out = BytesMut::new();
        frames::put_open(&mut out, ChannelId(2 * number as u64), b"\0citadel/test");
        rogue.send(&out);
        rogue.let_it_speak();
    }
    assert_eq!(rogue.reason(), CloseReason::Fatal(Fault::ChannelLimit));
}
