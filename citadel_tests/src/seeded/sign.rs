//! The hybrid signature by `ed25519-dalek` and `ml-dsa`, deterministic.

use citadel_crypt::secret::Secret;
use citadel_crypt::suite::CryptoError;
use citadel_crypt::suite::sign::{PUBLIC_LEN, SEED_LEN, SIGNATURE_LEN, SigningKey};
use ed25519_dalek::Signer;
use ml_dsa::{EncodedSignature, ExpandedSigningKey, MlDsa65, Signature, VerifyingKey};

pub(super) struct PureSigningKey {
    ed25519: ed25519_dalek::SigningKey,
    ml_dsa: ExpandedSigningKey<MlDsa65>,
}

impl PureSigningKey {
    pub(super) fn from_seed(seed: &Secret<SEED_LEN>) -> Self {
        let (mut ed, mut ml) = ([0; 32], [0; 32]);
        ed.copy_from_slice(&seed.expose()[..32]);
        ml.copy_from_slice(&seed.expose()[32..]);
        Self {
            ed25519: ed25519_dalek::SigningKey::from_bytes(&ed),
            ml_dsa: ExpandedSigningKey::from_seed(&ml.into()),
        }
    }
}

impl SigningKey for PureSigningKey {
    fn public(&self) -> Box<[u8; PUBLIC_LEN]> {
        let mut public = Box::new([0; PUBLIC_LEN]);
        public[..32].copy_from_slice(self.ed25519.verifying_key().as_bytes());
        public[32..].copy_from_slice(&self.ml_dsa.verifying_key().encode());
        public
    }

    fn sign(&self, message: &[u8]) -> Result<Box<[u8; SIGNATURE_LEN]>, CryptoError> {
        let mut signature = Box::new([0; SIGNATURE_LEN]);
        signature[..64].copy_from_slice(&self.ed25519.sign(message).to_bytes());
        let ml = self.ml_dsa.sign_deterministic(message, &[]).map_err(|_| CryptoError::Unavailable)?;
        signature[64..].copy_from_slice(&ml.encode());
        Ok(signature)
    }
}

/// [`sign::verify`](citadel_crypt::suite::sign::verify) by the pure-Rust crates.
pub fn verify(public: &[u8; PUBLIC_LEN], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    let (mut ed_public, mut ed_signature) = ([0; 32], [0; 64]);
    ed_public.copy_from_slice(&public[..32]);
    ed_signature.copy_from_slice(&signature[..64]);
    let ed = ed25519_dalek::VerifyingKey::from_bytes(&ed_public).is_ok_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&ed_signature)).is_ok()
    });
    let ml = <&EncodedSignature<MlDsa65>>::try_from(&signature[64..]).ok().and_then(Signature::decode);
    let key = public[32..].try_into().ok().map(VerifyingKey::<MlDsa65>::decode);
    ed && ml.zip(key).is_some_and(|(ml, key)| key.verify_with_context(message, &[], &ml))
}
