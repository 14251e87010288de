//! The task of a client's session with its server, as far as peers are concerned: reads what the server says, takes in lanes.

use super::super::message::{PeerAnswer, PeerAsk, View};
use super::super::{Party, PinError, Shown, wire};
use super::book::Known;
use super::client::Inner;
use super::connect;
use super::uplink::{Accepting, PeersCallError, Uplink};
use crate::channel::{RELAY, SERVICE_PREFIX};
use crate::driver::{Channel, RecvHalf};
use crate::errors::RecvError;
use bytes::Bytes;
use citadel_crypt::addr::PeerId;
use std::sync::Arc;

/// Code of a service channel that nobody serves here.
const NOT_SERVED: u32 = 1;

/// Runs until the session with the server is over, or its service of peers.
pub(super) async fn run(inner: Arc<Inner>, uplink: Arc<Uplink>, mut recv: RecvHalf) {
    let mut feed = Feed { inner: &inner, uplink: &uplink, ahead: None };
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
    let was_ours = inner.uplink.send_if_modified(|current| {
        let is_ours = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &uplink));
        if is_ours {
            *current = None;
        }
        is_ours
    });
    if was_ours {
        inner.book.lose_server();
    }
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
            Some(PeerAnswer::Presence { party, online }) => self.inner.book.put_presence(party, online),
            Some(PeerAnswer::Synced) => self.inner.book.set_whole(),
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
        let Self { inner, uplink, .. } = self;
        let party = view.party;
        let key = (uplink.server, party);
        let (pinned, fault) = match &view.shown {
            Shown::Peers { mine, theirs } => {
                let (at, agreed) = (inner.standpoint(uplink, party), (mine.clone(), theirs.clone()));
                let pinned = inner.pins.pin(at, agreed, &view.vouches).await;
                pinned.map_or_else(|fault| (None, Some(fault)), |pinned| (Some(pinned), None))
            }
            Shown::AskedByThem { statement } => {
                if let Some(expect) = inner.pins.wanted(key) {
                    self.accept_crossing(party, statement.clone(), expect);
                }
                (None, None)
            }
            _ => (None, None),
        };
        if let Some(fault) = &fault {
            log::warn!(target: "citadel::peers", "{party}: {fault}");
        }
        if fault == Some(PinError::Withdrawn) {
            self.take_back_again(party);
        }
        let was_peer =
            inner.book.get(party).is_some_and(|known| matches!(known.view.shown, Shown::Peers { .. }));
        let is_peer = matches!(view.shown, Shown::Peers { .. });
        inner.book.put(Known { view, pinned, fault });
        if was_peer && !is_peer {
            inner.pins.forget_wanted(key);
            inner.part(party);
        }
        inner.close_disowned(uplink.server, party);
    }

    /// The server has not heard that this end took its consent back, or shows it all the same: it is told again, once at a time.
    fn take_back_again(&self, party: Party) {
        if let Some(telling) = self.uplink.begin_accepting(party) {
            let uplink = Arc::clone(self.uplink);
            self.inner.tasks.spawn(async move {
                if let Err(error) = uplink.ask(&PeerAsk::Remove(party)).await {
                    log::debug!(target: "citadel::peers", "{party}: {error}");
                }
                drop(telling);
            });
        }
    }

    /// Two requests crossed: this end's user has said yes before the other one asked.
    fn accept_crossing(&self, party: Party, request: Vec<u8>, expect: Option<PeerId>) {
        if let Some(accepting) = self.uplink.begin_accepting(party) {
            let inner = Arc::clone(self.inner);
            self.inner.tasks.spawn(async move { accept(&inner, accepting, request, expect).await });
        }
    }
}

/// Accepts a request that crossed the own one, once, however often it is told; one that took its place meanwhile, too.
async fn accept(inner: &Inner, accepting: Accepting, mut request: Vec<u8>, expect: Option<PeerId>) {
    let mut accepting = Some(accepting);
    while let Some(one) = accepting.take() {
        let party = one.party();
        if let Err(error) = inner.accept(party, &request, expect).await {
            log::debug!(target: "citadel::peers", "{party}: {error}");
        }
        let uplink = one.end();
        let shown = inner.book.get(party).map(|known| known.view.shown);
        if let Some(Shown::AskedByThem { statement }) = shown
            && statement != request
        {
            request = statement;
            accepting = uplink.begin_accepting(party);
        }
    }
}
