//! What a client asks about its peers, and what a server says of them.

use super::{ConsentError, Party, Shown};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{DisplayName, UserName};
use citadel_crypt::secret::Secret;
use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;

/// Whom somebody looks for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Who {
    /// The account with this user name.
    User(UserName),
    /// This party: an account by its id, or a session without an account by its peer id.
    Party(Party),
}

impl From<UserName> for Who {
    fn from(user: UserName) -> Self {
        Self::User(user)
    }
}

impl From<Party> for Who {
    fn from(party: Party) -> Self {
        Self::Party(party)
    }
}

impl From<citadel_crypt::handshake::Cid> for Who {
    fn from(cid: citadel_crypt::handshake::Cid) -> Self {
        Self::Party(Party::Account(cid))
    }
}

impl From<PeerId> for Who {
    fn from(peer: PeerId) -> Self {
        Self::Party(Party::Transient(peer))
    }
}

/// A request of a client.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerAsk {
    /// Is there such a party?
    Find(Who),
    /// Ask to be peers.
    Ask {
        /// Whom.
        to: Party,
        /// The signed request.
        statement: Vec<u8>,
    },
    /// Accept to be peers.
    Accept {
        /// Whose request.
        to: Party,
        /// The signed acceptance.
        statement: Vec<u8>,
    },
    /// Decline to be peers.
    Decline(Party),
    /// Be no peers any more, or take an unanswered request back.
    Remove(Party),
    /// Hear nothing of a party any more, or again.
    Block {
        /// Whom.
        to: Party,
        /// Nothing any more; else again.
        blocked: bool,
    },
    /// Keep a signed vouch or disown for the peers of the own account.
    Vouch(Vec<u8>),
    /// Say what there is, and from now on what changes.
    Watch,
    /// Give the right to ask at the server's observation port.
    Observe,
}

impl fmt::Debug for PeerAsk {
    /// Its kind and whom it is about; never a statement.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Find(who) => write!(f, "Find({who:?})"),
            Self::Ask { to, .. } => write!(f, "Ask({to})"),
            Self::Accept { to, .. } => write!(f, "Accept({to})"),
            Self::Decline(to) => write!(f, "Decline({to})"),
            Self::Remove(to) => write!(f, "Remove({to})"),
            Self::Block { to, blocked } => write!(f, "Block({to}, {blocked})"),
            Self::Vouch(_) => f.write_str("Vouch"),
            Self::Watch => f.write_str("Watch"),
            Self::Observe => f.write_str("Observe"),
        }
    }
}

/// What a server sends: an answer to a request, or, by itself, a state that changed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PeerAnswer {
    /// There is this party.
    Found(Party),
    /// It is done, durably.
    Done,
    /// It is done, durably; whether there was anything to do.
    Was(bool),
    /// Nothing was done.
    Failed(PeerAskError),
    /// A pair as it stands now. By itself.
    View(View),
    /// The devices of a peer that have a session now. By itself.
    Presence {
        /// Whose.
        party: Party,
        /// Their peer ids.
        online: Vec<PeerId>,
    },
    /// Everything that there was has been said. By itself, once after [`PeerAsk::Watch`].
    Synced,
    /// Vouches and disowns that do not fit into the view of their party, which is the next that comes by itself.
    Vouches {
        /// Whose.
        party: Party,
        /// Signed statements.
        vouches: Vec<Vec<u8>>,
    },
    /// The right to ask at the observation port.
    Observer(Offered),
}

/// A right to ask at a server's observation port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered {
    /// Where the port is; an unspecified address is that at which the client reaches the server.
    pub address: SocketAddr,
    /// Names the right.
    pub token: [u8; 16],
    /// Proves it.
    pub key: Arc<Secret<32>>,
}

/// A pair as one of the two is told of it. The pair of an account with itself is what its devices have said of each other.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct View {
    /// The other one.
    pub party: Party,
    /// Its user name, if it asked or accepted and has an account.
    pub user: Option<UserName>,
    /// The name that it wants to be shown, likewise.
    pub display_name: Option<DisplayName>,
    /// What the two have said.
    pub shown: Shown,
    /// Whether it is blocked here.
    pub blocked: bool,
    /// Its devices that have a session now; of peers alone.
    pub online: Vec<PeerId>,
    /// Signed vouches and disowns of its devices; of peers, and of the own account.
    pub vouches: Vec<Vec<u8>>,
}

/// Why a server did not do what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerAskError {
    /// There is no such party.
    #[error("there is no such party")]
    Unknown,
    /// What the two have said does not allow it.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// One of the two has as many peers, or as many unanswered requests, as there may be.
    #[error("there are too many peers or unanswered requests")]
    Full,
    /// Too many requests from here.
    #[error("too many requests; next in {0:?}")]
    RateLimited(Duration),
    /// The session may not ask for it.
    #[error("not allowed")]
    Denied,
    /// A statement cannot be read, or is not about what was asked.
    #[error("the statement is not about what was asked")]
    Malformed,
    /// Both changed the pair at the same time.
    #[error("the pair is being changed")]
    Conflict,
    /// The server could not read or write. Whether it was done must be looked at.
    #[error("the server could not do it")]
    Unavailable,
}

impl PeerAskError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Unknown => 1,
            Self::Full => 2,
            Self::RateLimited(_) => 3,
            Self::Denied => 4,
            Self::Malformed => 5,
            Self::Conflict => 6,
            Self::Unavailable => 7,
            Self::Consent(error) => 0x100 + error.code(),
        }
    }

    /// Whether the same may succeed later, with nothing changed by the caller.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::RateLimited(_) | Self::Conflict | Self::Unavailable)
    }
}
