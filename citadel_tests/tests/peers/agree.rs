//! What two parties have to say before either is reached, and what is told of them until then: nothing.

use super::scene::{Client, befriend, client, client_as, ends_empty, server};
use citadel_proto::peers::{ConsentError, PeerAskError, PeersCallError};
use citadel_sdk::{
    Cid, Identity, Party, PeerConnectError, PeerEvent, PeerTrust, PeersError, PinError, Standing,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the server said no with.
#[track_caller]
fn refused<T: core::fmt::Debug>(result: Result<T, PeersError>) -> PeerAskError {
    match result {
        Err(PeersError::Call(PeersCallError::Refused(error))) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_seen_by_whom_it_asks_and_accepted_with_a_pin_on_both_ends() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    assert_eq!(alice.peers.find("bob".parse::<citadel_sdk::UserName>().unwrap()).await.unwrap(), bob.party);
    let mut events = bob.peers.events();
    alice.peers.ask(bob.party, None).await.unwrap();
    assert_eq!(events.next().await, PeerEvent::Requested(alice.party));
    let asking = bob.peers.info(alice.party).unwrap();
    assert_eq!(asking.user.unwrap().as_str(), "alice");
    assert_eq!(asking.online, [], "nobody has agreed yet");
    let asked = alice.sees(bob.party, Standing::Asked).await;
    assert_eq!((asked.user, asked.online), (None, vec![]), "bob has said nothing");

    bob.peers.accept(alice.party, None).await.unwrap();
    let (of_bob, of_alice) =
        (alice.peers.registered(bob.party).await.unwrap(), bob.peers.registered(alice.party).await.unwrap());
    for (info, device) in [(of_bob, bob.node.peer_id()), (of_alice, alice.node.peer_id())] {
        assert_eq!(info.online, [device]);
        let pinned = info.pinned.unwrap();
        assert_eq!(pinned.devices, BTreeMap::from([(device, PeerTrust::FirstUse)]));
    }
    assert_eq!(
        alice.peers.verification_code(bob.node.peer_id()),
        bob.peers.verification_code(alice.node.peer_id())
    );
    let device = bob.node.peer_id();
    alice.peers.mark_verified(bob.party, device).await.unwrap();
    let pinned = alice.peers.info(bob.party).unwrap().pinned.unwrap();
    assert_eq!(pinned.least_trust(), Some(PeerTrust::Verified));
    let other = Identity::generate().peer_id();
    let none_of_his = alice.peers.mark_verified(bob.party, other).await;
    assert!(matches!(none_of_his, Err(PeersError::Pin(PinError::IdentityChanged { .. }))), "{none_of_his:?}");
    let nobody = alice.peers.mark_verified(Party::Account(Cid(1)), device).await;
    assert!(matches!(nobody, Err(PeersError::NotPeer)), "{nobody:?}");
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn a_request_waits_for_one_who_is_not_there_and_presence_is_told_to_peers() {
    let server = server().await;
    let (at_home, identity) = (Arc::new(Identity::generate()), Arc::new(Identity::generate()));
    let bob = client_as(&server, "bob", Arc::clone(&at_home)).await;
    let party = bob.party;
    bob.ends().await;
    let alice = client_as(&server, "alice", identity).await;
    alice.peers.ask(party, None).await.unwrap();
    let bob = client_as(&server, "bob", at_home).await;
    bob.sees(alice.party, Standing::Asking).await;
    bob.peers.accept(alice.party, None).await.unwrap();
    alice.peers.registered(party).await.unwrap();
    let mut events = alice.peers.events();
    assert_eq!(events.next().await, PeerEvent::Registered(party));
    assert_eq!(events.next().await, PeerEvent::Online(party, bob.node.peer_id()));
    let device = bob.node.peer_id();
    bob.ends().await;
    assert_eq!(events.next().await, PeerEvent::Offline(party, device));
    assert!(matches!(alice.peers.connect(party).await, Err(PeerConnectError::Offline)));
    alice.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn two_requests_that_cross_make_peers_of_both_without_asking_again() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    let (one, other) = tokio::join!(alice.peers.ask(bob.party, None), bob.peers.ask(alice.party, None));
    for asked in [one, other] {
        // Whoever was late may find that they are peers by now.
        let already = PeerAskError::Consent(ConsentError::AlreadyPeers);
        assert!(asked.is_ok() || refused(asked) == already);
    }
    alice.peers.registered(bob.party).await.unwrap();
    bob.peers.registered(alice.party).await.unwrap();
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn a_declined_request_can_be_made_again_and_a_removed_peer_is_none_any_more() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    alice.peers.ask(bob.party, None).await.unwrap();
    bob.sees(alice.party, Standing::Asking).await;
    bob.peers.decline(alice.party).await.unwrap();
    alice.sees(bob.party, Standing::Declined).await;
    assert!(matches!(alice.peers.connect(bob.party).await, Err(PeerConnectError::NotPeer)));
    befriend(&alice, &bob).await;
    let mut events = bob.peers.events();
    while !matches!(events.next().await, PeerEvent::Online(..)) {}
    assert!(alice.peers.remove(bob.party).await.unwrap());
    assert_eq!(events.next().await, PeerEvent::Removed(alice.party));
    assert!(!alice.peers.remove(bob.party).await.unwrap());
    assert!(matches!(bob.peers.connect(alice.party).await, Err(PeerConnectError::NotPeer)));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn who_is_blocked_learns_nothing_of_it() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    bob.peers.set_blocked(alice.party, true).await.unwrap();
    alice.peers.ask(bob.party, None).await.unwrap();
    alice.sees(bob.party, Standing::Asked).await;
    let info = bob.peers.info(alice.party).unwrap();
    assert!(info.is_blocked && info.standing == Standing::Nothing);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn nobody_reaches_who_is_unknown_unregistered_or_oneself() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    let nobody = Party::Account(Cid(1));
    assert_eq!(refused(alice.peers.find(nobody).await), PeerAskError::Unknown);
    assert_eq!(refused(alice.peers.ask(nobody, None).await), PeerAskError::Unknown);
    let yourself = PeerAskError::Consent(ConsentError::Yourself);
    assert_eq!(refused(alice.peers.ask(alice.party, None).await), yourself);
    let error = |client: &Client, party| {
        let peers = client.peers.clone();
        async move { peers.connect(party).await.unwrap_err() }
    };
    assert!(matches!(error(&alice, nobody).await, PeerConnectError::NotPeer));
    assert!(matches!(error(&alice, bob.party).await, PeerConnectError::NotPeer));
    assert!(matches!(error(&alice, alice.party).await, PeerConnectError::Yourself));
    assert!(matches!(alice.peers.accept(bob.party, None).await, Err(PeersError::NoRequest)));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn an_account_asked_under_another_peer_id_is_not_pinned() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    let other = Identity::generate().peer_id();
    alice.peers.ask(bob.party, Some(other)).await.unwrap();
    bob.sees(alice.party, Standing::Asking).await;
    assert!(matches!(bob.peers.accept(alice.party, None).await, Err(PeersError::Statement(_))));
    assert!(matches!(bob.peers.accept(alice.party, Some(other)).await, Err(PeersError::Statement(_))));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
