//! ML-KEM-512 through the `kyber-pqc` crate (feature `kyber-pqc`), with what FIPS 203 asks for and that crate leaves
//! out: the modulus check of 7.2, the length and hash checks of 7.3. Only ever used beside X25519 (R-CRY-9).
//!
//! Wiped: the decapsulation key and every shared secret that this module holds, and the structs the crate returns.
//! Out of reach: the stack of the C code and of the crate's functions, which wipe nothing, so copies of a key, a
//! message or its randomness may stay in dead stack frames until they are overwritten. The crate takes its randomness
//! from the operating system itself and aborts the process when there is none.

use super::hash::Hasher;
use super::{CryptoError, KemKey};
use crate::secret::Secret;
use kyber_pqc::{CIPHERTEXT_BYTES, PRIVATE_KEY_BYTES, PUBLIC_KEY_BYTES};
use zeroize::Zeroize;

const Q: u16 = 3329;
/// The encoded vector of an encapsulation key; the seed of the matrix follows it.
const VECTOR_BYTES: usize = PUBLIC_KEY_BYTES - 32;
/// Where the encapsulation key, then its hash, stand in a decapsulation key (FIPS 203, algorithm 16).
const EMBEDDED_KEY: usize = VECTOR_BYTES;
const EMBEDDED_HASH: usize = EMBEDDED_KEY + PUBLIC_KEY_BYTES;

/// A decapsulation key of ML-KEM-512.
pub struct DecapsulationKey(Secret<PRIVATE_KEY_BYTES>);

impl DecapsulationKey {
    /// A fresh key and its encapsulation key.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn generate() -> Result<(Self, Vec<u8>), CryptoError> {
        let mut pair = kyber_pqc::generate_keypair().map_err(|_| CryptoError::Unavailable)?;
        let key = Self::from_bytes(&pair.private_key);
        pair.private_key.zeroize();
        Ok((key?, pair.public_key.to_vec()))
    }

    /// Takes a copy of an expanded key; wiping the source is the caller's part.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] when length or embedded hash is wrong (FIPS 203, 7.3).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let bytes = bytes.try_into().map_err(|_| CryptoError::Unavailable)?;
        let key = Self(Secret::copy_from(bytes));
        key.check_hash()?;
        Ok(key)
    }

    fn check_hash(&self) -> Result<(), CryptoError> {
        let bytes = self.0.expose();
        let mut hasher = Hasher::new();
        hasher.update(&bytes[EMBEDDED_KEY..EMBEDDED_HASH]);
        if hasher.finish() == bytes[EMBEDDED_HASH..EMBEDDED_HASH + 32] {
            Ok(())
        } else {
            Err(CryptoError::Unavailable)
        }
    }
}

impl KemKey for DecapsulationKey {
    fn decapsulate(&self, ciphertext: &[u8]) -> Result<Secret<32>, CryptoError> {
        let ciphertext: &[u8; CIPHERTEXT_BYTES] =
            ciphertext.try_into().map_err(|_| CryptoError::PeerValue)?;
        self.check_hash()?;
        let mut bytes =
            kyber_pqc::decapsulate(ciphertext, self.0.expose()).map_err(|_| CryptoError::Unavailable)?;
        let secret = Secret::copy_from(&bytes);
        bytes.zeroize();
        Ok(secret)
    }
}

/// Ciphertext and shared secret for `encapsulation_key`.
///
/// # Errors
/// [`CryptoError::PeerValue`] for a wrong length or a coefficient that is not reduced (FIPS 203, 7.2).
pub fn encapsulate(encapsulation_key: &[u8]) -> Result<(Vec<u8>, Secret<32>), CryptoError> {
    let key: &[u8; PUBLIC_KEY_BYTES] = encapsulation_key.try_into().map_err(|_| CryptoError::PeerValue)?;
    if !is_reduced(&key[..VECTOR_BYTES]) {
        return Err(CryptoError::PeerValue);
    }
    let mut result = kyber_pqc::encapsulate(key).map_err(|_| CryptoError::Unavailable)?;
    let secret = Secret::copy_from(&result.shared_secret);
    result.shared_secret.zeroize();
    Ok((result.data.to_vec(), secret))
}

/// Whether every 12-bit coefficient is below q, which is what decoding and encoding again would show.
fn is_reduced(vector: &[u8]) -> bool {
    vector.chunks_exact(3).all(|three| {
        let [a, b, c] = [three[0], three[1], three[2]].map(u16::from);
        (a | (b & 0x0f) << 8) < Q && (b >> 4 | c << 4) < Q
    })
}
