//! Nodes that run the peer-connection kernel, each as if it were the first: one session for each two, over real sockets, whatever
//! carries it, and an orderly end.

use super::scene::{account, carried, ends_empty, run, server};
use citadel_sdk::prelude::*;
use citadel_sdk::{PeerTrust, ServerTrust};
use citadel_tests::peer_scene::{Way, has_another_path};
use futures::future::join_all;
use rstest::rstest;
use std::sync::Arc;
use tokio::sync::Barrier;

/// Says who this is, hears who the other one is.
async fn hello(peer: &mut PeerConnection, own: &str) -> KernelResult {
    peer.channel.send(own.to_owned()).await?;
    let heard = peer.channel.recv().await?.ok_or("nothing was said")?;
    assert_eq!(heard, peer.name.as_bytes());
    Ok(())
}

/// The changes of all nodes' networks, one after the other. One is a change for all sessions of its node: what it does to each is
/// over before the next one, and before any of them closes.
struct Turns {
    names: Vec<String>,
    settled: Barrier,
}

impl Turns {
    fn new(names: impl IntoIterator<Item = String>) -> Arc<Self> {
        let names: Vec<String> = names.into_iter().collect();
        let settled = Barrier::new(names.len() * (names.len() - 1));
        Arc::new(Self { names, settled })
    }

    /// The one of a node's sessions that says that the network is another one.
    fn tells(&self, own: &str, peer: &str) -> bool {
        self.names.iter().find(|name| *name != own).is_some_and(|first| first == peer)
    }
}

/// Greets on the way that is wanted; where that changes, again after each change of either end's network.
async fn greet(mut peer: PeerConnection, own: String, way: Way, turns: Arc<Turns>) -> KernelResult {
    way.carries(&peer.session).await;
    hello(&mut peer, &own).await?;
    if way == Way::Changing {
        for whose in &turns.names {
            let mut events = peer.session.events();
            turns.settled.wait().await;
            if *whose == own && turns.tells(&own, &peer.name) {
                peer.peers.network_changed();
            }
            if [&own, &peer.name].contains(&whose) {
                has_another_path(&mut events).await;
                way.carries(&peer.session).await;
                hello(&mut peer, &own).await?;
            }
        }
        turns.settled.wait().await;
    }
    peer.channel.finish().await?;
    assert_eq!(peer.channel.recv().await?, None);
    Ok(())
}

fn name(number: usize) -> String {
    format!("peer-{number}")
}

#[rstest]
#[case::two(2)]
#[case::three(3)]
#[case::eight(8)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_to_peer_connect(
    #[case] count: usize,
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
) {
    let server = server().await;
    let turns = Turns::new((0..count).map(name));
    let nodes = (0..count).map(|own| {
        let others =
            Peers::all((0..count).filter(|other| *other != own).map(|other| Peers::user(name(other))));
        let turns = Arc::clone(&turns);
        let kernel =
            PeerConnectionKernel::for_each(account(&server, &name(own)), others.unwrap(), move |peer| {
                greet(peer, name(own), way, Arc::clone(&turns))
            });
        run(carried(way, kernel, Identity::generate()))
    });
    for report in join_all(nodes).await {
        let report = report.unwrap();
        assert!(report.is_clean(), "{report}");
        // A session with each other one, and the server's last.
        assert_eq!(report.sessions.len(), count, "{report}");
    }
    ends_empty(server).await;
}

/// Whom a client takes for its server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trusts {
    /// The peer that the address names.
    TheAddress,
    /// One that was pinned before.
    APin,
    /// Whoever is there the first time.
    OnFirstUse,
    /// Anyone.
    Anyone,
}

impl Trusts {
    /// How a client with this trust connects, and what its node is told.
    fn connection(self, server: &NodeAddr) -> (ServerConnection, Option<ServerTrust>) {
        let at = || ServerConnection::at(server.host(), server.port());
        let (connection, trust) = match self {
            Self::TheAddress => (ServerConnection::to(server.clone()), None),
            Self::APin => (at(), Some(ServerTrust::pinned([server.peer()]))),
            Self::OnFirstUse => (at(), Some(ServerTrust::ask(|_peer| async { true }))),
            Self::Anyone => (at(), Some(ServerTrust::dangerous_anyone())),
        };
        (connection.transient(), trust)
    }
}

#[rstest]
#[case::two(2)]
#[case::three(3)]
#[case::eight(8)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_to_peer_connect_transient(
    #[case] count: usize,
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Trusts::TheAddress, Trusts::APin, Trusts::OnFirstUse, Trusts::Anyone)] trusts: Trusts,
    #[values(false, true)] require_verified: bool,
) {
    let server = server().await;
    let identities: Vec<Identity> = (0..count).map(|_| Identity::generate()).collect();
    let ids: Vec<PeerId> = identities.iter().map(Identity::peer_id).collect();
    let turns = Turns::new(ids.iter().map(PeerId::to_string));
    let nodes = identities.into_iter().enumerate().map(|(own, identity)| {
        let others = ids.iter().enumerate().filter(|(other, _)| *other != own);
        let others = Peers::all(others.map(|(_, id)| Peers::peer_id(*id))).unwrap();
        let (connection, trust) = trusts.connection(&server.addr());
        let (id, turns) = (identity.peer_id().to_string(), Arc::clone(&turns));
        let kernel = PeerConnectionKernel::for_each(connection, others, move |peer| {
            // Named by its peer id, it is verified, whoever brings the two together.
            assert_eq!(peer.trust, PeerTrust::Verified);
            greet(peer, id.clone(), way, Arc::clone(&turns))
        });
        let node = carried(way, kernel, identity).require_verified(require_verified);
        run(match trust {
            Some(trust) => node.trust(trust),
            None => node,
        })
    });
    for report in join_all(nodes).await {
        let report = report.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.sessions.len(), count, "{report}");
    }
    ends_empty(server).await;
}
