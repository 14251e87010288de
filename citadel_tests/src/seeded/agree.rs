//! X25519 by `x25519-dalek`, ML-KEM by `ml-kem`.

use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoError, DhKey, KemAlgorithm, KemKey};
use ml_kem::kem::{Decapsulate, KeyExport};
use x25519_dalek::{PublicKey, StaticSecret};

pub(super) fn x25519(private: [u8; 32]) -> (Box<dyn DhKey>, [u8; 32]) {
    let key = StaticSecret::from(private);
    let public = PublicKey::from(&key).to_bytes();
    (Box::new(X25519(key)), public)
}

struct X25519(StaticSecret);

impl DhKey for X25519 {
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError> {
        let secret = self.0.diffie_hellman(&PublicKey::from(*peer));
        if secret.was_contributory() {
            Ok(Secret::copy_from(secret.as_bytes()))
        } else {
            Err(CryptoError::PeerValue)
        }
    }
}

/// Decapsulation key, encapsulation key, and the expanded form of the former.
#[expect(deprecated, reason = "the expanded form is the only one that the native backend imports")]
pub(super) fn key(algorithm: KemAlgorithm, seed: [u8; 64]) -> (Box<dyn KemKey>, Vec<u8>, Vec<u8>) {
    macro_rules! key {
        ($set:ident) => {{
            let key = ml_kem::$set::DecapsulationKey::from_seed(seed.into());
            let public = key.encapsulation_key().to_bytes().to_vec();
            let expanded = ml_kem::ExpandedKeyEncoding::to_expanded_bytes(&key).to_vec();
            (Box::new(MlKem(key)), public, expanded)
        }};
    }
    match algorithm {
        KemAlgorithm::MlKem768 => key!(ml_kem_768),
        KemAlgorithm::MlKem1024 => key!(ml_kem_1024),
        #[cfg(feature = "kyber-pqc")]
        KemAlgorithm::MlKem512 => key!(ml_kem_512),
        other => unreachable!("{other} has no pure-Rust twin"),
    }
}

pub(super) fn encapsulate(
    algorithm: KemAlgorithm,
    key: &[u8],
    m: [u8; 32],
) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
    macro_rules! encapsulate {
        ($set:ident) => {{
            let key = key.try_into().map_err(|_| CryptoError::PeerValue)?;
            let key = ml_kem::$set::EncapsulationKey::new(key).map_err(|_| CryptoError::PeerValue)?;
            let (ciphertext, secret) = key.encapsulate_deterministic(&m.into());
            Ok((ciphertext.to_vec(), Secret::copy_from(&secret.into())))
        }};
    }
    match algorithm {
        KemAlgorithm::MlKem768 => encapsulate!(ml_kem_768),
        KemAlgorithm::MlKem1024 => encapsulate!(ml_kem_1024),
        #[cfg(feature = "kyber-pqc")]
        KemAlgorithm::MlKem512 => encapsulate!(ml_kem_512),
        other => unreachable!("{other} has no pure-Rust twin"),
    }
}

struct MlKem<K>(K);

impl<K: Decapsulate + Send> KemKey for MlKem<K> {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        let secret = self.0.decapsulate_slice(ciphertext).map_err(|_| CryptoError::PeerValue)?;
        secret.as_slice().try_into().map(Secret::copy_from).map_err(|_| CryptoError::Unavailable)
    }
}
