//! Opening on one path under one version.

use super::error::OpenError;
use super::keys::{Iv, Kit, PathKey, PathSecrets, Usage};
use super::replay::ReplayWindow;
use crate::suite::{CryptoError, TAG_LEN};
use std::sync::Arc;
use zeroize::Zeroize;

/// The receiving end of one path under one version.
pub struct OpenPath {
    kit: Arc<Kit>,
    key: PathKey,
    iv: Iv,
    /// For a chain only its upper edge moves: a used key is gone.
    window: ReplayWindow,
    usage: Usage,
}

impl OpenPath {
    pub(super) fn new(kit: &Arc<Kit>, secrets: PathSecrets) -> Result<Self, CryptoError> {
        let (key, iv) = secrets.into_key(kit)?;
        Ok(Self { kit: Arc::clone(kit), key, iv, window: ReplayWindow::new(), usage: Usage::default() })
    }

    /// Opens the next record of an ordered path: `body` is ciphertext and tag; the plaintext stands at its start,
    /// its length is returned.
    ///
    /// # Errors
    /// [`OpenError::NotAuthentic`], [`OpenError::KeyExhausted`], [`OpenError::Unavailable`]; nothing has changed.
    pub fn open_next(&mut self, aad: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
        self.open_at(self.next(), aad, body)
    }

    /// The same for record `counter` of an unordered path: each once, and none that is too far behind or ahead.
    ///
    /// # Errors
    /// As [`open_next`](Self::open_next), and [`OpenError::Replayed`], [`OpenError::TooFarAhead`].
    pub fn open_at(&mut self, counter: u64, aad: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
        let usage = self.usage.after(&self.kit, counter, body.len()).ok();
        if body.len() < TAG_LEN {
            return Err(OpenError::NotAuthentic);
        }
        let aead = self.kit.aead;
        let nonce = self.iv.nonce(aead, counter);
        let nonce = &nonce[..aead.nonce_len()];
        // Asked after the tag was checked: number and length are anyone's claim before, and the answer to
        // `KeyExhausted` is the end of the session.
        let within_limit = |opened: Result<usize, CryptoError>, body: &mut [u8]| {
            let len = opened?;
            let usage = usage.ok_or_else(|| {
                body.zeroize();
                OpenError::KeyExhausted
            })?;
            Ok((len, usage))
        };
        let (len, usage) = match &mut self.key {
            PathKey::One(key) => {
                self.window.check(counter)?;
                let opened = within_limit(key.open(nonce, aad, body), body)?;
                self.window.mark(counter);
                opened
            }
            PathKey::Chain(chain) => chain.with_key(counter, |key| {
                within_limit(self.kit.provider.open_once(aead, key, nonce, aad, body), body)
            })?,
        };
        self.usage = usage;
        Ok(len)
    }

    /// Whether the key has carried so much that a round is due.
    pub fn needs_rekey(&self) -> bool {
        self.usage.is_worn(&self.kit, self.next())
    }

    fn next(&self) -> u64 {
        match &self.key {
            PathKey::One(_) => self.window.next(),
            PathKey::Chain(chain) => chain.next(),
        }
    }
}

impl From<CryptoError> for OpenError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Open => Self::NotAuthentic,
            _ => Self::Unavailable,
        }
    }
}
