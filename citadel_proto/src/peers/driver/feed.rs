//! The task of a client's session with its server, as far as peers are concerned: reads what the server says, takes in lanes.

use super::super::message::{PeerAnswer, PeerAsk, View};
use super::super::{Party, PinError, Shown, wire};
use super::book::{Known, Teller};
use super::client::{Inner, PeersError};
use super::connect;
use super::uplink::{Errand, PeersCallError, Uplink};
use crate::channel::{RELAY, SERVICE_PREFIX};
use crate::driver::{Channel, RecvHalf};
use crate::errors::RecvError;
use bytes::Bytes;
use citadel_crypt::addr::PeerId;
use std::sync::Arc;

/// Code of a service channel that nobody serves here.
const NOT_SERVED: u32 = 1;

/// Runs until the session with the server is over, or its service of peers.
pub(super) async fn run(inner: Arc<Inner>, uplink: Arc<Uplink>, teller: Teller, mut recv: RecvHalf) {
    let mut feed = Feed { inner: &inner, uplink: &uplink, teller, ahead: None };
    let why = loop {
        tokio::select! {
            biased;
            message = recv.recv() => match message {
                Ok(Some(message)) => {
                    if let Err(error) = feed.hear(&message).await {
                        break error;
                    }
                }
                Ok(None) | Err(RecvError::Reset { .. }) => break PeersCallError::Ended,
                Err(error) => break error.into(),
            },
            channel = uplink.session.accept_service_channel() => match channel {
                Ok(Some(channel)) => take(&inner, &uplink, channel),
                Ok(None) => break PeersCallError::NoServer,
                Err(error) => break error.into(),
            },
        }
    };
    log::debug!(target: "citadel::peers", "session {}: {why}", uplink.session.instance());
    uplink.end(why);
    inner.uplink.send_if_modified(|current| {
        let is_ours = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &uplink));
        if is_ours {
            *current = None;
        }
        is_ours
    });
    inner.book.lose_server(teller);
}

/// A lane that leads here, in a task of its own.
fn take(inner: &Arc<Inner>, uplink: &Arc<Uplink>, channel: Channel) {
    if channel.name().strip_prefix(SERVICE_PREFIX) != Some(RELAY.as_bytes()) {
        return channel.reset(NOT_SERVED);
    }
    inner.tasks.spawn(connect::answer(Arc::clone(inner), Arc::clone(uplink), channel));
}

struct Feed<'a> {
    inner: &'a Arc<Inner>,
    uplink: &'a Arc<Uplink>,
    teller: Teller,
    /// What came ahead of a view, of the one party that the next view has to be of.
    ahead: Option<(Party, Vec<Vec<u8>>)>,
}

impl Feed<'_> {
    async fn hear(&mut self, message: &Bytes) -> Result<(), PeersCallError> {
        match self.uplink.deliver(message)? {
            Some(PeerAnswer::View(mut view)) => {
                if let Some((party, mut vouches)) = self.ahead.take() {
                    if party != view.party {
                        return Err(PeersCallError::Malformed);
                    }
                    vouches.append(&mut view.vouches);
                    view.vouches = vouches;
                }
                // No honest server tells of so many.
                if view.party != self.uplink.own && !self.inner.book.has_room(view.party) {
                    return Err(PeersCallError::Malformed);
                }
                self.see(view).await;
            }
            Some(PeerAnswer::Vouches { party, vouches }) => self.keep_ahead(party, vouches)?,
            Some(PeerAnswer::Presence { party, online }) => {
                self.inner.book.put_presence(self.teller, party, online)
            }
            Some(PeerAnswer::Synced) => self.inner.book.set_whole(self.teller),
            Some(_) => return Err(PeersCallError::Malformed),
            None => {}
        }
        Ok(())
    }

    fn keep_ahead(&mut self, party: Party, mut vouches: Vec<Vec<u8>>) -> Result<(), PeersCallError> {
        let (of, ahead) = self.ahead.get_or_insert((party, Vec::new()));
        if *of != party || ahead.len() + vouches.len() > wire::MAX_STATEMENTS {
            return Err(PeersCallError::Malformed);
        }
        ahead.append(&mut vouches);
        Ok(())
    }

    async fn see(&self, view: View) {
        if view.party != self.uplink.own {
            return self.see_pair(view).await;
        }
        // What devices of this account say of each other: by it the word of one may have become the own word.
        let heard = self.inner.pins.hear_own(self.uplink.here(), &view.vouches).await;
        if let Err(error) = heard {
            log::error!(target: "citadel::peers", "own account: {error}");
        }
        for view in self.inner.book.at_fault() {
            self.see_pair(view).await;
        }
    }

    /// A pair is as the server says now. What makes a peer of a party is checked here, once, and pinned before it is shown.
    async fn see_pair(&self, view: View) {
        let Self { inner, uplink, teller, .. } = self;
        let party = view.party;
        let key = (uplink.server, party);
        let fault = match &view.shown {
            Shown::Peers { mine, theirs } => {
                let (at, agreed) = (inner.standpoint(uplink, party), (mine.clone(), theirs.clone()));
                inner.pins.pin(at, agreed, &view.vouches).await.err()
            }
            _ => None,
        };
        if let Some(fault) = &fault {
            log::warn!(target: "citadel::peers", "{party}: {fault}");
        }
        let was_peer =
            inner.book.get(party).is_some_and(|known| matches!(known.view.shown, Shown::Peers { .. }));
        let is_peer = matches!(view.shown, Shown::Peers { .. });
        if !inner.book.put(*teller, view, fault, || inner.pins.stands(key)) {
            return;
        }
        if was_peer && !is_peer {
            inner.pins.forget_wanted(key);
            inner.part(party);
        }
        inner.close_disowned(uplink.server, party);
        // After it is in the book, where the end of an errand that is under way looks.
        if let Some(due) = inner.due(uplink, party)
            && let Some(errand) = uplink.begin_errand(party)
        {
            inner.tasks.spawn(run_errands(Arc::clone(inner), Arc::clone(uplink), errand, due));
        }
    }
}

/// What is to be said of a party without its user.
#[derive(PartialEq, Eq)]
enum Due {
    /// Two requests crossed: this end's user has said yes before the other one asked.
    Accept { request: Vec<u8>, expect: Option<PeerId> },
    /// The server has not heard that this end took its consent back, or shows it all the same: it is told again.
    Remove,
}

impl Inner {
    /// What is to be said of `party`, by what is known of it and wanted now.
    fn due(&self, uplink: &Uplink, party: Party) -> Option<Due> {
        let Known { view, fault, .. } = self.book.get(party)?;
        match view.shown {
            Shown::AskedByThem { statement } => {
                let expect = self.pins.wanted((uplink.server, party))?;
                Some(Due::Accept { request: statement, expect })
            }
            Shown::Peers { .. } if fault == Some(PinError::Withdrawn) => Some(Due::Remove),
            _ => None,
        }
    }

    async fn say_due(&self, uplink: &Uplink, party: Party, due: &Due) -> Result<(), PeersError> {
        match due {
            Due::Accept { request, expect } => {
                let acceptance = self.acceptance(uplink, party, request, *expect).await?;
                uplink.ask(&PeerAsk::Accept { to: party, statement: acceptance }).await?;
            }
            Due::Remove => {
                uplink.ask(&PeerAsk::Remove(party)).await?;
            }
        }
        Ok(())
    }
}

/// Says what is due, once, however often it is told; and what became due meanwhile, if it is something else.
async fn run_errands(inner: Arc<Inner>, uplink: Arc<Uplink>, errand: Errand, due: Due) {
    let (mut errand, mut due) = (Some(errand), due);
    while let Some(under_way) = errand.take() {
        let party = under_way.party();
        if let Err(error) = inner.say_due(&uplink, party, &due).await {
            log::debug!(target: "citadel::peers", "{party}: {error}");
        }
        drop(under_way);
        if let Some(next) = inner.due(&uplink, party).filter(|next| *next != due) {
            due = next;
            errand = uplink.begin_errand(party);
        }
    }
}
