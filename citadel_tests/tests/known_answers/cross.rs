//! Native against pure Rust: what one makes the other understands, and where nothing is random the bytes are equal.

use citadel_crypt::identity::{HybridSignature, Identity};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::hash::{Hasher, sha3_512};
use citadel_crypt::suite::{AeadAlgorithm, CryptoError, CryptoProvider, KemAlgorithm, Native, Suite, kdf};
use citadel_tests::seeded::{self, SeededProvider};
use hmac::{KeyInit, Mac};
use proptest::prelude::*;
use sha3::Digest;
use std::collections::BTreeSet;

fn kems() -> BTreeSet<KemAlgorithm> {
    Suite::all().iter().map(|suite| suite.kem).collect()
}

fn aeads() -> BTreeSet<AeadAlgorithm> {
    Suite::all().iter().map(|suite| suite.aead).collect()
}

#[test]
fn the_same_seed_gives_the_same_everything_and_another_seed_does_not() {
    let run = |seed| {
        let provider = SeededProvider::new(seed);
        let (dh, dh_public) = provider.dh_generate().unwrap();
        let (kem, kem_public) = provider.kem_generate(KemAlgorithm::MlKem768).unwrap();
        let (ciphertext, secret) = provider.kem_encapsulate(KemAlgorithm::MlKem768, &kem_public).unwrap();
        assert_eq!(kem.decapsulate(&ciphertext).unwrap(), secret);
        let identity = Identity::generate_with(&provider).unwrap();
        let signature = identity.sign("citadel/1 server", &[b"x"]).unwrap();
        let shared = dh.agree(&dh_public).unwrap();
        (shared, kem_public, ciphertext, secret, identity.peer_id(), signature)
    };
    assert_eq!(run(1), run(1));
    let (one, two) = (run(1), run(2));
    assert!(one.0 != two.0 && one.1 != two.1 && one.2 != two.2 && one.3 != two.3 && one.4 != two.4);
}

#[test]
fn x25519_agrees_across_backends_and_both_refuse_low_order_points() {
    let seeded = SeededProvider::new(3);
    for _ in 0..50 {
        let (native, native_public) = Native.dh_generate().unwrap();
        let (pure, pure_public) = seeded.dh_generate().unwrap();
        assert_eq!(native.agree(&pure_public).unwrap(), pure.agree(&native_public).unwrap());
        for low_order in [[0; 32], core::array::from_fn(|i| u8::from(i == 0))] {
            assert_eq!(native.agree(&low_order), Err(CryptoError::PeerValue));
            assert_eq!(pure.agree(&low_order), Err(CryptoError::PeerValue));
        }
    }
}

#[test]
fn every_kem_agrees_in_both_directions() {
    let seeded = SeededProvider::new(4);
    let providers: [&dyn CryptoProvider; 2] = [&Native, &seeded];
    for algorithm in kems() {
        for (maker, encapsulator) in [(0, 1), (1, 0)] {
            let (key, public) = providers[maker].kem_generate(algorithm).unwrap();
            let (ciphertext, secret) = providers[encapsulator].kem_encapsulate(algorithm, &public).unwrap();
            assert_eq!(key.decapsulate(&ciphertext).unwrap(), secret);
            let mut changed = ciphertext.clone();
            changed[0] ^= 1;
            assert_ne!(key.decapsulate(&changed).unwrap(), secret, "implicit rejection");
            assert_eq!(key.decapsulate(&ciphertext[1..]), Err(CryptoError::PeerValue));
        }
    }
}

/// Also the rejection secret, which only the key's owner can compute, is the same function of key and ciphertext.
#[test]
fn an_imported_key_rejects_as_its_twin_does() {
    for algorithm in kems() {
        let (pure, public, expanded) = SeededProvider::expanded_kem_key(algorithm, [5; 64]);
        let native = Native.kem_key(algorithm, &expanded).unwrap();
        let (mut ciphertext, secret) = Native.kem_encapsulate(algorithm, &public).unwrap();
        assert_eq!(native.decapsulate(&ciphertext).unwrap(), secret);
        ciphertext[7] ^= 0x40;
        let rejected = pure.decapsulate(&ciphertext).unwrap();
        assert_ne!(rejected, secret);
        assert_eq!(native.decapsulate(&ciphertext).unwrap(), rejected);
    }
}

/// FIPS 203, 7.2: a key with one coefficient of q or more is refused by both, for every coefficient.
#[test]
fn an_unreduced_coefficient_is_refused_wherever_it_stands() {
    for algorithm in kems() {
        let (_, public) = SeededProvider::new(6).kem_generate(algorithm).unwrap();
        let coefficients = (public.len() - 32) * 2 / 3;
        for i in 0..coefficients {
            let mut bad = public.clone();
            set_coefficient(&mut bad, i, 3329);
            assert_eq!(Native.kem_encapsulate(algorithm, &bad).err(), Some(CryptoError::PeerValue));
            assert_eq!(
                SeededProvider::encapsulate(algorithm, &bad, [0; 32]).err(),
                Some(CryptoError::PeerValue)
            );
        }
        let mut good = public;
        set_coefficient(&mut good, 0, 3328);
        assert!(Native.kem_encapsulate(algorithm, &good).is_ok());
    }
}

fn set_coefficient(key: &mut [u8], i: usize, value: u16) {
    let [low, high] = value.to_le_bytes();
    let at = i / 2 * 3;
    if i.is_multiple_of(2) {
        key[at] = low;
        key[at + 1] = key[at + 1] & 0xf0 | high;
    } else {
        key[at + 1] = key[at + 1] & 0x0f | low << 4;
        key[at + 2] = high << 4 | low >> 4;
    }
}

#[test]
fn identities_of_both_backends_are_the_same_and_verify_each_other() {
    for byte in 0..4 {
        let seed = || Secret::copy_from(&[byte; 64]);
        let native = Identity::from_seed(&Native, seed()).unwrap();
        let pure = Identity::from_seed(&SeededProvider::new(7), seed()).unwrap();
        assert_eq!(native.public(), pure.public());
        let public = native.public();
        for signer in [&native, &pure] {
            let signature = signer.sign("citadel/1 server", &[b"one", b"two"]).unwrap();
            assert_eq!(public.verify("citadel/1 server", &[b"one", b"two"], &signature), Ok(()));
        }
    }
}

#[test]
fn a_native_signature_verifies_in_pure_rust_and_no_half_alone_does() {
    let key = Native.signing_key(&Secret::copy_from(&[8; 64])).unwrap();
    let (public, signature) = (key.public(), key.sign(b"message").unwrap());
    assert!(seeded::verify(&public, b"message", &signature));
    for byte in [0, 63, 64, HybridSignature::LEN - 1] {
        let mut changed = signature.clone();
        changed[byte] ^= 1;
        assert!(!seeded::verify(&public, b"message", &changed), "byte {byte}");
        assert!(citadel_crypt::suite::sign::verify(&public[..], b"message", &changed[..]).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn aeads_give_the_same_bytes(key: [u8; 32], nonce: [u8; 16], aad: Vec<u8>, body: Vec<u8>, flip: usize) {
        let seeded = SeededProvider::new(0);
        for algorithm in aeads() {
            let nonce = &nonce[..algorithm.nonce_len()];
            let (native, pure) = (Native.aead(algorithm, &key).unwrap(), seeded.aead(algorithm, &key).unwrap());
            let (mut one, mut two, mut three) = (body.clone(), body.clone(), body.clone());
            let tag = native.seal(nonce, &aad, &mut one).unwrap();
            one.extend(tag);
            let tag = pure.seal(nonce, &aad, &mut two).unwrap();
            two.extend(tag);
            let tag = Native.seal_once(algorithm, &key, nonce, &aad, &mut three).unwrap();
            three.extend(tag);
            prop_assert_eq!(&one, &two);
            prop_assert_eq!(&one, &three);

            for opened in [
                native.open(nonce, &aad, &mut two).unwrap(),
                pure.open(nonce, &aad, &mut one).unwrap(),
                Native.open_once(algorithm, &key, nonce, &aad, &mut three.clone()).unwrap(),
            ] {
                prop_assert_eq!(opened, body.len());
            }
            prop_assert_eq!(&one[..body.len()], &body[..]);
            prop_assert_eq!(&two[..body.len()], &body[..]);

            let at = flip % three.len();
            three[at] ^= 1;
            prop_assert_eq!(native.open(nonce, &aad, &mut three), Err(CryptoError::Open));
            prop_assert!(body.len() < 16 || !three.windows(body.len()).any(|part| part == body));
        }
    }

    #[test]
    fn hkdf_hmac_and_sha3_give_the_same_bytes(key: [u8; 32], salt: Vec<u8>, a: Vec<u8>, b: Vec<u8>, len in 0usize..=8160) {
        let joined = [&a[..], &b[..]].concat();
        let (prk, expander) = hkdf::Hkdf::<sha2::Sha256>::extract(Some(&salt), &joined);
        let own = kdf::extract(&salt, &[&a, &b]);
        prop_assert_eq!(&own.expose()[..], &prk[..]);
        let (mut one, mut two) = (vec![0; len], vec![0; len]);
        kdf::expand(&own, &[&a, &b], &mut one);
        expander.expand(&joined, &mut two).unwrap();
        prop_assert_eq!(one, two);

        let tag = hmac::Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap().chain_update(&joined).finalize();
        let key = Secret::copy_from(&key);
        prop_assert_eq!(&kdf::hmac(&key, &[&a, &b])[..], &tag.into_bytes()[..]);

        let mut hasher = Hasher::new();
        hasher.update(&a);
        hasher.update(&b);
        prop_assert_eq!(&hasher.finish()[..], &sha3::Sha3_256::digest(&joined)[..]);
        prop_assert_eq!(&sha3_512(&[&a, &b])[..], &sha3::Sha3_512::digest(&joined)[..]);
    }

    /// The keystream of a block of record keys is what ChaCha20-Poly1305 makes of zeros.
    #[test]
    fn the_keystream_is_the_same(key: [u8; 32], len in 0usize..4096) {
        let (mut one, mut two) = (vec![0xaa; len], vec![0; len]);
        kdf::keystream(&Secret::copy_from(&key), &mut one);
        let pure = SeededProvider::new(0).aead(AeadAlgorithm::ChaCha20Poly1305, &key).unwrap();
        pure.seal(&[0; 12], &[], &mut two).unwrap();
        prop_assert_eq!(one, two);
    }
}
