//! What the operations on channels and sessions fail with. Codes are stable.

use crate::shutdown::CloseReason;
use bytes::Bytes;

/// Why a message cannot be sent. The message was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closing or closed.
    #[error("the session is over: {0}")]
    Closed(CloseReason),
    /// The peer's reader is gone; it said why.
    #[error("the peer reads no more (code {code})")]
    Stopped {
        /// The peer application's code, 0 for a reader that was dropped.
        code: u32,
    },
    /// This half was finished or reset before.
    #[error("this half of the channel was finished")]
    Finished,
    /// The message is longer than the peer takes.
    #[error("a message of {len} bytes is over the peer's limit of {limit}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The most that the peer takes.
        limit: u64,
    },
}

impl SendError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 1,
            Self::Stopped { .. } => 2,
            Self::Finished => 3,
            Self::TooLong { .. } => 4,
        }
    }

    /// Whether the same on a new session may succeed.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Closed(reason) if reason.is_retryable())
    }
}

/// Why a message was not sent at once. Its `Debug` tells the length of a message, never its bytes.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrySendError {
    /// No credit or no room now; the message comes back.
    #[error("no credit now")]
    Full(Bytes),
    /// It never can be.
    #[error(transparent)]
    Send(#[from] SendError),
}

impl core::fmt::Debug for TrySendError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Full(message) => write!(f, "Full({} bytes)", message.len()),
            Self::Send(error) => write!(f, "Send({error:?})"),
        }
    }
}

impl TrySendError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Full(_) => 16,
            Self::Send(error) => error.code(),
        }
    }

    /// Whether the same may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Send(error) => error.is_retryable(),
        }
    }
}

/// Why a datagram was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatagramError {
    /// The session is closing or closed.
    #[error("the session is over: {0}")]
    Closed(CloseReason),
    /// It is longer than the path takes now.
    #[error("a datagram of {len} bytes is over the path's limit of {limit}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The most that the path takes.
        limit: usize,
    },
}

impl DatagramError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 1,
            Self::TooLong { .. } => 4,
        }
    }

    /// Whether the same on a new session may succeed.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Closed(reason) if reason.is_retryable())
    }
}

/// Why there is no further message. All that came before was given out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// The session ended before the peer finished the channel.
    #[error("the session is over: {0}")]
    Closed(CloseReason),
    /// The peer gave the channel up.
    #[error("the peer reset the channel (code {code})")]
    Reset {
        /// The peer application's code, 0 for a sender that was dropped.
        code: u32,
    },
}

impl RecvError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 1,
            Self::Reset { .. } => 2,
        }
    }

    /// Whether the same on a new session may succeed.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Closed(reason) if reason.is_retryable())
    }
}

/// Why there is no message now.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// None has come yet.
    #[error("no message now")]
    Empty,
    /// None will come.
    #[error(transparent)]
    Recv(#[from] RecvError),
}

impl TryRecvError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Empty => 16,
            Self::Recv(error) => error.code(),
        }
    }

    /// Whether the same may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Recv(error) => error.is_retryable(),
        }
    }
}

/// Why a channel was not opened, taken or accepted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session is closing or closed.
    #[error("the session is over: {0}")]
    Closed(CloseReason),
    /// No further channel now: the peer takes none of an application, or 80 service channels of this end are alive.
    #[error("no further channel now")]
    Limit,
    /// A name over 255 bytes.
    #[error("the name of a channel has at most 255 bytes")]
    NameTooLong,
    /// Channel 0 was taken before.
    #[error("channel 0 was taken before")]
    Taken,
    /// A name that starts with a zero byte: such names are for nodes, not for applications.
    #[error("the name of a channel does not start with a zero byte")]
    NameReserved,
}

impl OpenError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 1,
            Self::Limit => 2,
            Self::NameTooLong => 3,
            Self::Taken => 4,
            Self::NameReserved => 5,
        }
    }

    /// Whether the same may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Closed(reason) => reason.is_retryable(),
            Self::Limit => true,
            Self::NameTooLong | Self::Taken | Self::NameReserved => false,
        }
    }
}

/// Why no round was completed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// The session is closing or closed.
    #[error("the session is over: {0}")]
    Closed(CloseReason),
    /// No round was completed in time; one may still be under way.
    #[error("no round was completed in time")]
    TimedOut,
}

impl RekeyError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Closed(_) => 1,
            Self::TimedOut => 2,
        }
    }

    /// Whether the same may succeed later, if need be on a new session.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Closed(reason) => reason.is_retryable(),
            Self::TimedOut => true,
        }
    }
}
