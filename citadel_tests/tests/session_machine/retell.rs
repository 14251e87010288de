//! What is said again on a new path: each kind of state, lost with the old one (R-SES-5).

use super::ZERO;
use super::resume::{resumable, tight};
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::session::SessionConfig;
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelId, CloseReason, SendError, Taken, TrySendError};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

fn world(seed: u64) -> World {
    let mut world = World::new(seed, SecrecyMode::BestEffort, &resumable());
    world.run();
    world
}

/// Whatever both ends would send now is lost, and the next path comes.
fn lose_what_is_said(world: &mut World) {
    for side in [Side::A, Side::B] {
        let now = world.now;
        let end = world.end(side);
        while end.machine.poll_transmit(now, &mut end.out, 1 << 20) {
            end.out.clear();
        }
    }
    world.cut();
    world.attach();
    world.pass(Duration::from_secs(1));
}

fn end(mut world: World) {
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[test]
fn an_open_and_what_followed_it() {
    let mut world = world(1);
    let id = world.a.machine.open_channel(Bytes::from_static(b"name")).unwrap();
    world.send(Side::A, id, "a message");
    world.a.machine.finish(id).unwrap();
    lose_what_is_said(&mut world);
    assert_eq!(world.b.machine.accept_channel(), Some(id));
    assert_eq!(world.b.machine.channel_name(id), "name");
    assert_eq!(world.message(Side::B, id), "a message");
    assert_eq!(world.take(Side::B, id), Taken::Finished);
    world.cut();
    world.attach();
    world.run();
    assert_eq!(world.b.machine.accept_channel(), None, "opened once");
    end(world);
}

#[test]
fn a_finish() {
    let mut world = world(2);
    world.a.machine.finish(ZERO).unwrap();
    lose_what_is_said(&mut world);
    assert_eq!(world.take(Side::B, ZERO), Taken::Finished);
    end(world);
}

#[rstest]
#[case::before_anything_went(0)]
#[case::of_what_arrived(1)]
#[case::of_what_was_lost(2)]
fn a_reset(#[case] state: usize) {
    let mut world = world(3);
    if state > 0 {
        world.send(Side::A, ZERO, vec![1; 5_000]);
        if state == 1 {
            world.run();
        }
    }
    if state == 2 {
        lose_what_is_said(&mut world);
        world.send(Side::A, ZERO, vec![2; 7_000]);
        let now = world.now;
        world.a.machine.poll_transmit(now, &mut bytes::BytesMut::new(), 1 << 20);
    }
    world.a.machine.reset(ZERO, 42);
    lose_what_is_said(&mut world);
    let mut messages = 0;
    while let Taken::Message(_) = world.take(Side::B, ZERO) {
        messages += 1;
    }
    assert_eq!(messages, usize::from(state > 0));
    assert_eq!(world.take(Side::B, ZERO), Taken::Reset(42));
    end(world);
}

#[test]
fn a_reset_after_the_loss_of_a_path_gives_the_sessions_credit_back() {
    let mut world = World::new(4, SecrecyMode::BestEffort, &tight());
    for round in 0..40 {
        let id = world.a.machine.open_channel(Bytes::new()).unwrap();
        world.send(Side::A, id, vec![1; 7_000]);
        if round % 2 == 0 {
            lose_what_is_said(&mut world);
            world.send(Side::A, id, vec![1; 100]);
        }
        let now = world.now;
        world.a.machine.poll_transmit(now, &mut bytes::BytesMut::new(), 1 << 20);
        world.a.machine.drop_sender(id);
        world.a.machine.drop_receiver(id, 0);
        lose_what_is_said(&mut world);
        assert_eq!(world.b.machine.accept_channel(), Some(id));
        world.b.machine.drop_sender(id);
        while let Taken::Message(_) = world.take(Side::B, id) {}
        world.b.machine.drop_receiver(id, 0);
        lose_what_is_said(&mut world);
        assert_eq!(world.a.machine.stats().channels, 1, "round {round}");
        assert_eq!(world.b.machine.stats().channels, 1, "round {round}");
    }
    world.send(Side::A, ZERO, vec![1; 8_000]);
    world.run();
    assert_eq!(world.message(Side::B, ZERO).len(), 8_000);
    end(world);
}

#[test]
fn a_stop() {
    let mut world = world(5);
    world.b.machine.drop_receiver(ZERO, 9);
    lose_what_is_said(&mut world);
    let stopped = world.a.machine.try_send(ZERO, Bytes::from_static(b"x"));
    assert_eq!(stopped, Err(TrySendError::Send(SendError::Stopped { code: 9 })));
    end(world);
}

#[test]
fn credit_and_acknowledgement() {
    let mut world = World::new(6, SecrecyMode::BestEffort, &tight());
    let message = Bytes::from(vec![1; 7_000]);
    for _ in 0..30 {
        while world.a.machine.try_send(ZERO, message.clone()).is_ok() {}
        world.run();
        assert!(world.a.machine.is_consumed(ZERO) == Ok(false));
        while let Taken::Message(_) = world.take(Side::B, ZERO) {}
        lose_what_is_said(&mut world);
        assert_eq!(world.a.machine.is_consumed(ZERO), Ok(true));
        assert!(world.a.machine.try_send(ZERO, message.clone()).is_ok());
    }
    world.run();
    end(world);
}

/// `answering` has said everything on `channels`; the other end took it, dropped its handles and forgot them, and the last
/// acknowledgements were lost with the path.
fn forget(world: &mut World, answering: Side, channels: usize, reads: bool) -> Vec<ChannelId> {
    let asking = answering.other();
    let ids: Vec<_> =
        (0..channels).map(|_| world.end(asking).machine.open_channel(Bytes::new()).unwrap()).collect();
    for id in &ids {
        world.end(asking).machine.finish(*id).unwrap();
    }
    world.run();
    world.stalled = Some(asking);
    for id in &ids {
        assert_eq!(world.end(answering).machine.accept_channel(), Some(*id));
        assert_eq!(world.take(answering, *id), Taken::Finished);
        world.send(answering, *id, "answer");
        world.end(answering).machine.finish(*id).unwrap();
        world.end(answering).machine.drop_receiver(*id, 0);
    }
    world.run();
    for id in &ids {
        if reads {
            assert_eq!(world.message(asking, *id), "answer");
            assert_eq!(world.take(asking, *id), Taken::Finished);
        }
        world.end(asking).machine.drop_sender(*id);
        world.end(asking).machine.drop_receiver(*id, 6);
    }
    world.run();
    world.stalled = None;
    lose_what_is_said(world);
    let forgotten = world.end(asking).machine.stats().channels;
    assert_eq!(forgotten, 1, "all but channel 0");
    ids
}

#[rstest]
fn the_last_word_on_a_forgotten_channel(#[values(Side::A, Side::B)] answering: Side) {
    let mut world = world(7);
    for _ in 0..20 {
        for id in forget(&mut world, answering, 10, true) {
            assert_eq!(world.end(answering).machine.is_consumed(id), Ok(true));
            world.end(answering).machine.drop_sender(id);
        }
        world.run();
        assert_eq!(world.end(answering).machine.stats().channels, 1);
    }
    end(world);
}

/// The last 128 are remembered; of the others only that all was received is still sure.
#[rstest]
#[case::all_of_them_read(true, Ok(true))]
#[case::none_of_them_read(false, Err(SendError::Stopped { code: 6 }))]
fn forgotten_channels_end_typed_and_never_with_a_false_word(
    #[case] reads: bool,
    #[case] known: Result<bool, SendError>,
) {
    let limits = Limits { max_channels: 300, ..Limits::default() };
    let mut world = World::new(13, SecrecyMode::BestEffort, &SessionConfig { limits, ..resumable() });
    let ids = forget(&mut world, Side::B, 300, reads);
    let consumed: Vec<_> = ids.iter().map(|id| world.b.machine.is_consumed(*id)).collect();
    assert_eq!(consumed.iter().filter(|one| **one == known).count(), 128);
    let unknown = Err(SendError::Stopped { code: 0 });
    assert_eq!(consumed.iter().filter(|one| **one == unknown).count(), 172);
    ids.into_iter().for_each(|id| world.b.machine.drop_sender(id));
    world.run();
    assert_eq!(world.b.machine.stats().channels, 1);
    end(world);
}

#[test]
fn channels_that_may_be_opened() {
    let limits = Limits { max_channels: 1, ..Limits::default() };
    let mut world = World::new(8, SecrecyMode::BestEffort, &SessionConfig { limits, ..resumable() });
    for _ in 0..5 {
        let id = world.a.machine.open_channel(Bytes::new()).expect("the one place is free");
        assert!(world.a.machine.open_channel(Bytes::new()).is_err());
        world.run();
        assert_eq!(world.b.machine.accept_channel(), Some(id));
        for side in [Side::A, Side::B] {
            let machine = &mut world.end(side).machine;
            machine.drop_sender(id);
            machine.drop_receiver(id, 0);
        }
        world.run();
        lose_what_is_said(&mut world);
    }
    end(world);
}

#[test]
fn closing() {
    let mut world = world(9);
    world.send(Side::A, ZERO, "last");
    world.close(Side::A, CloseReason::application(3, "bye"));
    lose_what_is_said(&mut world);
    assert_eq!(world.message(Side::B, ZERO), "last");
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!(b.reason(), &CloseReason::application(3, "bye"));
}

#[test]
fn a_close_that_is_lost_with_the_path_ends_both_without_another() {
    let mut world = world(10);
    world.close(Side::A, CloseReason::Aborted);
    let path = world.a.machine.next_path_id();
    assert_eq!(path, None, "nothing may follow");
    world.cut();
    assert_eq!(world.a.machine.stage(), Stage::Closed);
    assert!(world.b.machine.is_detached());
    let (_, b) = world.finish_after(Duration::from_secs(70));
    assert_eq!(b.local, CloseReason::PathLost(citadel_proto::PathLoss::Ended));
}

#[test]
fn fix_0013_a_writer_waits_no_longer_for_a_reader_who_left_after_the_finish() {
    let mut world = world(11);
    let id = world.a.machine.open_channel(Bytes::new()).unwrap();
    world.send(Side::A, id, "unread");
    world.a.machine.finish(id).unwrap();
    world.run();
    assert_eq!(world.b.machine.accept_channel(), Some(id));
    world.b.machine.drop_receiver(id, 4);
    world.run();
    assert_eq!(world.a.machine.is_consumed(id), Err(SendError::Stopped { code: 4 }));
    end(world);
}

#[test]
fn fix_0014_data_waits_for_an_open_that_did_not_fit_its_record() {
    let limits = Limits { max_channels: 400, ..Limits::default() };
    let mut world = World::new(12, SecrecyMode::BestEffort, &SessionConfig { limits, ..resumable() });
    let ids: Vec<ChannelId> = (0..400_u16)
        .map(|n| {
            let name = Bytes::from([b'n', (n >> 8) as u8, n as u8].repeat(85));
            let id = world.a.machine.open_channel(name).unwrap();
            if n >= 300 {
                world.send(Side::A, id, "small");
            }
            id
        })
        .collect();
    world.run();
    world.cut();
    world.attach();
    world.run();
    for (n, id) in ids.into_iter().enumerate() {
        assert_eq!(world.b.machine.accept_channel(), Some(id));
        if n >= 300 {
            assert_eq!(world.message(Side::B, id), "small");
        }
    }
    end(world);
}
