//! Messages while keys are renewed: the racy matrix with traffic, and the contract of the two halves. Clock
//! paused unless a name says otherwise.

use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::manager_config::RoundPolicy;
use citadel_crypt::ratchets::messenger::Messenger;
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::canary;
use citadel_tests::manager_world::{Setting, assert_same_round, messengers};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rstest::rstest;
use std::time::Duration;

#[path = "messenger/halves.rs"]
mod halves;
#[path = "messenger/rounds.rs"]
mod rounds;
#[path = "messenger/unordered.rs"]
mod unordered;

const ROUNDS: u64 = 100;

/// A message that says which it is.
fn numbered(n: u64) -> Bytes {
    canary::marked(n.to_le_bytes()).into()
}

/// The next message is number `n`.
async fn expect_number(messenger: &mut Messenger, n: u64) {
    let message = messenger.recv().await.expect("the peer lives").expect("the peer did not finish");
    assert_eq!(message, numbered(n));
}

/// A turn of one end in a round: message and rekey at once.
async fn speak(messenger: &Messenger, n: u64, at: tokio::time::Instant) -> Version {
    tokio::time::sleep_until(at).await;
    let from = messenger.manager().version();
    let (sent, outcome) = tokio::join!(messenger.send(numbered(n)), messenger.manager().rekey());
    sent.expect("the peer reads");
    let outcome = outcome.expect("both ends live");
    assert!(outcome.version > from);
    outcome.version
}

/// `ROUNDS` rounds: both ends send a message and ask for a round, one of them up to `min_delay` ms later; both
/// messages arrive.
async fn racy(setting: Setting, min_delay: u64) {
    let mut world = messengers(&setting);
    let mut rng = ChaCha20Rng::seed_from_u64(min_delay);
    for n in 0..ROUNDS {
        let lag = Duration::from_micros(rng.next_u64() % (min_delay * 1000 + 1));
        let start = now();
        let (early, late) = if rng.next_u32() % 2 == 0 {
            (&world.initiator.handle, &world.responder.handle)
        } else {
            (&world.responder.handle, &world.initiator.handle)
        };
        let (a, b) = tokio::join!(speak(early, n, start), speak(late, n, start + lag));
        expect_number(&mut world.initiator.handle, n).await;
        expect_number(&mut world.responder.handle, n).await;
        world.both_at(a.max(b)).await;
        world.assert_secrets_bounded();
        world.settle().await;
        world.assert_agreed();
    }
    let outcomes = [&world.initiator, &world.responder].map(|p| p.handle.manager().outcomes());
    outcomes[0].iter().zip(&outcomes[1]).for_each(|(&a, &b)| assert_same_round(a, b));
    assert!(world.initiator.handle.manager().version() >= Version(ROUNDS));
    world.finish().await;
}

#[expect(clippy::disallowed_methods, reason = "the paused or real clock of the runtime under test")]
fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn test_messenger_racy_contentious(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(RoundPolicy::ByMode, RoundPolicy::PerMessage)] rounds: RoundPolicy,
) {
    racy(Setting { mode, rounds, ..Setting::default() }, 0).await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn test_messenger_racy_with_random_start_lag_best_effort(#[values(0, 1, 10, 100, 500)] min_delay: u64) {
    let latency = Duration::from_millis(min_delay / 2);
    racy(Setting { latency, ..Setting::default() }, min_delay).await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn test_messenger_racy_with_random_start_lag_perfect(#[values(0, 1, 10, 100, 500)] min_delay: u64) {
    let latency = Duration::from_millis(min_delay / 2);
    let mode = SecrecyMode::Perfect;
    racy(Setting { mode, rounds: RoundPolicy::ByMode, latency, ..Setting::default() }, min_delay).await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn test_messenger_racy_with_random_start_lag_strict(#[values(0, 1, 10, 100, 500)] min_delay: u64) {
    let latency = Duration::from_millis(min_delay / 2);
    let mode = SecrecyMode::Perfect;
    racy(Setting { mode, rounds: RoundPolicy::PerMessage, latency, ..Setting::default() }, min_delay).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn test_messenger_racy_real_time(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
    #[values(RoundPolicy::ByMode, RoundPolicy::PerMessage)] rounds: RoundPolicy,
) {
    racy(Setting { mode, rounds, ..Setting::default() }, 1).await;
}
