//! Keys renewed from end to end, over what carries two peers (SCENARIOS 1, 2, 8–11; single messages of a round are lost,
//! doubled and reordered where they can be: `--test rekey_scenarios`).
#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

use citadel_sdk::{RekeyError, SecrecyMode, Session};
use citadel_tests::peer_scene::{Pair, Setup, Talk, Way};
use futures::future::{join, join_all};
use rstest::rstest;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait of a caller, by default.
const DEADLINE: Duration = Duration::from_secs(10);

/// Both ends stand at the same version and have the same keys; of each round one end was the Leader and the other the Loser.
pub(crate) async fn agree(near: &Session, far: &Session) {
    let version = near.version().max(far.version());
    for session in [near, far] {
        session.versions().wait_for(|reached| *reached >= version).await.unwrap();
    }
    assert_eq!(near.version(), far.version());
    assert_eq!(near.fingerprint(version).unwrap(), far.fingerprint(version).unwrap());
    let [near, far] = [near, far].map(|session| session.stats().rekey);
    assert_eq!((near.led, near.followed), (far.followed, far.led));
    assert_eq!(near.led + near.followed, version.0);
}

/// SCENARIOS 2.
#[rstest]
#[tokio::test(start_paused = true)]
async fn peer_to_peer_rekey(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(0, 1, 10, 100, 500)] lag: u64,
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] secrecy: SecrecyMode,
) {
    let pair = Pair::meet(&Setup { secrecy, ..Setup::seeded(way, lag + 1) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let rounds = async {
        for round in 0..100 {
            let renew = async |session: &Session, wait: u64| {
                sleep(Duration::from_millis(wait)).await;
                let from = session.version();
                let outcome = session.rekey().await.unwrap();
                assert!(outcome.version > from, "round {round}");
            };
            // Each is the late one in turn, with messages under way both ways.
            let [here, there] = if round % 2 == 0 { [0, lag] } else { [lag, 0] };
            tokio::join!(renew(&pair.near, here), renew(&pair.far, there), talk.go_on(3, 100));
        }
    };
    pair.while_it_changes(rounds).await;
    agree(&pair.near, &pair.far).await;
    assert!(pair.near.version().0 >= 100);
    talk.finish().await;
    pair.ends().await;
}

/// SCENARIOS 1.
#[rstest]
#[tokio::test(start_paused = true)]
async fn who_asks_after_the_peers_round_is_over_is_served_at_once_or_by_the_next(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
) {
    let pair = Pair::meet(&Setup::new(way)).await;
    let rounds = async {
        for _ in 0..20 {
            let version = pair.far.trigger_rekey().unwrap();
            // Made before the round, waited for after it.
            let late = pair.near.rekey();
            pair.near.versions().wait_for(|reached| *reached >= version).await.unwrap();
            let outcome = late.await.unwrap();
            assert!(outcome.version >= version);
        }
    };
    pair.while_it_changes(rounds).await;
    agree(&pair.near, &pair.far).await;
    pair.ends().await;
}

/// SCENARIOS 8: the peer says nothing any more; 9: for ten minutes, from each moment of a round.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_round_with_a_peer_that_is_silent_ends_by_its_deadline_and_sends_go_on(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(0, 5, 15, 25, 40, 60, 90)] millis: u64,
    #[values(false, true)] both: bool,
) {
    let hour = Duration::from_secs(3_600);
    let pair = Pair::meet(&Setup { resume: hour, ..Setup::seeded(way, millis + 1) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let went = Instant::now();
    let silent = async {
        sleep(Duration::from_millis(millis)).await;
        pair.cut_off();
    };
    let there = async {
        if both {
            drop(pair.far.rekey().await)
        }
    };
    let (outcome, (), ()) = tokio::join!(pair.near.rekey(), there, silent);
    assert!(went.elapsed() <= DEADLINE + Duration::from_millis(1));
    assert!(matches!(outcome, Ok(_) | Err(RekeyError::TimedOut)), "{outcome:?}");
    let before = Instant::now();
    for number in 0..20 {
        talk.near.0.send(vec![number; 100]).await.unwrap();
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "sends never wait for a round");
    sleep(Duration::from_secs(600)).await;
    assert_eq!((pair.near.closing(), pair.far.closing()), (None, None));
    pair.heal();
    for number in 0..20 {
        assert_eq!(talk.far.1.recv().await.unwrap().unwrap(), vec![number; 100]);
    }
    let (one, other) = join(pair.near.rekey(), pair.far.rekey()).await;
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    agree(&pair.near, &pair.far).await;
    pair.ends().await;
}

/// SCENARIOS 10.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_on_each_end_share_a_few_rounds(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
) {
    let pair = Pair::meet(&Setup::new(way)).await;
    let (near, far) = (&pair.near, &pair.far);
    let before = near.version().0;
    let storms = ((0..1_000).map(|_| near.rekey()), (0..1_000).map(|_| far.rekey()));
    let (one, other) = pair.while_it_changes(join(join_all(storms.0), join_all(storms.1))).await;
    assert!(one.iter().chain(&other).all(Result::is_ok));
    // Where the path changes, a round of its own follows each change.
    let changes = if way == Way::Changing { 2 } else { 0 };
    assert!(near.version().0 <= before + 4 + changes, "{before} to {:?}", near.version());
    agree(&pair.near, &pair.far).await;
    pair.ends().await;
}

/// SCENARIOS 11.
#[rstest]
#[tokio::test(start_paused = true)]
async fn floods_both_ways_lose_nothing_during_hundreds_of_simultaneous_rounds(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] secrecy: SecrecyMode,
) {
    const ROUNDS: u64 = 300;
    let pair = Pair::meet(&Setup { secrecy, ..Setup::new(way) }).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    let renews = async {
        for _ in 0..ROUNDS {
            let (one, other) = join(pair.near.rekey(), pair.far.rekey()).await;
            assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        }
    };
    let floods = async {
        while pair.near.version().0 < ROUNDS {
            talk.go_on(100, 500).await;
        }
    };
    pair.while_it_changes(join(renews, floods)).await;
    agree(&pair.near, &pair.far).await;
    talk.finish().await;
    pair.ends().await;
}
