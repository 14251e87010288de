//! AEADs by the RustCrypto crates.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce};
use ascon_aead::AsconAead128;
use chacha20poly1305::ChaCha20Poly1305;
use citadel_crypt::suite::{AeadAlgorithm, AeadKey, CryptoError, TAG_LEN};

pub(super) fn key(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError> {
    let key = key.get(..algorithm.key_len()).ok_or(CryptoError::Unavailable)?;
    match algorithm {
        AeadAlgorithm::Aes256Gcm => make::<Aes256Gcm>(key),
        AeadAlgorithm::ChaCha20Poly1305 => make::<ChaCha20Poly1305>(key),
        AeadAlgorithm::AsconAead128 => make::<AsconAead128>(key),
        _ => Err(CryptoError::Unavailable),
    }
}

fn make<A>(key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>
where
    A: AeadInOut + KeyInit + Send + Sync + 'static,
{
    A::new_from_slice(key)
        .map(|key| Box::new(Pure(key)) as Box<dyn AeadKey>)
        .map_err(|_| CryptoError::Unavailable)
}

struct Pure<A>(A);

impl<A: AeadInOut + Send + Sync> AeadKey for Pure<A> {
    fn seal(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError> {
        let nonce: &Nonce<A> = nonce.try_into().map_err(|_| CryptoError::Unavailable)?;
        let tag =
            self.0.encrypt_inout_detached(nonce, aad, body.into()).map_err(|_| CryptoError::Unavailable)?;
        tag.as_slice().try_into().map_err(|_| CryptoError::Unavailable)
    }

    fn open(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<usize, CryptoError> {
        let nonce: &Nonce<A> = nonce.try_into().map_err(|_| CryptoError::Unavailable)?;
        let len = body.len().checked_sub(TAG_LEN).ok_or(CryptoError::Open)?;
        let (text, tag) = body.split_at_mut(len);
        let tag = (&*tag).try_into().map_err(|_| CryptoError::Open)?;
        if self.0.decrypt_inout_detached(nonce, aad, text.into(), tag).is_err() {
            body.fill(0);
            return Err(CryptoError::Open);
        }
        Ok(len)
    }
}
