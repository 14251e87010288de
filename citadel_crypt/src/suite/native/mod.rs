//! The native provider: aws-lc-rs for everything but Ascon-AEAD128, which is `ascon-aead`.
//!
//! Key handles are wiped by AWS-LC when they are dropped; what is copied out of the library is a [`Secret`].

mod aead;
mod agree;

use super::sign::{NativeSigningKey, SEED_LEN, SigningKey};
use super::{AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, TAG_LEN};
use crate::secret::Secret;

/// The default provider: constant-time primitives of AWS-LC and the randomness of the operating system. AWS-LC aborts
/// the process when the system has no randomness to give.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Native;

impl Native {
    /// The X25519 key of given bytes, for published vectors and cross-checks; the protocol only generates keys.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn dh_key(&self, private: &Secret<32>) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        let (key, public) = agree::X25519Key::from_private(private)?;
        Ok((Box::new(key), public))
    }

    /// The KEM key of an expanded decapsulation key, for published vectors and cross-checks; the protocol only
    /// generates keys. The hash in it (FIPS 203, 7.3) is checked here or at decapsulation.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] for a malformed key.
    pub fn kem_key(&self, algorithm: KemAlgorithm, expanded: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
        agree::from_expanded(algorithm, expanded)
    }
}

impl CryptoProvider for Native {
    #[expect(clippy::disallowed_methods, reason = "this is the provider that everyone else is given")]
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        aws_lc_rs::rand::fill(out).map_err(|_| CryptoError::Unavailable)
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        let (key, public) = agree::X25519Key::generate()?;
        Ok((Box::new(key), public))
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        agree::generate(algorithm)
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        agree::encapsulate(algorithm, encapsulation_key)
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        Ok(Box::new(aead::NativeAead::new(algorithm, key)?))
    }

    fn seal_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        aead::NativeAead::new(algorithm, key)?.seal(nonce, aad, body)
    }

    fn open_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, CryptoError> {
        aead::NativeAead::new(algorithm, key)?.open(nonce, aad, body)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(NativeSigningKey::from_seed(seed)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Suite;

    #[test]
    fn both_ends_of_every_suite_agree() {
        for suite in Suite::all() {
            let (key, public) = Native.kem_generate(suite.kem).unwrap();
            assert_eq!(public.len(), suite.kem.encapsulation_key_len());
            let (ciphertext, secret) = Native.kem_encapsulate(suite.kem, &public).unwrap();
            assert_eq!(ciphertext.len(), suite.kem.ciphertext_len());
            assert_eq!(key.decapsulate(&ciphertext).unwrap(), secret);
            assert_eq!(key.decapsulate(&ciphertext[1..]).err(), Some(CryptoError::PeerValue));

            let record_key = Native.aead(suite.aead, &secret.expose()[..]).unwrap();
            let nonce = vec![3; suite.aead.nonce_len()];
            let mut body = b"body".to_vec();
            let tag = record_key.seal(&nonce, b"aad", &mut body).unwrap();
            body.extend(tag);
            let mut changed = body.clone();
            changed[0] ^= 1;
            assert_eq!(record_key.open(&nonce, b"aad", &mut changed), Err(CryptoError::Open));
            assert_eq!(record_key.open(&nonce, b"aad", &mut body), Ok(4));
            assert_eq!(&body[..4], b"body");
        }
    }

    #[test]
    fn x25519_agrees_and_refuses_low_order_points() {
        let (alice, alice_public) = Native.dh_generate().unwrap();
        let (bob, bob_public) = Native.dh_generate().unwrap();
        assert_eq!(alice.agree(&bob_public).unwrap(), bob.agree(&alice_public).unwrap());
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert_eq!(alice.agree(&point), Err(CryptoError::PeerValue));
        }
    }

    #[test]
    fn a_coefficient_beyond_the_modulus_is_the_peers_fault() {
        for algorithm in Suite::all().iter().map(|suite| suite.kem) {
            let (_, mut public) = Native.kem_generate(algorithm).unwrap();
            public[0] = 0xff;
            public[1] |= 0x0f;
            assert_eq!(Native.kem_encapsulate(algorithm, &public).err(), Some(CryptoError::PeerValue));
        }
    }
}
