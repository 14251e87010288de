//! The hybrid signature: Ed25519 (RFC 8032) and ML-DSA-65 (FIPS 204, pure, empty context). Both must verify.
//!
//! What is signed, and under which label, is [`identity`](crate::identity)'s part.

use super::CryptoError;
use crate::secret::Secret;
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, PqdsaKeyPair, UnparsedPublicKey,
};

/// Seed of both keys: 32 bytes of Ed25519, then 32 bytes of ML-DSA-65 (its xi).
pub const SEED_LEN: usize = 64;
/// Public value: 32 bytes of Ed25519, then 1,952 bytes of ML-DSA-65.
pub const PUBLIC_LEN: usize = ED25519_PUBLIC_LEN + 1952;
/// Signature: 64 bytes of Ed25519, then 3,309 bytes of ML-DSA-65.
pub const SIGNATURE_LEN: usize = ED25519_SIGNATURE_LEN + 3309;

const ED25519_SEED_LEN: usize = 32;
const ED25519_PUBLIC_LEN: usize = 32;
const ED25519_SIGNATURE_LEN: usize = 64;

/// A hybrid signing key.
pub trait SigningKey: Send + Sync {
    /// The public value.
    fn public(&self) -> Box<[u8; PUBLIC_LEN]>;

    /// Signs `message` with both keys.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] when a library call fails.
    fn sign(&self, message: &[u8]) -> Result<Box<[u8; SIGNATURE_LEN]>, CryptoError>;
}

/// Checks both signatures over `message`.
///
/// # Errors
/// [`CryptoError::PeerValue`] when either does not verify, or a length is wrong.
pub fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    if public.len() != PUBLIC_LEN || signature.len() != SIGNATURE_LEN {
        return Err(CryptoError::PeerValue);
    }
    let (ed_public, ml_public) = public.split_at(ED25519_PUBLIC_LEN);
    let (ed_signature, ml_signature) = signature.split_at(ED25519_SIGNATURE_LEN);
    UnparsedPublicKey::new(&ED25519, ed_public)
        .verify(message, ed_signature)
        .and_then(|()| UnparsedPublicKey::new(&ML_DSA_65, ml_public).verify(message, ml_signature))
        .map_err(|_| CryptoError::PeerValue)
}

/// The native hybrid key; the library wipes both handles.
pub(super) struct NativeSigningKey {
    ed25519: Ed25519KeyPair,
    ml_dsa: PqdsaKeyPair,
}

impl NativeSigningKey {
    pub(super) fn from_seed(seed: &Secret<SEED_LEN>) -> Result<Self, CryptoError> {
        let (ed_seed, ml_seed) = seed.expose().split_at(ED25519_SEED_LEN);
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(ed_seed).map_err(|_| CryptoError::Unavailable)?;
        let ml_dsa =
            PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, ml_seed).map_err(|_| CryptoError::Unavailable)?;
        Ok(Self { ed25519, ml_dsa })
    }
}

impl SigningKey for NativeSigningKey {
    fn public(&self) -> Box<[u8; PUBLIC_LEN]> {
        let mut public = Box::new([0; PUBLIC_LEN]);
        public[..ED25519_PUBLIC_LEN].copy_from_slice(self.ed25519.public_key().as_ref());
        public[ED25519_PUBLIC_LEN..].copy_from_slice(self.ml_dsa.public_key().as_ref());
        public
    }

    fn sign(&self, message: &[u8]) -> Result<Box<[u8; SIGNATURE_LEN]>, CryptoError> {
        let mut signature = Box::new([0; SIGNATURE_LEN]);
        let (ed_signature, ml_signature) = signature.split_at_mut(ED25519_SIGNATURE_LEN);
        let ed = self.ed25519.try_sign(message).map_err(|_| CryptoError::Unavailable)?;
        ed_signature.copy_from_slice(ed.as_ref());
        self.ml_dsa.sign(message, ml_signature).map_err(|_| CryptoError::Unavailable)?;
        Ok(signature)
    }
}
