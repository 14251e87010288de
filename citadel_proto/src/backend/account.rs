//! Accounts and devices as they are stored.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, UserName};
use core::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixTime(pub u64);

/// Counts the changes of an account, or of a pair of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Revision(pub u64);

impl Revision {
    /// Of what is not there.
    pub const NONE: Self = Self(0);
    /// Of an account that was never changed.
    pub const FIRST: Self = Self(1);
}

/// What a password became, as a PHC string: salt, parameters and hash. Opaque here, secret, wiped on drop, silent in
/// `Debug`, compared in constant time. `Clone`, because it is checked on another thread than the one that read it.
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// Longest, bytes.
    pub const MAX_LEN: usize = 512;

    /// Takes a PHC string.
    ///
    /// # Errors
    /// [`PasswordHashError`] when it is empty or too long.
    pub fn new(phc: impl Into<String>) -> Result<Self, PasswordHashError> {
        let phc = Zeroizing::new(phc.into());
        if phc.is_empty() || phc.len() > Self::MAX_LEN { Err(PasswordHashError) } else { Ok(Self(phc)) }
    }

    /// The string, for whoever checks a password against it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for PasswordHash {}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A password hash has 1 to 512 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a password hash has 1 to 512 bytes")]
pub struct PasswordHashError;

/// An account to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// Its id, chosen at random by the caller.
    pub cid: Cid,
    /// The name that logs in.
    pub user: UserName,
    /// The name that others see.
    pub display_name: DisplayName,
    /// What the password became.
    pub password: PasswordHash,
    /// When.
    pub created: UnixTime,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Account {
    /// Its id.
    pub cid: Cid,
    /// The name that logs in.
    pub user: UserName,
    /// The name that others see.
    pub display_name: DisplayName,
    /// What the password became.
    pub password: PasswordHash,
    /// When it was created.
    pub created: UnixTime,
    /// Whether it may not log in.
    pub blocked: bool,
    /// How often it was changed.
    pub revision: Revision,
}

/// What to change of an account; what is `None` stays.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AccountChange {
    /// A new password.
    pub password: Option<PasswordHash>,
    /// A new name to be shown.
    pub display_name: Option<DisplayName>,
    /// Whether it may log in from now on.
    pub blocked: Option<bool>,
    /// Devices to revoke in the same transaction.
    pub revoke: Option<RevokeDevices>,
}

/// Which devices to revoke together with a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RevokeDevices {
    /// All but this one; all if `None`.
    pub except: Option<PeerId>,
    /// When.
    pub at: UnixTime,
}

/// What a change did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Updated {
    /// The account's revision now.
    pub revision: Revision,
    /// The devices that this change revoked, by peer id.
    pub revoked: Vec<PeerId>,
}

/// A device of an account: the identity of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Fingerprint of its identity: whoever holds that identity is this device.
    pub peer: PeerId,
    /// What its user calls it.
    pub name: DeviceName,
    /// When it was added.
    pub added: UnixTime,
    /// When it was revoked, if it was.
    pub revoked: Option<UnixTime>,
}

impl Device {
    /// A live device.
    pub const fn new(peer: PeerId, name: DeviceName, added: UnixTime) -> Self {
        Self { peer, name, added, revoked: None }
    }

    /// Whether it may log in.
    pub const fn is_live(&self) -> bool {
        self.revoked.is_none()
    }
}

/// An account with one of its devices: who asks to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The account.
    pub account: Account,
    /// The device, revoked or not; none if the account does not have it.
    pub device: Option<Device>,
}

impl Member {
    /// Whether it may have a session: the device is live and the account not blocked.
    pub fn is_live(&self) -> bool {
        !self.account.blocked && self.device.as_ref().is_some_and(Device::is_live)
    }
}
