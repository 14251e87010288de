//! Machine and window together: which keys open a record, which seal one, what a commit does to both.

use super::end::EndReason;
use super::ratchet_manager::SessionKeys;
use super::record::{HEADER_LEN, RecordHeader, RecordKind};
use super::rekey::{Message, Phase, RekeyConfig, RekeyMachine, Timestamp, Version};
use super::{Exporter, HybridAgreement, OpenError, PathId, Ratchet, SealError, Toolset};
use crate::SecrecyMode;
use crate::suite::TAG_LEN;
use crate::wire;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// A manager has one path for its life.
const PATH: PathId = PathId::FIRST;

/// Keys of one end, and the machine that renews them.
pub(crate) struct Keys {
    machine: RekeyMachine<HybridAgreement>,
    toolset: Toolset,
    /// Records sealed under the latest version: the number of the next one.
    sealed: u32,
    ordered: bool,
}

/// A record that opened.
pub(crate) struct Opened {
    pub(crate) under: Version,
    pub(crate) kind: RecordKind,
    pub(crate) body: BytesMut,
}

impl Keys {
    pub(crate) fn new((toolset, agreement): SessionKeys, mut config: RekeyConfig, now: Timestamp) -> Self {
        let ordered = config.reliable_path;
        // A signed round that is due and cannot be signed would end the session.
        config.reauth = config.reauth.filter(|_| agreement.can_sign());
        Self { machine: RekeyMachine::new(config, agreement, now), toolset, sealed: 0, ordered }
    }

    pub(crate) fn machine(&self) -> &RekeyMachine<HybridAgreement> {
        &self.machine
    }

    pub(crate) fn machine_mut(&mut self) -> &mut RekeyMachine<HybridAgreement> {
        &mut self.machine
    }

    pub(crate) fn phase(&self) -> Phase {
        self.machine.phase()
    }

    pub(crate) fn mode(&self) -> SecrecyMode {
        self.toolset.mode()
    }

    /// The session's name in logs.
    pub(crate) fn session(&self) -> u32 {
        let [a, b, c, d, ..] = *self.toolset.session_id();
        u32::from_be_bytes([a, b, c, d])
    }

    /// What handles may export of version 0.
    pub(crate) fn exporter(&self) -> Arc<Exporter> {
        self.toolset.exporter()
    }

    /// The next version is committed: it seals from here on, send keys of the one before are wiped.
    pub(crate) fn commit(&mut self, ratchet: Ratchet, earliest: Version) {
        self.toolset.commit(ratchet, earliest);
        self.sealed = 0;
    }

    pub(crate) fn evict(&mut self, earliest: Version) {
        self.toolset.evict(earliest);
    }

    /// Whether a key nears its limit (R-CRY-5).
    pub(crate) fn are_worn(&self) -> bool {
        self.toolset.needs_rekey()
    }

    /// Room for a record whose body will be `len` bytes; the body is appended to it.
    pub(crate) fn record(len: usize) -> BytesMut {
        let mut record = BytesMut::with_capacity(HEADER_LEN + len + TAG_LEN);
        record.extend_from_slice(&[0; HEADER_LEN]);
        record
    }

    /// Seals what [`record`](Self::record) made room for, under the latest version.
    ///
    /// # Errors
    /// [`EndReason::KeyLimit`] and [`EndReason::Unavailable`].
    pub(crate) fn seal(&mut self, kind: RecordKind, mut record: BytesMut) -> Result<Bytes, EndReason> {
        let version = self.machine.latest().low_bits();
        let header = RecordHeader { version, kind, counter: self.sealed }.encode();
        let (head, body) = record.split_at_mut(HEADER_LEN);
        head.copy_from_slice(&header);
        let sealed = self.toolset.seal(PATH, &header, body).map_err(|error| match error {
            SealError::KeyExhausted => EndReason::KeyLimit,
            _ => EndReason::Unavailable,
        })?;
        debug_assert_eq!(sealed.counter, u64::from(self.sealed), "this is the only one who seals");
        self.sealed += 1;
        record.extend_from_slice(&sealed.tag);
        Ok(record.freeze())
    }

    /// Opens a record under the one version that its header names, the candidate's included; on an ordered path
    /// only the next one of that version. `None` has changed nothing.
    ///
    /// # Errors
    /// [`EndReason::KeyLimit`] for an authentic record past the hard limit, and [`EndReason::Unavailable`].
    pub(crate) fn open(&mut self, record: Bytes) -> Result<Option<Opened>, EndReason> {
        let Ok(header) = RecordHeader::decode(&record) else { return Ok(None) };
        let Some(under) = self.machine.resolve(header.version) else { return Ok(None) };
        let mut body = record.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let aad = body.split_to(HEADER_LEN);
        let counter = (!self.ordered).then_some(u64::from(header.counter));
        match self.open_under(under, counter, &aad, &mut body) {
            Ok(len) => {
                body.truncate(len);
                Ok(Some(Opened { under, kind: header.kind, body }))
            }
            Err(OpenError::KeyExhausted) => Err(EndReason::KeyLimit),
            Err(OpenError::Unavailable) => Err(EndReason::Unavailable),
            Err(_) => Ok(None),
        }
    }

    fn open_under(
        &mut self,
        under: Version,
        counter: Option<u64>,
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, OpenError> {
        match self.machine.candidate_mut() {
            Some((version, candidate)) if version == under => {
                candidate.ratchet_mut().open(PATH, counter, aad, body)
            }
            _ => self.toolset.open(under, PATH, counter, aad, body),
        }
    }

    /// A rekey message from an opened record; `None` is no message of this session's suite.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<Message<HybridAgreement>> {
        wire::rekey::decode_message(self.toolset.suite(), bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ratchets::rekey::{Reauth, Side};
    use crate::ratchets::{InitialSecrets, KeyLimits, RatchetConfig};
    use crate::secret::Secret;
    use crate::suite::{Native, Suite};
    use std::time::Duration;

    fn keys(side: Side, config: RatchetConfig, ordered: bool) -> Keys {
        let hs = Secret::copy_from(&[2; 32]);
        let initial = InitialSecrets { session_id: [1; 32], suite: Suite::DEFAULT, hs, th0: [3; 32] };
        let parts = initial.into_parts(Arc::new(Native), side, config, None);
        let due_now = Some(Reauth { interval: Duration::ZERO, rounds: 1 });
        let config = RekeyConfig {
            reauth: due_now,
            reliable_path: ordered,
            ..RekeyConfig::new(side, Suite::DEFAULT.id())
        };
        Keys::new(parts, config, Timestamp::ZERO)
    }

    #[test]
    fn fix_0010_without_identities_no_round_is_ever_due_to_be_signed() {
        let keys = keys(Side::Initiator, RatchetConfig::default(), true);
        assert!(!keys.machine().view().signed_due);
        assert_eq!(keys.machine().poll_timeout(), None);
    }

    #[test]
    fn fix_0009_an_authentic_record_past_the_hard_limit_ends_the_session_and_a_forged_one_does_not() {
        for ordered in [true, false] {
            let limits = KeyLimits { hard_records: 1, ..KeyLimits::default() };
            let mut sender = keys(Side::Initiator, RatchetConfig::default(), ordered);
            let mut receiver =
                keys(Side::Responder, RatchetConfig { limits, ..RatchetConfig::default() }, ordered);
            let mut next = || sender.seal(RecordKind::Data, Keys::record(0)).unwrap();
            assert!(matches!(receiver.open(next()), Ok(Some(_))));
            let past = next();
            let mut forged = past.to_vec();
            forged[HEADER_LEN] ^= 1;
            assert!(matches!(receiver.open(forged.into()), Ok(None)));
            assert!(matches!(receiver.open(past), Err(EndReason::KeyLimit)));
        }
    }
}
