//! A path that loses, doubles and reorders: each message arrives once or not at all, rounds go on.

use super::{expect_number, numbered};
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::manager_world::{Fate, Setting, messengers};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rstest::rstest;
use std::collections::BTreeSet;
use std::time::Duration;

const LATENCY: Duration = Duration::from_millis(20);

fn faulty(seed: u64) -> impl FnMut(u64, &bytes::Bytes) -> Fate + Send {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    move |_, _| match rng.next_u32() % 10 {
        0 => Fate::Lose,
        1 => Fate::Double,
        2 => Fate::Delay(LATENCY * (rng.next_u32() % 4)),
        _ => Fate::Deliver,
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn every_message_arrives_once_or_not_at_all_and_every_round_completes(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(1, 2, 3)] seed: u64,
) {
    let mut world = messengers(&Setting { mode, ordered: false, latency: LATENCY, ..Setting::default() });
    world.initiator.out.set_rule(faulty(seed));
    world.responder.out.set_rule(faulty(seed + 100));
    let mut got = BTreeSet::new();
    for n in 0..200 {
        for i in 0..5 {
            world.initiator.handle.send(numbered(n * 5 + i)).await.expect("the peer lives");
        }
        let (a, b) =
            tokio::join!(world.initiator.handle.manager().rekey(), world.responder.handle.manager().rekey());
        let reached = a.expect("within the deadline").version.max(b.expect("within the deadline").version);
        world.both_at(reached).await;
        world.assert_secrets_bounded();
        while let Ok(message) = tokio::time::timeout(LATENCY * 4, world.responder.handle.recv()).await {
            let message = message.expect("the peer lives").expect("the peer did not finish");
            assert!(got.insert(message), "a message came twice");
        }
    }
    world.initiator.out.clear_rule();
    world.responder.out.clear_rule();
    world.settle().await;
    world.assert_agreed();
    assert!(world.initiator.handle.manager().version() >= Version(200));
    assert!(got.len() > 800 && got.len() < 1000, "{} of 1,000 arrived", got.len());
}

#[tokio::test(start_paused = true)]
async fn messages_that_find_the_readers_queue_full_are_dropped_and_counted() {
    let mut world = messengers(&Setting { ordered: false, ..Setting::default() });
    for _ in 0..1000 {
        world.initiator.handle.send(vec![0; 1000]).await.expect("the peer lives");
    }
    world.settle().await;
    let stats = world.responder.handle.manager().stats();
    assert_eq!(stats.messages_received + stats.messages_dropped, 1000);
    assert_eq!(stats.messages_received, 131_200 / 1064);
    for _ in 0..stats.messages_received {
        assert!(world.responder.handle.recv().await.is_ok());
    }
    world.initiator.handle.send(numbered(1)).await.expect("the peer lives");
    expect_number(&mut world.responder.handle, 1).await;
}
