//! `kyber-pqc`'s ML-KEM-512 against AWS-LC's and `ml-kem`'s, and the FIPS 203 checks that it lacks and the wrapper adds.

use aws_lc_rs::kem::{DecapsulationKey, EncapsulationKey, ML_KEM_512};
use citadel_crypt::suite::{CryptoError, CryptoProvider, KemAlgorithm, KemKey, Native, kyber};
use citadel_tests::seeded::SeededProvider;

const EMBEDDED_HASH: usize = 768 + 800;

#[test]
fn aws_lc_understands_it_in_both_directions() {
    for _ in 0..20 {
        let (key, public) = kyber::DecapsulationKey::generate().unwrap();
        let theirs = EncapsulationKey::new(&ML_KEM_512, &public).unwrap();
        let (ciphertext, secret) = theirs.encapsulate().unwrap();
        assert_eq!(key.decapsulate(ciphertext.as_ref()).unwrap().expose()[..], *secret.as_ref());

        let theirs = DecapsulationKey::generate(&ML_KEM_512).unwrap();
        let public = theirs.encapsulation_key().unwrap().key_bytes().unwrap();
        let (ciphertext, secret) = kyber::encapsulate(public.as_ref()).unwrap();
        let same = theirs.decapsulate(ciphertext[..].into()).unwrap();
        assert_eq!(same.as_ref(), &secret.expose()[..]);
    }
}

/// One key in all three: the same secret, and the same rejection secret for each changed byte.
#[test]
fn three_implementations_reject_alike() {
    let (pure, public, expanded) = SeededProvider::expanded_kem_key(KemAlgorithm::MlKem512, [11; 64]);
    let kyber = kyber::DecapsulationKey::from_bytes(&expanded).unwrap();
    let aws_lc = DecapsulationKey::new(&ML_KEM_512, &expanded).unwrap();
    let (ciphertext, secret) = kyber::encapsulate(&public).unwrap();
    for changed in 0..ciphertext.len() {
        let mut ciphertext = ciphertext.clone();
        ciphertext[changed] ^= 1;
        let rejected = kyber.decapsulate(&ciphertext).unwrap();
        assert_ne!(rejected, secret);
        assert_eq!(pure.decapsulate(&ciphertext).unwrap(), rejected);
        assert_eq!(aws_lc.decapsulate(ciphertext[..].into()).unwrap().as_ref(), &rejected.expose()[..]);
    }
}

/// FIPS 203, 7.3: length and hash of the decapsulation key, length of the ciphertext.
#[test]
fn a_damaged_key_and_a_cut_ciphertext_are_refused() {
    let (_, _, expanded) = SeededProvider::expanded_kem_key(KemAlgorithm::MlKem512, [12; 64]);
    for byte in [768, 768 + 799, EMBEDDED_HASH, EMBEDDED_HASH + 31] {
        let mut damaged = expanded.clone();
        damaged[byte] ^= 1;
        assert_eq!(kyber::DecapsulationKey::from_bytes(&damaged).err(), Some(CryptoError::Unavailable));
    }
    assert!(kyber::DecapsulationKey::from_bytes(&expanded[1..]).is_err());
    let key = kyber::DecapsulationKey::from_bytes(&expanded).unwrap();
    for len in [0, 767, 769] {
        assert_eq!(key.decapsulate(&vec![0; len]).err(), Some(CryptoError::PeerValue));
    }
}

/// FIPS 203, 7.2: what `kyber-pqc` alone accepts, the wrapper and AWS-LC refuse.
#[test]
fn an_unreduced_key_is_refused_as_aws_lc_refuses_it() {
    let (_, mut public) = Native.kem_generate(KemAlgorithm::MlKem512).unwrap();
    public[..3].copy_from_slice(&[0xff, 0xff, 0xff]);
    assert!(EncapsulationKey::new(&ML_KEM_512, &public).unwrap().encapsulate().is_err());
    assert_eq!(kyber::encapsulate(&public).err(), Some(CryptoError::PeerValue));
    for len in [0, 799, 801] {
        assert_eq!(kyber::encapsulate(&vec![0; len]).err(), Some(CryptoError::PeerValue));
    }
}
