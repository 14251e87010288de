//! Halves that live and die independently, back-pressure from a reader's hand to the peer's `send`, ends with
//! reasons.

use super::{ROUNDS, expect_number, now, numbered};
use bytes::Bytes;
use citadel_crypt::ratchets::end::{EndReason, RecvError, SendError, TrySendError};
use citadel_crypt::ratchets::record::MAX_MESSAGE_LEN;
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use citadel_tests::manager_world::{Fate, Setting, messengers};
use futures::StreamExt;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_finished_sender_is_the_end_of_the_peers_reading_and_of_nothing_else() {
    let world = messengers(&Setting::default());
    let (sender, mut receiver) = world.initiator.handle.split();
    let (back, mut there) = world.responder.handle.split();
    sender.send("last").await.expect("the peer reads");
    sender.finish();
    assert_eq!(there.recv().await.ok(), Some(Some(Bytes::from("last"))));
    assert_eq!(there.recv().await.ok(), Some(None));
    assert!(there.next().await.is_none());
    back.send("still here").await.expect("the other direction goes on");
    assert_eq!(receiver.recv().await.ok(), Some(Some(Bytes::from("still here"))));
    assert!(receiver.manager().rekey().await.is_ok());
    assert!(matches!(back.manager().close().await, EndReason::Local));
    assert!(matches!(receiver.recv().await, Err(RecvError::Ended(EndReason::Peer))));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_sender_is_no_clean_end_but_what_it_sent_arrives_first() {
    let world = messengers(&Setting::default());
    let (sender, receiver) = world.initiator.handle.split();
    let (_back, mut there) = world.responder.handle.split();
    sender.send("sent").await.expect("the peer reads");
    drop(sender);
    assert_eq!(there.recv().await.ok(), Some(Some(Bytes::from("sent"))));
    assert!(matches!(there.recv().await, Err(RecvError::Dropped)));
    assert!(matches!(there.recv().await, Err(RecvError::Dropped)), "the same again");
    assert!(receiver.manager().rekey().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receiver_stops_the_peers_sender_and_nothing_else() {
    let world = messengers(&Setting { capacity: 4, ..Setting::default() });
    let (sender, receiver) = world.initiator.handle.split();
    let (back, mut there) = world.responder.handle.split();
    drop(receiver);
    let error = loop {
        if let Err(error) = back.send(vec![0; 1000]).await {
            break error;
        }
    };
    assert!(matches!(error, SendError::Stopped) && !error.is_retryable());
    sender.send("heard").await.expect("the other direction goes on");
    assert_eq!(there.recv().await.ok(), Some(Some(Bytes::from("heard"))));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_stops_its_sender_but_none_of_a_thousand_rounds() {
    let mut world = messengers(&Setting { capacity: 8, ..Setting::default() });
    let mut taken = 0_u64;
    loop {
        let message = Bytes::from(vec![7; 1000]);
        match tokio::time::timeout(Duration::from_secs(1), world.initiator.handle.send(message)).await {
            Ok(sent) => sent.expect("the peer lives"),
            Err(_) => break,
        }
        taken += 1;
    }
    // What the peer's window and the own queue hold, and not a message more.
    assert!(taken * 1064 <= 2 * (128 * 1024 + 128), "{taken} messages are in memory");
    assert!(matches!(world.initiator.handle.try_send("one more"), Ok(()) | Err(TrySendError::Full(_))));
    for _ in 0..1000 {
        let (a, b) =
            tokio::join!(world.initiator.handle.manager().rekey(), world.responder.handle.manager().rekey());
        assert_eq!(a.expect("both ends live").round, b.expect("both ends live").round);
    }
    for _ in 0..taken {
        let message = world.responder.handle.recv().await.expect("the peer lives");
        assert_eq!(message.map(|m| m.len()), Some(1000));
    }
    world.settle().await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_sink_stops_neither_reading_nor_the_peers_rounds_when_it_opens() {
    let mut world = messengers(&Setting { capacity: 2, ..Setting::default() });
    world.initiator.out.hold_after(0);
    for n in 0..50 {
        world.initiator.handle.send(numbered(n)).await.expect("there is room in the queue");
    }
    for n in 0..50 {
        world.responder.handle.send(numbered(n)).await.expect("the peer reads");
        expect_number(&mut world.initiator.handle, n).await;
    }
    let released = async {
        tokio::time::sleep_until(now() + Duration::from_secs(1)).await;
        world.initiator.out.release();
    };
    let (outcome, ()) = tokio::join!(world.initiator.handle.manager().rekey(), released);
    assert!(outcome.is_ok());
    for n in 0..50 {
        expect_number(&mut world.responder.handle, n).await;
    }
    world.settle().await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_is_queued_and_the_peer_reads_it_before_the_reason() {
    let world = messengers(&Setting { capacity: 2, ..Setting::default() });
    let (mut responder, tasks) = world.responder.into_parts();
    for n in 0..ROUNDS {
        world.initiator.handle.send(numbered(n)).await.expect("there is room in the queue");
    }
    assert!(matches!(world.initiator.handle.close().await, EndReason::Local));
    for n in 0..ROUNDS {
        expect_number(&mut responder, n).await;
    }
    assert!(matches!(responder.recv().await, Err(RecvError::Ended(EndReason::Peer))));
    let refused = responder.send("late").await.expect_err("over");
    assert!(matches!(refused, SendError::Ended(EndReason::Peer)));
    drop(responder);
    tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_against_a_reader_that_never_reads_ends_by_its_deadline_and_counts_what_is_left() {
    let world = messengers(&Setting::default());
    while world.initiator.handle.try_send(vec![1; 1000]).is_ok() {
        tokio::task::yield_now().await;
    }
    let start = now();
    let manager = world.initiator.handle.manager().clone();
    assert!(matches!(world.initiator.handle.close().await, EndReason::Local));
    assert_eq!(now() - start, Duration::from_secs(5));
    assert!(manager.stats().messages_unsent > 0);
    assert!(matches!(world.responder.handle.manager().closed().await, EndReason::Peer));
}

#[tokio::test(start_paused = true)]
async fn both_ends_close_at_once_and_each_keeps_its_own_reason() {
    let world = messengers(&Setting { latency: Duration::from_millis(10), ..Setting::default() });
    let (a, b) = tokio::join!(world.initiator.handle.close(), world.responder.handle.close());
    assert!(matches!((a, b), (EndReason::Local, EndReason::Local)));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_ends_without_a_close_is_no_clean_end() {
    let mut world = messengers(&Setting::default());
    world.initiator.handle.send("before").await.expect("the peer reads");
    tokio::task::yield_now().await;
    world.initiator.out.close();
    assert_eq!(world.responder.handle.recv().await.ok(), Some(Some(Bytes::from("before"))));
    let end = world.responder.handle.recv().await.expect_err("truncated");
    assert!(matches!(end, RecvError::Ended(EndReason::PathEnded)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_missing_from_an_ordered_path_ends_it_before_a_later_message_is_read() {
    let mut world = messengers(&Setting::default());
    world.initiator.out.set_rule(|number, _| if number == 1 { Fate::Lose } else { Fate::Deliver });
    for n in 0..3 {
        world.initiator.handle.send(numbered(n)).await.expect("there is room in the queue");
    }
    expect_number(&mut world.responder.handle, 0).await;
    let end = world.responder.handle.recv().await.expect_err("message 1 is lost");
    assert!(matches!(end, RecvError::Ended(EndReason::BadRecord)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_message_has_a_longest_length_and_an_empty_one_is_a_message() {
    let mut world = messengers(&Setting::default());
    let longest = Bytes::from(vec![3; MAX_MESSAGE_LEN]);
    world.initiator.handle.send(longest.clone()).await.expect("fits");
    world.initiator.handle.send(Bytes::new()).await.expect("fits");
    let error = world.initiator.handle.send(vec![3; MAX_MESSAGE_LEN + 1]).await.expect_err("too long");
    assert!(matches!(error, SendError::TooLong(65_537)));
    assert_eq!(world.responder.handle.recv().await.ok(), Some(Some(longest)));
    assert_eq!(world.responder.handle.recv().await.ok(), Some(Some(Bytes::new())));
    world.settle().await;
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_send_dropped_while_it_waits_has_sent_nothing_and_those_behind_it_are_served() {
    let mut world = messengers(&Setting { capacity: 1, ..Setting::default() });
    let mut sent = 0;
    while world.initiator.handle.try_send(numbered(sent)).is_ok() {
        sent += 1;
        if sent % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let dropped = poll_then_drop(world.initiator.handle.send("never"), 1).await;
    assert!(dropped.is_dropped());
    for n in 0..sent {
        expect_number(&mut world.responder.handle, n).await;
    }
    world.initiator.handle.send(numbered(sent)).await.expect("there is room again");
    expect_number(&mut world.responder.handle, sent).await;
    let polls =
        at_each_poll(3, async |polls| poll_then_drop(world.initiator.handle.send(numbered(0)), polls).await)
            .await;
    assert_eq!(polls, 1);
    expect_number(&mut world.responder.handle, 0).await;
    assert!(matches!(poll_then_drop(world.responder.handle.recv(), 1).await, Outcome::Dropped));
    world.settle().await;
    world.finish().await;
}
