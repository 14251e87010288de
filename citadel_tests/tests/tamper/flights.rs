//! Every byte, every length, every flight of another session.

use citadel_crypt::handshake::{FlightKind, HandshakeError};
use citadel_crypt::suite::{AeadAlgorithm, KemAlgorithm, Suite};
use citadel_tests::tamper::{Cast, Scene};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rstest::rstest;

const PLAIN: Cast = Cast { suite: Suite::DEFAULT, psk: false, retry: false };
const KEYED: Cast = Cast { suite: Suite::DEFAULT, psk: true, retry: true };
const STRONG: Cast = Cast {
    suite: Suite::new(KemAlgorithm::MlKem1024, AeadAlgorithm::ChaCha20Poly1305),
    psk: false,
    retry: true,
};
const LIGHT: Cast =
    Cast { suite: Suite::new(KemAlgorithm::MlKem768, AeadAlgorithm::AsconAead128), psk: true, retry: false };

fn assert_refused(scene: &Scene, place: usize, spoilt: &[u8], what: &str) {
    if let Err(fault) = scene.judge(place, spoilt) {
        unreachable!("{what}: {fault}");
    }
}

#[rstest]
fn an_unspoilt_replay_succeeds_with_the_same_session(#[values(PLAIN, KEYED, STRONG, LIGHT)] cast: Cast) {
    let scene = Scene::record(cast);
    for (place, (_, flight)) in scene.flights.iter().enumerate() {
        let (client, server) = scene.play(place, flight).unwrap();
        assert_eq!(client.session_id, scene.established.session_id);
        assert_eq!(server.session_id, scene.established.session_id);
    }
    assert!(scene.judge(0, &scene.flights[0].1).is_err(), "the judge must see a session");
}

#[rstest]
fn one_bit_of_every_byte(#[values(PLAIN, KEYED, STRONG, LIGHT)] cast: Cast) {
    let scene = Scene::record(cast);
    let mut chance = ChaCha20Rng::seed_from_u64(0x7a3b);
    for (place, (_, flight)) in scene.flights.iter().enumerate() {
        for byte in 0..flight.len() {
            let bit = chance.next_u32() % 8;
            let mut spoilt = flight.clone();
            spoilt[byte] ^= 1 << bit;
            assert_refused(&scene, place, &spoilt, &format!("flight {place} byte {byte} bit {bit}"));
        }
    }
}

#[rstest]
fn every_shorter_and_some_longer_flights(#[values(PLAIN, KEYED)] cast: Cast) {
    let scene = Scene::record(cast);
    for (place, (_, flight)) in scene.flights.iter().enumerate() {
        for len in 0..flight.len() {
            assert_refused(&scene, place, &flight[..len], &format!("flight {place} cut to {len}"));
        }
        for extra in [1, 2, 15, 16, 17, 32, 1_023, 1_024, 1_025, 4_096, 70_000] {
            for fill in [0, 0xff] {
                let longer = [&flight[..], &vec![fill; extra]].concat();
                assert_refused(&scene, place, &longer, &format!("flight {place} longer by {extra}"));
            }
        }
    }
}

#[rstest]
fn any_flight_of_either_session_in_any_place(#[values(PLAIN, KEYED)] cast: Cast) {
    let (scene, other) = (Scene::record(cast), Scene::record(cast));
    for place in 0..scene.flights.len() {
        for (from, (_, flight)) in other.flights.iter().enumerate() {
            assert_refused(&scene, place, flight, &format!("flight {from} of another session at {place}"));
        }
        for (from, (_, flight)) in scene.flights.iter().enumerate().filter(|(from, _)| *from != place) {
            assert_refused(&scene, place, flight, &format!("flight {from} of the same session at {place}"));
        }
    }
}

#[test]
fn a_whole_replayed_client_gets_a_reply_and_no_session() {
    // Whoever replays both client flights of a session lacks the keys of the new one.
    let (scene, recorded) = (Scene::record(PLAIN), Scene::record(PLAIN));
    let ends = scene.play(2, &recorded.flights[2].1);
    assert_eq!(ends.server_error(), Some(HandshakeError::NotAuthentic(FlightKind::Proof)));
    assert!(ends.asked.is_empty());
}
