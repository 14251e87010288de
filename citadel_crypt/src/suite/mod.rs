//! Primitives behind small traits. Only the files of this folder name a crypto crate.
//!
//! Owns: algorithm numbers, suites, the provider trait and its native implementation, hybrid identities' signatures.
//! Never: protocol decisions, key schedules, labels (they are in `labels.rs` at the crate's root).
//!
//! Invariants: every secret that leaves here is a [`Secret`] or an opaque handle that is wiped
//! on drop; every check that a standard asks for on a peer's value is done here and its failure is a typed error.

use crate::secret::Secret;
use core::fmt;

pub mod hash;
pub mod kdf;
#[cfg(feature = "kyber-pqc")]
pub mod kyber;
mod names;
mod native;
pub mod sign;

pub use names::{SecurityLevel, Suite};
pub use native::Native;

/// A KEM of the hybrid; always beside X25519.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum KemAlgorithm {
    /// ML-KEM-768 (FIPS 203), the default.
    MlKem768,
    /// ML-KEM-1024 (FIPS 203).
    MlKem1024,
    /// ML-KEM-512 through the `kyber-pqc` crate.
    #[cfg(feature = "kyber-pqc")]
    MlKem512,
}

/// An AEAD for records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum AeadAlgorithm {
    /// AES-256-GCM (NIST SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
    /// Ascon-AEAD128 (NIST SP 800-232): 128-bit key and nonce; never a default, never under `Reinforced`.
    AsconAead128,
}

impl KemAlgorithm {
    /// Length of an encapsulation key, bytes (FIPS 203, table 3).
    pub const fn encapsulation_key_len(self) -> usize {
        match self {
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
            #[cfg(feature = "kyber-pqc")]
            Self::MlKem512 => 800,
        }
    }

    /// Length of a ciphertext, bytes (FIPS 203, table 3).
    pub const fn ciphertext_len(self) -> usize {
        match self {
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
            #[cfg(feature = "kyber-pqc")]
            Self::MlKem512 => 768,
        }
    }
}

impl AeadAlgorithm {
    /// Length of a key, bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
            Self::AsconAead128 => 16,
        }
    }

    /// Length of a nonce, bytes.
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 12,
            Self::AsconAead128 => 16,
        }
    }
}

/// Longest key of any AEAD here, bytes.
pub const MAX_KEY_LEN: usize = 32;
/// Longest nonce of any AEAD here, bytes.
pub const MAX_NONCE_LEN: usize = 16;
/// Tag of every AEAD here, bytes.
pub const TAG_LEN: usize = 16;

/// A primitive failed. Says whose fault it is and nothing about any byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// A public value, ciphertext or signature of the peer fails its check.
    #[error("the peer's value fails its check")]
    PeerValue,
    /// An AEAD tag does not match.
    #[error("authentication failed")]
    Open,
    /// Randomness, key generation or a library call on our own values failed.
    #[error("a cryptographic primitive is unavailable")]
    Unavailable,
}

/// One X25519 private key (RFC 7748).
pub trait DhKey: Send {
    /// The shared secret with `peer`.
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] when the result is all zeros (a low-order point).
    fn agree(&self, peer: &[u8; 32]) -> Result<Secret<32>, CryptoError>;
}

/// One KEM decapsulation key.
pub trait KemKey: Send {
    /// The shared secret in `ciphertext`. A wrong ciphertext of the right length gives an unrelated secret
    /// (implicit rejection, FIPS 203).
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] for a ciphertext of the wrong length.
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError>;
}

/// One AEAD key.
pub trait AeadKey: Send + Sync {
    /// Encrypts `body` in place and returns the tag. `nonce` has the algorithm's nonce length and is used once.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] for a body over the algorithm's limit or a nonce of another length.
    fn seal(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError>;

    /// Decrypts `body` (ciphertext then tag) in place and returns the length of the plaintext, which stands at its
    /// start. After an error the content of `body` is unspecified and holds no plaintext.
    ///
    /// # Errors
    /// [`CryptoError::Open`]; [`CryptoError::Unavailable`] for a nonce of another length.
    fn open(&self, nonce: &[u8], aad: &[u8], body: &mut [u8]) -> Result<usize, CryptoError>;
}

/// Where randomness and primitives come from. Native: [`Native`]. Tests bring a seeded one of pure-Rust crates.
pub trait CryptoProvider: Send + Sync + fmt::Debug + 'static {
    /// Fills `out` with random bytes.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError>;

    /// A fresh X25519 key and its public value.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    fn dh_generate(&self) -> Result<(Box<dyn DhKey>, [u8; 32]), CryptoError>;

    /// A fresh KEM key and its encapsulation key.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    fn kem_generate(&self, algorithm: KemAlgorithm) -> Result<(Box<dyn KemKey>, Vec<u8>), CryptoError>;

    /// Ciphertext and shared secret for `encapsulation_key`, after the input checks of FIPS 203, 7.2.
    ///
    /// # Errors
    /// [`CryptoError::PeerValue`] for a malformed key.
    fn kem_encapsulate(
        &self,
        algorithm: KemAlgorithm,
        encapsulation_key: &[u8],
    ) -> Result<(Vec<u8>, Secret<32>), CryptoError>;

    /// An AEAD key from the first `algorithm.key_len()` bytes of `key`.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] when `key` is too short.
    fn aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadKey>, CryptoError>;

    /// [`AeadKey::seal`] under a key that is used for this one record and wiped with the call.
    ///
    /// # Errors
    /// As [`aead`](Self::aead) and [`AeadKey::seal`].
    fn seal_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        self.aead(algorithm, key)?.seal(nonce, aad, body)
    }

    /// [`AeadKey::open`] under a key that is used for this one record and wiped with the call.
    ///
    /// # Errors
    /// As [`aead`](Self::aead) and [`AeadKey::open`].
    fn open_once(
        &self,
        algorithm: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, CryptoError> {
        self.aead(algorithm, key)?.open(nonce, aad, body)
    }

    /// The hybrid signing key of `seed`.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    fn signing_key(
        &self,
        seed: &Secret<{ sign::SEED_LEN }>,
    ) -> Result<Box<dyn sign::SigningKey>, CryptoError>;
}
