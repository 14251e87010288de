//! What seals and opens on one path have in common: where keys come from, nonces, limits.

use super::chain::Chain;
use super::config::{PathId, RatchetConfig, SecrecyMode};
use super::error::SealError;
use super::seeds::PathSeeds;
use crate::labels;
use crate::ratchets::schedule::expand_fields;
use crate::secret::Secret;
use crate::suite::{AeadAlgorithm, AeadKey, CryptoError, CryptoProvider, MAX_KEY_LEN, MAX_NONCE_LEN};
use std::sync::Arc;
use zeroize::Zeroize;

/// What every key of a session is made with.
pub(crate) struct Kit {
    pub(crate) provider: Arc<dyn CryptoProvider>,
    pub(crate) aead: AeadAlgorithm,
    pub(crate) config: RatchetConfig,
}

/// Secrets from which one direction's paths take theirs.
pub(super) enum PathSource {
    /// The traffic secret: any path, any time.
    Traffic(Secret<32>),
    /// The chain's seeds: each path once.
    Chains(PathSeeds),
}

/// One path's secrets in one direction.
pub(super) struct PathSecrets {
    key: Secret<MAX_KEY_LEN>,
    iv: Iv,
}

/// Key of a path, or the chain of its records' keys.
pub(super) enum PathKey {
    One(Box<dyn AeadKey>),
    Chain(Chain),
}

impl PathSource {
    pub(super) fn new(seed: &Secret<32>, mode: SecrecyMode) -> Self {
        match mode {
            SecrecyMode::BestEffort => Self::Traffic(Secret::copy_from(seed.expose())),
            SecrecyMode::Perfect => Self::Chains(PathSeeds::new(seed)),
        }
    }

    /// The secrets of `path`; `None` if they were taken and are not to be had again.
    pub(super) fn take(&mut self, path: PathId) -> Option<PathSecrets> {
        match self {
            Self::Traffic(secret) => Some(PathSecrets::derive(secret, path)),
            Self::Chains(seeds) => seeds.take(path).map(|seed| PathSecrets::derive(&seed, path)),
        }
    }
}

impl PathSecrets {
    fn derive(secret: &Secret<32>, path: PathId) -> Self {
        let mut both = Secret::<{ MAX_KEY_LEN + MAX_NONCE_LEN }>::zero();
        let fields = [labels::PATH.as_bytes(), &path.0.to_le_bytes()];
        expand_fields(secret, &fields, both.expose_mut());
        let (key, iv) = both.expose().split_at(MAX_KEY_LEN);
        let mut secrets = Self { key: Secret::zero(), iv: Iv([0; MAX_NONCE_LEN]) };
        secrets.key.expose_mut().copy_from_slice(key);
        secrets.iv.0.copy_from_slice(iv);
        secrets
    }

    pub(super) fn into_key(self, kit: &Kit) -> Result<(PathKey, Iv), CryptoError> {
        let key = match kit.config.mode {
            SecrecyMode::BestEffort => PathKey::One(kit.provider.aead(kit.aead, self.key.expose())?),
            SecrecyMode::Perfect => PathKey::Chain(Chain::new(self.key)),
        };
        Ok((key, self.iv))
    }
}

/// A path's part of its nonces.
pub(super) struct Iv([u8; MAX_NONCE_LEN]);

impl Iv {
    /// IV xor counter, big endian at its end (RFC 8446, 5.3); the first `aead.nonce_len()` bytes are the nonce.
    pub(super) fn nonce(&self, aead: AeadAlgorithm, counter: u64) -> [u8; MAX_NONCE_LEN] {
        let mut nonce = self.0;
        let end = aead.nonce_len();
        for (byte, count) in nonce[end - 8..end].iter_mut().zip(counter.to_be_bytes()) {
            *byte ^= count;
        }
        nonce
    }
}

impl Drop for Iv {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What one key, or one chain, has carried.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    bytes: u64,
}

/// The hard limit is reached.
pub(super) struct Exhausted;

impl From<Exhausted> for SealError {
    fn from(_: Exhausted) -> Self {
        Self::KeyExhausted
    }
}

impl Usage {
    /// What it is after a record with this number and length.
    pub(super) fn after(self, kit: &Kit, counter: u64, len: usize) -> Result<Self, Exhausted> {
        let (limits, bytes) = (kit.config.limits, self.bytes.saturating_add(len as u64));
        if counter >= limits.hard_records || bytes > limits.hard_bytes {
            return Err(Exhausted);
        }
        Ok(Self { bytes })
    }

    /// Whether a round is due after `records` records.
    pub(super) fn is_worn(self, kit: &Kit, records: u64) -> bool {
        records >= kit.config.limits.soft_records || self.bytes >= kit.config.limits.soft_bytes
    }
}
