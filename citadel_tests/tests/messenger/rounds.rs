//! SCENARIOS 8 and 11 with messages, and which rounds start by themselves.

use super::{expect_number, now, numbered};
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::manager_config::RoundPolicy;
use citadel_crypt::ratchets::messenger::{MessageReceiver, MessageSender};
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::manager_world::{Fate, Setting, messengers};
use parking_lot::Mutex;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

/// Sends numbers until it is told how many are enough.
async fn flood(sender: &MessageSender, enough: &tokio::sync::watch::Receiver<bool>) -> u64 {
    let mut n = 0;
    while !*enough.borrow() {
        sender.send(numbered(n)).await.expect("the peer reads");
        n += 1;
        tokio::task::yield_now().await;
    }
    n
}

/// Reads numbers in order until the peer finished.
async fn drain(receiver: &mut MessageReceiver) -> u64 {
    let mut n = 0;
    while let Some(message) = receiver.recv().await.expect("the peer finishes") {
        assert_eq!(message, numbered(n));
        n += 1;
    }
    n
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn floods_in_both_directions_during_a_thousand_simultaneous_rounds_lose_double_and_reorder_nothing(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let world = messengers(&Setting { mode, capacity: 16, ..Setting::default() });
    let managers = [&world.initiator, &world.responder].map(|p| p.handle.manager().clone());
    let (a_out, mut a_in) = world.initiator.handle.split();
    let (b_out, mut b_in) = world.responder.handle.split();
    let (enough, is_enough) = tokio::sync::watch::channel(false);
    let rounds = async {
        for _ in 0..1000 {
            let (a, b) = tokio::join!(managers[0].rekey(), managers[1].rekey());
            let (a, b) = (a.expect("both ends live"), b.expect("both ends live"));
            assert!(a.version.0.abs_diff(b.version.0) <= 1);
        }
        enough.send_replace(true);
    };
    let there = async {
        let n = flood(&a_out, &is_enough).await;
        a_out.finish();
        n
    };
    let back = async {
        let n = flood(&b_out, &is_enough).await;
        b_out.finish();
        n
    };
    let ((), sent_there, sent_back, got_there, got_back) =
        tokio::join!(rounds, there, back, drain(&mut b_in), drain(&mut a_in));
    assert_eq!((sent_there, sent_back), (got_there, got_back));
    assert!(sent_there >= 1000 && sent_back >= 1000, "messages flowed all the while");
    assert!(managers[0].version() >= Version(1000));
}

#[tokio::test(start_paused = true)]
async fn a_rekey_message_passes_every_message_that_waits_for_the_sink() {
    let mut world = messengers(&Setting { capacity: 1, ..Setting::default() });
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&kinds);
    world.initiator.out.set_rule(move |_, record| {
        seen.lock().push(record[1]);
        Fate::Deliver
    });
    world.initiator.out.hold_after(0);
    for n in 0..10 {
        world.initiator.handle.send(numbered(n)).await.expect("there is room in the queue");
    }
    tokio::time::sleep_until(now() + MILLI).await;
    let manager = world.initiator.handle.manager().clone();
    manager.trigger_rekey(false).await.expect("both ends live");
    tokio::time::sleep_until(now() + MILLI).await;
    world.initiator.out.release();
    for n in 0..10 {
        expect_number(&mut world.responder.handle, n).await;
    }
    // The one message that was sealed before, then the offer, then the nine others with the finish among them.
    assert_eq!(kinds.lock()[..2], [1, 0]);
    assert_eq!(kinds.lock().iter().filter(|&&kind| kind == 1).count(), 10);
    world.settle().await;
    assert_eq!(manager.version(), Version(1));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn sends_go_on_while_a_round_waits_for_a_silent_peer() {
    let mut world = messengers(&Setting { latency: MILLI, ..Setting::default() });
    // Rekey messages of the responder are lost; it answers nothing.
    world.responder.out.set_rule(|_, record| if record[1] == 0 { Fate::Lose } else { Fate::Deliver });
    let manager = world.initiator.handle.manager().clone();
    let rekey = async move { manager.rekey().await };
    let messages = async {
        for n in 0..1000 {
            world.initiator.handle.send(numbered(n)).await.expect("the peer reads");
            expect_number(&mut world.responder.handle, n).await;
        }
        now()
    };
    let start = now();
    let (timed_out, sent_by) = tokio::join!(rekey, messages);
    assert!(timed_out.is_err());
    assert_eq!(sent_by - start, 1000 * MILLI, "no message waited for the round");
}

#[tokio::test(start_paused = true)]
async fn perfect_starts_a_round_when_64_records_and_50_ms_have_passed_and_best_effort_none() {
    for (mode, rounds) in [(SecrecyMode::Perfect, 8..=10), (SecrecyMode::BestEffort, 0..=0)] {
        let mut world = messengers(&Setting { mode, rounds: RoundPolicy::ByMode, ..Setting::default() });
        let start = now();
        // Two records a millisecond: 64 come sooner than 50 ms.
        for n in 0..1000 {
            tokio::time::sleep_until(start + MILLI * (n / 2)).await;
            world.initiator.handle.send(numbered(n.into())).await.expect("the peer reads");
            expect_number(&mut world.responder.handle, n.into()).await;
        }
        let version = world.initiator.handle.manager().version().0;
        assert!(rounds.contains(&version), "{version} rounds in 500 ms in {mode:?}");
        let made = [&world.initiator, &world.responder].map(|p| p.secrets.made());
        assert_eq!(u64::try_from(made[0] + made[1]).ok(), Some(version), "one offer for one round");
        // Without data no round: the records of a version that nobody uses age alone.
        tokio::time::sleep_until(now() + Duration::from_secs(60)).await;
        assert!(world.initiator.handle.manager().version().0 <= version + 1);
        world.settle().await;
        world.assert_agreed();
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_is_replaced_when_it_is_a_day_old() {
    let world = messengers(&Setting::default());
    tokio::time::sleep_until(now() + Duration::from_secs(24 * 3600 + 60)).await;
    assert_eq!(world.responder.handle.manager().version(), Version(1));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn the_strict_option_completes_a_round_for_every_message() {
    let mut world = messengers(&Setting { rounds: RoundPolicy::PerMessage, ..Setting::default() });
    for n in 0..50 {
        world.initiator.handle.send(numbered(n)).await.expect("the peer reads");
    }
    for n in 0..50 {
        expect_number(&mut world.responder.handle, n).await;
        assert!(world.responder.handle.manager().version() > Version(n));
    }
    world.settle().await;
    assert_eq!(world.initiator.handle.manager().version(), Version(50));
    // Both at once: one round serves both senders.
    for n in 0..50 {
        let (a, b) =
            tokio::join!(world.initiator.handle.send(numbered(n)), world.responder.handle.send(numbered(n)));
        assert!(a.is_ok() && b.is_ok());
        expect_number(&mut world.initiator.handle, n).await;
        expect_number(&mut world.responder.handle, n).await;
        world.settle().await;
    }
    assert_eq!(world.initiator.handle.manager().version(), Version(100));
    world.assert_agreed();
    world.finish().await;
}
