//! Sealing on one path under one version.

use super::error::{OpenError, SealError};
use super::keys::{Iv, Kit, PathKey, PathSecrets, Usage};
use crate::suite::{CryptoError, TAG_LEN};
use std::sync::Arc;

/// What sealing adds to a body that was encrypted in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The record's number under its version and path, from 0.
    pub counter: u64,
    /// What follows the body.
    pub tag: [u8; TAG_LEN],
}

/// The sending end of one path under one version. Made once for each, so that no nonce comes twice.
pub struct SealPath {
    kit: Arc<Kit>,
    key: PathKey,
    iv: Iv,
    next: u64,
    usage: Usage,
}

impl SealPath {
    pub(super) fn new(kit: &Arc<Kit>, secrets: PathSecrets) -> Result<Self, CryptoError> {
        let (key, iv) = secrets.into_key(kit)?;
        Ok(Self { kit: Arc::clone(kit), key, iv, next: 0, usage: Usage::default() })
    }

    /// Encrypts `body` in place as the next record.
    ///
    /// # Errors
    /// [`SealError::KeyExhausted`] at the hard limit. After [`SealError::Unavailable`] the body must not be sent.
    pub fn seal(&mut self, aad: &[u8], body: &mut [u8]) -> Result<Sealed, SealError> {
        let (counter, aead) = (self.next, self.kit.aead);
        let usage = self.usage.after(&self.kit, counter, body.len() + TAG_LEN)?;
        let nonce = self.iv.nonce(aead, counter);
        let nonce = &nonce[..aead.nonce_len()];
        let tag = match &mut self.key {
            PathKey::One(key) => key.seal(nonce, aad, body).map_err(|_| SealError::Unavailable)?,
            PathKey::Chain(chain) => {
                let seal_once = |key: &[u8]| {
                    let sealed = self.kit.provider.seal_once(aead, key, nonce, aad, body);
                    sealed.map_err(|_| OpenError::Unavailable)
                };
                chain.with_key(counter, seal_once).map_err(|_| SealError::Unavailable)?
            }
        };
        self.next += 1;
        self.usage = usage;
        Ok(Sealed { counter, tag })
    }

    /// Records sealed so far.
    pub const fn sealed(&self) -> u64 {
        self.next
    }

    /// Whether the key has carried so much that a round is due.
    pub fn needs_rekey(&self) -> bool {
        self.usage.is_worn(&self.kit, self.next)
    }
}
