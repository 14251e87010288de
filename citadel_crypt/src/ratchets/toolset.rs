//! The live versions of one endpoint: the latest seals, all of `earliest ..= latest` open.
//!
//! Owns: the window, the paths that every version serves, version 0's exporter and the resumption-proof key for the
//! life of the session. Never: the decision what is committed or evicted (the rekey machine), the candidate (it is
//! inside the machine until it is committed), record headers.

use super::ratchet::{OpenError, PathId, Ratchet, SealError, Sealed, SecrecyMode};
use super::rekey::{Side, Version};
use super::schedule::{ExportError, Exporter, FINGERPRINT_LEN};
use crate::secret::Secret;
use crate::suite::Suite;
use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

/// The keys of one session at one endpoint.
pub struct Toolset {
    session: SessionFacts,
    paths: Vec<PathId>,
    /// Every path from here on is new.
    next_path: PathId,
    first: Arc<Exporter>,
    resumption: Secret<32>,
    /// `earliest ..= latest`; never empty.
    window: VecDeque<Ratchet>,
}

/// What does not change in the life of a session.
#[derive(Clone, Copy)]
pub(crate) struct SessionFacts {
    pub(crate) id: [u8; 32],
    pub(crate) suite: Suite,
    pub(crate) mode: SecrecyMode,
    pub(crate) side: Side,
}

/// A path id was used before: they rise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} does not come after every path so far")]
pub struct PathReused(pub PathId);

impl Toolset {
    pub(crate) fn new(session: SessionFacts, ratchet: Ratchet, resumption: Secret<32>) -> Self {
        Self {
            session,
            paths: vec![PathId::FIRST],
            next_path: PathId(PathId::FIRST.0 + 1),
            first: ratchet.exporter(),
            resumption,
            window: VecDeque::from([ratchet]),
        }
    }

    /// Latest committed version: the one that seals.
    pub fn latest(&self) -> Version {
        Version(self.earliest().0 + self.window.len().saturating_sub(1) as u64)
    }

    /// Earliest version that opens.
    pub fn earliest(&self) -> Version {
        self.window.front().map_or(Version(0), Ratchet::version)
    }

    /// Secrecy mode of the session.
    pub fn mode(&self) -> SecrecyMode {
        self.session.mode
    }

    /// Suite of the session.
    pub fn suite(&self) -> Suite {
        self.session.suite
    }

    /// Own side of the session.
    pub fn side(&self) -> Side {
        self.session.side
    }

    /// Id of the session.
    pub fn session_id(&self) -> &[u8; 32] {
        &self.session.id
    }

    /// Proof key of a resumption (R-SES-7); the same on both ends.
    pub fn resumption_key(&self) -> &Secret<32> {
        &self.resumption
    }

    /// Paths in use, lowest first. A new session has [`PathId::FIRST`].
    pub fn paths(&self) -> &[PathId] {
        &self.paths
    }

    /// The lowest id that [`add_path`](Self::add_path) takes.
    pub fn next_path(&self) -> PathId {
        self.next_path
    }

    /// Takes `path` into use, under this version and later ones.
    ///
    /// # Errors
    /// [`PathReused`] unless it is higher than every path so far.
    pub fn add_path(&mut self, path: PathId) -> Result<(), PathReused> {
        if path < self.next_path || path.0 == u64::MAX {
            return Err(PathReused(path));
        }
        self.paths.push(path);
        self.next_path = PathId(path.0 + 1);
        Ok(())
    }

    /// Ends the use of `path`: its keys of every version are wiped.
    pub fn remove_path(&mut self, path: PathId) {
        self.paths.retain(|live| *live != path);
        for ratchet in &mut self.window {
            ratchet.close_path(path);
        }
    }

    /// Encrypts `body` in place as the next record of `path` under the latest version.
    ///
    /// # Errors
    /// [`SealError`]; nothing was counted and the body must not be sent.
    pub fn seal(&mut self, path: PathId, aad: &[u8], body: &mut [u8]) -> Result<Sealed, SealError> {
        if !self.paths.contains(&path) {
            return Err(SealError::NoPath(path));
        }
        let latest = self.latest();
        let ratchet = self.window.back_mut().ok_or(SealError::NotSealing(latest))?;
        ratchet.seal_path(path)?.seal(aad, body)
    }

    /// Opens a record of `path` under `version`, which the rekey machine resolved from the header: the one with
    /// number `counter`, or the next one. `body` is ciphertext and tag; the plaintext stands at its start, its length
    /// is returned.
    ///
    /// # Errors
    /// [`OpenError`]; keys, chains and counters are as they were.
    pub fn open(
        &mut self,
        version: Version,
        path: PathId,
        counter: Option<u64>,
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, OpenError> {
        if !self.paths.contains(&path) {
            return Err(OpenError::NoPath(path));
        }
        let at = self.index(version).ok_or(OpenError::NoVersion(version))?;
        self.window[at].open(path, counter, aad, body)
    }

    /// Whether a key of the latest version has carried so much that a round is due.
    pub fn needs_rekey(&self) -> bool {
        self.window.back().is_some_and(Ratchet::needs_rekey)
    }

    /// Records that `path` has sealed under the latest version.
    pub fn sealed(&self, path: PathId) -> u64 {
        self.window.back().map_or(0, |ratchet| ratchet.sealed(path))
    }

    /// Takes in the ratchet that the machine committed; versions below `earliest` leave. From here on it seals, on
    /// every path in use; what sealed before is wiped.
    pub fn commit(&mut self, mut ratchet: Ratchet, earliest: Version) {
        debug_assert_eq!(
            ratchet.version(),
            self.latest().next(),
            "the machine commits one version after another"
        );
        for path in ratchet.opened_paths() {
            if !self.paths.contains(&path) {
                ratchet.close_path(path);
            }
        }
        if let Some(before) = self.window.back_mut() {
            before.stop_sealing();
        }
        self.window.push_back(ratchet);
        self.evict(earliest);
    }

    /// Wipes the versions below `earliest`; the latest stays.
    pub fn evict(&mut self, earliest: Version) {
        while self.earliest() < earliest && self.window.len() > 1 {
            self.window.pop_front();
        }
    }

    /// Fingerprint of a version in the window.
    pub fn fingerprint(&self, version: Version) -> Option<[u8; FINGERPRINT_LEN]> {
        self.index(version).map(|at| self.window[at].fingerprint())
    }

    /// Exporter of version 0: the same on both ends for the life of the session (R-CRY-10).
    pub fn exporter(&self) -> Arc<Exporter> {
        Arc::clone(&self.first)
    }

    /// Exporter of a version in the window.
    ///
    /// # Errors
    /// [`ExportError::OutsideWindow`].
    pub fn exporter_at(&self, version: Version) -> Result<Arc<Exporter>, ExportError> {
        let at = self.index(version).ok_or(ExportError::OutsideWindow(version))?;
        Ok(self.window[at].exporter())
    }

    /// [`Exporter::export`] of version 0.
    ///
    /// # Errors
    /// [`ExportError::TooLong`].
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        self.first.export(label, context, out)
    }

    /// [`Exporter::export`] of `version`.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export_at(
        &self,
        version: Version,
        label: &str,
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        self.exporter_at(version)?.export(label, context, out)
    }

    fn index(&self, version: Version) -> Option<usize> {
        let at = usize::try_from(version.0.checked_sub(self.earliest().0)?).ok()?;
        (at < self.window.len()).then_some(at)
    }
}

impl fmt::Debug for Toolset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Toolset({:?} ..= {:?}, ..)", self.earliest(), self.latest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratchets::rekey::{Attempt, KeyAgreement, RoundId};
    use crate::ratchets::{HybridAgreement, InitialSecrets};
    use crate::suite::Native;

    fn end(side: Side, mode: SecrecyMode) -> (Toolset, HybridAgreement) {
        let hs = Secret::copy_from(&[2; 32]);
        let initial = InitialSecrets { session_id: [1; 32], suite: Suite::DEFAULT, hs, th0: [3; 32] };
        initial.into_parts(Arc::new(Native), side, mode, None)
    }

    #[test]
    fn only_the_latest_version_can_seal_and_version_0s_exporter_outlives_it() {
        for mode in [SecrecyMode::BestEffort, SecrecyMode::Perfect] {
            let (mut tools, mut agreement) = end(Side::Initiator, mode);
            let (_, mut peer) = end(Side::Responder, mode);
            for version in 1..=4 {
                let round =
                    RoundId { version: Version(version), side: Side::Responder, attempt: Attempt(version) };
                let (secret, offer) = peer.offer(round, false).unwrap();
                let (candidate, answer) = agreement.answer(round, false, &offer).unwrap();
                let (own, tag) = peer.complete(secret, round, false, &offer, &answer).unwrap();
                assert!(agreement.verify_finish(&candidate, &tag));
                drop(peer.commit(own, Side::Responder));
                tools
                    .commit(agreement.commit(candidate, Side::Initiator), Version(version.saturating_sub(2)));
                let latest = tools.latest();
                for ratchet in &mut tools.window {
                    let sealing = ratchet.seal_path(PathId::FIRST).is_ok();
                    assert_eq!(sealing, ratchet.version() == latest);
                }
            }
            assert_eq!((tools.earliest(), tools.latest()), (Version(2), Version(4)));
            assert_eq!(tools.exporter().version(), Version(0));
        }
    }
}
