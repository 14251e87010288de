//! The rekey matrix: two managers with real keys over an in-memory path, every round asserted without
//! tolerance, and the scenarios of the rekey protocol at this level. Clock paused unless a name says otherwise.

use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::manager_world::{Setting, World, assert_same_round, managers};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rstest::rstest;
use std::time::Duration;

#[path = "ratchet_manager/logs.rs"]
mod logs;
#[path = "ratchet_manager/polls.rs"]
mod polls;
#[path = "ratchet_manager/scenarios.rs"]
mod scenarios;

const ROUNDS: u64 = 100;

/// One round in which both ends ask, `lags` after its start.
async fn racy_round(world: &World<RatchetManager>, lags: [Duration; 2]) {
    let managers = [&world.initiator, &world.responder].map(|peer| &peer.handle);
    let before = managers.map(RatchetManager::version);
    let start = now();
    let [a, b] = [0, 1].map(|i| async move {
        tokio::time::sleep_until(start + lags[i]).await;
        let from = managers[i].version();
        let outcome = managers[i].rekey().await.expect("both ends live");
        assert!(outcome.version > from, "{outcome:?} from {from}");
        assert!(managers[i].version() >= outcome.version);
        outcome
    });
    let (a, b) = tokio::join!(a, b);
    assert_same_round(a, b);
    let reached = a.version.max(b.version);
    assert!(before.iter().all(|&version| version < reached));
    world.both_at(reached).await;
    world.assert_agreed();
}

#[expect(clippy::disallowed_methods, reason = "the paused or real clock of the runtime under test")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// `ROUNDS` rounds with a lag of up to `min_delay` ms at one end or the other, at several latencies.
async fn racy_with_random_start_lag(min_delay: u64, latencies: &[u64]) {
    for &latency in latencies {
        let world = managers(&Setting { latency: Duration::from_millis(latency), ..Setting::default() });
        let mut rng = ChaCha20Rng::seed_from_u64(min_delay << 32 | latency);
        for _ in 0..ROUNDS {
            let lag = Duration::from_micros(rng.next_u64() % (min_delay * 1000 + 1));
            let lags = if rng.next_u32() % 2 == 0 { [Duration::ZERO, lag] } else { [lag, Duration::ZERO] };
            racy_round(&world, lags).await;
        }
        assert!(world.initiator.handle.version().0 >= ROUNDS);
        world.finish().await;
    }
}

#[tokio::test(start_paused = true)]
async fn test_ratchet_manager_one_at_a_time() {
    let world = managers(&Setting::default());
    for round in 1..=ROUNDS {
        let caller = if round % 2 == 0 { &world.initiator } else { &world.responder };
        let outcome = caller.handle.rekey().await.expect("both ends live");
        assert_eq!(outcome.version, Version(round));
        world.both_at(outcome.version).await;
        world.assert_agreed();
    }
    assert_eq!(world.initiator.handle.version(), Version(ROUNDS));
    world.finish().await;
}

#[tokio::test(start_paused = true)]
async fn test_ratchet_manager_racy_contentious() {
    let world = managers(&Setting::default());
    for _ in 0..ROUNDS {
        racy_round(&world, [Duration::ZERO; 2]).await;
    }
    assert_eq!(world.initiator.handle.version(), Version(ROUNDS), "simultaneous callers share a round");
    world.finish().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn test_ratchet_manager_racy_with_random_start_lag(#[values(0, 1, 10, 100, 500)] min_delay: u64) {
    racy_with_random_start_lag(min_delay, &[0, min_delay / 2, min_delay]).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn test_ratchet_manager_racy_with_random_start_lag_real_time(#[values(0, 1)] min_delay: u64) {
    racy_with_random_start_lag(min_delay, &[0]).await;
}
