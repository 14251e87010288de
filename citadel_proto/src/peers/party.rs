//! Who can be a peer.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Who can be a peer of another at the same server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Party {
    /// An account, on whichever of its devices.
    Account(Cid),
    /// A session without an account, by its proven identity. What it agrees to ends with it.
    Transient(PeerId),
}

impl Party {
    /// Its account, if it has one.
    pub const fn cid(self) -> Option<Cid> {
        match self {
            Self::Account(cid) => Some(cid),
            Self::Transient(_) => None,
        }
    }

    /// Its bytes where they are signed: a tag, then the id.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Account(cid) => [&[0][..], &cid.0.to_le_bytes()].concat(),
            Self::Transient(peer) => [&[1][..], peer.as_bytes()].concat(),
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(cid) => cid.fmt(f),
            Self::Transient(peer) => peer.fmt(f),
        }
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(cid) => write!(f, "Account({cid})"),
            Self::Transient(peer) => write!(f, "Transient({peer})"),
        }
    }
}
