//! Record AEADs: AES-256-GCM and ChaCha20-Poly1305 by AWS-LC, Ascon-AEAD128 by `ascon-aead`. In place, no allocation
//! once the key is made.

use crate::suite::{AeadAlgorithm, AeadKey, CryptoError, TAG_LEN};
use ascon_aead::{
    AsconAead128,
    aead::{AeadInOut, KeyInit},
};
use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

pub(super) enum NativeAead {
    AwsLc(LessSafeKey),
    Ascon(AsconAead128),
}

impl NativeAead {
    pub(super) fn new(algorithm: AeadAlgorithm, key: &[u8]) -> Result<Self, CryptoError> {
        let key = key.get(..algorithm.key_len()).ok_or(CryptoError::Unavailable)?;
        let aws_lc = match algorithm {
            AeadAlgorithm::Aes256Gcm => &AES_256_GCM,
            AeadAlgorithm::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            AeadAlgorithm::AsconAead128 => {
                return AsconAead128::new_from_slice(key)
                    .map(Self::Ascon)
                    .map_err(|_| CryptoError::Unavailable);
            }
        };
        let key = UnboundKey::new(aws_lc, key).map_err(|_| CryptoError::Unavailable)?;
        Ok(Self::AwsLc(LessSafeKey::new(key)))
    }
}

impl AeadKey for NativeAead {
    fn seal(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError> {
        match self {
            Self::AwsLc(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::Unavailable)?;
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(aad), body)
                    .map_err(|_| CryptoError::Unavailable)?;
                tag.as_ref().try_into().map_err(|_| CryptoError::Unavailable)
            }
            Self::Ascon(key) => {
                let nonce = nonce.try_into().map_err(|_| CryptoError::Unavailable)?;
                let tag = key
                    .encrypt_inout_detached(nonce, aad, body.into())
                    .map_err(|_| CryptoError::Unavailable)?;
                Ok(tag.into())
            }
        }
    }

    fn open(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<usize, CryptoError> {
        let len = body.len().checked_sub(TAG_LEN).ok_or(CryptoError::Open)?;
        match self {
            Self::AwsLc(key) => {
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::Unavailable)?;
                key.open_in_place(nonce, Aad::from(aad), body).map_err(|_| CryptoError::Open)?;
            }
            Self::Ascon(key) => {
                let nonce = nonce.try_into().map_err(|_| CryptoError::Unavailable)?;
                let (text, tag) = body.split_at_mut(len);
                let tag = (&*tag).try_into().map_err(|_| CryptoError::Open)?;
                key.decrypt_inout_detached(nonce, aad, text.into(), tag).map_err(|_| CryptoError::Open)?;
            }
        }
        Ok(len)
    }
}
