//! Cases of `citadel_crypt`: the manager and the messenger.

use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::end::EndReason;
use citadel_crypt::ratchets::messenger::{MessageReceiver, Messenger};
use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use citadel_tests::manager_world::{Setting, World, messengers};
use std::time::Duration;

/// More polls than any of these futures needs.
const MOST: usize = 50;

fn world() -> World<Messenger> {
    let latency = Duration::from_millis(10);
    messengers(&Setting { mode: SecrecyMode::Perfect, latency, ..Setting::default() })
}

fn manager(world: &World<Messenger>) -> &RatchetManager {
    world.initiator.handle.manager()
}

/// Rounds from both ends, a message in both directions, an orderly end with nothing left.
async fn works_both_ways(mut world: World<Messenger>) {
    for _ in 0..2 {
        let outcome = manager(&world).rekey().await.expect("rounds go on here");
        world.both_at(outcome.version).await;
        let outcome = world.responder.handle.manager().rekey().await.expect("rounds go on there");
        world.both_at(outcome.version).await;
    }
    exchange(&mut world).await;
    world.settle().await;
    world.assert_agreed();
    world.finish().await;
}

/// A message in both directions, and nothing but it.
async fn exchange(world: &mut World<Messenger>) {
    world.initiator.handle.send("there").await.expect("the peer reads");
    world.responder.handle.send("back").await.expect("the peer reads");
    let there = world.responder.handle.recv().await.expect("the peer lives");
    let back = world.initiator.handle.recv().await.expect("the peer lives");
    assert_eq!((there.as_deref(), back.as_deref()), (Some(&b"there"[..]), Some(&b"back"[..])));
}

/// Without the value: what matters is whether the future was dropped.
fn forget<T>(outcome: Outcome<T>) -> Outcome<()> {
    match outcome {
        Outcome::Finished(_) => Outcome::Finished(()),
        Outcome::Dropped => Outcome::Dropped,
    }
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_rekey() {
    at_each_poll(MOST, async |polls| {
        let world = world();
        let outcome = forget(poll_then_drop(manager(&world).rekey(), polls).await);
        assert_eq!(manager(&world).waiting(), 0, "a dropped wait leaves its place");
        works_both_ways(world).await;
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_trigger_rekey() {
    for wait in [true, false] {
        at_each_poll(MOST, async |polls| {
            let world = world();
            let outcome = forget(poll_then_drop(manager(&world).trigger_rekey(wait), polls).await);
            works_both_ways(world).await;
            outcome
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_wait_for() {
    at_each_poll(MOST, async |polls| {
        let world = world();
        manager(&world).trigger_rekey(false).await.expect("both ends live");
        let outcome = forget(poll_then_drop(manager(&world).wait_for(Version(1)), polls).await);
        works_both_ways(world).await;
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_withdraw() {
    at_each_poll(MOST, async |polls| {
        let world = world();
        manager(&world).trigger_rekey(false).await.expect("both ends live");
        let outcome = forget(poll_then_drop(manager(&world).withdraw(), polls).await);
        works_both_ways(world).await;
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_halt() {
    at_each_poll(MOST, async |polls| {
        let mut world = world();
        manager(&world).trigger_rekey(false).await.expect("both ends live");
        let outcome = forget(poll_then_drop(manager(&world).halt(), polls).await);
        exchange(&mut world).await;
        if polls > 0 {
            assert!(manager(&world).rekey().await.is_err(), "once polled, rounds halt");
            world.settle().await;
            world.finish().await;
        } else {
            works_both_ways(world).await;
        }
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_close() {
    at_each_poll(MOST, async |polls| {
        let world = world();
        let outcome = forget(poll_then_drop(manager(&world).close(), polls).await);
        if polls == 0 {
            works_both_ways(world).await;
        } else {
            assert!(matches!(manager(&world).closed().await, EndReason::Local), "once polled, it closes");
            assert!(matches!(world.responder.handle.manager().closed().await, EndReason::Peer));
        }
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ratchet_manager_closed() {
    for polls in 0..2 {
        let world = world();
        assert!(poll_then_drop(manager(&world).closed(), polls).await.is_dropped());
        works_both_ways(world).await;
    }
}

#[tokio::test(start_paused = true)]
async fn events_next() {
    at_each_poll(MOST, async |polls| {
        let world = world();
        let mut events = manager(&world).events();
        manager(&world).trigger_rekey(false).await.expect("both ends live");
        let outcome = forget(poll_then_drop(events.next(), polls).await);
        if outcome.is_dropped() {
            assert!(events.next().await.is_some(), "a dropped look has taken nothing");
        }
        works_both_ways(world).await;
        outcome
    })
    .await;
}

/// A long message, of which few fill a queue.
fn long() -> Vec<u8> {
    vec![7; 60_000]
}

/// Takes `count` long messages.
async fn take(receiver: &mut MessageReceiver, count: usize) {
    for _ in 0..count {
        let message = receiver.recv().await.expect("the peer lives");
        assert_eq!(message.map(|m| m.len()), Some(60_000));
    }
}

/// A send that waits for the peer's reader is dropped at a poll: it took no place, others are served.
async fn send_is_cancel_safe() {
    let polls = at_each_poll(MOST, async |polls| {
        let World { initiator, responder } = world();
        let (sender, _receiver) = initiator.handle.split();
        let (_sender, mut there) = responder.handle.split();
        let mut sent = 0;
        while tokio::time::timeout(Duration::from_secs(1), sender.send(long())).await.is_ok() {
            sent += 1;
        }
        let waiting = async {
            let send = sender.send(long());
            forget(poll_then_drop(send, polls).await)
        };
        let (outcome, ()) = tokio::join!(waiting, take(&mut there, sent));
        if !outcome.is_dropped() {
            take(&mut there, 1).await;
        }
        sender.send("next").await.expect("the peer reads");
        assert_eq!(there.recv().await.ok().flatten().as_deref(), Some(&b"next"[..]));
        assert!(sender.manager().rekey().await.is_ok());
        outcome
    })
    .await;
    assert!(polls > 1, "it did wait");
}

#[tokio::test(start_paused = true)]
async fn message_sender_send() {
    send_is_cancel_safe().await;
}

#[tokio::test(start_paused = true)]
async fn messenger_send() {
    at_each_poll(MOST, async |polls| {
        let mut world = world();
        let outcome = forget(poll_then_drop(world.initiator.handle.send("first"), polls).await);
        if !outcome.is_dropped() {
            let first = world.responder.handle.recv().await.expect("the peer lives");
            assert_eq!(first.as_deref(), Some(&b"first"[..]));
        }
        works_both_ways(world).await;
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn messenger_recv() {
    let polls = at_each_poll(MOST, async |polls| {
        let mut world = world();
        world.initiator.handle.send("first").await.expect("the peer reads");
        let received = poll_then_drop(world.responder.handle.recv(), polls).await;
        if received.is_dropped() {
            let first = world.responder.handle.recv().await.expect("a dropped receive took nothing");
            assert_eq!(first.as_deref(), Some(&b"first"[..]));
        }
        works_both_ways(world).await;
        forget(received)
    })
    .await;
    assert!(polls > 1, "it did wait");
}

#[tokio::test(start_paused = true)]
async fn message_receiver_recv() {
    let polls = at_each_poll(MOST, async |polls| {
        let World { initiator, responder } = world();
        let (sender, _receiver) = initiator.handle.split();
        let (_sender, mut there) = responder.handle.split();
        sender.send("first").await.expect("the peer reads");
        let received = poll_then_drop(there.recv(), polls).await;
        if received.is_dropped() {
            let first = there.recv().await.expect("a dropped receive took nothing");
            assert_eq!(first.as_deref(), Some(&b"first"[..]));
        }
        sender.send("next").await.expect("the peer reads");
        assert_eq!(there.recv().await.ok().flatten().as_deref(), Some(&b"next"[..]));
        forget(received)
    })
    .await;
    assert!(polls > 1, "it did wait");
}

#[tokio::test(start_paused = true)]
async fn messenger_close() {
    at_each_poll(MOST, async |polls| {
        let World { initiator, responder } = world();
        let kept = initiator.handle.manager().clone();
        let outcome = forget(poll_then_drop(initiator.handle.close(), polls).await);
        // Dropped unpolled, the handle is gone with the future and `kept` alone is left.
        if polls == 0 {
            assert!(kept.rekey().await.is_ok());
        } else {
            assert!(matches!(kept.closed().await, EndReason::Local), "once polled, it closes");
            assert!(matches!(responder.handle.manager().closed().await, EndReason::Peer));
        }
        outcome
    })
    .await;
}
