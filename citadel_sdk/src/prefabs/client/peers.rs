//! Whom a kernel of peers connects with.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, NameError, UserName};
use citadel_proto::peers::{Party, Who};
use core::fmt;

/// One or more peers, each by user name, by account id, or by the peer id of a session without an account. Whatever is made
/// of it is whole: there is at least one, and each says completely whom it means.
///
/// ```
/// use citadel_sdk::prelude::*;
/// # fn example(carol: PeerId) {
/// let bob = Peers::user("bob");
/// let both = Peers::user("bob").and(Peers::user("carol").expecting(carol));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Peers {
    first: Wanted,
    others: Vec<Wanted>,
}

/// One peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    name: Name,
    /// The peer id that it must have.
    pub(super) expect: Option<PeerId>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Name {
    User(String),
    Cid(Cid),
    PeerId(PeerId),
}

impl Peers {
    /// The account with this user name at the same server. Who it is is first use unless [`expecting`](Self::expecting) says
    /// its peer id.
    pub fn user(name: impl Into<String>) -> Self {
        Self::one(Name::User(name.into()))
    }

    /// The account with this id at the same server.
    pub const fn cid(cid: Cid) -> Self {
        Self::one(Name::Cid(cid))
    }

    /// The session without an account of the node with this peer id, at the same server.
    pub const fn peer_id(peer: PeerId) -> Self {
        let wanted = Wanted { name: Name::PeerId(peer), expect: Some(peer) };
        Self { first: wanted, others: Vec::new() }
    }

    const fn one(name: Name) -> Self {
        Self { first: Wanted { name, expect: None }, others: Vec::new() }
    }

    /// The same, each of which must prove to be `peer`, which counts as verified then, or another verified device of its account.
    pub fn expecting(mut self, peer: PeerId) -> Self {
        self.first.expect = Some(peer);
        self.others.iter_mut().for_each(|wanted| wanted.expect = Some(peer));
        self
    }

    /// These and those. Whoever is among both is there once.
    pub fn and(mut self, more: Self) -> Self {
        for wanted in core::iter::once(more.first).chain(more.others) {
            if wanted != self.first && !self.others.contains(&wanted) {
                self.others.push(wanted);
            }
        }
        self
    }

    /// All of `all`; none if there are none.
    pub fn all(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        all.into_iter().reduce(Self::and)
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &Wanted> {
        core::iter::once(&self.first).chain(&self.others)
    }

    /// Whether every name can be one.
    pub(super) fn check(&self) -> Result<(), NameError> {
        self.list().try_for_each(|wanted| wanted.who().map(drop))
    }
}

impl Wanted {
    /// Whom the server is asked for.
    pub(super) fn who(&self) -> Result<Who, NameError> {
        Ok(match &self.name {
            Name::User(name) => Who::from(UserName::new(name.clone())?),
            Name::Cid(cid) => Who::from(*cid),
            Name::PeerId(peer) => Who::from(*peer),
        })
    }

    /// Who it is at the server, if it has no account there.
    pub(super) const fn transient(&self) -> Option<Party> {
        match &self.name {
            Name::PeerId(peer) => Some(Party::Transient(*peer)),
            Name::User(_) | Name::Cid(_) => None,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::User(name) => f.write_str(name),
            Name::Cid(cid) => cid.fmt(f),
            Name::PeerId(peer) => peer.fmt(f),
        }
    }
}
