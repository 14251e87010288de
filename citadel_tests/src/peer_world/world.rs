//! The world: what lasts while nodes come and go, and the nodes that are there.

use super::client::Client;
use super::crypto::{NodeProvider, identity};
use super::internet::Internet;
use super::ledger::Ledger;
use super::server::Server;
use super::setup::Setup;
use crate::canary;
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{HandshakeConfig, SessionKind};
use citadel_proto::accounts::AccountsClock;
use citadel_proto::backend::{Backend, Memory, UnixTime};
use citadel_proto::driver::memory::{Faults, Network};
use citadel_proto::peers::{MemoryPins, Party};
use core::time::Duration;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// Where the server listens, in the network of every client.
pub(super) const ADDRESS: (&str, u16) = ("192.0.2.1", 7);

/// Time passes for whoever waits for this.
#[expect(clippy::disallowed_methods, reason = "the clock is paused: time is the script's")]
pub(super) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The calendar of a world, which begins on the same day each time.
#[derive(Debug)]
struct Calendar(Instant);

impl AccountsClock for Calendar {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn unix(&self) -> UnixTime {
        UnixTime(1_800_000_000 + self.0.elapsed().as_secs())
    }
}

/// Everything.
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) ledger: Arc<Ledger>,
    /// Of the server, then of each client. A node that comes again goes on where it was: it draws nothing twice.
    providers: Vec<Arc<NodeProvider>>,
    /// One for each client.
    pub(super) networks: Vec<Network>,
    /// Of UDP, where direct paths are sought.
    pub(super) internet: Option<Arc<Internet>>,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) pins: Vec<Arc<MemoryPins>>,
    pub(super) parties: Mutex<Vec<Option<Party>>>,
    clients: Mutex<Vec<Option<Arc<Client>>>>,
    pub(super) server: Mutex<Option<Arc<Server>>>,
    /// What users have asked for and not got yet.
    pub(super) wishes: TaskTracker,
}

impl World {
    pub(super) fn new(setup: Setup, ledger: Arc<Ledger>) -> Arc<Self> {
        canary::watch();
        let count = setup.clients;
        let network = |client| {
            let faults = Faults { delay: setup.delay.clone(), cut_after: None };
            Network::with(setup.seed.wrapping_mul(8).wrapping_add(client as u64), faults)
        };
        let internet = setup.air.clone().map(|air| Internet::new(setup.seed, air, ledger.origin));
        Arc::new(Self {
            ledger,
            providers: (0..=count).map(|node| NodeProvider::new(setup.seed, node, setup.is_real)).collect(),
            networks: (0..count).map(network).collect(),
            internet,
            backend: Arc::new(Memory::new()),
            pins: (0..count).map(|_| Arc::new(MemoryPins::new())).collect(),
            parties: Mutex::new(vec![None; count]),
            clients: Mutex::new(vec![None; count]),
            server: Mutex::new(None),
            wishes: TaskTracker::new(),
            setup,
        })
    }

    /// What all nodes take for the time.
    pub(super) fn clock(&self) -> Arc<dyn AccountsClock> {
        Arc::new(Calendar(self.ledger.origin))
    }

    /// How the node shakes hands; the server is node 0, the clients follow.
    pub(super) fn common(&self, node: usize) -> HandshakeConfig {
        let provider = Arc::<NodeProvider>::clone(&self.providers[node]);
        HandshakeConfig::new(provider, identity(node), SessionKind::C2S)
    }

    pub(super) fn device(client: usize) -> PeerId {
        identity(1 + client).peer_id()
    }

    /// The client that runs now.
    pub(super) fn client(&self, number: usize) -> Option<Arc<Client>> {
        self.clients.lock()[number % self.setup.clients].clone()
    }

    pub(super) fn put_client(&self, number: usize, client: Option<Arc<Client>>) -> Option<Arc<Client>> {
        core::mem::replace(&mut self.clients.lock()[number], client)
    }

    /// Clients that run.
    pub(super) fn running(&self) -> Vec<Arc<Client>> {
        self.clients.lock().iter().flatten().map(Arc::clone).collect()
    }

    pub(super) fn party(&self, client: usize) -> Option<Party> {
        self.parties.lock()[client]
    }

    /// Which client a party is.
    pub(super) fn who(&self, party: Party) -> Option<usize> {
        self.parties.lock().iter().position(|known| *known == Some(party))
    }

    /// Puts the network of a client back to how it began.
    pub(super) fn heal(&self, client: usize) {
        self.networks[client].heal();
        let faults = Faults { delay: self.setup.delay.clone(), cut_after: None };
        self.networks[client].set_faults(faults);
    }
}
