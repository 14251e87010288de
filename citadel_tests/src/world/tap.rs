//! What an end puts into records and takes out of them, seen at its keys: frames for the world's ledger.

use super::crypto::WorldProvider;
use bytes::Bytes;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::sign::{SEED_LEN, SigningKey};
use citadel_crypt::suite::{
    AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, DhKey, KemAlgorithm, KemKey, TAG_LEN,
};
use citadel_proto::frames::{Frame, Frames};
use citadel_proto::record::KIND_FRAMES;
use parking_lot::Mutex;
use std::sync::Arc;

/// Plaintexts of records, in order, until the world looks.
#[derive(Default, Debug)]
pub(super) struct Tape(Mutex<Vec<Seen>>);

/// The plaintext of one record.
#[derive(Debug)]
pub(super) enum Seen {
    Sealed(Bytes),
    Opened(Bytes),
}

impl Tape {
    /// What came since the last look.
    pub(super) fn take(&self) -> Vec<Seen> {
        core::mem::take(&mut *self.0.lock())
    }
}

/// The frames of a record.
pub(super) fn frames(body: &Bytes) -> impl Iterator<Item = Frame> {
    assert_eq!(body.first(), Some(&KIND_FRAMES), "a record of another kind");
    Frames::new(body.slice(1..)).map(|frame| frame.expect("a correct end writes frames that parse"))
}

/// The provider of one end's session: the world's, with a tape at every key of records.
#[derive(Debug)]
pub(super) struct Tap {
    inner: Arc<WorldProvider>,
    tape: Arc<Tape>,
}

impl Tap {
    pub(super) fn new(inner: &Arc<WorldProvider>) -> (Arc<Self>, Arc<Tape>) {
        let tape = Arc::<Tape>::default();
        (Arc::new(Self { inner: Arc::clone(inner), tape: Arc::clone(&tape) }), tape)
    }
}

struct TappedKey {
    key: Box<dyn AeadKey>,
    tape: Arc<Tape>,
}

impl AeadKey for TappedKey {
    fn seal(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError> {
        let plain = Bytes::copy_from_slice(body);
        let tag = self.key.seal(nonce, aad, body)?;
        self.tape.0.lock().push(Seen::Sealed(plain));
        Ok(tag)
    }

    fn open(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<usize, CryptoError> {
        let len = self.key.open(nonce, aad, body)?;
        self.tape.0.lock().push(Seen::Opened(Bytes::copy_from_slice(&body[..len])));
        Ok(len)
    }
}

impl CryptoProvider for Tap {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.inner.random(out)
    }

    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError> {
        self.inner.dh_generate()
    }

    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        self.inner.kem_generate(algorithm)
    }

    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
        self.inner.kem_encapsulate(algorithm, encapsulation_key)
    }

    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
        let key = self.inner.aead(algorithm, key)?;
        Ok(Box::new(TappedKey { key, tape: Arc::clone(&self.tape) }))
    }

    fn signing_key(&self, seed: &Secret<SEED_LEN>) -> Result<Box<dyn SigningKey>, CryptoError> {
        self.inner.signing_key(seed)
    }
}
