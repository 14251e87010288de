//! The server's end of a session's service channels about peers: requests one after the other, and what it says by itself.

use super::super::consent::Act;
use super::super::message::{PeerAnswer, PeerAsk, PeerAskError, View, Who};
use super::super::statement::{Claimed, Statement};
use super::super::{ConsentError, Party, wire};
use super::board::{Inner, Switchboard};
use super::floor::{Seat, Seated, Stale};
use super::relay;
use crate::accounts::{Action, Actor, Resource, authorize};
use crate::channel::{RELAY, SERVICE_PREFIX};
use crate::driver::{Channel, RecvHalf, SendHalf, Session};
use bytes::Bytes;
use core::fmt;
use std::sync::Arc;

/// Name of the service of peers, without the prefix that keeps it from applications.
pub const PEERS_SERVICE: &str = "peers";
/// Code of a channel that was reset because what came on it was no request.
const NO_REQUEST: u32 = 1;

/// A session's place at a [`Switchboard`]: its party is there as long as this lives.
pub struct Attendance {
    seated: Seated,
}

impl Switchboard {
    /// Takes a session of this server in: from now on its peers see it, and may reach it.
    pub fn attend(&self, session: &Session) -> Attendance {
        Attendance { seated: self.seat(session) }
    }
}

impl Attendance {
    /// Takes a service channel that the session's client opened if it is about peers, and serves it in a task until it or
    /// the session is over; gives others back.
    pub fn take(&self, channel: Channel) -> Option<Channel> {
        let (inner, seat) = (Arc::clone(&self.seated.inner), Arc::clone(&self.seated.seat));
        let tasks = inner.tasks.clone();
        match channel.name().strip_prefix(SERVICE_PREFIX) {
            Some(name) if name == PEERS_SERVICE.as_bytes() => {
                tasks.spawn(async move { serve(&inner, &seat, channel).await });
                None
            }
            Some(name) if name == RELAY.as_bytes() => {
                tasks.spawn(async move { relay::serve(&inner, &seat, channel).await });
                None
            }
            _ => Some(channel),
        }
    }
}

impl fmt::Debug for Attendance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attendance({:?})", self.seated.seat.party)
    }
}

/// What happens next on the channel.
enum Next {
    Request(Bytes),
    News,
    Over,
}

/// Answers requests in their order, and tells a client that watches what changed.
async fn serve(inner: &Inner, seat: &Arc<Seat>, channel: Channel) {
    let (mut send, mut recv) = channel.split();
    let mut line = Line { inner, seat, send: &mut send, watches: false, owes_synced: false };
    loop {
        let told = match line.tell().await {
            Ok(()) => match next(seat, &mut recv).await {
                Next::Request(message) => line.answer(&message).await,
                Next::News => Ok(()),
                Next::Over => break,
            },
            gone => gone,
        };
        if let Err(Gone) = told {
            send.reset(NO_REQUEST);
            return recv.stop(NO_REQUEST);
        }
    }
    // Best effort: a channel that is over already cannot be finished.
    let _finished = send.finish().await;
}

async fn next(seat: &Seat, recv: &mut RecvHalf) -> Next {
    tokio::select! {
        biased;
        () = seat.over.cancelled() => Next::Over,
        message = recv.recv() => match message {
            Ok(Some(message)) => Next::Request(message),
            Ok(None) | Err(_) => Next::Over,
        },
        () = seat.news.notified() => Next::News,
    }
}

/// The client reads no more, or did not keep to the protocol.
struct Gone;

struct Line<'a> {
    inner: &'a Inner,
    seat: &'a Arc<Seat>,
    send: &'a mut SendHalf,
    watches: bool,
    owes_synced: bool,
}

impl Line<'_> {
    /// Tells everything that changed. What cannot be read now stays to be told, with whatever comes next.
    async fn tell(&mut self) -> Result<(), Gone> {
        let mut owed = Vec::new();
        while self.watches
            && let Some((party, stale)) = self.seat.next_stale()
        {
            let told = match stale {
                Stale::Pair => match self.inner.view(self.seat, party).await {
                    Ok(view) => Ok(PeerAnswer::View(self.shorten(view).await?)),
                    Err(error) => Err(error),
                },
                Stale::Presence => {
                    let online = self.inner.presence(self.seat, party);
                    Ok(PeerAnswer::Presence { party, online })
                }
            };
            match told {
                Ok(told) => self.say(0, &told).await?,
                Err(error) => {
                    log::debug!(target: "citadel::peers", "{party}: {error}");
                    owed.push((party, stale));
                }
            }
        }
        self.seat.owe(owed);
        if core::mem::take(&mut self.owes_synced) {
            self.say(0, &PeerAnswer::Synced).await?;
        }
        Ok(())
    }

    /// Says of the vouches what is too much for one answer.
    async fn shorten(&mut self, mut view: View) -> Result<View, Gone> {
        let party = view.party;
        while view.vouches.len() > wire::MAX_VOUCHES {
            let vouches = view.vouches.drain(..wire::MAX_VOUCHES).collect();
            self.say(0, &PeerAnswer::Vouches { party, vouches }).await?;
        }
        Ok(view)
    }

    async fn say(&mut self, id: u64, answer: &PeerAnswer) -> Result<(), Gone> {
        let bytes = wire::encode_answer(id, answer).map_err(|_| Gone)?;
        self.send.send(bytes).await.map_err(|_| Gone)
    }

    async fn answer(&mut self, message: &Bytes) -> Result<(), Gone> {
        let Ok((id, ask)) = wire::decode_ask(message) else {
            log::debug!(target: "citadel::peers", "{:?}: no request", self.seat.party);
            return Err(Gone);
        };
        let answer = self.work(ask).await.unwrap_or_else(PeerAnswer::Failed);
        self.say(id, &answer).await
    }

    async fn work(&mut self, ask: PeerAsk) -> Result<PeerAnswer, PeerAskError> {
        let own = self.seat.party;
        self.authorize(&ask)?;
        self.pay(&ask)?;
        match ask {
            PeerAsk::Find(who) => self.find(who).await.map(PeerAnswer::Found),
            PeerAsk::Ask { to, statement } => {
                let Statement::Request(_) = self.about(&statement, to)? else {
                    return Err(PeerAskError::Malformed);
                };
                self.inner.accounts.may_ask_peer(&own.to_bytes()).map_err(PeerAskError::RateLimited)?;
                if !self.inner.exists(to).await? {
                    return Err(PeerAskError::Unknown);
                }
                self.act(to, Act::Ask(statement)).await
            }
            PeerAsk::Accept { to, statement } => {
                let Statement::Acceptance(_) = self.about(&statement, to)? else {
                    return Err(PeerAskError::Malformed);
                };
                self.act(to, Act::Accept(statement)).await
            }
            PeerAsk::Decline(to) => self.act(to, Act::Decline).await,
            PeerAsk::Block { to, blocked } => {
                self.act(to, if blocked { Act::Block } else { Act::Unblock }).await
            }
            PeerAsk::Remove(to) => self.inner.act(own, to, Act::Remove).await.map(PeerAnswer::Was),
            PeerAsk::Vouch(statement) => self.vouch(statement).await,
            PeerAsk::Watch => self.watch().await,
            PeerAsk::Observe => {
                let offered = self.inner.observer.get().and_then(|observer| observer.offer());
                offered.map(PeerAnswer::Observer).ok_or(PeerAskError::Unknown)
            }
        }
    }

    /// Takes what a request costs from its party's limit. Statements pay once it is known what they say.
    fn pay(&self, ask: &PeerAsk) -> Result<(), PeerAskError> {
        let (accounts, own) = (&self.inner.accounts, self.seat.party.to_bytes());
        let paid = match ask {
            PeerAsk::Find(_) | PeerAsk::Watch | PeerAsk::Observe => accounts.may_look_up_peer(&own),
            PeerAsk::Accept { .. } | PeerAsk::Decline(_) | PeerAsk::Remove(_) | PeerAsk::Block { .. } => {
                accounts.may_answer_peer(&own)
            }
            PeerAsk::Ask { .. } | PeerAsk::Vouch(_) => Ok(()),
        };
        paid.map_err(PeerAskError::RateLimited)
    }

    async fn act(&self, to: Party, act: Act) -> Result<PeerAnswer, PeerAskError> {
        self.inner.act(self.seat.party, to, act).await.map(|_| PeerAnswer::Done)
    }

    /// Asks the one table. Whether the two are peers is judged by the pair.
    fn authorize(&self, ask: &PeerAsk) -> Result<(), PeerAskError> {
        if about(ask) == Some(self.seat.party) {
            return Err(ConsentError::Yourself.into());
        }
        let (action, resource) = match ask {
            PeerAsk::Find(_) => (Action::FindPeer, Resource::Server),
            PeerAsk::Ask { to, .. } => (Action::AskPeer, of(*to)),
            PeerAsk::Accept { to, .. } | PeerAsk::Decline(to) => (Action::AnswerPeer, of(*to)),
            PeerAsk::Remove(to) => (Action::RemovePeer, of(*to)),
            PeerAsk::Block { to, .. } => (Action::BlockPeer, of(*to)),
            PeerAsk::Vouch(_) => (Action::Vouch, of(self.seat.party)),
            PeerAsk::Watch | PeerAsk::Observe => (Action::ReadPeers, of(self.seat.party)),
        };
        authorize(&actor(self.seat), action, &resource).map_err(|_| PeerAskError::Denied)
    }

    /// Whether a statement is from here and about `to`. Whether it is true is for who gets it to check.
    fn about(&self, statement: &[u8], to: Party) -> Result<Statement, PeerAskError> {
        let claimed = Claimed::parse(statement).map_err(|_| PeerAskError::Malformed)?;
        let said = claimed.statement();
        let is_ours = said.server() == self.inner.server
            && said.sender() == self.seat.party
            && said.recipient() == to
            && claimed.signer() == self.seat.device;
        if is_ours { Ok(said.clone()) } else { Err(PeerAskError::Malformed) }
    }

    async fn find(&self, who: Who) -> Result<Party, PeerAskError> {
        let party = match who {
            Who::User(user) => self.inner.account_of(&user).await?,
            Who::Party(party) => self.inner.exists(party).await?.then_some(party),
        };
        party.ok_or(PeerAskError::Unknown)
    }

    async fn vouch(&self, statement: Vec<u8>) -> Result<PeerAnswer, PeerAskError> {
        let own = self.seat.party;
        let said = self.about(&statement, own)?;
        let Some(cid) = own.cid() else { return Err(PeerAskError::Denied) };
        let (accounts, party, device) = (&self.inner.accounts, own.to_bytes(), self.seat.device);
        let paid = match &said {
            // Each is told to every peer.
            Statement::Vouch(_) => accounts.may_ask_peer(&party),
            // It waits for nothing that another device of the account has done.
            _ => accounts.may_disown(&party, device),
        };
        paid.map_err(PeerAskError::RateLimited)?;
        let kept = self.inner.keep_vouch(cid, device, &said, &statement).await;
        // What could not be written may be durable all the same, and is nothing new then when it is said again.
        if matches!(kept, Ok(true) | Err(PeerAskError::Unavailable)) {
            self.inner.tell_vouches(own);
        }
        kept.map(|_is_new| PeerAnswer::Done)
    }

    async fn watch(&mut self) -> Result<PeerAnswer, PeerAskError> {
        // What changes while the pairs are read is marked, and told after them.
        self.seat.begin_watch([]);
        self.seat.begin_watch(self.inner.known_to(self.seat.party).await?);
        self.seat.begin_watch([self.seat.party].into_iter().filter(|own| own.cid().is_some()));
        (self.watches, self.owes_synced) = (true, true);
        Ok(PeerAnswer::Done)
    }
}

/// Whom a request is about, if it is one.
const fn about(ask: &PeerAsk) -> Option<Party> {
    match ask {
        PeerAsk::Ask { to, .. }
        | PeerAsk::Accept { to, .. }
        | PeerAsk::Decline(to)
        | PeerAsk::Remove(to)
        | PeerAsk::Block { to, .. } => Some(*to),
        PeerAsk::Find(_) | PeerAsk::Vouch(_) | PeerAsk::Watch | PeerAsk::Observe => None,
    }
}

/// Who sits there, to the table.
pub(super) const fn actor(seat: &Seat) -> Actor {
    match seat.party {
        Party::Account(cid) => Actor::Device { cid, peer: seat.device },
        Party::Transient(peer) => Actor::Transient { peer },
    }
}

/// A party, to the table. Whether it is a peer is the table of consent's to say where it matters.
const fn of(party: Party) -> Resource {
    resource(party, false)
}

/// A party that is a peer, or is not.
pub(super) const fn resource(party: Party, is_peer: bool) -> Resource {
    match party {
        Party::Account(cid) => Resource::Account { cid, is_peer },
        Party::Transient(peer) => Resource::Transient { peer, is_peer },
    }
}
