//! What a backend fails with.

use super::account::Revision;
use super::value::ValueVersion;
use citadel_crypt::suite::CryptoError;
use std::io;

/// Why a backend did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// Something is not as the caller took it to be.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// Something is longer, or more, than may be.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// Stored bytes are not what was written, or not by this program.
    #[error("a record of `{table}` is damaged")]
    Corrupt {
        /// Where.
        table: &'static str,
    },
    /// A newer version of this program has written the file.
    #[error("the store has version {found}, this program knows up to {known}")]
    NewerVersion {
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
    /// The store's secrets are sealed and no key was given.
    #[error("the store is sealed: it needs its key")]
    KeyNeeded,
    /// The key is not the one that sealed the store.
    #[error("this is not the key of the store")]
    WrongKey,
    /// Another process, or another handle in this one, has the file open.
    #[error("the store is open elsewhere")]
    InUse,
    /// A primitive failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The disk, or the runtime that waits for it. What the failed call would have done may have become durable.
    #[error("the store cannot be read or written")]
    Io(#[from] io::Error),
}

impl BackendError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Conflict(conflict) => conflict.code(),
            Self::NoAccount => 16,
            Self::Limit(limit) => limit.code(),
            Self::Corrupt { .. } => 48,
            Self::NewerVersion { .. } => 49,
            Self::KeyNeeded => 50,
            Self::WrongKey => 51,
            Self::InUse => 52,
            Self::Crypto(_) => 53,
            Self::Io(_) => 54,
        }
    }

    /// Whether the same call may succeed later, with nothing changed by the caller.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::InUse)
    }
}

/// Something is not as the caller took it to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Another account has the user name.
    #[error("the user name is taken")]
    UserTaken,
    /// Another account has the cid.
    #[error("the cid is taken")]
    CidTaken,
    /// The account has the device, or had it before it was revoked.
    #[error("the account knows the device already")]
    DeviceKnown,
    /// The account, or the pair, was changed since it was read.
    #[error("it was changed meanwhile: its revision is {0:?}")]
    Revision(Revision),
    /// The value is not the expected one.
    #[error("the value was changed meanwhile: its version is {0:?}")]
    Version(Option<ValueVersion>),
    /// The two accounts of a pair are one.
    #[error("an account has no pair with itself")]
    Oneself,
}

impl Conflict {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::UserTaken => 1,
            Self::CidTaken => 2,
            Self::DeviceKnown => 3,
            Self::Revision(_) => 4,
            Self::Version(_) => 5,
            Self::Oneself => 6,
        }
    }
}

/// Something is longer, or more, than may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// A key is too long.
    #[error("the key is too long")]
    Key,
    /// A value is too long.
    #[error("the value is too long")]
    Value,
    /// A mail is too long.
    #[error("the mail is too long")]
    Mail,
    /// The mailbox, or the values of the account, are full.
    #[error("the quota is used up")]
    Quota,
    /// The account has its most devices.
    #[error("the account has its most devices")]
    Devices,
    /// A ticket's name is empty or too long.
    #[error("a ticket's name has 1 to 128 bytes")]
    TicketName,
    /// A ticket's secret is too long.
    #[error("the ticket's secret is too long")]
    Ticket,
    /// One of the two accounts has its most pairs.
    #[error("one of the accounts has its most pairs")]
    Pairs,
    /// As many requests as may be wait for the answer of one of the two accounts.
    #[error("one of the accounts has its most requests")]
    Requests,
    /// The account has its most vouches.
    #[error("the account has its most vouches")]
    Vouches,
    /// A statement is too long.
    #[error("the statement is too long")]
    Statement,
}

impl Limit {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Key => 32,
            Self::Value => 33,
            Self::Mail => 34,
            Self::Quota => 35,
            Self::Devices => 36,
            Self::TicketName => 37,
            Self::Ticket => 38,
            Self::Pairs => 39,
            Self::Vouches => 40,
            Self::Statement => 41,
            Self::Requests => 42,
        }
    }
}
