//! One version's keys, as one endpoint uses them: what seals, what opens, what may be exported.
//!
//! Owns: record keys by path and direction, their chains, nonces, limits, replay windows.
//! Never: which versions are live (`toolset`), how a version comes about (`schedule`, `agreement`), bytes of headers.
//!
//! Invariants: a (version, direction, path) has its keys made once, counters start at 0 and are never set back, so no
//! nonce comes twice (I11); a record that does not open changes nothing; in `Perfect` mode nothing that is kept leads
//! to a key that was used.

mod chain;
mod config;
mod error;
mod keys;
mod lanes;
mod open;
mod replay;
mod seal;
mod seeds;

pub use config::{KeyLimits, PathId, RatchetConfig, SecrecyMode};
pub use error::{OpenError, SealError};
pub use open::OpenPath;
pub use seal::{SealPath, Sealed};

pub(crate) use keys::Kit;

use super::rekey::{Side, Version};
use super::schedule::{Exporter, VersionSecrets};
use core::fmt;
use lanes::{LaneError, Lanes};
use std::sync::Arc;

/// The keys of one version at one endpoint. Wiped on drop.
pub struct Ratchet {
    exporter: Arc<Exporter>,
    /// `None` once a later version seals.
    seal: Option<Lanes<SealPath>>,
    open: Lanes<OpenPath>,
    kit: Arc<Kit>,
}

impl Ratchet {
    pub(crate) fn new(secrets: &VersionSecrets, side: Side, kit: &Arc<Kit>) -> Self {
        Self {
            exporter: Arc::clone(&secrets.exporter),
            seal: Some(Lanes::new(secrets, side, kit)),
            open: Lanes::new(secrets, side.peer(), kit),
            kit: Arc::clone(kit),
        }
    }

    /// Its number.
    pub fn version(&self) -> Version {
        self.exporter.version()
    }

    /// Equal on both ends if their keys are; for diagnostics.
    pub fn fingerprint(&self) -> [u8; super::schedule::FINGERPRINT_LEN] {
        self.exporter.fingerprint()
    }

    /// What may be exported from it; outlives the ratchet if it is kept.
    pub fn exporter(&self) -> Arc<Exporter> {
        Arc::clone(&self.exporter)
    }

    /// The sending end of `path`, made now if this is its first record.
    ///
    /// # Errors
    /// [`SealError::NotSealing`] once a later version seals, [`SealError::NoPath`] for a closed path,
    /// [`SealError::Unavailable`].
    pub fn seal_path(&mut self, path: PathId) -> Result<&mut SealPath, SealError> {
        let version = self.exporter.version();
        let lanes = self.seal.as_mut().ok_or(SealError::NotSealing(version))?;
        lanes.lane(path, &self.kit, SealPath::new).map_err(|error| match error {
            LaneError::Closed => SealError::NoPath(path),
            LaneError::Unavailable => SealError::Unavailable,
        })
    }

    /// The receiving end of `path`, made now if this is its first record.
    ///
    /// # Errors
    /// [`OpenError::NoPath`] for a closed path, [`OpenError::Unavailable`].
    pub fn open_path(&mut self, path: PathId) -> Result<&mut OpenPath, OpenError> {
        self.open.lane(path, &self.kit, OpenPath::new).map_err(|error| match error {
            LaneError::Closed => OpenError::NoPath(path),
            LaneError::Unavailable => OpenError::Unavailable,
        })
    }

    /// Opens the record with number `counter` (unordered path), or the next one (ordered): `body` is ciphertext and
    /// tag; the plaintext stands at its start, its length is returned.
    ///
    /// # Errors
    /// [`OpenError`]; keys, chains and counters are as they were.
    pub fn open(
        &mut self,
        path: PathId,
        counter: Option<u64>,
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, OpenError> {
        let lane = self.open_path(path)?;
        match counter {
            Some(counter) => lane.open_at(counter, aad, body),
            None => lane.open_next(aad, body),
        }
    }

    /// Whether any of its keys has carried so much that a round is due.
    pub fn needs_rekey(&self) -> bool {
        self.seal.iter().flat_map(Lanes::iter).any(SealPath::needs_rekey)
            || self.open.iter().any(OpenPath::needs_rekey)
    }

    /// Records that it has sealed on `path`.
    pub fn sealed(&self, path: PathId) -> u64 {
        self.seal.as_ref().and_then(|lanes| lanes.get(path)).map_or(0, SealPath::sealed)
    }

    /// Wipes everything that seals.
    pub(crate) fn stop_sealing(&mut self) {
        self.seal = None;
    }

    /// Paths that it has made receive keys for.
    pub(crate) fn opened_paths(&self) -> Vec<PathId> {
        self.open.paths().collect()
    }

    /// Wipes the keys of `path`, both directions; they are never made again.
    pub fn close_path(&mut self, path: PathId) {
        if let Some(lanes) = &mut self.seal {
            lanes.close(path);
        }
        self.open.close(path);
    }
}

impl fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ratchet({:?}, ..)", self.version())
    }
}
