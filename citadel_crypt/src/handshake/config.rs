//! What each end is told before it starts: keys, offers, policy and limits, with the reason for each default.

use super::codec::{Malformed, Reader};
use super::guard::HelloGuard;
use super::hello::{MAX_APP_PROTOCOLS, MAX_SUITES, WINDOW};
use super::psk::Psk;
use super::request::{ClientRequest, Request};
use crate::SecrecyMode;
use crate::addr::PeerId;
use crate::identity::Identity;
use crate::suite::{CryptoError, CryptoProvider, SecurityLevel, Suite};
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// What both ends configure.
#[derive(Clone, Debug)]
pub struct HandshakeConfig {
    /// Randomness and primitives.
    pub provider: Arc<dyn CryptoProvider>,
    /// Who this end is.
    pub identity: Arc<Identity>,
    /// Which kind of session; the other end must want the same.
    pub kind: SessionKind,
    /// Suites offered or accepted; a client's order is its preference, a server takes the first one that it accepts.
    /// Those that [`level`](Self::level) does not allow are left out.
    pub suites: Vec<Suite>,
    /// What the suites must satisfy, whatever the list says.
    pub level: SecurityLevel,
    /// The least secrecy wanted: the session is `Perfect` when either end asks for it.
    pub mode: SecrecyMode,
    /// Largest window, 2 ..= 16; the smaller one of both ends counts. 4 by default (REKEY, "Window").
    pub window: u8,
    /// Application protocols. A server takes the first of the client's list that it has; two ends without any agree
    /// on none, one end without any does not agree with one that has some.
    pub app_protocols: Vec<AppProtocol>,
    /// What this end takes from the other.
    pub limits: Limits,
    /// From start to `Established`, decisions of the application included. 10 s by default: ten round trips on a
    /// bad link, and short enough that a stalled attempt does not hold a server's place for long.
    pub deadline: Duration,
}

impl HandshakeConfig {
    /// Defaults for `kind`: suites of the standard level, `BestEffort`, no application protocol.
    pub fn new(provider: Arc<dyn CryptoProvider>, identity: Arc<Identity>, kind: SessionKind) -> Self {
        let level = SecurityLevel::default();
        Self {
            provider,
            identity,
            kind,
            suites: level.default_suites().to_vec(),
            level,
            mode: SecrecyMode::BestEffort,
            window: 4,
            app_protocols: Vec::new(),
            limits: Limits::default(),
            deadline: Duration::from_secs(10),
        }
    }

    /// The suites that count.
    pub(super) fn allowed_suites(&self) -> Vec<Suite> {
        self.suites.iter().copied().filter(|suite| self.level.allows(*suite)).collect()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let suites = self.allowed_suites();
        if suites.is_empty() {
            return Err(ConfigError::NoSuite);
        }
        if suites.len() > MAX_SUITES || has_duplicate(&suites) {
            return Err(ConfigError::Suites);
        }
        if !WINDOW.contains(&self.window) {
            return Err(ConfigError::Window);
        }
        if self.app_protocols.len() > MAX_APP_PROTOCOLS || has_duplicate(&self.app_protocols) {
            return Err(ConfigError::AppProtocols);
        }
        if self.limits.is_valid() { Ok(()) } else { Err(ConfigError::Limits) }
    }
}

fn has_duplicate<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().any(|(i, one)| list[..i].contains(one))
}

/// A configuration that no handshake can run with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The security level allows none of the suites.
    #[error("the security level allows none of the suites")]
    NoSuite,
    /// More than 16 suites, or one twice.
    #[error("more than 16 suites, or one of them twice")]
    Suites,
    /// A window outside 2 ..= 16.
    #[error("the window must be 2 to 16")]
    Window,
    /// More than 8 application protocols, or one twice.
    #[error("more than 8 application protocols, or one of them twice")]
    AppProtocols,
    /// A limit beyond 2^62.
    #[error("a limit is beyond 2^62")]
    Limits,
    /// A password for a server that nobody chose.
    #[error("a password goes to a chosen server only, or by explicit consent to anyone")]
    PasswordNeedsTrust,
}

/// What a client is told.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The common part.
    pub common: HandshakeConfig,
    /// Which servers the client shows itself to.
    pub trust: Trust,
    /// The pre-shared key. With one, the client never connects without it.
    pub psk: Option<Arc<Psk>>,
    /// What it asks for.
    pub request: ClientRequest,
    /// Whether a password may go to a server that [`Trust::DangerousAnyone`] chose, which is to say to anyone. No by
    /// default (R-EST-1).
    pub allow_password_to_anyone: bool,
}

impl ClientConfig {
    /// A client that asks for [`Request::Identity`].
    pub const fn new(common: HandshakeConfig, trust: Trust) -> Self {
        let request = ClientRequest::Plain(Request::Identity);
        Self { common, trust, psk: None, request, allow_password_to_anyone: false }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let goes_to_anyone = self.trust == Trust::DangerousAnyone && !self.allow_password_to_anyone;
        if self.request.has_password() && goes_to_anyone {
            return Err(ConfigError::PasswordNeedsTrust);
        }
        self.common.validate()
    }
}

/// Which servers a client shows its identity to (R-EST-1). There is no default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The one with this peer id.
    Peer(PeerId),
    /// Whoever the application says yes to: [`Output::Ask`](super::Output::Ask) waits for its answer before flight 3.
    Ask,
    /// Anyone. Whoever is in the middle is then someone, too.
    DangerousAnyone,
}

/// What a server is told; shared by all its handshakes. Rotating keys means making a new one.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The common part.
    pub common: HandshakeConfig,
    /// Pre-shared keys that clients may name.
    pub psks: Arc<[Psk]>,
    /// Whether a client without a pre-shared key is refused.
    pub require_psk: bool,
    /// Makes and checks cookies.
    pub guard: Arc<HelloGuard>,
}

impl ServerConfig {
    /// A server without pre-shared keys and with a guard of its own.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`] when there is no randomness for the guard's secret.
    pub fn new(common: HandshakeConfig) -> Result<Self, CryptoError> {
        let guard = Arc::new(HelloGuard::new(&*common.provider)?);
        Ok(Self { common, psks: Arc::from([]), require_psk: false, guard })
    }
}

/// Which kind of session a handshake is for; bound by the transcript, so one is never taken for the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SessionKind {
    /// Client and server.
    C2S,
    /// Two peers, end to end.
    P2P,
}

impl SessionKind {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::C2S => 0,
            Self::P2P => 1,
        }
    }

    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::C2S),
            1 => Some(Self::P2P),
            _ => None,
        }
    }
}

/// Name of an application protocol, 1 to 255 bytes, as in ALPN (RFC 7301).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppProtocol(Box<[u8]>);

impl AppProtocol {
    /// Longest name, bytes.
    pub const MAX_LEN: usize = 255;

    /// Takes a name.
    ///
    /// # Errors
    /// [`AppProtocolError`] for an empty name or one over 255 bytes.
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, AppProtocolError> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > Self::MAX_LEN {
            return Err(AppProtocolError);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for AppProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for AppProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppProtocol({self})")
    }
}

/// The name of an application protocol has 1 to 255 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("the name of an application protocol has 1 to 255 bytes")]
pub struct AppProtocolError;

/// What one end takes from the other, announced once. Offsets and lengths in bytes, each at most 2^62, so that no
/// sum of two of them overflows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Longest message on a channel.
    pub max_message: u64,
    /// Credit of the session at its start.
    pub session_credit: u64,
    /// Credit of a channel at its start.
    pub channel_credit: u64,
    /// Most channels that the other end may have open.
    pub max_channels: u32,
}

impl Limits {
    pub(super) const LEN: usize = 3 * 8 + 4;
    const MAX: u64 = 1 << 62;

    const fn is_valid(&self) -> bool {
        self.max_message <= Self::MAX && self.session_credit <= Self::MAX && self.channel_credit <= Self::MAX
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let limits = Self {
            max_message: reader.u64()?,
            session_credit: reader.u64()?,
            channel_credit: reader.u64()?,
            max_channels: reader.u32()?,
        };
        if limits.is_valid() { Ok(limits) } else { Err(Malformed) }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for value in [self.max_message, self.session_credit, self.channel_credit] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(&self.max_channels.to_le_bytes());
    }
}

impl Default for Limits {
    /// 64 MiB messages (R-SES-1), 16 channels from each end, 1 MiB in flight per channel (a 100 ms path at 80 Mbit/s), and in
    /// the session as much as all of them together, channel 0 included: readers that stall never block another (R-SES-3).
    fn default() -> Self {
        Self { max_message: 64 << 20, session_credit: 33 << 20, channel_credit: 1 << 20, max_channels: 16 }
    }
}
