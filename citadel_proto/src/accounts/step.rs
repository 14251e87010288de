//! What the machines of this folder ask for, and what they are told.
//!
//! A machine is a value that is consumed by each fact and returns the next question or its verdict. It decides; the driver
//! asks the backend, hashes and draws. A driver that answers something else than was asked gets a refusal, never a panic.

use super::password::Verified;
use crate::backend::{
    Account, AccountChange, Device, Expect, Member, PasswordHash, Revision, Updated, ValuePage, ValueVersion,
    Versioned,
};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, Password, UserName};

/// What a machine needs to know, or to have done durably.
#[derive(Debug)]
pub(super) enum Need {
    AccountOf(UserName),
    Account(Cid),
    Device(Cid, PeerId),
    /// The account of a name and a device in it, of one moment.
    Member(UserName, PeerId),
    Devices(Cid),
    /// One run of the hasher, against a decoy if there is nothing to check against.
    Verify {
        password: Password,
        against: Option<PasswordHash>,
    },
    /// One run of the hasher, with a fresh salt.
    Hash(Password),
    /// A random account id.
    FreshCid,
    Create(Box<Create>),
    AddDevice {
        cid: Cid,
        name: DeviceName,
    },
    RevokeDevice {
        cid: Cid,
        peer: PeerId,
    },
    Update {
        cid: Cid,
        expected: Revision,
        change: Box<AccountChange>,
    },
    Remove(Cid),
    Value {
        space: SpaceOf,
        key: Vec<u8>,
    },
    Put {
        space: SpaceOf,
        key: Vec<u8>,
        value: Vec<u8>,
        expect: Expect,
    },
    Delete {
        space: SpaceOf,
        key: Vec<u8>,
        expect: Expect,
    },
    List {
        space: SpaceOf,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
    },
}

/// An account to be created.
#[derive(Debug)]
pub(super) struct Create {
    pub(super) cid: Cid,
    pub(super) user: UserName,
    pub(super) display_name: DisplayName,
    pub(super) password: PasswordHash,
    pub(super) device: DeviceName,
}

/// Whose values: those of an account, or those that it keeps about a peer.
pub(super) type SpaceOf = crate::backend::Space;

/// The answer to a [`Need`].
#[derive(Debug)]
pub(super) enum Fact {
    Account(Option<Account>),
    Device(Option<Device>),
    Member(Option<Member>),
    Devices(Vec<Device>),
    Verified(Verified),
    Hashed(PasswordHash),
    Cid(Cid),
    /// Done, durably.
    Done,
    Revoked(bool),
    Updated(Updated),
    Removed(bool),
    Value(Option<Versioned>),
    Version(ValueVersion),
    Deleted(bool),
    Page(ValuePage),
    Failed(Failure),
}

/// Why there is no better answer. Nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    UserTaken,
    CidTaken,
    DeviceKnown,
    Revision,
    Version(Option<ValueVersion>),
    TooManyDevices,
    TooLong,
    Quota,
    NoAccount,
    /// Too many hashes wait.
    Busy,
    /// The backend, the hasher or the provider failed.
    Unavailable,
}

/// What a machine does next.
pub(super) enum Next<M, V> {
    Ask(M, Need),
    Done(V),
}

/// A machine.
pub(super) trait Machine: Sized {
    /// What it comes to.
    type Verdict;

    /// Takes the answer to what it asked for last.
    fn tell(self, fact: Fact) -> Next<Self, Self::Verdict>;
}
