//! A session with a peer over a lane of a server, both clients connected by TCP; or around the server, over QUIC.

use super::ours::{Payloads, serve};
use super::{Pair, Role};
use bytes::Bytes;
use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, DirectConfig, Locality, Party, PathKind, PeerClient, PeerSession, Standing};
use citadel_tests::peer_scene::is_carried;
use futures::future::{BoxFuture, join};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// A client that stays.
pub(crate) struct Client {
    _node: Node<EmptyKernel>,
    _session: Session,
    pub(crate) peers: PeerClient,
    pub(crate) party: Party,
}

/// A server for clients without accounts.
pub(crate) async fn server() -> Node<EmptyKernel> {
    let server = NodeBuilder::new(EmptyKernel)
        .identity(Identity::generate())
        .transient(true)
        .listen(Transport::Tcp("127.0.0.1:0"));
    server.start().await.expect("a port")
}

impl Client {
    pub(crate) async fn start(server: &Node<EmptyKernel>, direct: Direct) -> Self {
        let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).direct(direct);
        let node = node.start().await.expect("a node");
        let to = ServerConnection::to(server.addr()).transient();
        let session = node.connect(&to).await.expect("a session");
        let peers = node.peers().await.expect("pins in memory");
        peers.attach(session.clone()).await.expect("an honest server");
        let party = Party::Transient(node.peer_id());
        Self { _node: node, _session: session, peers, party }
    }

    /// Both agree, and see each other.
    pub(crate) async fn befriend(&self, other: &Self) {
        self.peers.ask(other.party, None).await.expect("an honest server");
        let mut events = other.peers.events();
        while other.peers.info(self.party).is_none_or(|info| info.standing != Standing::Asking) {
            events.next().await;
        }
        other.peers.accept(self.party, None).await.expect("an honest server");
        let both = join(self.peers.registered(other.party), other.peers.registered(self.party)).await;
        both.0.and(both.1).expect("an honest server");
        join(self.peers.online(other.party), other.peers.online(self.party)).await;
    }

    /// Both ends of a session.
    pub(crate) async fn meet(&self, other: &Self) -> (PeerSession, PeerSession) {
        let (met, given) = join(self.peers.connect(other.party), other.peers.accept_session()).await;
        (met.expect("an honest server"), given)
    }
}

/// Direct paths between two that share a machine.
pub(crate) fn near() -> Direct {
    let bind = (Ipv4Addr::LOCALHOST, 0).into();
    Direct::On(DirectConfig { bind, locality: Locality::Local, ..DirectConfig::default() })
}

/// Both ends of a session, and the server that they met at.
pub(crate) struct Peers {
    channel: Channel,
    payloads: Payloads,
    /// New keys whenever so much time was spent sending.
    rekey: Option<Duration>,
    spent: Duration,
    session: Session,
    _nodes: (Node<EmptyKernel>, Client, Client),
    _other: JoinHandle<()>,
}

impl Peers {
    /// Connects to a peer that plays `role`, and waits for the direct path if there is to be one.
    #[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
    pub(crate) async fn connect(role: Role, direct: Direct, rekey: Option<Duration>) -> Self {
        let server = server().await;
        let (one, other) =
            join(Client::start(&server, direct.clone()), Client::start(&server, direct.clone())).await;
        one.befriend(&other).await;
        let (met, given) = one.meet(&other).await;
        if matches!(direct, Direct::On(_)) {
            let is_direct = |session| is_carried(session, PathKind::is_direct);
            join(is_direct(&met.session), is_direct(&given.session)).await;
        }
        let task = tokio::spawn(async move {
            serve(given.session.channel().expect("channel 0"), role).await;
        });
        Self {
            channel: met.session.channel().expect("channel 0"),
            payloads: Payloads::default(),
            rekey,
            spent: Duration::ZERO,
            session: met.session,
            _nodes: (server, one, other),
            _other: task,
        }
    }
}

impl Pair for Peers {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn send_all(&mut self, len: usize, count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (payload, mut began) = (self.payloads.of(len), Instant::now());
            for _ in 0..count {
                self.channel.send(payload.clone()).await.expect("an open session");
                let Some(interval) = self.rekey else { continue };
                if self.spent + began.elapsed() >= interval {
                    self.session.trigger_rekey().expect("an open session");
                    (self.spent, began) = (Duration::ZERO, Instant::now());
                }
            }
            self.channel.send(Bytes::from_static(b"!")).await.expect("an open session");
            self.channel.recv().await.expect("an open session");
            self.spent += began.elapsed();
        })
    }

    fn echo(&mut self, len: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let payload = self.payloads.of(len);
            self.channel.send(payload).await.expect("an open session");
            let echo = self.channel.recv().await.expect("an open session");
            assert_eq!(echo.map(|echo| echo.len()), Some(len));
        })
    }
}
