//! The key-value space of an account.

use citadel_crypt::handshake::Cid;
use core::fmt;

/// Whose values: an account's own, or those that it keeps about one of its peers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Space {
    /// The account that owns them.
    pub cid: Cid,
    /// The peer that they are about.
    pub peer: Option<Cid>,
}

impl Space {
    /// Longest key, bytes.
    pub const MAX_KEY: usize = 512;
    /// Longest value, bytes.
    pub const MAX_VALUE: usize = 64 << 10;

    /// The account's own values.
    pub const fn of(cid: Cid) -> Self {
        Self { cid, peer: None }
    }

    /// What `cid` keeps about `peer`.
    pub const fn about(cid: Cid, peer: Cid) -> Self {
        Self { cid, peer: Some(peer) }
    }
}

/// Version of a value: rises with every change in the account, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ValueVersion(pub u64);

/// What must hold of a key for a change to happen (compare-and-set).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Nothing.
    Any,
    /// It is not there.
    Absent,
    /// It has this version.
    Version(ValueVersion),
}

/// A value with its version. Its `Debug` tells its length, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Its version.
    pub version: ValueVersion,
    /// Its bytes.
    pub value: Vec<u8>,
}

impl fmt::Debug for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Versioned({}, {} bytes)", self.version.0, self.value.len())
    }
}

/// A key with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Vec<u8>,
    /// The value and its version.
    pub versioned: Versioned,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({} bytes, {:?})", self.key.len(), self.versioned)
    }
}

/// A part of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValuePage {
    /// The entries, by rising key.
    pub entries: Vec<Entry>,
    /// Whether there are more after the last one.
    pub more: bool,
}

/// The most that a mailbox, or all values of an account, may hold. Bytes are those of items, or of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Most items or entries.
    pub items: u64,
    /// Most bytes.
    pub bytes: u64,
}

impl Quota {
    /// 10,000 items and 16 MiB: an account costs the server a bounded, small part of a disk.
    pub const DEFAULT: Self = Self { items: 10_000, bytes: 16 << 20 };
}

impl Default for Quota {
    fn default() -> Self {
        Self::DEFAULT
    }
}
