//! What a client is told about its peers.

use super::super::meeting::MeetingConfig;
use super::direct::Direct;
use crate::accounts::{AccountsClock, SystemClock};
use crate::driver::UdpNetwork;
use crate::session::SessionConfig;
use citadel_crypt::handshake::{HandshakeConfig, Psk, ServerConfig, SessionKind};
use citadel_crypt::suite::CryptoError;
use core::time::Duration;
use std::sync::Arc;

/// What a client is told about its peers.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// Handshakes with peers; their kind is P2P, whatever this says.
    pub handshake: HandshakeConfig,
    /// Pre-shared keys that peers who connect may name.
    pub accepted_psks: Arc<[Psk]>,
    /// Whether peers who connect must name one.
    pub require_psk: bool,
    /// Sessions with peers. Its resume time bounds how long they outlive what carries them.
    pub session: SessionConfig,
    /// Whether sessions are made only with peers whose codes were compared, or whose peer id was named (R-P2P-1).
    pub require_verified: bool,
    /// Longest time that a caller waits for a session with a peer. 20 s: two handshakes of 10 s, its own and the one that
    /// takes its place.
    pub connect_deadline: Duration,
    /// Whether sessions seek a path without the server. Off by default: it opens a socket, and tells peers addresses.
    pub direct: Direct,
    /// Where direct paths have their sockets: this machine if `None`, which is the default.
    pub udp: Option<Arc<dyn UdpNetwork>>,
    /// The calendar, which the numbers of what this device says of others rise with. The system's by default.
    pub clock: Arc<dyn AccountsClock>,
    /// How long a session on a direct path goes on once the session with the server is over (R-P2P-5). 60 s, as sessions wait
    /// for a path: without a server nobody hears that a peer is none any more.
    pub outlive_server: Duration,
}

impl PeersConfig {
    /// Defaults, for handshakes and sessions like these.
    pub fn new(handshake: HandshakeConfig, session: SessionConfig) -> Self {
        Self {
            handshake: HandshakeConfig { kind: SessionKind::P2P, ..handshake },
            accepted_psks: Arc::from([]),
            require_psk: false,
            session,
            require_verified: false,
            connect_deadline: Duration::from_secs(20),
            direct: Direct::Off,
            udp: None,
            clock: Arc::new(SystemClock::new()),
            outlive_server: Duration::from_secs(60),
        }
    }

    pub(super) fn answering(&self) -> Result<ServerConfig, CryptoError> {
        let config = ServerConfig::new(self.handshake.clone())?;
        Ok(ServerConfig { psks: Arc::clone(&self.accepted_psks), require_psk: self.require_psk, ..config })
    }

    pub(super) fn meeting(&self) -> MeetingConfig {
        MeetingConfig { patience: self.handshake.deadline, ..MeetingConfig::default() }
    }
}
