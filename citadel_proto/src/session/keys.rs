//! Keys of the session: the rekey machine, the window of versions, and the rekey messages that are owed.

use crate::datagram::packet;
use crate::frames;
use crate::record::{Header, KIND_FRAMES, RawRecord};
use crate::shutdown::{Fault, PathLoss};
use bytes::{Bytes, BytesMut};
use citadel_crypt::ratchets::rekey::{
    Fatal, Input, Message, Output, Owed, RekeyConfig, RekeyMachine, TimerReason, Verdict, Version,
};
use citadel_crypt::ratchets::{HybridAgreement, OpenError, PathId, PathReused, SealError, Toolset};
use citadel_crypt::suite::TAG_LEN;
use citadel_crypt::{SecrecyMode, Timestamp, wire};

/// The highest id that a path may have. Its keys are two lanes of the toolset, which have ids of their own.
pub(super) const HIGHEST_PATH: PathId = PathId(u64::MAX / 2 - 1);

/// Packets after which a chain that seals them is worn: half of what a reader's chain jumps over, so that one who has missed
/// them all hears what follows the round.
const WORN_PACKETS: u64 = 512;

/// The lane of a path's records.
const fn records_of(path: PathId) -> PathId {
    PathId(path.0 * 2)
}

/// The lane of its packets.
const fn packets_of(path: PathId) -> PathId {
    PathId(path.0 * 2 + 1)
}

/// What opens and seals.
pub(super) struct Keys {
    pub(super) machine: RekeyMachine<HybridAgreement>,
    pub(super) toolset: Toolset,
    owed: Owed<HybridAgreement>,
    path: PathId,
}

/// Why a record was of no use.
pub(super) enum Rejected {
    /// It ends the path, not the session's secrets: whoever can write into the path can cut it.
    Path(PathLoss),
    /// It ends the session.
    Session(Fault),
}

impl Keys {
    pub(super) fn new(
        config: RekeyConfig,
        (mut toolset, agreement): (Toolset, HybridAgreement),
        now: Timestamp,
    ) -> Self {
        let machine = RekeyMachine::new(config, agreement, now);
        toolset.add_path(packets_of(PathId::FIRST)).expect("a new toolset has the lane of the records alone");
        Self { machine, toolset, owed: Owed::new(), path: PathId::FIRST }
    }

    /// The lowest id that another path may have.
    pub(super) fn next_path(&self) -> PathId {
        PathId(self.toolset.next_path().0 / 2)
    }

    /// Wipes the keys of the path in use, of every version.
    pub(super) fn drop_path(&mut self) {
        for lane in [records_of(self.path), packets_of(self.path)] {
            self.toolset.remove_path(lane);
            if let Some((_, candidate)) = self.machine.candidate_mut() {
                candidate.ratchet_mut().close_path(lane);
            }
        }
    }

    /// Takes `path` in the place of the one in use, whose keys are wiped.
    pub(super) fn replace_path(&mut self, path: PathId) -> Result<(), PathReused> {
        if path > HIGHEST_PATH {
            return Err(PathReused(path));
        }
        self.toolset.add_path(records_of(path))?;
        self.toolset.add_path(packets_of(path))?;
        self.drop_path();
        self.path = path;
        Ok(())
    }

    /// Opens a record in place: the version that it opened under, and its frames.
    pub(super) fn open(&mut self, raw: RawRecord) -> Result<(Version, Bytes), Rejected> {
        let RawRecord { header, mut body } = raw;
        let lost = Rejected::Path(PathLoss::NotAuthentic);
        let Some(version) = self.machine.resolve(header[0]) else { return Err(lost) };
        let opened = self.open_under(version, records_of(self.path), None, &header, &mut body);
        let len = opened.map_err(|error| match error {
            OpenError::KeyExhausted => Rejected::Session(Fault::KeyLimit),
            OpenError::Unavailable => Rejected::Session(Fault::Unavailable),
            _ => lost,
        })?;
        body.truncate(len);
        let mut payload = body.freeze();
        if payload.first() != Some(&KIND_FRAMES) {
            return Err(Rejected::Session(Fault::MalformedFrame));
        }
        Ok((version, payload.split_off(1)))
    }

    fn open_under(
        &mut self,
        version: Version,
        lane: PathId,
        counter: Option<u64>,
        aad: &[u8],
        body: &mut [u8],
    ) -> Result<usize, OpenError> {
        match self.machine.candidate_mut() {
            Some((candidate_version, candidate)) if candidate_version == version => {
                candidate.ratchet_mut().open(lane, counter, aad, body)
            }
            _ => self.toolset.open(version, lane, counter, aad, body),
        }
    }

    /// Opens a packet in place: its datagram. None for what is not of the peer, not of this path and a live version, or
    /// not the first of its number; nothing has changed then. The rekey machine learns nothing of packets: what it waits
    /// for is the order of records.
    pub(super) fn open_packet<'a>(&mut self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let (packet::Header { version_bits, counter }, body) = packet::Header::split(packet)?;
        let version = self.machine.resolve(version_bits)?;
        let opened = self.open_under(version, packets_of(self.path), Some(counter), &[version_bits], body);
        body.get(..opened.ok()?)
    }

    /// A packet with `datagram` under the latest version. None where its key has carried what it may: a round is due since
    /// long before, and its commit is what helps.
    pub(super) fn seal_packet(&mut self, datagram: &[u8]) -> Option<Bytes> {
        let version_bits = self.toolset.latest().low_bits();
        let mut out = BytesMut::with_capacity(packet::OVERHEAD + datagram.len());
        out.extend_from_slice(&[0; packet::HEADER_LEN]);
        out.extend_from_slice(datagram);
        let (header, body) = out.split_at_mut(packet::HEADER_LEN);
        let sealed = self.toolset.seal(packets_of(self.path), &[version_bits], body).ok()?;
        header.copy_from_slice(&packet::Header { version_bits, counter: sealed.counter }.encode());
        out.extend_from_slice(&sealed.tag);
        Some(out.freeze())
    }

    /// Starts a record at the end of `out`; frames follow.
    pub(super) fn begin_record(out: &mut BytesMut) -> usize {
        let start = out.len();
        out.extend_from_slice(&[0; crate::record::HEADER_LEN]);
        out.extend_from_slice(&[KIND_FRAMES]);
        start
    }

    /// Seals the record that started at `start`, in place, under the latest version.
    pub(super) fn seal_record(&mut self, out: &mut BytesMut, start: usize) -> Result<(), Fault> {
        let body_start = start + crate::record::HEADER_LEN;
        let body_len = out.len() - body_start + TAG_LEN;
        let header = Header { version_bits: self.toolset.latest().low_bits(), body_len }.encode();
        let sealed = self.toolset.seal(records_of(self.path), &header, &mut out[body_start..]);
        match sealed {
            Ok(sealed) => {
                out[start..body_start].copy_from_slice(&header);
                out.extend_from_slice(&sealed.tag);
                Ok(())
            }
            Err(error) => {
                out.truncate(start);
                Err(if error == SealError::KeyExhausted { Fault::KeyLimit } else { Fault::Unavailable })
            }
        }
    }

    /// Whether a key has carried so much that a round is due. Of packets in `Perfect` it is what this end has sealed: what the
    /// peer's are numbered is a claim until one opens.
    pub(super) fn are_worn(&self) -> bool {
        let has_chains = self.toolset.mode() == SecrecyMode::Perfect;
        self.toolset.needs_rekey() || has_chains && self.toolset.sealed(packets_of(self.path)) >= WORN_PACKETS
    }

    /// Writes the rekey messages that are owed, at most one of each kind. They go under the version that is the latest
    /// now; those that were meant for an earlier one are dropped, and asked for again by whoever needs them.
    pub(super) fn write_owed(&mut self, out: &mut BytesMut) {
        let latest = self.toolset.latest();
        while let Some((under, message)) = self.owed.pop() {
            if under == latest {
                frames::put_rekey(out, &wire::rekey::encode_message(&message));
            }
        }
    }

    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The rekey message in a frame.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Message<HybridAgreement>, Fault> {
        wire::rekey::decode_message(self.toolset.suite(), bytes).map_err(|_| Fault::MalformedFrame)
    }

    /// Gives the rekey machine an input; `each` sees the outputs that concern others than the keys.
    pub(super) fn step(
        &mut self,
        now: Timestamp,
        input: Input<HybridAgreement>,
        mut each: impl FnMut(KeyOutput),
    ) -> Verdict {
        let verdict = self.machine.handle(now, input);
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { under, message } => self.owed.push(under, message),
                Output::Committed { outcome, ratchet, earliest } => {
                    self.toolset.commit(ratchet, earliest);
                    self.owed.drop_stale(outcome.version);
                    each(KeyOutput::Committed(outcome));
                }
                Output::Evict { earliest } => self.toolset.evict(earliest),
                Output::Event(event) => each(KeyOutput::Event(event)),
                Output::Halted => each(KeyOutput::Halted),
                Output::Close(fatal) => each(KeyOutput::Close(fault_of(fatal))),
            }
        }
        verdict
    }

    pub(super) fn poll_timeout(&self) -> Option<(Timestamp, TimerReason)> {
        self.machine.poll_timeout()
    }
}

/// An output of the rekey machine that concerns others than the keys.
pub(super) enum KeyOutput {
    Committed(citadel_crypt::ratchets::rekey::RekeyOutcome),
    Event(citadel_crypt::ratchets::rekey::Event),
    Halted,
    Close(Fault),
}

const fn fault_of(fatal: Fatal) -> Fault {
    match fatal {
        Fatal::KeyMismatch => Fault::KeyMismatch,
        Fatal::AuthFailed => Fault::AuthFailed,
        Fatal::ReauthOverdue => Fault::ReauthOverdue,
        Fatal::Unavailable => Fault::Unavailable,
        _ => Fault::RekeyViolation,
    }
}
