//! Bytes of the service channel of peers, and of the first message of a lane.
//!
//! Read from an authenticated peer and trusted no further: the length is capped before anything is decoded, names and
//! lengths are checked as they are read, the whole input is the value (see [`citadel_crypt::wire`]).

use super::message::{Offered, PeerAnswer, PeerAsk, PeerAskError, View, Who};
use super::statement::MAX_STATEMENT_LEN;
use super::{ConsentError, Party, Shown};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{DisplayName, UserName};
use citadel_crypt::secret::Secret;
use citadel_crypt::wire::{WireError, decode_borrowed, encode};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// Longest request, bytes: a statement and what stands around it.
pub const MAX_ASK_LEN: usize = MAX_STATEMENT_LEN + 256;
/// Most vouches and disowns in one answer.
pub const MAX_VOUCHES: usize = 8;
/// Most vouches and disowns of an account, in as many answers as it takes.
pub const MAX_STATEMENTS: usize = 64;
/// Most devices that are told of a party.
pub const MAX_ONLINE: usize = 64;
/// Longest answer, bytes: a view with two statements, as many vouches as one has and all devices.
pub const MAX_ANSWER_LEN: usize = (MAX_VOUCHES + 2) * (MAX_STATEMENT_LEN + 8) + MAX_ONLINE * 32 + 1_024;

#[derive(Serialize, Deserialize)]
struct WireUp<'a> {
    id: u64,
    #[serde(borrow)]
    body: WireAsk<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireAsk<'a> {
    FindUser(&'a str),
    FindParty(Party),
    Ask { to: Party, statement: &'a [u8] },
    Accept { to: Party, statement: &'a [u8] },
    Decline(Party),
    Remove(Party),
    Block { to: Party, blocked: bool },
    Vouch(&'a [u8]),
    Watch,
    Observe,
}

#[derive(Serialize, Deserialize)]
struct WireDown<'a> {
    id: u64,
    #[serde(borrow)]
    body: WireAnswer<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireAnswer<'a> {
    Found(Party),
    Done,
    Was(bool),
    Failed(WireRefusal),
    #[serde(borrow)]
    View(WireView<'a>),
    Presence {
        party: Party,
        online: Vec<[u8; 32]>,
    },
    Synced,
    Vouches {
        party: Party,
        #[serde(borrow)]
        vouches: Vec<&'a [u8]>,
    },
    Observer {
        address: SocketAddr,
        token: [u8; 16],
        key: [u8; 32],
    },
}

#[derive(Serialize, Deserialize)]
struct WireView<'a> {
    party: Party,
    user: Option<&'a str>,
    display_name: Option<&'a str>,
    #[serde(borrow)]
    shown: WireShown<'a>,
    blocked: bool,
    online: Vec<[u8; 32]>,
    #[serde(borrow)]
    vouches: Vec<&'a [u8]>,
}

#[derive(Serialize, Deserialize)]
enum WireShown<'a> {
    None,
    AskedByYou,
    AskedByThem { statement: &'a [u8] },
    DeclinedByThem,
    Peers { mine: &'a [u8], theirs: &'a [u8] },
}

#[derive(Serialize, Deserialize)]
enum WireRefusal {
    Unknown,
    Full,
    RateLimited { millis: u64 },
    Denied,
    Malformed,
    Conflict,
    Unavailable,
    Yourself,
    AlreadyPeers,
    NoRequest,
    Blocked,
}

/// The first message of a lane, from the client that opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LaneOpen {
    /// To whom.
    pub to: Party,
    /// To which of its devices.
    pub device: PeerId,
}

/// The first message of a lane, to the client that it leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LaneFrom {
    /// Who opened it, as the server knows it.
    pub from: Party,
    /// On which of its devices, likewise. The handshake over the lane proves it.
    pub device: PeerId,
}

/// Longest first message of a lane.
pub const MAX_LANE_LEN: usize = 80;

/// The bytes of a lane's first message.
///
/// # Errors
/// [`WireError`], never for the messages of this module.
pub fn encode_lane<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    encode(message)
}

/// The first message of a lane that `bytes` are, all of them.
///
/// # Errors
/// [`WireError`].
pub fn decode_lane<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, WireError> {
    decode_borrowed(bytes, MAX_LANE_LEN)
}

/// The bytes of a request.
///
/// # Errors
/// [`WireError::TooLong`] over [`MAX_ASK_LEN`].
pub fn encode_ask(id: u64, ask: &PeerAsk) -> Result<Vec<u8>, WireError> {
    let body = match ask {
        PeerAsk::Find(Who::User(user)) => WireAsk::FindUser(user.as_str()),
        PeerAsk::Find(Who::Party(party)) => WireAsk::FindParty(*party),
        PeerAsk::Ask { to, statement } => WireAsk::Ask { to: *to, statement },
        PeerAsk::Accept { to, statement } => WireAsk::Accept { to: *to, statement },
        PeerAsk::Decline(to) => WireAsk::Decline(*to),
        PeerAsk::Remove(to) => WireAsk::Remove(*to),
        PeerAsk::Block { to, blocked } => WireAsk::Block { to: *to, blocked: *blocked },
        PeerAsk::Vouch(statement) => WireAsk::Vouch(statement),
        PeerAsk::Watch => WireAsk::Watch,
        PeerAsk::Observe => WireAsk::Observe,
    };
    capped(encode(&WireUp { id, body })?, MAX_ASK_LEN)
}

/// The request that `bytes` are, all of them.
///
/// # Errors
/// [`WireError`].
pub fn decode_ask(bytes: &[u8]) -> Result<(u64, PeerAsk), WireError> {
    let WireUp { id, body } = decode_borrowed(bytes, MAX_ASK_LEN)?;
    let ask = match body {
        WireAsk::FindUser(user) => {
            PeerAsk::Find(Who::User(UserName::try_from(user).map_err(|_| WireError::Malformed)?))
        }
        WireAsk::FindParty(party) => PeerAsk::Find(Who::Party(party)),
        WireAsk::Ask { to, statement } => PeerAsk::Ask { to, statement: statement.into() },
        WireAsk::Accept { to, statement } => PeerAsk::Accept { to, statement: statement.into() },
        WireAsk::Decline(to) => PeerAsk::Decline(to),
        WireAsk::Remove(to) => PeerAsk::Remove(to),
        WireAsk::Block { to, blocked } => PeerAsk::Block { to, blocked },
        WireAsk::Vouch(statement) => PeerAsk::Vouch(statement.into()),
        WireAsk::Watch => PeerAsk::Watch,
        WireAsk::Observe => PeerAsk::Observe,
    };
    Ok((id, ask))
}

/// The bytes of an answer; `id` is 0 for what a server says by itself.
///
/// # Errors
/// [`WireError::TooLong`] over [`MAX_ANSWER_LEN`].
pub fn encode_answer(id: u64, answer: &PeerAnswer) -> Result<Vec<u8>, WireError> {
    let body = match answer {
        PeerAnswer::Found(party) => WireAnswer::Found(*party),
        PeerAnswer::Done => WireAnswer::Done,
        PeerAnswer::Was(was) => WireAnswer::Was(*was),
        PeerAnswer::Failed(error) => WireAnswer::Failed(WireRefusal::of(error)),
        PeerAnswer::View(view) => WireAnswer::View(WireView::of(view)),
        PeerAnswer::Presence { party, online } => WireAnswer::Presence { party: *party, online: ids(online) },
        PeerAnswer::Synced => WireAnswer::Synced,
        PeerAnswer::Vouches { party, vouches } => {
            WireAnswer::Vouches { party: *party, vouches: slices(vouches) }
        }
        PeerAnswer::Observer(Offered { address, token, key }) => {
            WireAnswer::Observer { address: *address, token: *token, key: *key.expose() }
        }
    };
    capped(encode(&WireDown { id, body })?, MAX_ANSWER_LEN)
}

/// The answer that `bytes` are, all of them.
///
/// # Errors
/// [`WireError`].
pub fn decode_answer(bytes: &[u8]) -> Result<(u64, PeerAnswer), WireError> {
    let WireDown { id, body } = decode_borrowed(bytes, MAX_ANSWER_LEN)?;
    let answer = match body {
        WireAnswer::Found(party) => PeerAnswer::Found(party),
        WireAnswer::Done => PeerAnswer::Done,
        WireAnswer::Was(was) => PeerAnswer::Was(was),
        WireAnswer::Failed(refusal) => PeerAnswer::Failed(refusal.read()),
        WireAnswer::View(view) => PeerAnswer::View(view.read()?),
        WireAnswer::Presence { party, online } => PeerAnswer::Presence { party, online: peers_of(online)? },
        WireAnswer::Synced => PeerAnswer::Synced,
        WireAnswer::Vouches { party, vouches } => {
            PeerAnswer::Vouches { party, vouches: vouches.into_iter().map(Vec::from).collect() }
        }
        WireAnswer::Observer { address, token, key } => {
            PeerAnswer::Observer(Offered { address, token, key: Arc::new(Secret::copy_from(&key)) })
        }
    };
    Ok((id, answer))
}

fn capped(bytes: Vec<u8>, max: usize) -> Result<Vec<u8>, WireError> {
    if bytes.len() > max { Err(WireError::TooLong) } else { Ok(bytes) }
}

fn slices(statements: &[Vec<u8>]) -> Vec<&[u8]> {
    statements.iter().take(MAX_VOUCHES).map(Vec::as_slice).collect()
}

fn ids(peers: &[PeerId]) -> Vec<[u8; 32]> {
    peers.iter().take(MAX_ONLINE).map(|peer| peer.0).collect()
}

/// The peer ids of so many as are told at most.
fn peers_of(ids: Vec<[u8; 32]>) -> Result<Vec<PeerId>, WireError> {
    if ids.len() > MAX_ONLINE {
        return Err(WireError::Malformed);
    }
    Ok(ids.into_iter().map(PeerId).collect())
}

impl<'a> WireView<'a> {
    fn of(view: &'a View) -> Self {
        let View { party, user, display_name, shown, blocked, online, vouches } = view;
        let shown = match shown {
            Shown::None => WireShown::None,
            Shown::AskedByYou => WireShown::AskedByYou,
            Shown::AskedByThem { statement } => WireShown::AskedByThem { statement },
            Shown::DeclinedByThem => WireShown::DeclinedByThem,
            Shown::Peers { mine, theirs } => WireShown::Peers { mine, theirs },
        };
        Self {
            party: *party,
            user: user.as_ref().map(UserName::as_str),
            display_name: display_name.as_ref().map(DisplayName::as_str),
            shown,
            blocked: *blocked,
            online: ids(online),
            vouches: slices(vouches),
        }
    }

    fn read(self) -> Result<View, WireError> {
        let shown = match self.shown {
            WireShown::None => Shown::None,
            WireShown::AskedByYou => Shown::AskedByYou,
            WireShown::AskedByThem { statement } => Shown::AskedByThem { statement: statement.into() },
            WireShown::DeclinedByThem => Shown::DeclinedByThem,
            WireShown::Peers { mine, theirs } => Shown::Peers { mine: mine.into(), theirs: theirs.into() },
        };
        let malformed = |_| WireError::Malformed;
        if self.vouches.len() > MAX_VOUCHES {
            return Err(WireError::Malformed);
        }
        Ok(View {
            party: self.party,
            user: self.user.map(UserName::try_from).transpose().map_err(malformed)?,
            display_name: self.display_name.map(DisplayName::try_from).transpose().map_err(malformed)?,
            shown,
            blocked: self.blocked,
            online: peers_of(self.online)?,
            vouches: self.vouches.into_iter().map(<[u8]>::to_vec).collect(),
        })
    }
}

impl WireRefusal {
    fn of(error: &PeerAskError) -> Self {
        match error {
            PeerAskError::Unknown => Self::Unknown,
            PeerAskError::Full => Self::Full,
            PeerAskError::RateLimited(wait) => {
                let millis = wait.as_nanos().div_ceil(1_000_000);
                Self::RateLimited { millis: u64::try_from(millis).unwrap_or(u64::MAX) }
            }
            PeerAskError::Denied => Self::Denied,
            PeerAskError::Malformed => Self::Malformed,
            PeerAskError::Conflict => Self::Conflict,
            PeerAskError::Unavailable => Self::Unavailable,
            PeerAskError::Consent(error) => match error {
                ConsentError::Yourself => Self::Yourself,
                ConsentError::AlreadyPeers => Self::AlreadyPeers,
                ConsentError::NoRequest => Self::NoRequest,
                ConsentError::Blocked => Self::Blocked,
            },
        }
    }

    const fn read(self) -> PeerAskError {
        match self {
            Self::Unknown => PeerAskError::Unknown,
            Self::Full => PeerAskError::Full,
            Self::RateLimited { millis } => PeerAskError::RateLimited(Duration::from_millis(millis)),
            Self::Denied => PeerAskError::Denied,
            Self::Malformed => PeerAskError::Malformed,
            Self::Conflict => PeerAskError::Conflict,
            Self::Unavailable => PeerAskError::Unavailable,
            Self::Yourself => PeerAskError::Consent(ConsentError::Yourself),
            Self::AlreadyPeers => PeerAskError::Consent(ConsentError::AlreadyPeers),
            Self::NoRequest => PeerAskError::Consent(ConsentError::NoRequest),
            Self::Blocked => PeerAskError::Consent(ConsentError::Blocked),
        }
    }
}
