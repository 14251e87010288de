//! Accounts with more than one device: who is reached on which, and what the others say of them.

use super::scene::{Client, befriend, client, client_as, ends_empty, server};
use citadel_sdk::prelude::*;
use citadel_sdk::{Party, PeerEvent, PeerSession, Standing};
use futures::future::join;
use std::collections::BTreeSet;
use std::sync::Arc;

fn device() -> PeerId {
    Identity::generate().peer_id()
}

/// Everything that the server had to tell `client` when this was called is known to it.
pub(crate) async fn told(client: &Client) {
    // What there is to tell is told between two answers.
    for _ in 0..2 {
        client.peers.find(client.party).await.unwrap();
    }
}

/// The devices that are pinned, once everything is told.
async fn pinned(client: &Client, party: Party) -> BTreeSet<PeerId> {
    told(client).await;
    let pinned = client.peers.info(party).and_then(|info| info.pinned);
    pinned.into_iter().flat_map(|pinned| pinned.devices.into_keys()).collect()
}

async fn another(server: &Node<EmptyKernel>, user: &str) -> Client {
    client_as(server, user, Arc::new(Identity::generate())).await
}

/// Both devices of an account say of each other that they are.
async fn know_each_other(one: &Client, other: &Client) {
    one.peers.vouch(other.node.peer_id()).await.unwrap();
    other.peers.vouch(one.node.peer_id()).await.unwrap();
}

/// The two have one session, and close it.
async fn meet(one: &Client, other: &Client) {
    let (met, arrived) = join(one.peers.connect(other.party), other.peers.accept_session()).await;
    let (met, arrived): (PeerSession, PeerSession) = (met.unwrap(), arrived);
    assert_eq!(met.session.instance(), arrived.session.instance());
    assert_eq!(arrived.session.peer_id(), one.node.peer_id());
    let (mine, theirs) = join(met.session.close(0, ""), arrived.session.close(0, "")).await;
    assert!(mine.clean && theirs.clean, "{mine} {theirs}");
}

#[tokio::test]
async fn fix_0036_what_a_device_says_twice_in_a_second_counts_twice() {
    let server = server().await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    befriend(&alice, &bob).await;
    let (one, two) = (device(), device());
    alice.peers.vouch(one).await.unwrap();
    alice.peers.vouch(two).await.unwrap();
    let all = BTreeSet::from([alice.node.peer_id(), one, two]);
    assert_eq!(pinned(&bob, alice.party).await, all);
    alice.peers.disown(one).await.unwrap();
    assert_eq!(pinned(&bob, alice.party).await, BTreeSet::from([alice.node.peer_id(), two]));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fix_0044_both_devices_of_an_account_get_sessions_with_a_peer_of_one() {
    let server = server().await;
    let (alice, laptop) = join(client(&server, "alice"), client(&server, "bob")).await;
    let phone = another(&server, "bob").await;
    assert_eq!(phone.party, laptop.party);
    know_each_other(&laptop, &phone).await;
    befriend(&alice, &laptop).await;
    let both = BTreeSet::from([laptop.node.peer_id(), phone.node.peer_id()]);
    assert_eq!(pinned(&alice, laptop.party).await, both);
    phone.peers.registered(alice.party).await.unwrap();
    meet(&laptop, &alice).await;
    meet(&phone, &alice).await;
    for client in [alice, laptop, phone] {
        client.ends().await;
    }
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_another_vouches_for_later_gets_its_sessions_then() {
    let server = server().await;
    let (alice, laptop) = join(client(&server, "alice"), client(&server, "bob")).await;
    befriend(&alice, &laptop).await;
    let phone = another(&server, "bob").await;
    // The phone does not take the laptop for one of its own on the server's word.
    assert!(phone.peers.registered(alice.party).await.is_err());
    assert!(phone.peers.connect(alice.party).await.is_err());
    know_each_other(&laptop, &phone).await;
    told(&phone).await;
    phone.peers.registered(alice.party).await.unwrap();
    told(&alice).await;
    meet(&phone, &alice).await;
    for client in [alice, laptop, phone] {
        client.ends().await;
    }
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fix_0045_a_peer_is_reached_when_the_device_that_agreed_is_disowned() {
    let server = server().await;
    let (alice, laptop) = join(client(&server, "alice"), client(&server, "bob")).await;
    let phone = another(&server, "bob").await;
    know_each_other(&laptop, &phone).await;
    befriend(&alice, &laptop).await;
    phone.peers.registered(alice.party).await.unwrap();
    phone.peers.disown(laptop.node.peer_id()).await.unwrap();
    assert_eq!(pinned(&alice, laptop.party).await, BTreeSet::from([phone.node.peer_id()]));
    laptop.ends().await;
    told(&alice).await;
    meet(&phone, &alice).await;
    // Whatever is told again does not change it.
    phone.peers.vouch(device()).await.unwrap();
    told(&alice).await;
    meet(&alice, &phone).await;
    for client in [alice, phone] {
        client.ends().await;
    }
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_nobody_vouches_for_is_seen_and_the_other_is_reached() {
    let server = server().await;
    let (alice, laptop) = join(client(&server, "alice"), client(&server, "bob")).await;
    befriend(&alice, &laptop).await;
    let mut events = alice.peers.events();
    let phone = another(&server, "bob").await;
    let found = phone.node.peer_id();
    let changed =
        PeerEvent::IdentityChanged { party: laptop.party, pinned: vec![laptop.node.peer_id()], found };
    while events.next().await != changed {}
    meet(&alice, &laptop).await;
    laptop.ends().await;
    while events.next().await
        != PeerEvent::Offline(phone.party, pinned(&alice, phone.party).await.pop_first().unwrap())
    {}
    assert!(matches!(
        alice.peers.connect(phone.party).await,
        Err(citadel_sdk::PeerConnectError::Pin(citadel_sdk::PinError::IdentityChanged { found: id, .. })) if id == found
    ));
    alice.ends().await;
    phone.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn fix_0047_who_was_asked_and_then_blocked_is_not_accepted_unasked() {
    let server = server().await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    alice.peers.ask(bob.party, None).await.unwrap();
    bob.sees(alice.party, Standing::Asking).await;
    alice.peers.set_blocked(bob.party, true).await.unwrap();
    alice.peers.set_blocked(bob.party, false).await.unwrap();
    bob.peers.ask(alice.party, None).await.unwrap();
    told(&alice).await;
    told(&alice).await;
    assert_eq!(alice.peers.info(bob.party).unwrap().standing, Standing::Asking);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn fix_0042_a_device_is_disowned_however_many_were_vouched_for() {
    let server = server().await;
    let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
    befriend(&alice, &bob).await;
    let mut vouched = BTreeSet::from([alice.node.peer_id()]);
    loop {
        let device = device();
        match alice.peers.vouch(device).await {
            Ok(()) => assert!(vouched.insert(device)),
            Err(error) => break assert_eq!(error.code(), 2, "{error}"),
        }
    }
    assert_eq!(pinned(&bob, alice.party).await, vouched);
    // First one of whom nothing is kept at the server, then all the others.
    alice.peers.disown(device()).await.unwrap();
    for device in vouched.into_iter().filter(|device| *device != alice.node.peer_id()) {
        alice.peers.disown(device).await.unwrap();
    }
    assert_eq!(pinned(&bob, alice.party).await, BTreeSet::from([alice.node.peer_id()]));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
