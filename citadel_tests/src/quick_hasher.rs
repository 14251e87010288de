//! One hash in the place of Argon2id: where decisions around passwords are tried by the thousand, their cost is not.

use citadel_crypt::handshake::Password;
use citadel_crypt::suite::hash::sha3_512;
use citadel_proto::accounts::{HashError, PasswordHasher, SALT_LEN, Verified};
use citadel_proto::backend::PasswordHash;

/// The hasher.
#[derive(Debug)]
pub(crate) struct Quick;

impl Quick {
    fn store(password: &[u8], salt: &[u8]) -> Result<PasswordHash, HashError> {
        let hash = sha3_512(&[salt, password]);
        let text: String = salt.iter().chain(&hash).map(|byte| format!("{byte:02x}")).collect();
        PasswordHash::new(text).map_err(|_| HashError::Unavailable)
    }
}

impl PasswordHasher for Quick {
    fn hash(&self, password: &Password, salt: &[u8; SALT_LEN]) -> Result<PasswordHash, HashError> {
        Self::store(password.expose(), salt)
    }

    fn verify(&self, password: &Password, stored: &PasswordHash) -> Result<Verified, HashError> {
        let text = stored.expose().get(..2 * SALT_LEN).ok_or(HashError::Damaged)?;
        let byte = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let salt: Option<Vec<u8>> = (0..SALT_LEN).map(|n| byte(2 * n)).collect();
        let again = Self::store(password.expose(), &salt.ok_or(HashError::Damaged)?)?;
        Ok(if again == *stored { Verified::Right { is_outdated: false } } else { Verified::Wrong })
    }

    fn decoy(&self, random: &[u8; SALT_LEN + 32]) -> Result<PasswordHash, HashError> {
        Self::store(random, &random[..SALT_LEN])
    }

    fn is_instant(&self) -> bool {
        true
    }
}
