//! The endpoint: an identity, an address perhaps, and the sessions it takes part in.

use crate::server_connection::dialer;
use crate::{EndpointConfig, EndpointReport};
use citadel_crypt::addr::{NodeAddr, PeerId};
use citadel_crypt::handshake::{ServerConfig, Trust};
use citadel_crypt::identity::{Identity, IdentityPublic};
use citadel_proto::CloseReason;
use citadel_proto::driver::{
    Acceptor, Admission, EstablishError, Hub, Identified, Incoming, Listener, Session, Tcp, Transport,
    TrustPolicy,
};
use core::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// One node of the plain layer: it opens sessions to others and, when bound, accepts theirs. Cheap to clone; clones
/// are the same endpoint.
///
/// Dropping the last clone stops the listening. Sessions live on with their own handles, each until it is closed
/// or its last handle is dropped. [`close`](Self::close) ends all of them in order.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Arc<Identity>,
    config: EndpointConfig,
    server: Arc<ServerConfig>,
    hub: Hub,
    acceptor: Option<Acceptor>,
}

impl Endpoint {
    /// Listens on `address`, `HOST:PORT`, with the default configuration; port 0 takes a free one.
    ///
    /// # Errors
    /// [`EstablishError::Io`] when the address cannot be listened on.
    ///
    /// # Cancel safety
    /// Dropping the future listens on nothing.
    pub async fn bind(
        identity: impl Into<Arc<Identity>>,
        address: impl AsRef<str>,
    ) -> Result<Self, EstablishError> {
        Self::bind_with(identity, address, EndpointConfig::default()).await
    }

    /// As [`bind`](Self::bind) with a configuration.
    ///
    /// # Errors
    /// Also [`EstablishError::Handshake`] for a configuration that no handshake can run with.
    ///
    /// # Cancel safety
    /// Dropping the future listens on nothing.
    pub async fn bind_with(
        identity: impl Into<Arc<Identity>>,
        address: impl AsRef<str>,
        config: EndpointConfig,
    ) -> Result<Self, EstablishError> {
        let listener = Tcp.listen(address.as_ref()).await?;
        Self::bind_on(identity, vec![listener], config)
    }

    /// An endpoint that takes diallers from these listeners, of any transports: what
    /// [`Transport::listen`] gives, of [`Quic`](crate::Quic) for example. [`addr`](Self::addr) names the first.
    ///
    /// # Errors
    /// [`EstablishError::Handshake`] for a configuration that no handshake can run with, [`EstablishError::Io`] for a
    /// listener that cannot say where it listens.
    pub fn bind_on(
        identity: impl Into<Arc<Identity>>,
        listeners: Vec<Box<dyn Listener>>,
        config: EndpointConfig,
    ) -> Result<Self, EstablishError> {
        let mut inner = Inner::new(identity.into(), config)?;
        let admission = Admission::new(inner.config.handshake_caps);
        let (hub, server) = (inner.hub.clone(), Arc::clone(&inner.server));
        inner.acceptor =
            Some(Acceptor::new(hub, listeners, server, inner.config.session.clone(), admission)?);
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An endpoint that only opens sessions, with the default configuration.
    pub fn client(identity: impl Into<Arc<Identity>>) -> Self {
        Self::client_with(identity, EndpointConfig::default())
            .expect("the default configuration is valid; AWS-LC has aborted if randomness is missing")
    }

    /// As [`client`](Self::client) with a configuration.
    ///
    /// # Errors
    /// [`EstablishError::Handshake`] for a configuration that no handshake can run with.
    pub fn client_with(
        identity: impl Into<Arc<Identity>>,
        config: EndpointConfig,
    ) -> Result<Self, EstablishError> {
        Ok(Self { inner: Arc::new(Inner::new(identity.into(), config)?) })
    }

    /// Fingerprint of this endpoint's identity: what others dial.
    pub fn peer_id(&self) -> PeerId {
        self.inner.identity.peer_id()
    }

    /// The public half of this endpoint's identity.
    pub fn identity(&self) -> &IdentityPublic {
        self.inner.identity.public()
    }

    /// What others dial, `PEER_ID@HOST:PORT`, with the address as it was bound and the real port. An endpoint
    /// that does not listen has the unspecified address, `0.0.0.0:0`.
    pub fn addr(&self) -> NodeAddr {
        let local = self.local_addr().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        NodeAddr::from_socket(self.peer_id(), local)
    }

    /// The address listened on, if any.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.acceptor.as_ref().and_then(|acceptor| acceptor.local_addrs().first().copied())
    }

    /// Handshakes with those who dial this endpoint that are in flight now; never more than the configured caps.
    pub fn handshakes_in_flight(&self) -> usize {
        self.inner.acceptor.as_ref().map_or(0, |acceptor| acceptor.admission().in_flight())
    }

    /// The next one who dials this endpoint; `None` once it is closed, and at once if it does not listen. The handshake
    /// runs in [`Incoming::accept`], so that a slow dialler holds up nobody: hand each to a task of its own. Errors of
    /// the listener are logged and do not end it.
    ///
    /// # Cancel safety
    /// Dropping the future loses no dialler.
    pub async fn accept(&self) -> Option<Incoming> {
        match &self.inner.acceptor {
            Some(acceptor) => acceptor.accept().await,
            None => None,
        }
    }

    /// Opens a session to the node at `server`, which must prove to be the peer that the address names. Where both ends have
    /// a [resume time](citadel_proto::SessionConfig::resume), the session outlives the loss of its path: it is dialled
    /// again until the shorter of the two is over.
    ///
    /// # Errors
    /// [`EstablishError`]: the path cannot be opened in time or fails, the handshake fails
    /// ([`HandshakeError::WrongPeer`](crate::HandshakeError::WrongPeer) for another peer), or this endpoint is closed.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up; the other end sees its path end.
    pub async fn connect(&self, server: NodeAddr) -> Result<Session, EstablishError> {
        self.connect_over(Tcp, server).await
    }

    /// As [`connect`](Self::connect), by this transport instead of TCP: [`Quic`](crate::Quic), or a
    /// [`memory::Network`](crate::memory::Network).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    pub async fn connect_over(
        &self,
        transport: impl Transport,
        server: NodeAddr,
    ) -> Result<Session, EstablishError> {
        let inner = &self.inner;
        if inner.hub.is_closed() {
            return Err(EstablishError::EndpointClosed);
        }
        let host = server.host().to_owned();
        let dialer = dialer(Arc::new(transport), host, server.port(), inner.config.dial_deadline);
        let config = inner.config.client(&inner.identity, Trust::Peer(server.peer()));
        inner.hub.connect_with(dialer, config, inner.config.session.clone(), None).await
    }

    /// Opens a session over `io`, any ordered path, to the node with the peer id `peer`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future drops `io`.
    pub async fn connect_io<Io>(&self, io: Io, peer: PeerId) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.open(io, Trust::Peer(peer), None).await
    }

    /// Opens a session over `io` to whoever `policy` says yes to, once that node has proven its identity and before
    /// this one tells its own (R-EST-1): a pinned file, or trust on first use.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); [`HandshakeError::Untrusted`](crate::HandshakeError::Untrusted) for a no.
    ///
    /// # Cancel safety
    /// Dropping the future drops `io`.
    pub async fn connect_io_with<Io>(&self, io: Io, policy: TrustPolicy) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.open(io, Trust::Ask, Some(policy)).await
    }

    /// Accepts a session over `io`, any ordered path that somebody opened to us: runs the handshake and lets the other
    /// end in.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future drops `io`.
    pub async fn accept_io<Io>(&self, io: Io) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.identify_io(io).await?.accept().await
    }

    /// As [`accept_io`](Self::accept_io), but stops when the other end has proven its identity, so that the
    /// application decides by it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Dropping the future drops `io`.
    pub async fn identify_io<Io>(&self, io: Io) -> Result<Identified, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let inner = &self.inner;
        let server = Arc::clone(&inner.server);
        inner.hub.identify(io, b"", server, inner.config.session.clone(), false).await
    }

    /// Closes in order (docs/shutdown.md): nothing new is accepted, every session announces its end, flushes what was
    /// sent, and says goodbye, all at the same time and each within its deadlines; then the tasks are gone. A
    /// later call waits for the same end.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the close running.
    pub async fn close(&self) -> EndpointReport {
        EndpointReport { sessions: self.inner.hub.close(CloseReason::GoingAway).await }
    }

    async fn open<Io>(
        &self,
        io: Io,
        trust: Trust,
        policy: Option<TrustPolicy>,
    ) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let inner = &self.inner;
        let config = inner.config.client(&inner.identity, trust);
        inner.hub.connect(io, config, inner.config.session.clone(), policy).await
    }
}

impl Inner {
    fn new(identity: Arc<Identity>, config: EndpointConfig) -> Result<Self, EstablishError> {
        let server = Arc::new(config.server(&identity)?);
        Ok(Self { identity, config, server, hub: Hub::new(), acceptor: None })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("addr", &self.addr().to_string()).finish_non_exhaustive()
    }
}
