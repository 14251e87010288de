//! What a password becomes before it is stored: Argon2id (RFC 9106), as a PHC string with its salt and parameters.
//!
//! The only file that names the `argon2` crate.

use crate::backend::PasswordHash;
use argon2::password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use citadel_crypt::handshake::Password;
use core::fmt;
use zeroize::Zeroizing;

/// Length of a salt, bytes (RFC 9106, 3.1).
pub const SALT_LEN: usize = 16;
/// Length of the hash, bytes.
const HASH_LEN: usize = 32;

/// What hashing a password costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The parameters are below the least that is safe, or beyond what a server can pay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("Argon2id takes 19 MiB to 1 GiB, 2 to 64 passes and 1 to 16 lanes here")]
pub struct ParamsOutOfRange;

impl Argon2Params {
    /// The least that is taken, and the default: 19 MiB, two passes, one lane (R-EST-4).
    pub const MINIMUM: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    const MAX: Self = Self { memory_kib: 1 << 20, passes: 64, lanes: 16 };

    /// Takes parameters: memory in KiB, passes over it, lanes.
    ///
    /// # Errors
    /// [`ParamsOutOfRange`].
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, ParamsOutOfRange> {
        let is_enough = memory_kib >= Self::MINIMUM.memory_kib
            && passes >= Self::MINIMUM.passes
            && lanes >= Self::MINIMUM.lanes;
        let is_payable =
            memory_kib <= Self::MAX.memory_kib && passes <= Self::MAX.passes && lanes <= Self::MAX.lanes;
        if is_enough && is_payable { Ok(Self { memory_kib, passes, lanes }) } else { Err(ParamsOutOfRange) }
    }

    /// The parameters of a stored hash; `None` when it is none of ours.
    fn of(stored: &Phc) -> Option<Self> {
        let number = |name: &str| stored.params.get_decimal(name);
        Self::new(number("m")?, number("t")?, number("p")?).ok()
    }

    /// Whether any of these is below `other`'s.
    const fn is_below(&self, other: &Self) -> bool {
        self.memory_kib < other.memory_kib || self.passes < other.passes || self.lanes < other.lanes
    }

    fn params(self) -> Result<Params, HashError> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_LEN))
            .map_err(|_| HashError::Unavailable)
    }

    fn argon2(self) -> Result<Argon2<'static>, HashError> {
        Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params()?))
    }
}

impl Default for Argon2Params {
    fn default() -> Self {
        Self::MINIMUM
    }
}

/// What a check of a password found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Verified {
    /// It is not the password.
    Wrong,
    /// It is.
    Right {
        /// The stored hash cost less than a new one would.
        is_outdated: bool,
    },
}

/// Why a password could not be hashed or checked. Says nothing about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The stored hash is none that this hasher made.
    #[error("the stored hash is damaged")]
    Damaged,
    /// No memory, or a parameter that the implementation does not take.
    #[error("passwords cannot be hashed now")]
    Unavailable,
}

/// Hashes passwords. Calls take long (tens of milliseconds) and much memory: [`Accounts`](super::Accounts) makes them
/// away from the async threads, a few at once. Injected, so that tests count the runs.
pub trait PasswordHasher: Send + Sync + fmt::Debug + 'static {
    /// The stored form of `password` under `salt`. One run.
    ///
    /// # Errors
    /// [`HashError`].
    fn hash(&self, password: &Password, salt: &[u8; SALT_LEN]) -> Result<PasswordHash, HashError>;

    /// Whether `password` is the one that was stored. One run, whatever the answer.
    ///
    /// # Errors
    /// [`HashError`].
    fn verify(&self, password: &Password, stored: &PasswordHash) -> Result<Verified, HashError>;

    /// A stored form of no password, from random bytes: checking against it costs what any check costs. No run.
    ///
    /// # Errors
    /// [`HashError`].
    fn decoy(&self, random: &[u8; SALT_LEN + HASH_LEN]) -> Result<PasswordHash, HashError>;

    /// Whether a run takes so little that it is made where it is asked for, on no thread of its own. No hash that protects
    /// passwords is such; one of a simulation is, which threads would bring the order of the real clock into.
    fn is_instant(&self) -> bool {
        false
    }
}

/// Argon2id.
#[derive(Clone, Copy, Debug, Default)]
pub struct Argon2id {
    params: Argon2Params,
}

impl Argon2id {
    /// A hasher whose new hashes cost `params`.
    pub const fn new(params: Argon2Params) -> Self {
        Self { params }
    }

    fn store(&self, salt: &[u8; SALT_LEN], hash: &[u8]) -> Result<PasswordHash, HashError> {
        let salt = Salt::new(salt).map_err(|_| HashError::Unavailable)?;
        let hash = Output::new(hash).map_err(|_| HashError::Unavailable)?;
        let params = ParamsString::try_from(&self.params.params()?).map_err(|_| HashError::Unavailable)?;
        let stored = Phc {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params,
            salt: Some(salt),
            hash: Some(hash),
        };
        PasswordHash::new(stored.to_string()).map_err(|_| HashError::Unavailable)
    }
}

impl PasswordHasher for Argon2id {
    fn hash(&self, password: &Password, salt: &[u8; SALT_LEN]) -> Result<PasswordHash, HashError> {
        let mut hash = Zeroizing::new([0; HASH_LEN]);
        let argon2 = self.params.argon2()?;
        argon2.hash_password_into(password.expose(), salt, &mut *hash).map_err(|_| HashError::Unavailable)?;
        self.store(salt, &*hash)
    }

    fn verify(&self, password: &Password, stored: &PasswordHash) -> Result<Verified, HashError> {
        let stored = Phc::new(stored.expose()).map_err(|_| HashError::Damaged)?;
        let params = Argon2Params::of(&stored).ok_or(HashError::Damaged)?;
        if stored.algorithm != Algorithm::Argon2id.ident() {
            return Err(HashError::Damaged);
        }
        match params.argon2()?.verify_password(password.expose(), &stored) {
            Ok(()) => Ok(Verified::Right { is_outdated: params.is_below(&self.params) }),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verified::Wrong),
            Err(_) => Err(HashError::Damaged),
        }
    }

    fn decoy(&self, random: &[u8; SALT_LEN + HASH_LEN]) -> Result<PasswordHash, HashError> {
        let (salt, hash) = random.split_first_chunk::<SALT_LEN>().ok_or(HashError::Unavailable)?;
        self.store(salt, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; SALT_LEN] = *b"0123456789abcdef";

    fn password(bytes: &[u8]) -> Password {
        Password::new(bytes).unwrap()
    }

    #[test]
    fn a_hash_is_a_phc_string_of_argon2id_and_fits_its_password_alone() {
        let hasher = Argon2id::default();
        let stored = hasher.hash(&password(b" pass word "), &SALT).unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"));
        assert_eq!(
            hasher.verify(&password(b" pass word "), &stored),
            Ok(Verified::Right { is_outdated: false })
        );
        for wrong in [&b"pass word"[..], b" pass word", b" Pass word ", &[b' '; 1024]] {
            assert_eq!(hasher.verify(&password(wrong), &stored), Ok(Verified::Wrong));
        }
    }

    #[test]
    fn passwords_differ_in_every_byte_up_to_the_last() {
        let hasher = Argon2id::default();
        let long = [7; Password::MAX_LEN];
        let mut other = long;
        other[Password::MAX_LEN - 1] = 8;
        let stored = hasher.hash(&password(&long), &SALT).unwrap();
        assert_eq!(hasher.verify(&password(&long), &stored), Ok(Verified::Right { is_outdated: false }));
        assert_eq!(hasher.verify(&password(&other), &stored), Ok(Verified::Wrong));
        assert_eq!(hasher.verify(&password(&long[1..]), &stored), Ok(Verified::Wrong));
    }

    #[test]
    fn a_hash_that_cost_less_is_outdated_and_one_that_cost_more_is_not() {
        let (cheap, dear) = (Argon2id::default(), Argon2id::new(Argon2Params::new(19 * 1024, 3, 1).unwrap()));
        let stored = cheap.hash(&password(b"p"), &SALT).unwrap();
        assert_eq!(dear.verify(&password(b"p"), &stored), Ok(Verified::Right { is_outdated: true }));
        let stored = dear.hash(&password(b"p"), &SALT).unwrap();
        assert_eq!(cheap.verify(&password(b"p"), &stored), Ok(Verified::Right { is_outdated: false }));
    }

    #[test]
    fn a_decoy_is_no_password() {
        let hasher = Argon2id::default();
        let decoy = hasher.decoy(&[9; SALT_LEN + HASH_LEN]).unwrap();
        assert_eq!(hasher.verify(&password(b"p"), &decoy), Ok(Verified::Wrong));
    }

    #[test]
    fn parameters_below_the_least_and_stored_ones_out_of_range_are_refused() {
        assert_eq!(Argon2Params::new(19 * 1024 - 1, 2, 1), Err(ParamsOutOfRange));
        assert_eq!(Argon2Params::new(19 * 1024, 1, 1), Err(ParamsOutOfRange));
        assert_eq!(Argon2Params::new(u32::MAX, 2, 1), Err(ParamsOutOfRange));
        let hash = "MDEyMzQ1Njc4OWFiY2RlZg$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        for head in [
            "$argon2id$v=19$m=4294967295,t=2,p=1$",
            "$argon2id$v=19$m=8,t=1,p=1$",
            "$argon2i$v=19$m=19456,t=2,p=1$",
            "$argon2id$v=19$",
            "no hash",
        ] {
            let stored = PasswordHash::new(format!("{head}{hash}")).unwrap();
            assert_eq!(
                Argon2id::default().verify(&password(b"p"), &stored),
                Err(HashError::Damaged),
                "{head}"
            );
        }
    }
}
