//! Which server a client node connects to, what it asks for there, and what it does when the session is lost.

mod request;

pub use request::CredentialsError;

use self::request::Ask;
use crate::EndpointConfig;
use crate::trust::ServerTrust;
use citadel_crypt::addr::NodeAddr;
use citadel_crypt::handshake::{ClientConfig, HandshakeError, RefusalCode, Request, Trust};
use citadel_crypt::identity::Identity;
use citadel_proto::driver::{Dialer, EstablishError, Hub, Session, Tcp, Transport, TrustPolicy};
use core::time::Duration;
use futures::FutureExt;
use std::io;
use std::sync::Arc;

/// Where a client node connects, and as whom. Start with [`ServerConnection::to`].
///
/// ```
/// use citadel_sdk::prelude::*;
/// # fn example(server: NodeAddr) {
/// let new = ServerConnection::to(server.clone()).register("alice", "correct horse battery staple");
/// let known = ServerConnection::to(server).login("alice").reconnect(Reconnect::FOREVER);
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerConnection {
    server: Server,
    ask: Result<Ask, CredentialsError>,
    reconnect: Reconnect,
    /// TCP if none.
    over: Option<Over>,
}

#[derive(Clone)]
struct Over(Arc<dyn Transport>);

impl core::fmt::Debug for Over {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Over(..)")
    }
}

#[derive(Clone, Debug)]
enum Server {
    /// Who must answer is known.
    Node(NodeAddr),
    /// The node's [`ServerTrust`] decides.
    Host { host: String, port: u16 },
}

/// What becomes of a client whose session was lost.
///
/// A lost *path* is nothing to this: the session goes on over a new one by itself, within the node's resume time. This
/// is about what comes after: a server that was restarted, a resume time that is over, a server that does not answer.
/// Only causes that may pass are retried ([`CloseReason::is_retryable`](crate::CloseReason::is_retryable),
/// [`EstablishError::is_retryable`]): never a session that was superseded by another login of the same device, a
/// revoked device, or a refused password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Reconnect {
    /// The node ends with the error.
    #[default]
    Never,
    /// Tries again with growing pauses, each with a random part so that the clients of a restarted server do not come all at
    /// once.
    Backoff {
        /// First pause.
        first: Duration,
        /// Longest pause.
        most: Duration,
        /// Attempts in a row after which it gives up; `None` for never.
        attempts: Option<u32>,
    },
}

impl Reconnect {
    /// Pauses from 100 ms doubling to 5 s, for ever.
    pub const FOREVER: Self =
        Self::Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5), attempts: None };

    /// Pauses from 100 ms doubling to 5 s, at most `attempts` in a row.
    pub const fn attempts(attempts: u32) -> Self {
        Self::Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            attempts: Some(attempts),
        }
    }

    /// The pause before the next attempt, without its random part, when so many have failed in a row, the session that was
    /// lost counted as one; none to give up.
    pub(crate) fn pause_after(self, failed: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Backoff { attempts: Some(attempts), .. } if failed > attempts => None,
            Self::Backoff { first, most, .. } => {
                Some(first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(most))
            }
        }
    }
}

impl ServerConnection {
    /// The server at `server`, which must prove to be the peer that the address names. What to ask for there is said by one of
    /// the other methods; [`transient`](Self::transient) unless one is called.
    pub const fn to(server: NodeAddr) -> Self {
        Self {
            server: Server::Node(server),
            ask: Ok(Ask::Plain(Request::Transient)),
            reconnect: Reconnect::Never,
            over: None,
        }
    }

    /// The server at a host that is not known by its peer id; the node's [`ServerTrust`] decides about who answers there.
    /// `host` is a DNS name or an IP address, without brackets.
    pub fn at(host: impl Into<String>, port: u16) -> Self {
        let server = Server::Host { host: host.into(), port };
        Self { server, ask: Ok(Ask::Plain(Request::Transient)), reconnect: Reconnect::Never, over: None }
    }

    /// Makes an account with this device as its first, under the name `user`; after that, this connection logs in.
    ///
    /// What is wrong with a name or a password is told when the node starts, as [`CredentialsError`].
    pub fn register(self, user: &str, password: &str) -> Self {
        Self { ask: Ask::register(user, password), ..self }
    }

    /// A session of the account that knows this device. Takes no password: the identity's signature is the proof.
    pub fn login(self, user: &str) -> Self {
        Self { ask: Ask::login(user), ..self }
    }

    /// Makes this device one of an account's, by the account's password; after that, this connection logs in.
    pub fn add_device(self, user: &str, password: &str) -> Self {
        Self { ask: Ask::add_device(user, password), ..self }
    }

    /// A session of the account in any case: logs in where the device is known, else makes the account, else, if the name is
    /// taken, makes this device one of that account's by the password.
    pub fn register_or_login(self, user: &str, password: &str) -> Self {
        Self { ask: Ask::any(user, password), ..self }
    }

    /// The name that others are shown and what this device is called, where an account is made or a device added. By default
    /// the user name, and nothing.
    pub fn names(self, display_name: &str, device: &str) -> Self {
        Self { ask: self.ask.and_then(|ask| ask.with_names(display_name, device)), ..self }
    }

    /// A session without an account, on a server that has accounts and allows it.
    pub fn transient(self) -> Self {
        Self { ask: Ok(Ask::Plain(Request::Transient)), ..self }
    }

    /// A session between the two identities as they are, with an endpoint or with a server that allows it.
    pub fn identity(self) -> Self {
        Self { ask: Ok(Ask::Plain(Request::Identity)), ..self }
    }

    /// What to do when the session is lost for good.
    pub fn reconnect(self, policy: Reconnect) -> Self {
        Self { reconnect: policy, ..self }
    }

    /// Dials with this transport instead of TCP: [`Quic`](crate::Quic), a [`memory::Network`](crate::memory::Network), one of
    /// one's own.
    pub fn over(self, transport: impl Transport) -> Self {
        Self { over: Some(Over(Arc::new(transport))), ..self }
    }

    pub(crate) const fn reconnect_policy(&self) -> Reconnect {
        self.reconnect
    }

    /// Whether names and password can be asked with.
    pub(crate) fn check(&self) -> Result<(), CredentialsError> {
        self.ask.as_ref().map(drop).map_err(|error| *error)
    }

    /// The same server for a device that the account knows by now.
    pub(crate) fn once_known(&self) -> Self {
        Self { ask: self.ask.clone().map(Ask::once_known), ..self.clone() }
    }

    pub(crate) async fn open(&self, client: Client<'_>) -> Result<Session, ConnectError> {
        let ask = self.ask.as_ref().map_err(|error| *error)?;
        let mut last = None;
        for request in ask.requests() {
            match self.open_with(&client, request.clone()).await {
                Err(error) if ask.goes_on(refusal(&error)) => last = Some(error),
                other => return Ok(other?),
            }
        }
        Err(last.unwrap_or(EstablishError::EndpointClosed).into())
    }

    async fn open_with(&self, client: &Client<'_>, request: Request) -> Result<Session, EstablishError> {
        let (host, port) = match &self.server {
            Server::Node(addr) => (addr.host().to_owned(), addr.port()),
            Server::Host { host, port } => (host.clone(), *port),
        };
        let (trust, passwords, policy) = self.trust(client.trust);
        let config = client.config.client(client.identity, trust);
        let config = ClientConfig { request: request.into(), allow_password_to_anyone: passwords, ..config };
        let transport = self
            .over
            .as_ref()
            .map_or_else(|| Arc::new(Tcp) as Arc<dyn Transport>, |over| Arc::clone(&over.0));
        let dialer = dialer(transport, host, port, client.config.dial_deadline);
        client.hub.connect_with(dialer, config, client.config.session.clone(), policy).await
    }

    fn trust(&self, of_node: Option<&ServerTrust>) -> (Trust, bool, Option<TrustPolicy>) {
        match (&self.server, of_node) {
            (Server::Node(addr), _) => (Trust::Peer(addr.peer()), false, None),
            (Server::Host { .. }, Some(trust)) => trust.parts(),
            // Asks nobody: the answer is no, and it names who was there.
            (Server::Host { .. }, None) => (Trust::Ask, false, None),
        }
    }
}

/// What connecting takes of a node.
pub(crate) struct Client<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) identity: &'a Arc<Identity>,
    pub(crate) config: &'a EndpointConfig,
    pub(crate) trust: Option<&'a ServerTrust>,
}

/// Opens streams to one place.
pub(crate) fn dialer(transport: Arc<dyn Transport>, host: String, port: u16, deadline: Duration) -> Dialer {
    Arc::new(move || {
        let (transport, host) = (Arc::clone(&transport), host.clone());
        async move {
            tokio::time::timeout(deadline, transport.connect(&host, port))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        }
        .boxed()
    })
}

/// What the proven server said.
const fn refusal(error: &EstablishError) -> Option<RefusalCode> {
    match error {
        EstablishError::Handshake(HandshakeError::Refused { code, authenticated: true, .. }) => Some(*code),
        _ => None,
    }
}

/// Why a client has no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A name or password that no server takes.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No session was established.
    #[error(transparent)]
    Establish(#[from] EstablishError),
}

impl ConnectError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Establish(error) => error.code(),
            Self::Credentials(_) => 0x1_0000,
        }
    }

    /// Whether the same attempt may succeed later without anyone changing a configuration.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Establish(error) => error.is_retryable(),
            Self::Credentials(_) => false,
        }
    }

    /// What the proven server said no with, if it did.
    pub const fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Establish(error) => refusal(error),
            Self::Credentials(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_after_the_attempts() {
        let pauses: Vec<_> = (1..8).map(|failed| Reconnect::FOREVER.pause_after(failed)).collect();
        let millis = [100, 200, 400, 800, 1600, 3200, 5000].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(pauses, millis);
        assert_eq!(Reconnect::FOREVER.pause_after(u32::MAX), Some(Duration::from_secs(5)));
        assert!(Reconnect::attempts(2).pause_after(2).is_some());
        assert_eq!(Reconnect::attempts(2).pause_after(3), None);
        assert_eq!(Reconnect::Never.pause_after(1), None);
    }
}
