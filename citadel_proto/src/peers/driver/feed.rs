//! The task of a client's session with its server, as far as peers are concerned: reads what the server says, takes in lanes.

use super::super::Shown;
use super::super::message::{PeerAnswer, View};
use super::book::Known;
use super::client::Inner;
use super::connect;
use super::uplink::{PeersCallError, Uplink};
use crate::channel::{RELAY, SERVICE_PREFIX};
use crate::driver::{Channel, RecvHalf};
use crate::errors::RecvError;
use bytes::Bytes;
use std::sync::Arc;

/// Code of a service channel that nobody serves here.
const NOT_SERVED: u32 = 1;

/// Runs until the session with the server is over, or its service of peers.
pub(super) async fn run(inner: Arc<Inner>, uplink: Arc<Uplink>, mut recv: RecvHalf) {
    let why = loop {
        tokio::select! {
            biased;
            message = recv.recv() => match message {
                Ok(Some(message)) => {
                    if let Err(error) = hear(&inner, &uplink, &message).await {
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

async fn hear(inner: &Arc<Inner>, uplink: &Arc<Uplink>, message: &Bytes) -> Result<(), PeersCallError> {
    match uplink.deliver(message)? {
        Some(PeerAnswer::View(view)) => {
            see(inner, uplink, view).await;
            Ok(())
        }
        Some(PeerAnswer::Presence { party, online }) => {
            inner.book.put_presence(party, online);
            Ok(())
        }
        Some(PeerAnswer::Synced) => {
            inner.book.set_whole();
            Ok(())
        }
        Some(_) => Err(PeersCallError::Malformed),
        None => Ok(()),
    }
}

/// A pair is as the server says now. What makes a peer of a party is checked here, once, and pinned before it is shown.
async fn see(inner: &Arc<Inner>, uplink: &Arc<Uplink>, view: View) {
    let party = view.party;
    let (key, at) = ((uplink.server, party), inner.standpoint(uplink, party));
    let wanted = inner.pins.wanted(key);
    let (pinned, fault) = match &view.shown {
        Shown::Peers { mine, theirs } => {
            let pinned = inner.pins.pin(&at, (mine, theirs), &view.vouches).await;
            pinned.map_or_else(|fault| (None, Some(fault)), |pinned| (Some(pinned), None))
        }
        Shown::AskedByThem { statement } if wanted.is_some() => {
            // The two requests crossed: this end's user has said yes before the other one asked.
            let (inner, statement, expect) = (Arc::clone(inner), statement.clone(), wanted.flatten());
            inner.tasks.clone().spawn(async move {
                if let Err(error) = inner.accept(party, &statement, expect).await {
                    log::debug!(target: "citadel::peers", "{party}: {error}");
                }
            });
            (None, None)
        }
        _ => (None, None),
    };
    if let Some(fault) = &fault {
        log::warn!(target: "citadel::peers", "{party}: {fault}");
    }
    let was_peer = inner.book.get(party).is_some_and(|known| matches!(known.view.shown, Shown::Peers { .. }));
    let is_peer = matches!(view.shown, Shown::Peers { .. });
    inner.book.put(Known { view, pinned, fault });
    if was_peer && !is_peer {
        inner.part(party);
    }
    inner.close_disowned(uplink.server, party);
}
