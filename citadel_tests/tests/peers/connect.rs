//! Nodes that run the peer-connection kernel, each as if it were the first: one session for each two, and an orderly end.

use super::scene::{account, ends_empty, relayed, run, server};
use citadel_sdk::prelude::*;
use citadel_sdk::{PeerTrust, ServerTrust};
use futures::future::join_all;
use rstest::rstest;

/// Says who this is, hears who the other one is.
async fn greet(mut peer: PeerConnection, own: String) -> KernelResult {
    peer.channel.send(own).await?;
    let heard = peer.channel.recv().await?.ok_or("nothing was said")?;
    assert_eq!(heard, peer.name.as_bytes());
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
async fn peer_to_peer_connect(#[case] count: usize) {
    let server = server().await;
    let nodes = (0..count).map(|own| {
        let others =
            Peers::all((0..count).filter(|other| *other != own).map(|other| Peers::user(name(other))));
        let kernel =
            PeerConnectionKernel::for_each(account(&server, &name(own)), others.unwrap(), move |peer| {
                greet(peer, name(own))
            });
        run(kernel, Identity::generate())
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
    #[values(Trusts::TheAddress, Trusts::APin, Trusts::OnFirstUse, Trusts::Anyone)] trusts: Trusts,
    #[values(false, true)] require_verified: bool,
) {
    let server = server().await;
    let identities: Vec<Identity> = (0..count).map(|_| Identity::generate()).collect();
    let ids: Vec<PeerId> = identities.iter().map(Identity::peer_id).collect();
    let nodes = identities.into_iter().enumerate().map(|(own, identity)| {
        let others = ids.iter().enumerate().filter(|(other, _)| *other != own);
        let others = Peers::all(others.map(|(_, id)| Peers::peer_id(*id))).unwrap();
        let (connection, trust) = trusts.connection(&server.addr());
        let id = identity.peer_id().to_string();
        let kernel = PeerConnectionKernel::for_each(connection, others, move |peer| {
            // Named by its peer id, it is verified, whoever brings the two together.
            assert_eq!(peer.trust, PeerTrust::Verified);
            greet(peer, id.clone())
        });
        let node = relayed(kernel, identity).require_verified(require_verified);
        async move {
            let node = match trust {
                Some(trust) => node.trust(trust),
                None => node,
            };
            node.start().await.unwrap().await.map(|(_kernel, report)| report)
        }
    });
    for report in join_all(nodes).await {
        let report = report.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.sessions.len(), count, "{report}");
    }
    ends_empty(server).await;
}
