//! Pre-shared keys: their names, and the secret that each adds to a handshake (R-CRY-7).

use super::keys;
use crate::secret::Secret;
use core::fmt;
use subtle::{ConditionallySelectable, ConstantTimeEq};

/// Random public name of a pre-shared key. It travels in the clear, so it should name nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PskHint(pub [u8; Self::LEN]);

impl PskHint {
    /// Length in bytes.
    pub const LEN: usize = 16;
}

impl fmt::Debug for PskHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskHint(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// A pre-shared key: only what is extracted from it is kept.
pub struct Psk {
    hint: PskHint,
    early: Secret<32>,
}

impl Psk {
    /// Fewest bytes of a key.
    pub const MIN_LEN: usize = 32;

    /// Takes `key`, which must be random: a password, however long, is found by trying (R-CRY-7). Wiping the source
    /// is the caller's part.
    ///
    /// # Errors
    /// [`PskTooShort`].
    pub fn new(hint: PskHint, key: &[u8]) -> Result<Self, PskTooShort> {
        if key.len() < Self::MIN_LEN {
            return Err(PskTooShort);
        }
        Ok(Self { hint, early: keys::early(key) })
    }

    /// Its public name.
    pub const fn hint(&self) -> PskHint {
        self.hint
    }

    pub(super) const fn early(&self) -> &Secret<32> {
        &self.early
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Psk({:?}, ..)", self.hint)
    }
}

/// A pre-shared key has at least 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("a pre-shared key has at least 32 random bytes")]
pub struct PskTooShort;

/// Turns `fallback`, a random secret, into the early secret of the key that `hint` names; leaves it as it is when
/// there is none. Takes the same time either way, so that the answer to a wrong binder does not tell whether the hint
/// is known.
pub(super) fn select(list: &[Psk], hint: PskHint, fallback: &mut Secret<32>) {
    for psk in list {
        let found = psk.hint.0.ct_eq(&hint.0);
        for (byte, candidate) in fallback.expose_mut().iter_mut().zip(psk.early.expose()) {
            byte.conditional_assign(candidate, found);
        }
    }
}
