//! An account that goes, and a device that is shut out: their peers are told, their lanes end, nothing of them is left.

use super::raw::{Raw, agree, code_of, lane, reaches};
use super::scene::{Client, befriend, client, ends_empty, server};
use citadel_proto::peers::{LaneError, PeerAnswer};
use citadel_sdk::prelude::*;
use citadel_sdk::{AccountClient, CloseReason, Party, PeerSession};
use futures::future::join;
use rstest::rstest;

/// How an account goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// By its own client.
    Itself,
    /// By the operator of the server.
    Operator,
}

async fn goes(way: Way, server: &Node<EmptyKernel>, client: &Client) {
    match way {
        Way::Itself => assert!(AccountClient::new(client.session.clone()).deregister().await.unwrap()),
        Way::Operator => {
            let cid = client.party.cid().unwrap();
            assert!(server.accounts().unwrap().delete(cid).await.unwrap());
        }
    }
}

#[rstest]
#[tokio::test]
async fn fix_0053_peers_of_an_account_that_goes_are_told_and_lose_its_sessions(
    #[values(Way::Itself, Way::Operator)] way: Way,
) {
    let server = server().await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    let (carol, dave) = join(client(&server, "carol"), client(&server, "dave")).await;
    befriend(&alice, &bob).await;
    carol.peers.ask(bob.party, None).await.unwrap();
    dave.peers.set_blocked(bob.party, true).await.unwrap();
    let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
    let (met, _arrived): (PeerSession, PeerSession) = (met.unwrap(), arrived);

    goes(way, &server, &bob).await;
    alice.sees_nothing(bob.party).await;
    carol.sees_nothing(bob.party).await;
    // That a block is gone is no event.
    while dave.peers.info(bob.party).is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(*met.session.closed().await.reason(), CloseReason::Revoked);
    let backend = server.accounts().unwrap().backend();
    for client in [&alice, &carol, &dave] {
        assert_eq!(backend.pairs(client.party.cid().unwrap(), None, 9).await.unwrap(), []);
    }
    for client in [alice, carol, dave] {
        client.ends().await;
    }
    bob.node.shutdown().await.unwrap();
    ends_empty(server).await;
}

#[tokio::test]
async fn fix_0053_a_party_without_an_account_is_told_of_an_account_that_goes() {
    let server = server().await;
    let bob = client(&server, "bob").await;
    let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).start().await.unwrap();
    let session = node.connect(&ServerConnection::to(server.addr()).transient()).await.unwrap();
    let peers = node.peers().await.unwrap();
    peers.attach(session.clone()).await.unwrap();
    let party = Party::Transient(node.peer_id());
    let transient = Client { node, session, peers, party };
    befriend(&transient, &bob).await;
    goes(Way::Operator, &server, &bob).await;
    transient.sees_nothing(bob.party).await;
    transient.ends().await;
    bob.node.shutdown().await.unwrap();
    ends_empty(server).await;
}

#[tokio::test]
async fn a_device_that_is_shut_out_has_no_lane_and_is_offline_at_once() {
    let server = server().await;
    let (alice, bob) = (Raw::new(&server, "alice").await, Raw::new(&server, "bob").await);
    agree(&alice, &bob).await;
    let mut line = alice.line();
    let [view] = &line.watch().await[..] else { panic!("there is one pair") };
    assert_eq!(view.online, [bob.identity.peer_id()]);
    let [mut near, _far] = reaches(&alice, &bob).await.unwrap();
    let (cid, device) = (bob.party.cid().unwrap(), bob.identity.peer_id());
    assert!(server.accounts().unwrap().revoke_device(cid, device).await.unwrap());
    assert_eq!(code_of(&mut near).await, LaneError::Gone.code());
    assert_eq!(line.hears().await, (0, PeerAnswer::Presence { party: bob.party, online: vec![] }));
    let mut refused = lane(&alice.session, bob.party, device).await;
    assert_eq!(code_of(&mut refused).await, LaneError::Offline.code());
    assert_eq!(server.switchboard().unwrap().parties(), 1);
    bob.session.closed().await;
    line.ends().await;
    alice.ends().await;
    bob.node.shutdown().await.unwrap();
    ends_empty(server).await;
}
