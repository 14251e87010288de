//! A provider that computes what the one below it computes and counts the round secrets that are alive.

use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, Native, TAG_LEN,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// KEM decapsulation keys of one endpoint: what an offer in flight consists of.
#[derive(Debug, Default)]
pub struct RoundSecrets {
    alive: AtomicUsize,
    most: AtomicUsize,
    made: AtomicUsize,
}

impl RoundSecrets {
    /// Alive now.
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }

    /// The most that were ever alive at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Made since the start.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }
}

/// The native provider with a count.
#[derive(Debug, Default)]
pub struct CountingProvider {
    secrets: Arc<RoundSecrets>,
}

impl CountingProvider {
    /// The count, to be kept beside the provider.
    pub fn secrets(&self) -> Arc<RoundSecrets> {
        Arc::clone(&self.secrets)
    }
}

/// A decapsulation key that is counted until it is dropped.
struct Counted {
    key: Box<dyn KemKey>,
    secrets: Arc<RoundSecrets>,
}

impl KemKey for Counted {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        self.key.decapsulate(ciphertext)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.secrets.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl CryptoProvider for CountingProvider {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        Native.random(out)
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        Native.dh_generate()
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        let (key, public) = Native.kem_generate(algorithm)?;
        let alive = self.secrets.alive.fetch_add(1, Ordering::SeqCst) + 1;
        self.secrets.most.fetch_max(alive, Ordering::SeqCst);
        self.secrets.made.fetch_add(1, Ordering::SeqCst);
        Ok((Box::new(Counted { key, secrets: Arc::clone(&self.secrets) }), public))
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        Native.kem_encapsulate(algorithm, encapsulation_key)
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        Native.aead(algorithm, key)
    }

    fn seal_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        Native.seal_once(algorithm, key, nonce, aad, body)
    }

    fn open_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, CryptoError> {
        Native.open_once(algorithm, key, nonce, aad, body)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        Native.signing_key(seed)
    }
}
