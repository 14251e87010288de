//! Requests of a session's user, and the answers.

use crate::backend::{Device, Expect, UnixTime, ValuePage, ValueVersion, Versioned};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DisplayName, Password, UserName};
use core::fmt;
use core::time::Duration;

/// A request about the session's own account.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestBody {
    /// Its names.
    Profile,
    /// Its devices, revoked ones too.
    Devices,
    /// Shut a device out, for good.
    RevokeDevice {
        /// Which.
        peer: PeerId,
    },
    /// Replace the password.
    ChangePassword {
        /// The password that it has.
        old: Password,
        /// The password that it gets.
        new: Password,
        /// Whether every device but this one is revoked with it.
        revoke_others: bool,
    },
    /// Replace the name to be shown.
    SetDisplayName {
        /// The new one.
        display_name: DisplayName,
    },
    /// Remove the account with everything in it.
    Deregister,
    /// Read a value.
    Get {
        /// The peer that it is about.
        about: Option<Cid>,
        /// Its key.
        key: Vec<u8>,
    },
    /// Set a value.
    Put {
        /// The peer that it is about.
        about: Option<Cid>,
        /// Its key.
        key: Vec<u8>,
        /// Its bytes.
        value: Vec<u8>,
        /// What must hold of it.
        expect: Expect,
    },
    /// Delete a value.
    Delete {
        /// The peer that it is about.
        about: Option<Cid>,
        /// Its key.
        key: Vec<u8>,
        /// What must hold of it.
        expect: Expect,
    },
    /// List values by rising key.
    List {
        /// The peer that they are about.
        about: Option<Cid>,
        /// What their keys start with.
        prefix: Vec<u8>,
        /// The key after which to begin.
        after: Option<Vec<u8>>,
        /// Most entries.
        limit: u64,
    },
}

impl fmt::Debug for RequestBody {
    /// Its kind; never its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Profile => "Profile",
            Self::Devices => "Devices",
            Self::RevokeDevice { .. } => "RevokeDevice",
            Self::ChangePassword { .. } => "ChangePassword",
            Self::SetDisplayName { .. } => "SetDisplayName",
            Self::Deregister => "Deregister",
            Self::Get { .. } => "Get",
            Self::Put { .. } => "Put",
            Self::Delete { .. } => "Delete",
            Self::List { .. } => "List",
        })
    }
}

/// What an account is called.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Profile {
    /// Its id.
    pub cid: Cid,
    /// The name that logs in.
    pub user: UserName,
    /// The name that others are shown.
    pub display_name: DisplayName,
    /// When it was made.
    pub created: UnixTime,
}

impl Profile {
    pub(super) const fn new(cid: Cid, user: UserName, display_name: DisplayName, created: UnixTime) -> Self {
        Self { cid, user, display_name, created }
    }
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ResponseBody {
    /// The names.
    Profile(Profile),
    /// The devices.
    Devices(Vec<Device>),
    /// It is done, durably.
    Done,
    /// It is done, durably; whether there was anything to do.
    Was(bool),
    /// The value, if there is one.
    Value(Option<Versioned>),
    /// The value is set and has this version.
    Version(ValueVersion),
    /// A part of a listing.
    Page(ValuePage),
    /// Nothing was done.
    Failed(AskError),
}

/// Why a server did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The session may not ask for it; one without an account may ask for nothing.
    #[error("not allowed")]
    Denied,
    /// The account was removed or blocked, or the device revoked.
    #[error("the account or the device is gone")]
    Gone,
    /// The old password is wrong.
    #[error("wrong password")]
    Credentials,
    /// Too many passwords were tried from this device.
    #[error("too many attempts; next in {0:?}")]
    RateLimited(Duration),
    /// The account was changed at the same time.
    #[error("the account was changed meanwhile")]
    Conflict,
    /// The value is not the expected one.
    #[error("the value was changed meanwhile: its version is {0:?}")]
    Version(Option<ValueVersion>),
    /// A key or a value is too long.
    #[error("a key or a value is too long")]
    TooLong,
    /// The account's share of the disk is used up.
    #[error("the account's quota is used up")]
    Quota,
    /// Too many passwords wait to be checked.
    #[error("the server is busy")]
    Busy,
    /// The server could not read or write, or failed within. Whether it was done must be read.
    #[error("the server could not do it")]
    Unavailable,
}

impl AskError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Denied => 1,
            Self::Gone => 2,
            Self::Credentials => 3,
            Self::RateLimited(_) => 4,
            Self::Conflict => 5,
            Self::Version(_) => 6,
            Self::TooLong => 7,
            Self::Quota => 8,
            Self::Busy => 9,
            Self::Unavailable => 10,
        }
    }

    /// Whether the same may succeed later, with nothing changed by the caller.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::RateLimited(_) | Self::Conflict | Self::Busy | Self::Unavailable)
    }
}
