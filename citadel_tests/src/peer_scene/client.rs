//! A client of a scene, moved by hand.

use super::{Server, Setup};
use citadel_proto::driver::memory::Network;
use citadel_sdk::prelude::*;
use citadel_sdk::{NodeReport, Party, PeerClient, PeerInfo, Standing};
use std::sync::Arc;

/// A client's node, its session with the server, and its peers.
pub struct Client {
    /// The node.
    pub node: Node<EmptyKernel>,
    /// The session with the server.
    pub session: Session,
    /// Its peers, attached to that session.
    pub peers: PeerClient,
    /// Who it is at the server.
    pub party: Party,
    /// What carries the session with the server.
    pub network: Network,
    connection: ServerConnection,
}

impl Client {
    /// One with a new identity, over that network.
    pub async fn start<K: NetKernel>(
        setup: &Setup,
        server: &Server<K>,
        network: &Network,
        user: &str,
    ) -> Self {
        let identity = Arc::new(Identity::generate());
        let node = setup.node(EmptyKernel, identity).start().await.expect("a client that starts");
        let connection = server.connection(network, user);
        let session = node.connect(&connection).await.expect("a session");
        let peers = node.peers().await.expect("pins in memory");
        peers.attach(session.clone()).await.expect("a server with peers");
        let party = session.cid().map_or(Party::Transient(node.peer_id()), Party::Account);
        Self { node, session, peers, party, network: network.clone(), connection }
    }

    /// Gets another session with the server, as a kernel does when one is lost for good.
    pub async fn connect_anew(&mut self) {
        self.session = loop {
            match self.node.connect(&self.connection).await {
                Ok(session) => break session,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            tokio::task::yield_now().await;
        };
        self.peers.attach(self.session.clone()).await.expect("a server with peers");
    }

    /// Waits until `party` stands so.
    pub async fn sees(&self, party: Party, standing: Standing) -> PeerInfo {
        let mut events = self.peers.events();
        loop {
            match self.peers.info(party) {
                Some(info) if info.standing == standing => return info,
                _ => drop(events.next().await),
            }
        }
    }

    /// Ends the node in order.
    ///
    /// # Panics
    /// If anything of it did not end.
    pub async fn ends(self) -> NodeReport {
        let (_kernel, report) = self.node.shutdown().await.expect("an orderly end");
        assert!(report.unfinished.is_empty(), "{report}");
        report
    }
}
