//! What goes into the machine and what comes out of it.

use super::{CancelReason, Fatal, KeyAgreement, Message, Role, RoundId, Version};
use core::fmt;

/// An input.
pub enum Input<P: KeyAgreement> {
    /// Someone wants a version above the one committed now.
    Trigger,
    /// Nobody wants the own round any more.
    Withdraw,
    /// Start no round any more; the one at hand may end.
    Halt,
    /// A record from the peer opened under `under` (a committed version or the candidate's) and its first frame
    /// is no rekey message. A driver may leave out records under a version below the latest, and those under
    /// the latest for which [`awaits_record`](super::RekeyMachine::awaits_record) is false.
    Record {
        /// Version whose keys opened it.
        under: Version,
    },
    /// A rekey message from a record that opened under `under`. The first frame of a record is given as
    /// this alone, without [`Input::Record`] before it: the machine takes the record into account itself.
    Message {
        /// Version whose keys opened the record.
        under: Version,
        /// The message.
        message: Message<P>,
    },
    /// The time that `poll_timeout` named has come. Early or spurious ones do nothing.
    Timeout,
    /// The path was replaced by another: what is owed goes out again at once. With `reauthenticate` the next
    /// round is due now and signed.
    PathReplaced {
        /// After a resumption.
        reauthenticate: bool,
    },
    /// A round trip was measured by the driver (the machine measures its own rounds too).
    RttSample(core::time::Duration),
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was acted on, or had nothing to do.
    Done,
    /// A trigger: the version to wait for.
    Waiting(Version),
    /// Refused, nothing changed.
    Refused(Refusal),
    /// A message that is not acted on: nothing that [`View`](super::View) shows changed.
    Ignored(Ignored),
    /// The machine is, or now became, closed.
    Closed(Fatal),
}

/// Why a request of the own side was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// Triggered after a halt.
    Halted,
    /// Withdrawn after the round was committed.
    AlreadyCommitted,
    /// Withdrawn while the round at hand is the peer's.
    NotOwner,
    /// Withdrawn without a round.
    NoRound,
}

/// Why a message was ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ignored {
    /// Opened under another version than the message may be sealed under.
    WrongVersion,
    /// Belongs to a round that is over or superseded.
    Stale,
    /// The own offer wins the tie; it may have been repeated.
    LostTie,
    /// An offer at least as new is held already.
    Held,
    /// The machine is halting and answers no new round.
    Halting,
    /// Nothing to do in this state.
    NotExpected,
}

/// An output, in the order in which the driver must act on it.
pub enum Output<P: KeyAgreement> {
    /// Send this message under the sender's latest version, before any data that is not yet sealed. It replaces
    /// an unsent one of the same kind. A message whose `under` is no longer the latest version is dropped unsent.
    Send {
        /// The version to seal under: the latest at the time of the output.
        under: Version,
        /// The message.
        message: Message<P>,
    },
    /// A version was committed: publish its keys before anything that follows. Send keys of the version
    /// before are wiped now.
    Committed {
        /// What the waiters get.
        outcome: RekeyOutcome,
        /// The keys.
        ratchet: P::Ratchet,
        /// First version that stays readable; older receive keys are wiped now.
        earliest: Version,
    },
    /// Wipe receive keys of every version below.
    Evict {
        /// First version that stays readable.
        earliest: Version,
    },
    /// Something that an observer may want to know; no effect.
    Event(Event),
    /// Everything that a halt waited for is over. Once.
    Halted,
    /// The session must end with this reason. Last output.
    Close(Fatal),
}

/// Result of a committed round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RekeyOutcome {
    /// The version that it led to.
    pub version: Version,
    /// Own role in it.
    pub role: Role,
    /// Its name, the same on both ends.
    pub round: RoundId,
    /// Whether both ends signed it.
    pub signed: bool,
}

/// Milestones of rounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A round was offered or answered.
    Started {
        /// The round.
        round: RoundId,
        /// Own role in it.
        role: Role,
    },
    /// A round was committed.
    Committed(RekeyOutcome),
    /// A round ended without a commit.
    Cancelled {
        /// The round.
        round: RoundId,
        /// Why.
        reason: CancelCause,
    },
    /// A round has repeated its message at the longest pace.
    Stalled {
        /// The round.
        round: RoundId,
    },
}

/// What ended a round without a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CancelCause {
    /// The own side withdrew or halted.
    Own(CancelReason),
    /// The peer cancelled.
    Peer(CancelReason),
    /// The peer's offer for the same version won.
    Yielded,
    /// The peer's floor passed it.
    Superseded,
}

impl<P: KeyAgreement> fmt::Debug for Input<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trigger => f.write_str("Trigger"),
            Self::Withdraw => f.write_str("Withdraw"),
            Self::Halt => f.write_str("Halt"),
            Self::Record { under } => write!(f, "Record under {under:?}"),
            Self::Message { under, message } => write!(f, "{message:?} under {under:?}"),
            Self::Timeout => f.write_str("Timeout"),
            Self::PathReplaced { reauthenticate } => write!(f, "PathReplaced({reauthenticate})"),
            Self::RttSample(rtt) => write!(f, "RttSample({rtt:?})"),
        }
    }
}

impl<P: KeyAgreement> fmt::Debug for Output<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { under, message } => write!(f, "Send {message:?} under {under:?}"),
            Self::Committed { outcome, earliest, .. } => {
                write!(f, "Committed {outcome:?}, from {earliest:?}")
            }
            Self::Evict { earliest } => write!(f, "Evict below {earliest:?}"),
            Self::Event(event) => write!(f, "{event:?}"),
            Self::Halted => f.write_str("Halted"),
            Self::Close(fatal) => write!(f, "Close({fatal:?})"),
        }
    }
}

impl<P> Clone for Output<P>
where
    P: KeyAgreement,
    P::Ratchet: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::Send { under, message } => Self::Send { under: *under, message: message.clone() },
            Self::Committed { outcome, ratchet, earliest } => {
                Self::Committed { outcome: *outcome, ratchet: ratchet.clone(), earliest: *earliest }
            }
            Self::Evict { earliest } => Self::Evict { earliest: *earliest },
            Self::Event(event) => Self::Event(*event),
            Self::Halted => Self::Halted,
            Self::Close(fatal) => Self::Close(*fatal),
        }
    }
}

impl<P: KeyAgreement> Clone for Input<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Trigger => Self::Trigger,
            Self::Withdraw => Self::Withdraw,
            Self::Halt => Self::Halt,
            Self::Record { under } => Self::Record { under: *under },
            Self::Message { under, message } => Self::Message { under: *under, message: message.clone() },
            Self::Timeout => Self::Timeout,
            Self::PathReplaced { reauthenticate } => Self::PathReplaced { reauthenticate: *reauthenticate },
            Self::RttSample(rtt) => Self::RttSample(*rtt),
        }
    }
}
