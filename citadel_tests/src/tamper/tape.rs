//! A provider that remembers: rewound, it gives the same randomness, the same keys and the same signatures again.
//!
//! aws-lc-rs cannot be seeded, so this is how one recorded handshake is run ten thousand times with one bit changed.
//! Keys are shared with the first run, agreement and seals are computed anew each time.

use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{PUBLIC_LEN, SEED_LEN, SIGNATURE_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, Native,
};
use core::fmt;
use parking_lot::Mutex;
use std::sync::Arc;

/// Most encapsulations and signatures remembered: those of the recorded run come first, spoilt ones need no place.
const MOST_REMEMBERED: usize = 8;

/// The native provider with a memory.
#[derive(Default)]
pub struct Tape {
    reels: Mutex<Reels>,
}

#[derive(Default)]
struct Reels {
    random: Reel<Vec<u8>>,
    dh: Reel<(Shared<dyn DhKey>, [u8; 32])>,
    kem: Reel<(Shared<dyn KemKey>, Vec<u8>)>,
    encapsulated: Vec<Encapsulated>,
}

struct Encapsulated {
    key: Vec<u8>,
    ciphertext: Vec<u8>,
    secret: [u8; 32],
}

struct Reel<T> {
    items: Vec<T>,
    next: usize,
}

struct Shared<K: ?Sized>(Arc<Mutex<Box<K>>>);

impl Tape {
    /// Forgets all but signatures: the recording starts here.
    pub fn cut(&self) {
        *self.reels.lock() = Reels::default();
    }

    /// Starts over.
    pub fn rewind(&self) {
        let mut reels = self.reels.lock();
        reels.random.next = 0;
        reels.dh.next = 0;
        reels.kem.next = 0;
    }
}

impl CryptoProvider for Tape {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        let bytes = self.reels.lock().random.play(|| {
            let mut bytes = vec![0; out.len()];
            Native.random(&mut bytes)?;
            Ok(bytes)
        })?;
        out.copy_from_slice(&bytes);
        Ok(())
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        let (key, share) = self.reels.lock().dh.play(|| {
            let (key, share) = Native.dh_generate()?;
            Ok((Shared::new(key), share))
        })?;
        Ok((Box::new(key), share))
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        let (key, public) = self.reels.lock().kem.play(|| {
            let (key, public) = Native.kem_generate(algorithm)?;
            Ok((Shared::new(key), public))
        })?;
        Ok((Box::new(key), public))
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        let remembered = &mut self.reels.lock().encapsulated;
        if let Some(found) = remembered.iter().find(|found| found.key == key) {
            return Ok((found.ciphertext.clone(), Secret::copy_from(&found.secret)));
        }
        let (ciphertext, secret) = Native.kem_encapsulate(algorithm, key)?;
        if remembered.len() < MOST_REMEMBERED {
            let ciphertext = ciphertext.clone();
            remembered.push(Encapsulated { key: key.to_vec(), ciphertext, secret: *secret.expose() });
        }
        Ok((ciphertext, secret))
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        Native.aead(algorithm, key)
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(RememberingKey { key: Native.signing_key(seed)?, signed: Mutex::default() }))
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tape")
    }
}

impl<T: Clone> Reel<T> {
    fn play(&mut self, record: impl FnOnce() -> Result<T, CryptoError>) -> Result<T, CryptoError> {
        if self.next == self.items.len() {
            self.items.push(record()?);
        }
        let item = self.items[self.next].clone();
        self.next += 1;
        Ok(item)
    }
}

impl<T> Default for Reel<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: 0 }
    }
}

impl<K: ?Sized> Shared<K> {
    fn new(key: Box<K>) -> Self {
        Self(Arc::new(Mutex::new(key)))
    }
}

impl<K: ?Sized> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl DhKey for Shared<dyn DhKey> {
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError> {
        self.0.lock().agree(peer)
    }
}

impl KemKey for Shared<dyn KemKey> {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        self.0.lock().decapsulate(ciphertext)
    }
}

struct RememberingKey {
    key: Box<dyn SigningKey>,
    signed: Mutex<Vec<Signed>>,
}

struct Signed {
    message: Vec<u8>,
    signature: Box<[u8; SIGNATURE_LEN]>,
}

impl SigningKey for RememberingKey {
    fn public(&self) -> Box<[u8; PUBLIC_LEN]> {
        self.key.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Box<[u8; SIGNATURE_LEN]>, CryptoError> {
        let mut signed = self.signed.lock();
        if let Some(found) = signed.iter().find(|found| found.message == message) {
            return Ok(found.signature.clone());
        }
        let signature = self.key.sign(message)?;
        if signed.len() < MOST_REMEMBERED {
            signed.push(Signed { message: message.to_vec(), signature: signature.clone() });
        }
        Ok(signature)
    }
}
