//! Two ends of one session, and rounds between them without a machine.

use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::{Attempt, KeyAgreement, RoundId, Side, Version};
use citadel_crypt::ratchets::{
    HybridAgreement, InitialSecrets, OpenError, PathId, Ratchet, RatchetConfig, Toolset,
};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{Native, Suite};
use std::sync::Arc;

/// One end.
pub(crate) struct End {
    pub(crate) tools: Toolset,
    pub(crate) agreement: HybridAgreement,
}

/// A sealed record as it travels.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) version: Version,
    pub(crate) path: PathId,
    pub(crate) counter: u64,
    pub(crate) body: Vec<u8>,
}

/// Initiator and responder of one session.
pub(crate) fn pair(suite: Suite, config: impl Into<RatchetConfig>) -> (End, End) {
    let config = config.into();
    let [one, two] = [(); 2].map(|()| Arc::new(Identity::generate()));
    let end = |side, own: &Arc<Identity>, peer: &Arc<Identity>| {
        let initial =
            InitialSecrets { session_id: [1; 32], suite, hs: Secret::copy_from(&[2; 32]), th0: [3; 32] };
        let identities = Some((Arc::clone(own), peer.public().clone()));
        let (tools, agreement) = initial.into_parts(Arc::new(Native), side, config, identities);
        End { tools, agreement }
    };
    (end(Side::Initiator, &one, &two), end(Side::Responder, &two, &one))
}

impl End {
    pub(crate) fn seal(&mut self, path: PathId, text: &[u8]) -> Record {
        let mut body = text.to_vec();
        let sealed = self.tools.seal(path, b"aad", &mut body).unwrap();
        body.extend(sealed.tag);
        Record { version: self.tools.latest(), path, counter: sealed.counter, body }
    }

    /// Opens by number.
    pub(crate) fn open(&mut self, record: &Record) -> Result<Vec<u8>, OpenError> {
        let mut body = record.body.clone();
        let counter = Some(record.counter);
        let len = self.tools.open(record.version, record.path, counter, b"aad", &mut body)?;
        body.truncate(len);
        Ok(body)
    }

    /// Opens as the next of an ordered path.
    pub(crate) fn open_next(&mut self, record: &Record) -> Result<Vec<u8>, OpenError> {
        let mut body = record.body.clone();
        let len = self.tools.open(record.version, record.path, None, b"aad", &mut body)?;
        body.truncate(len);
        Ok(body)
    }
}

/// Runs one round led by `leader` and commits it on both ends; the window is four versions.
pub(crate) fn round(leader: &mut End, loser: &mut End, signed: bool) {
    let side = leader.tools.side();
    let version = leader.tools.latest().next();
    let round = RoundId { version, side, attempt: Attempt(version.0) };
    let (secret, offer) = leader.agreement.offer(round, signed).unwrap();
    let (candidate, answer) = loser.agreement.answer(round, signed, &offer).unwrap();
    let (own, tag) = leader.agreement.complete(secret, round, signed, &offer, &answer).unwrap();
    assert!(loser.agreement.verify_finish(&candidate, &tag));
    let ratchet = leader.agreement.commit(own, side);
    commit(leader, ratchet);
    let ratchet = loser.agreement.commit(candidate, side.peer());
    commit(loser, ratchet);
}

fn commit(end: &mut End, ratchet: Ratchet) {
    let earliest = Version(ratchet.version().0.saturating_sub(3));
    end.tools.commit(ratchet, earliest);
}
