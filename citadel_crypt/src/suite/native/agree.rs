//! X25519 and ML-KEM by AWS-LC.

use crate::secret::Secret;
#[cfg(feature = "kyber-pqc")]
use crate::suite::kyber;
use crate::suite::{CryptoError, DhKey, KemAlgorithm, KemKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::kem::{Algorithm, DecapsulationKey, EncapsulationKey, ML_KEM_768, ML_KEM_1024};
use subtle::ConstantTimeEq;

pub(super) struct X25519Key(PrivateKey);

impl X25519Key {
    pub(super) fn generate() -> Result<(Self, [u8; 32]), CryptoError> {
        PrivateKey::generate(&X25519).map_err(|_| CryptoError::Unavailable).and_then(Self::with_public)
    }

    pub(super) fn from_private(private: &Secret<32>) -> Result<(Self, [u8; 32]), CryptoError> {
        PrivateKey::from_private_key(&X25519, private.expose())
            .map_err(|_| CryptoError::Unavailable)
            .and_then(Self::with_public)
    }

    fn with_public(key: PrivateKey) -> Result<(Self, [u8; 32]), CryptoError> {
        let public = key.compute_public_key().map_err(|_| CryptoError::Unavailable)?;
        let public = public.as_ref().try_into().map_err(|_| CryptoError::Unavailable)?;
        Ok((Self(key), public))
    }
}

impl DhKey for X25519Key {
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError> {
        let peer = UnparsedPublicKey::new(&X25519, peer);
        // AWS-LC refuses the all-zero result (RFC 7748, 6.1) itself; the check here keeps the promise of the trait
        // from resting on that.
        agreement::agree(&self.0, peer, CryptoError::PeerValue, |secret| {
            let secret = secret_of(secret)?;
            if secret.expose().ct_eq(&[0; 32]).into() { Err(CryptoError::PeerValue) } else { Ok(secret) }
        })
    }
}

/// A fresh decapsulation key and its encapsulation key.
pub(super) fn generate(algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
    match algorithm {
        KemAlgorithm::MlKem768 => MlKemKey::generate(&ML_KEM_768),
        KemAlgorithm::MlKem1024 => MlKemKey::generate(&ML_KEM_1024),
        #[cfg(feature = "kyber-pqc")]
        KemAlgorithm::MlKem512 => {
            let (key, public) = kyber::DecapsulationKey::generate()?;
            Ok((Box::new(key), public))
        }
    }
}

/// The key of an expanded decapsulation key.
pub(super) fn from_expanded(algorithm: KemAlgorithm, key: &[u8]) -> Result<Box<dyn KemKey>, CryptoError> {
    let aws_lc = match algorithm {
        KemAlgorithm::MlKem768 => &ML_KEM_768,
        KemAlgorithm::MlKem1024 => &ML_KEM_1024,
        #[cfg(feature = "kyber-pqc")]
        KemAlgorithm::MlKem512 => return Ok(Box::new(kyber::DecapsulationKey::from_bytes(key)?)),
    };
    let key = DecapsulationKey::new(aws_lc, key).map_err(|_| CryptoError::Unavailable)?;
    Ok(Box::new(MlKemKey(key)))
}

/// Ciphertext and shared secret for the peer's `key`.
pub(super) fn encapsulate(algorithm: KemAlgorithm, key: &[u8]) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
    let aws_lc = match algorithm {
        KemAlgorithm::MlKem768 => &ML_KEM_768,
        KemAlgorithm::MlKem1024 => &ML_KEM_1024,
        #[cfg(feature = "kyber-pqc")]
        KemAlgorithm::MlKem512 => return kyber::encapsulate(key),
    };
    // The length is checked by `new`, the modulus (FIPS 203, 7.2) by `encapsulate`: both are the peer's fault.
    let key = EncapsulationKey::new(aws_lc, key).map_err(|_| CryptoError::PeerValue)?;
    let (ciphertext, secret) = key.encapsulate().map_err(|_| CryptoError::PeerValue)?;
    Ok((ciphertext.as_ref().to_vec(), secret_of(secret.as_ref())?))
}

struct MlKemKey(DecapsulationKey);

impl MlKemKey {
    fn generate(algorithm: &'static Algorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError> {
        let key = DecapsulationKey::generate(algorithm).map_err(|_| CryptoError::Unavailable)?;
        // The encapsulation key shares the handle of the secret, so only its bytes leave this scope.
        let public = key
            .encapsulation_key()
            .and_then(|public| public.key_bytes())
            .map_err(|_| CryptoError::Unavailable)?;
        Ok((Box::new(Self(key)), public.as_ref().to_vec()))
    }
}

impl KemKey for MlKemKey {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        // A wrong length is all that AWS-LC can find wrong here (FIPS 203, 7.3); the key is one of its own.
        let secret = self.0.decapsulate(ciphertext.into()).map_err(|_| CryptoError::PeerValue)?;
        secret_of(secret.as_ref())
    }
}

fn secret_of(bytes: &[u8]) -> Result<Secret<32>, CryptoError> {
    bytes.try_into().map(Secret::copy_from).map_err(|_| CryptoError::Unavailable)
}
