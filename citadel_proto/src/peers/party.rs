//! Who can be a peer.

use super::codec::{Malformed, take_peer, take_u8, take_u64};
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

    /// Its bytes where they are signed or stored: a tag, then the id.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Account(cid) => [&[0][..], &cid.0.to_le_bytes()].concat(),
            Self::Transient(peer) => [&[1][..], peer.as_bytes()].concat(),
        }
    }

    /// Takes [`to_bytes`](Self::to_bytes) from the front of `rest`.
    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, Malformed> {
        match take_u8(rest)? {
            0 => take_u64(rest).map(|cid| Self::Account(Cid(cid))),
            1 => take_peer(rest).map(Self::Transient),
            _ => Err(Malformed),
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
