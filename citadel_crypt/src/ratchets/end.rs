//! Why a manager is over, and the errors of its operations: each with a stable code and whether the same call
//! may succeed later.

use super::rekey::{Fatal, Phase, RoundId};
use bytes::Bytes;
use std::error::Error;
use std::sync::Arc;

/// Why a manager and its messenger are over. The first reason stays.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// `close` was called here.
    #[error("closed here")]
    Local,
    /// The peer closed in order.
    #[error("closed by the peer")]
    Peer,
    /// Every handle here was dropped without `close`.
    #[error("every handle was dropped")]
    Abandoned,
    /// Every handle of the peer was dropped without `close`.
    #[error("the peer dropped every handle")]
    PeerAbandoned,
    /// The manager's token was cancelled here.
    #[error("cancelled here")]
    Cancelled,
    /// The stream of records ended without an authenticated close: nothing says that the peer wanted it.
    #[error("the path ended without a close")]
    PathEnded,
    /// The sink or the stream failed.
    #[error("the path failed")]
    Path(#[source] Arc<dyn Error + Send + Sync>),
    /// An item on an ordered path is no record or does not open: who can inject there can cut.
    #[error("a record on an ordered path does not open")]
    BadRecord,
    /// The rekey machine ended the session.
    #[error("rekey: {0:?}")]
    Rekey(Fatal),
    /// An authenticated control record that no correct peer sends.
    #[error("the peer sent a malformed frame")]
    Malformed,
    /// The peer sent messages beyond the credit it was given.
    #[error("the peer overran its credit")]
    Overrun,
    /// A key reached its hard limit before a round replaced it.
    #[error("a key is used up")]
    KeyLimit,
    /// A cryptographic library call failed here.
    #[error("a cryptographic primitive is unavailable")]
    Unavailable,
    /// The peer ended with this code of its own reason.
    #[error("the peer failed with code {0}")]
    PeerFault(u16),
}

impl EndReason {
    /// Stable number of the reason; what the peer is told.
    pub fn code(&self) -> u16 {
        match self {
            Self::Local | Self::Peer => 0,
            Self::Abandoned | Self::PeerAbandoned => 1,
            Self::Cancelled => 2,
            Self::PathEnded => 3,
            Self::Path(_) => 4,
            Self::BadRecord => 5,
            Self::Malformed => 6,
            Self::Overrun => 7,
            Self::KeyLimit => 8,
            Self::Rekey(Fatal::ProtocolViolation(_)) => 16,
            Self::Rekey(Fatal::KeyMismatch) => 17,
            Self::Rekey(Fatal::AuthFailed) => 18,
            Self::Rekey(Fatal::ReauthOverdue) => 19,
            Self::Unavailable | Self::Rekey(Fatal::Unavailable) => 20,
            Self::PeerFault(code) => *code,
        }
    }

    /// The code of the last record that this end sends; `None` where the peer or the path ended first.
    pub(crate) fn parting_code(&self) -> Option<u16> {
        match self {
            Self::Peer | Self::PeerAbandoned | Self::PeerFault(_) | Self::PathEnded | Self::Path(_) => None,
            own => Some(own.code()),
        }
    }

    /// What a close with this code from the peer means here.
    pub(crate) fn from_peer(code: u16) -> Self {
        match code {
            0 => Self::Peer,
            1 => Self::PeerAbandoned,
            code => Self::PeerFault(code),
        }
    }

    /// Whether a new session over a new path may do better.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::PathEnded | Self::Path(_) | Self::PeerAbandoned | Self::KeyLimit)
    }

    /// Whether an end of the application asked for it.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Local | Self::Peer)
    }
}

/// Why a rekey did not give a version.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// The deadline passed. The round goes on; a later wait may find it committed.
    #[error("no version within the deadline: round {round:?}, {phase:?}")]
    TimedOut {
        /// The round at hand when the deadline passed, if there was one.
        round: Option<RoundId>,
        /// Where it stood.
        phase: Phase,
    },
    /// The round was withdrawn here.
    #[error("withdrawn")]
    Withdrawn,
    /// There was nothing to withdraw, or it cannot be withdrawn any more.
    #[error("cannot be withdrawn: {0:?}")]
    NotWithdrawable(super::rekey::Refusal),
    /// Rounds were halted here.
    #[error("halted")]
    Halted,
    /// The manager is over.
    #[error(transparent)]
    Ended(#[from] EndReason),
}

impl RekeyError {
    /// Stable number of the error.
    pub fn code(&self) -> u16 {
        match self {
            Self::TimedOut { .. } => 32,
            Self::Withdrawn => 33,
            Self::NotWithdrawable(_) => 34,
            Self::Halted => 35,
            Self::Ended(reason) => reason.code(),
        }
    }

    /// Whether the next call on the same manager may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::Withdrawn | Self::NotWithdrawable(_))
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Longer than [`MAX_MESSAGE_LEN`](super::record::MAX_MESSAGE_LEN).
    #[error("message of {0} bytes is too long")]
    TooLong(usize),
    /// This half was finished.
    #[error("already finished")]
    Finished,
    /// The peer dropped its receiving half: nobody would read it.
    #[error("the peer stopped receiving")]
    Stopped,
    /// The messenger is over.
    #[error(transparent)]
    Ended(#[from] EndReason),
}

impl SendError {
    /// Stable number of the error.
    pub fn code(&self) -> u16 {
        match self {
            Self::TooLong(_) => 48,
            Self::Finished => 49,
            Self::Stopped => 50,
            Self::Ended(reason) => reason.code(),
        }
    }

    /// Whether the same call may succeed later on the same messenger: never.
    pub fn is_retryable(&self) -> bool {
        false
    }
}

/// Why a message was not taken at once.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// No room now; the message comes back.
    #[error("no room now")]
    Full(Bytes),
    /// It will never be taken.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl TrySendError {
    /// Stable number of the error.
    pub fn code(&self) -> u16 {
        match self {
            Self::Full(_) => 51,
            Self::Send(error) => error.code(),
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full(_))
    }
}

/// Why there is no further message, where the peer did not say that it finished.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The peer dropped its sending half without finishing it.
    #[error("the peer dropped its sender")]
    Dropped,
    /// The messenger is over.
    #[error(transparent)]
    Ended(#[from] EndReason),
}

impl RecvError {
    /// Stable number of the error.
    pub fn code(&self) -> u16 {
        match self {
            Self::Dropped => 64,
            Self::Ended(reason) => reason.code(),
        }
    }

    /// Whether the same call may succeed later on the same messenger: never.
    pub fn is_retryable(&self) -> bool {
        false
    }
}
