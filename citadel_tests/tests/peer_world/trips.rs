//! How many one-way trips through the server pass before a peer hears the first word: counted on a virtual clock.

use citadel_sdk::memory::{Faults, Network, Transport};
use citadel_sdk::prelude::*;
use citadel_sdk::{Party, PeerClient, Standing};
use citadel_tests::canary;
use core::time::Duration;
use futures::future::join;
use tokio::time::Instant;

/// From a client to the server, or back; a trip to a peer is two of them.
const HOP: Duration = Duration::from_millis(10);

struct Client {
    _node: Node<EmptyKernel>,
    _session: Session,
    peers: PeerClient,
    party: Party,
}

async fn client(network: &Network, server: &Node<EmptyKernel>) -> Client {
    let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).start().await.unwrap();
    let to = ServerConnection::to(server.addr()).over(network.clone()).transient();
    let session = node.connect(&to).await.unwrap();
    let peers = node.peers().await.unwrap();
    peers.attach(session.clone()).await.unwrap();
    let party = Party::Transient(node.peer_id());
    Client { _node: node, _session: session, peers, party }
}

async fn two() -> (Node<EmptyKernel>, Client, Client) {
    canary::watch();
    let network = Network::with(1, Faults { delay: HOP..=HOP, cut_after: None });
    let listener = network.listen("192.0.2.1:7").await.unwrap();
    let server =
        NodeBuilder::new(EmptyKernel).identity(Identity::generate()).transient(true).listen_on(listener);
    let server = server.start().await.unwrap();
    let (alice, bob) = join(client(&network, &server), client(&network, &server)).await;
    alice.peers.ask(bob.party, None).await.unwrap();
    let mut events = bob.peers.events();
    while bob.peers.info(alice.party).is_none_or(|info| info.standing != Standing::Asking) {
        events.next().await;
    }
    bob.peers.accept(alice.party, None).await.unwrap();
    let (one, other) = join(alice.peers.registered(bob.party), bob.peers.registered(alice.party)).await;
    one.unwrap();
    other.unwrap();
    join(alice.peers.online(bob.party), bob.peers.online(alice.party)).await;
    (server, alice, bob)
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused: what passes is what the network takes")]
fn now() -> Instant {
    Instant::now()
}

/// Trips through the server since then.
fn trips(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() / (2 * HOP).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_peer_hears_the_first_word_within_five_trips_of_the_wish() {
    let (_server, alice, bob) = two().await;
    let began = now();
    let speak = async {
        let met = alice.peers.connect(bob.party).await.unwrap();
        let mut channel = met.session.channel().unwrap();
        channel.send(canary::marked("!")).await.unwrap();
        (met, channel)
    };
    let hear = async {
        let met = bob.peers.accept_session().await;
        let mut channel = met.session.channel().unwrap();
        let heard = channel.recv().await.unwrap().unwrap();
        assert_eq!(heard, canary::marked("!"));
        (trips(began), met, channel)
    };
    let (_speaker, (taken, ..)) = join(speak, hear).await;
    println!("first byte after {taken:.1} one-way trips through the server");
    assert!(taken <= 5.0, "{taken} trips");
}

#[tokio::test(start_paused = true)]
async fn who_connects_at_once_hears_no_later() {
    let (_server, alice, bob) = two().await;
    let began = now();
    let end = |own: &Client, other: Party| {
        let peers = own.peers.clone();
        async move {
            let met = peers.connect(other).await.unwrap();
            let mut channel = met.session.channel().unwrap();
            channel.send(canary::marked("!")).await.unwrap();
            channel.recv().await.unwrap().unwrap();
            (trips(began), met, channel)
        }
    };
    let (one, other) = join(end(&alice, bob.party), end(&bob, alice.party)).await;
    let taken = one.0.max(other.0);
    println!("both at once: first byte at both after {taken:.1} one-way trips through the server");
    // One more than one-sided: the end that accepts speaks after it has heard.
    assert!(taken <= 6.0, "{taken} trips");
}
