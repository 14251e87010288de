//! Cases of peers: what a client asks about them, and sessions with them.

use super::pairs::forget;
use super::peer_scene::{Client, befriend, client, server};
use citadel_proto::driver::Hub;
use citadel_proto::peers::{MemoryPins, PeerClient, PeersConfig, Standing};
use citadel_sdk::prelude::*;
use citadel_sdk::{PeerEvent, PeerSession, SessionConfig};
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use futures::future::join;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// More polls than any of these futures needs.
const MOST: usize = 200;

/// Two clients of one server.
struct Two {
    _server: Node<EmptyKernel>,
    alice: Client,
    bob: Client,
}

impl Two {
    async fn strangers() -> Self {
        let server = server().await;
        let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
        Self { _server: server, alice, bob }
    }

    async fn friends() -> Self {
        let two = Self::strangers().await;
        befriend(&two.alice, &two.bob).await;
        two
    }

    /// Both get answers.
    async fn works(&self) {
        assert_eq!(self.alice.peers.find(self.bob.party).await.unwrap(), self.bob.party);
        assert_eq!(self.bob.peers.find(self.alice.party).await.unwrap(), self.alice.party);
    }

    /// Drops what `ask` makes of alice's peers at each of its polls; both go on to work.
    async fn dropped_at_each_poll<T>(&self, mut ask: impl AsyncFnMut(&Self, usize) -> Outcome<T>) {
        at_each_poll(MOST, async |polls| {
            let outcome = ask(self, polls).await;
            self.works().await;
            forget(outcome)
        })
        .await;
    }
}

#[tokio::test]
async fn peer_client_new() {
    at_each_poll(MOST, async |polls| {
        let identity = Arc::new(Identity::generate());
        let handshake = citadel_crypt::handshake::HandshakeConfig::new(
            Arc::new(citadel_crypt::suite::Native),
            Arc::clone(&identity),
            citadel_crypt::handshake::SessionKind::P2P,
        );
        let config = PeersConfig::new(handshake, SessionConfig::default());
        let (store, tasks) = (Arc::new(MemoryPins::new()), TaskTracker::new());
        forget(poll_then_drop(PeerClient::new(Hub::new(), identity, config, store, tasks), polls).await)
    })
    .await;
}

#[tokio::test]
async fn node_remote_peers() {
    at_each_poll(MOST, async |polls| {
        let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).start().await.unwrap();
        let outcome = poll_then_drop(node.peers(), polls).await;
        assert!(node.peers().await.unwrap().list().is_empty());
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn peer_client_attach() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        let session = two.alice.session.clone();
        let outcome = poll_then_drop(two.alice.peers.attach(session.clone()), polls).await;
        two.alice.peers.attach(session).await.unwrap();
        assert_eq!(two.alice.peers.registered(two.bob.party).await.unwrap().standing, Standing::Peer);
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_find() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        poll_then_drop(two.alice.peers.find(two.bob.party), polls).await
    })
    .await;
}

#[tokio::test]
async fn peer_client_ask() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.ask(two.bob.party, None), polls).await;
        two.alice.peers.ask(two.bob.party, None).await.unwrap();
        two.bob.sees(two.alice.party, Standing::Asking).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_accept() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        two.alice.peers.ask(two.bob.party, None).await.unwrap();
        two.bob.sees(two.alice.party, Standing::Asking).await;
        let outcome = poll_then_drop(two.bob.peers.accept(two.alice.party, None), polls).await;
        two.bob.peers.accept(two.alice.party, None).await.unwrap();
        two.alice.peers.registered(two.bob.party).await.unwrap();
        two.bob.peers.registered(two.alice.party).await.unwrap();
        two.alice.peers.remove(two.bob.party).await.unwrap();
        two.bob.sees_nothing(two.alice.party).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_decline() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        two.alice.peers.ask(two.bob.party, None).await.unwrap();
        two.bob.sees(two.alice.party, Standing::Asking).await;
        let outcome = poll_then_drop(two.bob.peers.decline(two.alice.party), polls).await;
        // Whether it was said or not: after this it is.
        let _said_before = two.bob.peers.decline(two.alice.party).await;
        two.alice.sees(two.bob.party, Standing::Declined).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_remove() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        befriend(&two.alice, &two.bob).await;
        let outcome = poll_then_drop(two.alice.peers.remove(two.bob.party), polls).await;
        two.alice.peers.remove(two.bob.party).await.unwrap();
        two.bob.sees_nothing(two.alice.party).await;
        two.alice.sees_nothing(two.bob.party).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_set_blocked() {
    let two = Two::strangers().await;
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.set_blocked(two.bob.party, true), polls).await;
        two.alice.peers.set_blocked(two.bob.party, true).await.unwrap();
        two.alice.peers.set_blocked(two.bob.party, false).await.unwrap();
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_registered() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        poll_then_drop(two.alice.peers.registered(two.bob.party), polls).await
    })
    .await;
}

#[tokio::test]
async fn peer_client_answered() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        poll_then_drop(two.alice.peers.answered(two.bob.party), polls).await
    })
    .await;
}

#[tokio::test]
async fn peer_client_online() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        poll_then_drop(two.alice.peers.online(two.bob.party), polls).await
    })
    .await;
}

#[tokio::test]
async fn peer_client_mark_verified() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        let outcome =
            poll_then_drop(two.alice.peers.mark_verified(two.bob.party, two.bob.node.peer_id()), polls).await;
        two.alice.peers.mark_verified(two.bob.party, two.bob.node.peer_id()).await.unwrap();
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_vouch() {
    let two = Two::friends().await;
    let device = Identity::generate().peer_id();
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.vouch(device), polls).await;
        two.alice.peers.vouch(device).await.unwrap();
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_disown() {
    let two = Two::friends().await;
    let device = Identity::generate().peer_id();
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.disown(device), polls).await;
        two.alice.peers.disown(device).await.unwrap();
        outcome
    })
    .await;
}

/// After an attempt that may have been given up anywhere the next one gives a session to both.
async fn meets(two: &Two) {
    let (met, other) =
        join(two.alice.peers.connect(two.bob.party), two.bob.peers.connect(two.alice.party)).await;
    let (met, other) = (met.unwrap(), other.unwrap());
    assert_eq!(met.session.instance(), other.session.instance());
    join(met.session.close(0, ""), other.session.close(0, "")).await;
}

#[tokio::test]
async fn peer_client_connect() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.connect(two.bob.party), polls).await;
        meets(two).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn peer_client_connect_with() {
    let two = Two::friends().await;
    two.dropped_at_each_poll(async |two, polls| {
        let outcome = poll_then_drop(two.alice.peers.connect_with(two.bob.party, None), polls).await;
        meets(two).await;
        outcome
    })
    .await;
}

/// Ready or not at its first poll, it loses nothing.
async fn accepts(two: &Two, accept: impl AsyncFn() -> PeerSession) {
    at_each_poll(MOST, async |polls| {
        let met = two.alice.peers.connect(two.bob.party).await.unwrap();
        let outcome = poll_then_drop(accept(), polls).await;
        let arrived = match outcome {
            Outcome::Finished(arrived) => arrived,
            Outcome::Dropped => accept().await,
        };
        assert_eq!(arrived.session.instance(), met.session.instance());
        join(met.session.close(0, ""), arrived.session.close(0, "")).await;
        if polls < 3 { Outcome::Dropped } else { Outcome::Finished(()) }
    })
    .await;
}

#[tokio::test]
async fn peer_client_accept_session() {
    let two = Two::friends().await;
    accepts(&two, async || two.bob.peers.accept_session().await).await;
}

#[tokio::test]
async fn peer_client_accept_session_of() {
    let two = Two::friends().await;
    accepts(&two, async || two.bob.peers.accept_session_of(two.alice.party).await).await;
}

#[tokio::test]
async fn peer_events_next() {
    let two = Two::strangers().await;
    let mut events = two.bob.peers.events();
    let outcome = poll_then_drop(events.next(), 1).await;
    assert!(outcome.is_dropped());
    two.alice.peers.ask(two.bob.party, None).await.unwrap();
    assert_eq!(events.next().await, PeerEvent::Requested(two.alice.party));
}
