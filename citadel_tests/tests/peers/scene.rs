//! A server and clients that the tests start, over real TCP.

use citadel_proto::backend::Backend;
use citadel_sdk::prelude::*;
use citadel_sdk::{
    AccountsConfig, Direct, DirectConfig, Locality, NodeError, NodeReport, Party, PeerClient, PeerInfo,
    RateLimits, Standing,
};
use citadel_tests::canary;
use citadel_tests::peer_scene::Way;
use core::time::Duration;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A server with accounts, and sessions without one.
pub(crate) async fn server() -> Node<EmptyKernel> {
    server_with(RateLimits::none()).await
}

/// The same with limits.
pub(crate) async fn server_with(rates: RateLimits) -> Node<EmptyKernel> {
    server_of(rates, |builder| builder).await
}

/// The same, which keeps everything in `backend`.
pub(crate) async fn server_on(backend: Arc<dyn Backend>) -> Node<EmptyKernel> {
    server_of(RateLimits::none(), |builder| builder.shared_backend(backend)).await
}

/// The same with an observation port.
pub(crate) async fn server_that_observes() -> Node<EmptyKernel> {
    server_of(RateLimits::none(), |builder| builder.observe("0.0.0.0:0")).await
}

async fn server_of(
    rates: RateLimits,
    also: impl FnOnce(NodeBuilder<EmptyKernel>) -> NodeBuilder<EmptyKernel>,
) -> Node<EmptyKernel> {
    canary::watch();
    let config = AccountsConfig { rates, ..AccountsConfig::default() };
    let builder = NodeBuilder::new(EmptyKernel)
        .identity(Identity::generate())
        .accounts(config)
        .transient(true)
        .listen(Transport::Tcp("127.0.0.1:0"));
    also(builder).start().await.unwrap()
}

/// A node that runs to its end.
pub(crate) async fn run<K: NetKernel>(node: NodeBuilder<K>) -> Result<NodeReport, NodeError> {
    let (_kernel, report) = node.start().await?.await?;
    Ok(report)
}

pub(crate) fn account(server: &Node<EmptyKernel>, user: &str) -> ServerConnection {
    ServerConnection::to(server.addr()).register_or_login(user, "a password of the tests")
}

/// Nothing of peers is left at the server once its clients are gone.
pub(crate) async fn ends_empty(server: Node<EmptyKernel>) {
    let board = server.switchboard().unwrap().clone();
    server.shutdown().await.unwrap();
    assert_eq!((board.lanes(), board.parties()), (0, 0), "{board:?}");
}

/// A client that the test moves by hand.
pub(crate) struct Client {
    pub(crate) node: Node<EmptyKernel>,
    pub(crate) session: Session,
    pub(crate) peers: PeerClient,
    pub(crate) party: Party,
}

/// An account's client with a new device.
pub(crate) async fn client(server: &Node<EmptyKernel>, user: &str) -> Client {
    client_as(server, user, Arc::new(Identity::generate())).await
}

/// An account's client on this device.
pub(crate) async fn client_as(server: &Node<EmptyKernel>, user: &str, identity: Arc<Identity>) -> Client {
    client_of(server, user, relayed(EmptyKernel, identity)).await
}

/// A node whose sessions with peers stay on lanes.
pub(crate) fn relayed<K: NetKernel>(kernel: K, identity: impl Into<Arc<Identity>>) -> NodeBuilder<K> {
    carried(Way::Relayed, kernel, identity)
}

/// Direct paths on one machine, sought without long pauses.
pub(crate) fn near() -> DirectConfig {
    DirectConfig {
        bind: (Ipv4Addr::LOCALHOST, 0).into(),
        locality: Locality::Local,
        pauses: (Duration::from_millis(50), Duration::from_secs(1)),
        ..DirectConfig::default()
    }
}

/// A node whose sessions with peers go that way, over real sockets.
pub(crate) fn carried<K: NetKernel>(
    way: Way,
    kernel: K,
    identity: impl Into<Arc<Identity>>,
) -> NodeBuilder<K> {
    let direct = match way {
        Way::Relayed => Direct::Off,
        Way::Direct | Way::Changing => Direct::On(near()),
    };
    NodeBuilder::new(kernel).identity(identity).direct(direct)
}

/// An account's client, built so.
pub(crate) async fn client_of(
    server: &Node<EmptyKernel>,
    user: &str,
    builder: NodeBuilder<EmptyKernel>,
) -> Client {
    let node = builder.start().await.unwrap();
    let session = node.connect(&account(server, user)).await.unwrap();
    let peers = node.peers().await.unwrap();
    peers.attach(session.clone()).await.unwrap();
    let party = Party::Account(session.cid().unwrap());
    Client { node, session, peers, party }
}

impl Client {
    /// Waits until `party` stands so.
    pub(crate) async fn sees(&self, party: Party, standing: Standing) -> PeerInfo {
        let mut events = self.peers.events();
        loop {
            match self.peers.info(party) {
                Some(info) if info.standing == standing => return info,
                None if standing == Standing::Nothing => panic!("nothing is known of {party}"),
                _ => drop(events.next().await),
            }
        }
    }

    /// Waits until there is nothing between the two.
    pub(crate) async fn sees_nothing(&self, party: Party) {
        let mut events = self.peers.events();
        while self.peers.info(party).is_some() {
            events.next().await;
        }
    }

    pub(crate) async fn ends(self) {
        let (_kernel, report) = self.node.shutdown().await.unwrap();
        assert!(report.is_clean(), "{report}");
    }
}

/// Both agree.
pub(crate) async fn befriend(one: &Client, other: &Client) {
    one.peers.ask(other.party, None).await.unwrap();
    other.sees(one.party, Standing::Asking).await;
    other.peers.accept(one.party, None).await.unwrap();
    one.peers.registered(other.party).await.unwrap();
    other.peers.registered(one.party).await.unwrap();
}
