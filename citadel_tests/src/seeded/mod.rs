//! A provider of pure-Rust primitives whose every result follows from a seed.
//!
//! Owns: the cross-check of the native backend and the source of frozen vectors; signatures are ML-DSA's deterministic
//! variant. Never: a stand-in, it computes the same functions as [`Native`](citadel_crypt::suite::Native) does.

mod aead;
mod agree;
mod sign;

pub use sign::verify;

use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey,
};
use core::fmt;
use parking_lot::Mutex;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Draws from one ChaCha20 stream: the same calls in the same order give the same results.
pub struct SeededProvider {
    seed: u64,
    rng: Mutex<ChaCha20Rng>,
}

impl SeededProvider {
    /// The provider of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, rng: Mutex::new(ChaCha20Rng::seed_from_u64(seed)) }
    }

    /// The X25519 key of these bytes and its public value.
    pub fn dh_key(private: [u8; 32]) -> (Box<dyn DhKey>, [u8; 32]) {
        agree::x25519(private)
    }

    /// The ML-KEM key of the seed d ‖ z (FIPS 203, 7.1) and its encapsulation key.
    pub fn kem_key(algorithm: KemAlgorithm, seed: [u8; 64]) -> (Box<dyn KemKey>, Vec<u8>) {
        let (key, public, _) = agree::key(algorithm, seed);
        (key, public)
    }

    /// The same with the expanded form of the decapsulation key.
    pub fn expanded_kem_key(algorithm: KemAlgorithm, seed: [u8; 64]) -> (Box<dyn KemKey>, Vec<u8>, Vec<u8>) {
        agree::key(algorithm, seed)
    }

    /// Encapsulation with the message `m` (FIPS 203, algorithm 17).
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] for a malformed key.
    pub fn encapsulate(
        algorithm: KemAlgorithm,
        key: &[u8],
        m: [u8; 32],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        agree::encapsulate(algorithm, key, m)
    }

    fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.lock().fill_bytes(&mut bytes);
        bytes
    }
}

impl fmt::Debug for SeededProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeededProvider({})", self.seed)
    }
}

impl CryptoProvider for SeededProvider {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.rng.lock().fill_bytes(out);
        Ok(())
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        Ok(Self::dh_key(self.draw()))
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        Ok(Self::kem_key(algorithm, self.draw()))
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        Self::encapsulate(algorithm, encapsulation_key, self.draw())
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        aead::key(algorithm, key)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(sign::PureSigningKey::from_seed(seed)))
    }
}
