//! Channels: order, credit, ends, acknowledgement, long messages.

use super::{ZERO, flow};
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::session::SessionConfig;
use citadel_proto::{ChannelId, CloseReason, OpenError, SendError, Taken, TrySendError};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

fn end_in_order(mut world: World) {
    world.close(Side::A, CloseReason::application(0, ""));
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[rstest]
fn an_echo_over_channel_zero(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(1, 2, 3)] seed: u64,
) {
    let mut world = World::new(seed, mode, &SessionConfig::default());
    for len in [0, 1, 63, 64, 1_350, 16_384, 65_536, 65_600, 200_000] {
        let message = Bytes::from(vec![len as u8; len]);
        world.send(Side::A, ZERO, message.clone());
        world.run();
        let arrived = world.message(Side::B, ZERO);
        world.send(Side::B, ZERO, arrived);
        world.run();
        assert_eq!(world.message(Side::A, ZERO), message);
        assert_eq!(world.take(Side::A, ZERO), Taken::Pending);
    }
    end_in_order(world);
}

#[test]
fn sixteen_channels_each_way_carry_their_own_order_and_the_seventeenth_waits() {
    let mut world = World::simple(7);
    let open = |world: &mut World, side: Side| {
        let machine = &mut world.end(side).machine;
        let ids: Vec<ChannelId> =
            (1..=16_u8).map(|name| machine.open_channel(Bytes::from(vec![name])).unwrap()).collect();
        assert_eq!(machine.open_channel(Bytes::new()), Err(OpenError::Limit));
        ids
    };
    let ids = [(Side::A, open(&mut world, Side::A)), (Side::B, open(&mut world, Side::B))];
    world.run();
    for (side, ids) in &ids {
        for (name, id) in ids.iter().enumerate() {
            let machine = &mut world.end(side.other()).machine;
            assert_eq!(machine.accept_channel(), Some(*id));
            assert_eq!(&machine.channel_name(*id)[..], [name as u8 + 1]);
        }
    }
    for round in 0..20_u8 {
        for (side, ids) in &ids {
            for (n, id) in ids.iter().enumerate() {
                world.send(*side, *id, vec![round, n as u8]);
                world.send(side.other(), *id, vec![n as u8, round]);
            }
        }
        world.turn();
    }
    world.run();
    for round in 0..20_u8 {
        for (side, ids) in &ids {
            for (n, id) in ids.iter().enumerate() {
                assert_eq!(world.message(side.other(), *id), vec![round, n as u8]);
                assert_eq!(world.message(*side, *id), vec![n as u8, round]);
            }
        }
    }
    let first = ids[0].1[0];
    for side in [Side::A, Side::B] {
        world.end(side).machine.finish(first).unwrap();
        world.run();
        assert_eq!(world.take(side.other(), first), Taken::Finished);
    }
    for side in [Side::A, Side::B] {
        world.end(side).machine.drop_sender(first);
        world.end(side).machine.drop_receiver(first, 0);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.a.machine.stats().channels, 32, "the finished one is forgotten");
    assert_eq!(world.b.machine.stats().channels, 32);
    world.a.machine.open_channel(Bytes::new()).expect("its place is free again");
    world.run();
    end_in_order(world);
}

#[test]
fn channels_come_and_go_without_a_trace() {
    let mut world = World::simple(21);
    for i in 0..500_u32 {
        let (opener, other) = if i % 3 == 0 { (Side::B, Side::A) } else { (Side::A, Side::B) };
        let id = world.end(opener).machine.open_channel(Bytes::new()).unwrap();
        world.send(opener, id, i.to_le_bytes().to_vec());
        world.end(opener).machine.finish(id).unwrap();
        world.run();
        assert_eq!(world.end(other).machine.accept_channel(), Some(id));
        assert_eq!(world.message(other, id), i.to_le_bytes().to_vec());
        for side in [other, opener] {
            world.end(side).machine.drop_sender(id);
            world.end(side).machine.drop_receiver(id, 0);
            world.run();
        }
        world.pass(Duration::from_millis(30));
    }
    assert_eq!(world.a.machine.stats().channels, 1);
    assert_eq!(world.b.machine.stats().channels, 1);
    end_in_order(world);
}

#[rstest]
fn a_reader_that_does_not_read_stops_the_sender_at_its_credit(#[values(10, 1_000, 5_000)] len: usize) {
    let mut world = World::tight(5);
    let accepted = flow::fill(&mut world, Side::A, ZERO, len);
    assert!(accepted * (len + 64) <= (16 << 10) + len + 64, "{accepted} messages of {len} bytes accepted");
    assert!(accepted * (len + 64) >= (16 << 10) - len - 64);
    world.pass(Duration::from_secs(5));
    let sent = world.a.machine.stats().bytes_sent;
    assert!(sent < (16 << 10) + 10_000, "no message beyond the credit is on its way");
    assert_eq!(
        world.a.machine.try_send(ZERO, Bytes::from(vec![0; len])),
        Err(TrySendError::Full(Bytes::from(vec![0; len])))
    );
    world.trigger(Side::B);
    world.run();
    assert_eq!(world.a.machine.version().0, 1, "rounds never queue behind data");
    for _ in 0..accepted {
        assert_eq!(world.message(Side::B, ZERO).len(), len);
        world.run();
    }
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
    world.pass(Duration::from_millis(30));
    world.send(Side::A, ZERO, vec![1; len]);
    world.run();
    assert_eq!(world.message(Side::B, ZERO).len(), len);
    end_in_order(world);
}

#[test]
fn a_slow_reader_blocks_its_own_channel_and_no_other() {
    let mut world = World::tight(6);
    let other = world.a.machine.open_channel(Bytes::new()).unwrap();
    flow::fill(&mut world, Side::A, ZERO, 500);
    world.run();
    assert_eq!(world.b.machine.accept_channel(), Some(other));
    for i in 0..300_u32 {
        world.send(Side::A, other, i.to_le_bytes().to_vec());
        world.run();
        assert_eq!(world.message(Side::B, other), i.to_le_bytes().to_vec());
        world.pass(Duration::from_millis(1));
    }
    end_in_order(world);
}

/// The window is 16 KiB, the session's 64 KiB.
#[rstest]
#[case::over_the_half(10_000)]
#[case::just_the_window((16 << 10) - 64)]
#[case::over_the_window(17_000)]
#[case::over_the_sessions(100_000)]
#[case::at_the_limit(1 << 20)]
fn a_message_of_any_length_arrives_at_a_reader_that_waits(#[case] len: usize) {
    let mut world = World::tight(8);
    let message: Bytes = (0..len).map(|i| (i % 251) as u8).collect();
    for _ in 0..3 {
        assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
        world.send(Side::A, ZERO, message.clone());
        world.pass(Duration::from_millis(50));
        assert!(world.message(Side::B, ZERO) == message);
        world.run();
    }
    end_in_order(world);
}

#[test]
fn long_messages_on_every_channel_at_once_all_arrive() {
    let mut world = World::tight(9);
    let ids: Vec<ChannelId> = (0..16).map(|_| world.a.machine.open_channel(Bytes::new()).unwrap()).collect();
    for id in &ids {
        world.send(Side::A, *id, vec![id.0 as u8; 300_000]);
    }
    world.run();
    let mut left = ids.clone();
    for _ in 0..200 {
        left.retain(|id| match world.take(Side::B, *id) {
            Taken::Message(message) => {
                assert_eq!(message, vec![id.0 as u8; 300_000]);
                false
            }
            Taken::Pending => true,
            other => panic!("{other:?}"),
        });
        world.pass(Duration::from_millis(30));
    }
    assert_eq!(left, []);
    end_in_order(world);
}

#[test]
fn a_long_message_waits_for_a_reader_that_does_not_ask() {
    let mut world = World::tight(10);
    world.send(Side::A, ZERO, vec![1; 1 << 20]);
    world.pass(Duration::from_secs(5));
    assert!(world.a.machine.stats().bytes_sent < 20_000, "no more than the window is on its way");
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.message(Side::B, ZERO).len(), 1 << 20);
    end_in_order(world);
}

#[test]
fn a_message_over_the_peers_limit_is_refused_typed_and_harms_nothing() {
    let mut world = World::tight(11);
    let too_long = Bytes::from(vec![0; (1 << 20) + 1]);
    assert_eq!(
        world.a.machine.try_send(ZERO, too_long.clone()),
        Err(SendError::TooLong { len: too_long.len(), limit: 1 << 20 }.into())
    );
    world.send(Side::A, ZERO, "fine");
    world.run();
    assert_eq!(world.message(Side::B, ZERO), "fine");
    end_in_order(world);
}

#[test]
fn finish_half_closes_behind_what_was_sent() {
    let mut world = World::simple(12);
    world.send(Side::A, ZERO, "last");
    world.a.machine.finish(ZERO).unwrap();
    world.a.machine.finish(ZERO).expect("finishing again is no error");
    assert_eq!(world.a.machine.try_send(ZERO, Bytes::new()), Err(SendError::Finished.into()));
    world.run();
    assert_eq!(world.message(Side::B, ZERO), "last");
    assert_eq!(world.take(Side::B, ZERO), Taken::Finished);
    assert_eq!(world.take(Side::B, ZERO), Taken::Finished);
    world.send(Side::B, ZERO, "the other direction is open");
    world.run();
    assert_eq!(world.message(Side::A, ZERO), "the other direction is open");
    end_in_order(world);
}

#[test]
fn consumed_is_told_when_the_reader_took_it_and_not_before() {
    let mut world = World::simple(13);
    world.send(Side::A, ZERO, "news");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.a.machine.is_consumed(ZERO), Ok(false));
    world.message(Side::B, ZERO);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.a.machine.is_consumed(ZERO), Ok(true));
    end_in_order(world);
}

#[test]
fn a_reset_half_gives_its_reader_what_arrived_then_the_code() {
    let mut world = World::simple(14);
    world.send(Side::A, ZERO, "arrives");
    world.run();
    world.send(Side::A, ZERO, "does not");
    world.a.machine.reset(ZERO, 42);
    world.run();
    assert_eq!(world.message(Side::B, ZERO), "arrives");
    assert_eq!(world.take(Side::B, ZERO), Taken::Reset(42));
    world.send(Side::B, ZERO, "back");
    world.run();
    assert_eq!(world.message(Side::A, ZERO), "back");
    end_in_order(world);
}

#[rstest]
fn a_reader_that_leaves_stops_its_sender_and_gives_the_credit_back(#[values(500, 300_000)] len: usize) {
    let mut world = World::tight(15);
    let ids: Vec<ChannelId> = (0..8).map(|_| world.a.machine.open_channel(Bytes::new()).unwrap()).collect();
    for id in ids {
        if len > 1_000 {
            world.send(Side::A, id, vec![0; len]);
            world.run();
            world.take(Side::B, id);
            world.turn();
        } else {
            flow::fill(&mut world, Side::A, id, len);
        }
        world.run();
        assert_eq!(world.b.machine.accept_channel(), Some(id));
        world.b.machine.drop_receiver(id, 9);
        world.run();
        let refused = world.a.machine.try_send(id, Bytes::new());
        assert_eq!(refused, Err(SendError::Stopped { code: 9 }.into()));
        assert_eq!(world.a.machine.is_consumed(id), Err(SendError::Stopped { code: 9 }));
    }
    for _ in 0..50 {
        world.send(Side::A, ZERO, vec![1; 4_000]);
        world.pass(Duration::from_millis(30));
        world.message(Side::B, ZERO);
    }
    end_in_order(world);
}

#[test]
fn empty_messages_cost_credit_too() {
    let mut world = World::tight(16);
    let accepted = flow::fill(&mut world, Side::A, ZERO, 0);
    assert_eq!(accepted, (16 << 10) / 64);
    world.run();
    for _ in 0..accepted {
        assert_eq!(world.message(Side::B, ZERO), "");
    }
    end_in_order(world);
}

#[test]
fn the_limits_of_a_peer_that_takes_nothing_hold_everything_back() {
    let limits = Limits { session_credit: 0, max_channels: 0, ..Limits::default() };
    let config = SessionConfig { limits, ..SessionConfig::default() };
    let mut world = World::new(17, SecrecyMode::BestEffort, &config);
    assert_eq!(world.a.machine.open_channel(Bytes::new()), Err(OpenError::Limit));
    assert!(matches!(world.a.machine.try_send(ZERO, Bytes::new()), Err(TrySendError::Full(_))));
    world.trigger(Side::A);
    world.run();
    assert_eq!(world.b.machine.version().0, 1);
    end_in_order(world);
}
