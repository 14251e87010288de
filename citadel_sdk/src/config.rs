//! What an endpoint may be told; the default of everything is what most applications want.

use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::{
    AppProtocol, ClientConfig, HandshakeConfig, HandshakeError, Limits, Psk, ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{Native, SecurityLevel, Suite};
use citadel_proto::SessionConfig;
use citadel_proto::driver::HandshakeCaps;
use citadel_proto::peers::PeersConfig;
use core::time::Duration;
use std::sync::Arc;

/// Configuration of an [`Endpoint`](crate::Endpoint): start from [`EndpointConfig::default`] and set fields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointConfig {
    /// What suites must satisfy. `Standard` by default: X25519 + ML-KEM-768.
    pub security: SecurityLevel,
    /// Suites offered and accepted, best first; `None` (the default) for those of the security level.
    pub suites: Option<Vec<Suite>>,
    /// The least secrecy wanted: a session is `Perfect` when either end asks for it. `BestEffort` by default.
    pub secrecy: SecrecyMode,
    /// Application protocols, best first, as in ALPN. None by default; then the other end must have none, too.
    pub app_protocols: Vec<AppProtocol>,
    /// Pre-shared key for sessions that this endpoint opens. With one it never connects without it.
    pub psk: Option<Arc<Psk>>,
    /// Pre-shared keys that those who dial this endpoint may use.
    pub accepted_psks: Arc<[Psk]>,
    /// Whether those who dial this endpoint must use one.
    pub require_psk: bool,
    /// What this endpoint takes from the other end of a session: message length, credit, channels.
    pub limits: Limits,
    /// Versions with live receive keys, 2 ..= 16; the smaller number of both ends counts. 4 by default.
    pub window: u8,
    /// Longest time to open a path to a host, 10 s by default.
    pub dial_deadline: Duration,
    /// Longest time of a handshake, from its first byte, the application's decision included. 10 s by default.
    pub handshake_deadline: Duration,
    /// Handshakes at a time.
    pub handshake_caps: HandshakeCaps,
    /// Liveness, rekey policy and shutdown deadlines of sessions.
    pub session: SessionConfig,
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self {
            security: SecurityLevel::default(),
            suites: None,
            secrecy: SecrecyMode::BestEffort,
            app_protocols: Vec::new(),
            psk: None,
            accepted_psks: Arc::from([]),
            require_psk: false,
            limits: Limits::default(),
            window: 4,
            dial_deadline: Duration::from_secs(10),
            handshake_deadline: Duration::from_secs(10),
            handshake_caps: HandshakeCaps::default(),
            session: SessionConfig::default(),
        }
    }
}

impl EndpointConfig {
    /// The configuration of handshakes that this endpoint starts.
    pub(crate) fn client(&self, identity: &Arc<Identity>, trust: Trust) -> ClientConfig {
        ClientConfig { psk: self.psk.clone(), ..ClientConfig::new(self.common(identity), trust) }
    }

    /// The configuration of handshakes that this endpoint answers.
    pub(crate) fn server(&self, identity: &Arc<Identity>) -> Result<ServerConfig, HandshakeError> {
        let server = ServerConfig::new(self.common(identity)).map_err(|_| HandshakeError::Unavailable)?;
        Ok(ServerConfig { psks: Arc::clone(&self.accepted_psks), require_psk: self.require_psk, ..server })
    }

    /// The configuration of sessions with peers. Pre-shared keys are those of servers: a peer is not asked for one.
    pub(crate) fn peers(&self, identity: &Arc<Identity>) -> PeersConfig {
        PeersConfig::new(self.common(identity), self.session.clone())
    }

    fn common(&self, identity: &Arc<Identity>) -> HandshakeConfig {
        let defaults = HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), SessionKind::C2S);
        HandshakeConfig {
            suites: self.suites.clone().unwrap_or_else(|| self.security.default_suites().to_vec()),
            level: self.security,
            mode: self.secrecy,
            window: self.window,
            app_protocols: self.app_protocols.clone(),
            limits: self.limits,
            deadline: self.handshake_deadline,
            ..defaults
        }
    }
}
