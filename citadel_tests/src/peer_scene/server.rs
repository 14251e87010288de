//! The server of a scene, which can be killed and come back.

use super::Setup;
use crate::canary;
use citadel_proto::driver::memory::Network;
use citadel_sdk::memory::Transport as _;
use citadel_sdk::prelude::*;
use citadel_sdk::{AccountsConfig, Backend, RateLimits};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where it listens, on each network.
const PLACE: ([u8; 4], u16) = ([10, 0, 0, 1], 4433);

/// A server on some networks.
pub struct Server<K: NetKernel = EmptyKernel> {
    /// The node.
    pub node: Node<K>,
    /// Where clients dial it.
    pub addr: NodeAddr,
    setup: Setup,
    networks: Vec<Network>,
    identity: Arc<Identity>,
    backend: Arc<dyn Backend>,
}

impl Server {
    /// Starts one that listens on all of `networks`.
    pub async fn start(setup: &Setup, networks: &[Network]) -> Self {
        Self::with_kernel(EmptyKernel, setup, networks).await
    }

    /// Starts one that keeps everything in `backend`.
    pub async fn on(backend: Arc<dyn Backend>, setup: &Setup, networks: &[Network]) -> Self {
        let identity = Arc::new(Identity::generate());
        Self::with(EmptyKernel, setup.clone(), networks.to_vec(), identity, backend).await
    }

    /// Kills it: its networks go down in one moment, nobody is told anything; then another one with the same identity and the
    /// same storage is there.
    pub async fn restarted(self) -> Self {
        for network in &self.networks {
            network.take_down();
        }
        let Self { node, setup, networks, identity, backend, .. } = self;
        drop(node);
        let restarted = Self::with(EmptyKernel, setup, networks, identity, backend).await;
        for network in &restarted.networks {
            network.heal();
        }
        restarted
    }
}

impl<K: NetKernel> Server<K> {
    /// Starts one that runs `kernel` for its clients.
    pub async fn with_kernel(kernel: K, setup: &Setup, networks: &[Network]) -> Self {
        let (identity, backend) = (Arc::new(Identity::generate()), Arc::new(Memory::new()));
        Self::with(kernel, setup.clone(), networks.to_vec(), identity, backend).await
    }

    async fn with(
        kernel: K,
        setup: Setup,
        networks: Vec<Network>,
        identity: Arc<Identity>,
        backend: Arc<dyn Backend>,
    ) -> Self {
        canary::watch();
        let accounts = AccountsConfig { rates: RateLimits::none(), ..AccountsConfig::default() };
        let mut builder = NodeBuilder::new(kernel)
            .identity(Arc::clone(&identity))
            .shared_backend(Arc::clone(&backend))
            .accounts(accounts)
            .resume(setup.resume)
            .transient(true);
        if let Some(suite) = setup.suite {
            builder = builder.suites([suite]);
        }
        let place = SocketAddr::from(PLACE);
        for network in &networks {
            // The one that was killed gives its place up in a task.
            let listener = loop {
                match network.listen(&place.to_string()).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            builder = builder.listen_on(listener);
        }
        let node = builder.start().await.expect("a server that starts");
        let addr = NodeAddr::from_socket(node.peer_id(), place);
        Self { node, addr, setup, networks, identity, backend }
    }

    /// How a client asks this server for its session, over one of its networks.
    pub fn connection(&self, network: &Network, user: &str) -> ServerConnection {
        let connection = ServerConnection::to(self.addr.clone()).over(network.clone());
        match self.setup.accounts {
            true => connection.register_or_login(user, "a password of the tests"),
            false => connection.transient(),
        }
    }

    /// Ends it; nothing of peers is left.
    ///
    /// # Panics
    /// If there is.
    pub async fn ends(self) -> citadel_sdk::NodeReport {
        let board = self.node.switchboard().expect("a server").clone();
        let (_kernel, report) = self.node.shutdown().await.expect("an orderly end");
        assert_eq!((board.lanes(), board.parties()), (0, 0), "{board:?}");
        report
    }
}
