//! A server and clients that are peers, on networks in memory and a clock that a test pauses.
//!
//! Owns: starting them, making peers of two, a session between them, cutting and healing what carries it, taking it all down
//! again with nothing left. Real are nodes, handshakes, keys, switchboard and lanes. Never: what a test is about.
//!
//! Each client has a network of its own, so that either leg of a lane can be cut alone; direct paths go over one of packets,
//! with QUIC as it is. What carries a session between two of them is a [`Way`]: a matrix takes it as a parameter.

mod client;
mod pair;
mod server;
mod talk;
mod way;

pub use client::Client;
pub use pair::{Pair, befriend};
pub use server::Server;
pub use talk::{Talk, hear, heard_of, message, say};
pub use way::{Loss, Way, has_another_path, is_carried};

use crate::canary;
use citadel_proto::driver::memory::{Faults, Network, PacketNetwork};
use citadel_sdk::{Identity, NetKernel, NodeBuilder, SecrecyMode, Suite};
use core::time::Duration;
use std::sync::Arc;

/// What nodes of a scene are told.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What carries sessions with peers.
    pub way: Way,
    /// Whether clients have accounts; else they have sessions without one.
    pub accounts: bool,
    /// Time that sessions wait for another path.
    pub resume: Duration,
    /// The suite that clients offer and accept, if not the default.
    pub suite: Option<Suite>,
    /// The secrecy of clients.
    pub secrecy: SecrecyMode,
    /// What happens to bytes.
    pub faults: Faults,
    /// Where direct paths go.
    pub packets: PacketNetwork,
    /// Where chance comes from; that of direct paths too, by [`seeded`](Self::seeded).
    pub seed: u64,
}

impl Setup {
    /// Sessions without an account, default keys, delays of up to 20 ms, 60 s to resume.
    pub fn new(way: Way) -> Self {
        Self::seeded(way, 1)
    }

    /// The same, with chance from that seed.
    pub fn seeded(way: Way, seed: u64) -> Self {
        Self {
            way,
            accounts: false,
            resume: Duration::from_secs(60),
            suite: None,
            secrecy: SecrecyMode::BestEffort,
            faults: Faults::DELAYS,
            packets: PacketNetwork::new(seed),
            seed,
        }
    }

    /// A network of its own for each client.
    pub fn networks(&self, count: u64) -> Vec<Network> {
        (0..count).map(|at| Network::with(self.seed * 100 + at, self.faults.clone())).collect()
    }

    /// A client's node with this kernel.
    pub fn node<K: NetKernel>(&self, kernel: K, identity: impl Into<Arc<Identity>>) -> NodeBuilder<K> {
        canary::watch();
        let builder = NodeBuilder::new(kernel).identity(identity).direct(self.way.direct());
        let builder = builder.udp(Arc::new(self.packets.clone())).secrecy(self.secrecy).resume(self.resume);
        match self.suite {
            Some(suite) => builder.suites([suite]),
            None => builder,
        }
    }
}
