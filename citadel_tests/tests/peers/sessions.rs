//! Sessions between peers, moved by hand: both ends at once, again and again, and when what carries them goes.

use super::scene::{Client, befriend, client, ends_empty, server};
use citadel_sdk::{CloseReason, PeerSession, Session};
use futures::future::join;

async fn friends() -> (citadel_sdk::Node<citadel_sdk::prelude::EmptyKernel>, Client, Client) {
    let server = server().await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    befriend(&alice, &bob).await;
    (server, alice, bob)
}

async fn says(from: &Session, to: &Session, word: &'static str) {
    let (mut here, mut there) = (from.open_channel().await.unwrap(), None);
    here.send(word).await.unwrap();
    here.finish().await.unwrap();
    while there.is_none() {
        there = to.accept_channel().await.unwrap();
    }
    assert_eq!(there.unwrap().recv().await.unwrap().unwrap(), word);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_peers_connect_at_once_and_get_the_same_session() {
    let (server, alice, bob) = friends().await;
    for _ in 0..10 {
        let (one, other) = join(alice.peers.connect(bob.party), bob.peers.connect(alice.party)).await;
        let (one, other): (PeerSession, PeerSession) = (one.unwrap(), other.unwrap());
        assert_eq!(one.session.instance(), other.session.instance());
        assert_eq!(one.session.verification_code(), other.session.verification_code());
        says(&one.session, &other.session, "from alice").await;
        says(&other.session, &one.session, "from bob").await;
        let (mine, theirs) = join(one.session.close(0, ""), other.session.close(0, "")).await;
        assert!(mine.clean && theirs.clean, "{mine} {theirs}");
    }
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn one_connects_and_the_other_is_given_the_session() {
    let (server, alice, bob) = friends().await;
    let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
    let met = met.unwrap();
    assert_eq!(met.session.instance(), arrived.session.instance());
    assert_eq!(arrived.party, alice.party);
    // Who asks for one gets the one that there is.
    let again = bob.peers.connect(alice.party).await.unwrap();
    assert_eq!(again.session.instance(), met.session.instance());
    says(&again.session, &met.session, "hello").await;
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn a_peer_that_is_removed_or_blocked_loses_its_session_at_once() {
    let (server, alice, bob) = friends().await;
    for block in [false, true] {
        let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
        let met = met.unwrap();
        if block {
            bob.peers.set_blocked(alice.party, true).await.unwrap();
        } else {
            bob.peers.remove(alice.party).await.unwrap();
        }
        assert_eq!(*arrived.session.closed().await.reason(), CloseReason::Revoked);
        met.session.closed().await;
        if !block {
            befriend(&alice, &bob).await;
        }
    }
    alice.node.shutdown().await.unwrap();
    bob.node.shutdown().await.unwrap();
    ends_empty(server).await;
}
