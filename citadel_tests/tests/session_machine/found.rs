//! What the worlds found, each again in the fewest steps.

use super::ZERO;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::session::{Input, SessionConfig, TimerReason};
use citadel_proto::{ChannelId, CloseReason, Taken};
use citadel_tests::session_world::{Side, World};
use std::time::Duration;

#[test]
fn fix_0015_messages_of_every_length_around_one_record_arrive() {
    let mut world = World::simple(31);
    for len in 65_520..65_620_usize {
        world.send(Side::A, ZERO, vec![len as u8; len]);
        world.send(Side::A, ZERO, "behind");
        world.run();
        assert_eq!(world.message(Side::B, ZERO).len(), len);
        assert_eq!(world.message(Side::B, ZERO), "behind");
        world.run();
    }
}

#[test]
fn fix_0016_a_channel_whose_reader_leaves_last_is_forgotten() {
    let limits = Limits { max_channels: 1, ..Limits::default() };
    let config = SessionConfig { limits, ..SessionConfig::default() };
    let mut world = World::new(32, SecrecyMode::BestEffort, &config);
    for round in 0..3 {
        let id =
            world.a.machine.open_channel(bytes::Bytes::new()).expect("the last one is over at both ends");
        assert_eq!(id, ChannelId(2 + 2 * round));
        world.send(Side::A, id, "never read");
        world.a.machine.finish(id).expect("it is open");
        world.pass(Duration::from_secs(1));
        assert_eq!(world.b.machine.accept_channel(), Some(id));
        world.b.machine.drop_sender(id);
        assert_eq!(world.take(Side::A, id), Taken::Pending);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.take(Side::A, id), Taken::Reset(0));
        world.a.machine.drop_sender(id);
        world.a.machine.drop_receiver(id, 0);
        world.pass(Duration::from_secs(1));
        // All that B owes of the channel now is its `Stop`.
        world.b.machine.drop_receiver(id, 9);
        world.pass(Duration::from_secs(1));
        assert_eq!(world.b.machine.stats().channels, 1, "channel 0 alone");
    }
}

#[test]
fn fix_0017_a_timer_that_came_is_not_told_again_while_the_writer_is_blocked() {
    let config = SessionConfig { idle_after: Some(Duration::from_secs(5)), ..SessionConfig::default() };
    let mut world = World::new(33, SecrecyMode::BestEffort, &config);
    world.send(Side::A, ZERO, "hello");
    while world.b.machine.poll_timeout().is_none_or(|(_, reason)| reason != TimerReason::Acknowledge) {
        assert!(world.turn(), "the acknowledgement waits for company");
    }
    let mut told = Vec::new();
    for _ in 0..40 {
        let (at, reason) = world.b.machine.poll_timeout().expect("an open session has timers");
        if at > world.now + Duration::from_secs(8) {
            break;
        }
        told.push((at, reason));
        world.b.machine.handle(at.max(world.now), Input::Timeout);
        while world.b.machine.poll_output().is_some() {}
    }
    let mut once = told.clone();
    once.dedup();
    assert_eq!(told, once, "a timer came again at the same moment");
    assert_eq!(told.len(), 2, "acknowledgement, idleness: {told:?}");
}

#[test]
fn a_session_that_is_over_has_no_path() {
    let mut world = World::simple(34);
    world.close(Side::A, CloseReason::GoingAway);
    world.pass(Duration::from_secs(1));
    assert!(world.a.closed.is_some() && world.b.closed.is_some());
    assert_eq!((world.a.machine.path(), world.b.machine.path()), (None, None));
}
