//! The paths of one direction under one version: made at their first record, closed for good.

use super::config::PathId;
use super::keys::{Kit, PathSecrets, PathSource};
use crate::ratchets::rekey::Side;
use crate::ratchets::schedule::VersionSecrets;
use crate::suite::CryptoError;
use std::sync::Arc;

/// Paths of one direction; `L` is [`SealPath`](super::SealPath) or [`OpenPath`](super::OpenPath).
pub(super) struct Lanes<L> {
    source: PathSource,
    /// `None` for a closed path, which is never opened again. Boxed, so that a growing list leaves no copies of keys.
    lanes: Vec<(PathId, Option<Box<L>>)>,
}

/// Why a path cannot be used.
pub(super) enum LaneError {
    Closed,
    Unavailable,
}

impl<L> Lanes<L> {
    pub(super) fn new(secrets: &VersionSecrets, sender: Side, kit: &Kit) -> Self {
        let secret = &secrets.lanes[usize::from(sender.number())];
        Self { source: PathSource::new(secret, kit.config.mode), lanes: Vec::new() }
    }

    /// The lane of `path`, made now if this is its first use.
    pub(super) fn lane(
        &mut self,
        path: PathId,
        kit: &Arc<Kit>,
        make: impl FnOnce(&Arc<Kit>, PathSecrets) -> Result<L, CryptoError>,
    ) -> Result<&mut L, LaneError> {
        let at = match self.lanes.iter().position(|(id, _)| *id == path) {
            Some(at) => at,
            None => {
                let secrets = self.source.take(path).ok_or(LaneError::Closed)?;
                let lane = make(kit, secrets).map_err(|_| LaneError::Unavailable);
                // A path whose key could not be made stays closed: its seed is gone.
                let (lane, result) = match lane {
                    Ok(lane) => (Some(Box::new(lane)), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                self.lanes.push((path, lane));
                result?;
                self.lanes.len() - 1
            }
        };
        self.lanes[at].1.as_deref_mut().ok_or(LaneError::Closed)
    }

    /// Wipes the keys of `path` and never makes them again.
    pub(super) fn close(&mut self, path: PathId) {
        match self.lanes.iter_mut().find(|(id, _)| *id == path) {
            Some((_, lane)) => *lane = None,
            None => {
                // In `Perfect` mode its seed goes with it.
                drop(self.source.take(path));
                self.lanes.push((path, None));
            }
        }
    }

    /// The lane of `path` if it was made and is open.
    pub(super) fn get(&self, path: PathId) -> Option<&L> {
        self.lanes.iter().find(|(id, _)| *id == path).and_then(|(_, lane)| lane.as_deref())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathId> {
        self.lanes.iter().map(|(path, _)| *path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &L> {
        self.lanes.iter().filter_map(|(_, lane)| lane.as_deref())
    }
}
