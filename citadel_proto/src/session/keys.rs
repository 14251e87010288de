//! Keys of the session: the rekey machine, the window of versions, and the rekey messages that are owed.

use crate::frames;
use crate::record::{Header, KIND_FRAMES, RawRecord};
use crate::shutdown::{Fault, PathLoss};
use bytes::{Bytes, BytesMut};
use citadel_crypt::ratchets::rekey::{
    Fatal, Input, Message, Output, Owed, RekeyConfig, RekeyMachine, TimerReason, Verdict, Version,
};
use citadel_crypt::ratchets::{HybridAgreement, OpenError, PathId, PathReused, SealError, Toolset};
use citadel_crypt::suite::TAG_LEN;
use citadel_crypt::{Timestamp, wire};

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
        (toolset, agreement): (Toolset, HybridAgreement),
        now: Timestamp,
    ) -> Self {
        let machine = RekeyMachine::new(config, agreement, now);
        Self { machine, toolset, owed: Owed::new(), path: PathId::FIRST }
    }

    /// The lowest id that another path may have.
    pub(super) fn next_path(&self) -> PathId {
        self.toolset.next_path()
    }

    /// Wipes the keys of the path in use, of every version.
    pub(super) fn drop_path(&mut self) {
        self.toolset.remove_path(self.path);
        if let Some((_, candidate)) = self.machine.candidate_mut() {
            candidate.ratchet_mut().close_path(self.path);
        }
    }

    /// Takes `path` in the place of the one in use, whose keys are wiped.
    pub(super) fn replace_path(&mut self, path: PathId) -> Result<(), PathReused> {
        self.toolset.add_path(path)?;
        self.drop_path();
        self.path = path;
        Ok(())
    }

    /// Opens a record in place: the version that it opened under, and its frames.
    pub(super) fn open(&mut self, raw: RawRecord) -> Result<(Version, Bytes), Rejected> {
        let RawRecord { header, mut body } = raw;
        let lost = Rejected::Path(PathLoss::NotAuthentic);
        let Some(version) = self.machine.resolve(header[0]) else { return Err(lost) };
        let opened = match self.machine.candidate_mut() {
            Some((candidate_version, candidate)) if candidate_version == version => {
                candidate.ratchet_mut().open(self.path, None, &header, &mut body)
            }
            _ => self.toolset.open(version, self.path, None, &header, &mut body),
        };
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
        let sealed = self.toolset.seal(self.path, &header, &mut out[body_start..]);
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
