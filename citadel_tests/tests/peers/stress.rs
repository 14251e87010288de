//! Many messages between two peers, for each cipher and each secrecy mode, whatever carries them, and the end that either of them
//! makes.

use citadel_crypt::suite::{AeadAlgorithm, KemAlgorithm};
use citadel_sdk::{CloseReason, SecrecyMode, Suite};
use citadel_tests::peer_scene::{Loss, Pair, Setup, Talk, Way};
use futures::future::join;
use rstest::rstest;

/// Messages each way; `CITADEL_STRESS_MESSAGES` says how many, if somebody wants more.
fn messages() -> u64 {
    let told = std::env::var("CITADEL_STRESS_MESSAGES").ok();
    told.map_or(500, |number| number.parse().unwrap())
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn stress_test_p2p_messaging(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305, AeadAlgorithm::AsconAead128)]
    aead: AeadAlgorithm,
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] secrecy: SecrecyMode,
    #[values(50, 4_000)] len: usize,
) {
    let suite = Suite::new(KemAlgorithm::MlKem768, aead);
    let pair = Pair::meet(&Setup { suite: Some(suite), secrecy, ..Setup::new(way) }).await;
    assert_eq!((pair.near.suite(), pair.near.mode()), (suite, secrecy));
    assert_eq!((pair.far.suite(), pair.far.mode()), (suite, secrecy));
    talk_renew_and_part(pair, messages(), len).await;
}

/// The long one, for a few.
#[rstest]
#[case::relayed(Way::Relayed, AeadAlgorithm::ChaCha20Poly1305, SecrecyMode::BestEffort)]
#[case::direct(Way::Direct, AeadAlgorithm::Aes256Gcm, SecrecyMode::Perfect)]
#[case::changing(Way::Changing, AeadAlgorithm::Aes256Gcm, SecrecyMode::BestEffort)]
#[case::changing_with_chains(Way::Changing, AeadAlgorithm::AsconAead128, SecrecyMode::Perfect)]
#[tokio::test(start_paused = true)]
async fn stress_test_p2p_messaging_with_ten_thousand_each_way(
    #[case] way: Way,
    #[case] aead: AeadAlgorithm,
    #[case] secrecy: SecrecyMode,
) {
    let suite = Suite::new(KemAlgorithm::MlKem768, aead);
    let pair = Pair::meet(&Setup { suite: Some(suite), secrecy, ..Setup::new(way) }).await;
    talk_renew_and_part(pair, 10_000, 200).await;
}

/// So many messages each way, with each way to lose a direct path in the course of them.
async fn talk_renew_and_part(pair: Pair, count: u64, len: usize) {
    let mut talk = Talk::new(&pair.near, &pair.far);
    let parts = Loss::ALL.len() as u64;
    for loss in Loss::ALL {
        join(talk.go_on(count / parts, len), pair.change(loss)).await;
    }
    talk.go_on(count % parts, len).await;
    assert_eq!(pair.near.path_kind().is_direct(), pair.way != Way::Relayed);
    // Nobody waits for anybody who renews the keys meanwhile.
    let renews = async {
        for _ in 0..5 {
            let (one, other) = join(pair.near.rekey(), pair.far.rekey()).await;
            assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
        }
    };
    pair.while_it_changes(join(talk.go_on(count / 5, len), renews)).await;
    assert!(pair.near.version().0 >= 5);
    talk.finish().await;
    let (a, b) = join(pair.near.close(0, "done"), pair.far.closed()).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    let [alice, bob, _server] = pair.ends().await;
    assert!(alice.is_clean() && bob.is_clean(), "{alice} / {bob}");
}

/// Who says goodbye.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leaves {
    Alice,
    Bob,
    Both,
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn peer_to_peer_disconnect(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Leaves::Alice, Leaves::Bob, Leaves::Both)] leaves: Leaves,
    #[values(false, true)] accounts: bool,
) {
    let mut pair = Pair::meet(&Setup { accounts, ..Setup::new(way) }).await;
    for (round, loss) in (0..).zip(Loss::ALL) {
        Talk::new(&pair.near, &pair.far).go_on(10, 100).await;
        if way == Way::Changing {
            // They part with what they have left, or before they know.
            pair.lose(loss);
        }
        let (near, far) = (pair.near.clone(), pair.far.clone());
        let (a, b) = match leaves {
            Leaves::Alice => join(near.close(round, "goodbye"), far.closed()).await,
            Leaves::Bob => {
                let (b, a) = join(far.close(round, "goodbye"), near.closed()).await;
                (a, b)
            }
            Leaves::Both => join(near.close(round, "goodbye"), far.close(round, "goodbye")).await,
        };
        for report in [&a, &b] {
            assert!(report.clean, "{report}");
            assert_eq!(*report.reason(), CloseReason::application(round, "goodbye"));
        }
        // They are peers as before, and the server carries nothing for them.
        assert!(pair.alice.peers.session_with(pair.bob.party).is_none());
        assert_eq!(pair.alice.session.closing(), None);
        pair.heal();
        pair.meet_again().await;
    }
    pair.ends().await;
}
