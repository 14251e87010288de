//! All sessions and tasks of one endpoint.

use super::clock::Clock;
use super::establish::{self, Asked, EstablishError, TrustPolicy};
use super::session::Session;
use super::shared::{About, Shared};
use super::task::SessionTask;
use crate::session::{SessionConfig, SessionMachine};
use crate::shutdown::{CloseReason, CloseReport};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    ClientConfig, Established, Grant, HandshakeConfig, HandshakeError, Input, Instance, RefusalCode, Refused,
    Request, ServerConfig, ServerHandshake,
};
use citadel_crypt::identity::{Identity, IdentityPublic};
use citadel_crypt::suite::CryptoProvider;
use core::fmt;
use dashmap::DashMap;
use futures::future::join_all;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The sessions of one endpoint and the tasks that drive them. Clones are the same endpoint.
///
/// Its own drop does nothing: sessions live as long as their handles.
#[derive(Clone)]
pub struct Hub {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    tasks: TaskTracker,
    /// Cancelled by [`Hub::abort`].
    aborted: CancellationToken,
    /// Cancelled as soon as the endpoint takes no further session.
    closed: CancellationToken,
    sessions: DashMap<Instance, Arc<Shared>>,
}

/// A session's place in the registry, given up with its task however that ends.
struct Registered {
    inner: Arc<Inner>,
    instance: Instance,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.inner.sessions.remove(&self.instance);
    }
}

/// What a session needs beside what its handshake established.
struct Own {
    provider: Arc<dyn CryptoProvider>,
    identity: Arc<Identity>,
    config: SessionConfig,
}

impl Own {
    fn new(common: &HandshakeConfig, mut config: SessionConfig) -> Self {
        config.limits = common.limits;
        Self { provider: Arc::clone(&common.provider), identity: Arc::clone(&common.identity), config }
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// An endpoint without sessions.
    pub fn new() -> Self {
        let inner = Inner {
            clock: Clock::new(),
            tasks: TaskTracker::new(),
            aborted: CancellationToken::new(),
            closed: CancellationToken::new(),
            sessions: DashMap::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens a session over `io`. `trust` decides where the configuration says
    /// [`Trust::Ask`](citadel_crypt::handshake::Trust::Ask); without it the answer is no. The limits of `session` are those of
    /// `config`.
    ///
    /// # Errors
    /// [`EstablishError`], by the handshake's deadline at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect<Io>(
        &self,
        mut io: Io,
        config: ClientConfig,
        session: SessionConfig,
        trust: Option<TrustPolicy>,
    ) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let own = Own::new(&config.common, session);
        let established =
            self.unless_closed(establish::client(&mut io, config, trust.as_ref(), self.inner.clock)).await?;
        self.spawn(io, established, own)
    }

    /// Runs the handshake with whoever is at the other end of `io`, until it has proven who it is. `source` is where it comes
    /// from (an address), `under_load` asks it for a cookie first.
    ///
    /// # Errors
    /// [`EstablishError`], by the handshake's deadline at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn identify<Io>(
        &self,
        mut io: Io,
        source: &[u8],
        config: Arc<ServerConfig>,
        session: SessionConfig,
        under_load: bool,
    ) -> Result<Identified<Io>, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let own = Own::new(&config.common, session);
        let identify = establish::identify(&mut io, config, source, under_load, self.inner.clock);
        let (machine, asked) = self.unless_closed(identify).await?;
        Ok(Identified { hub: self.clone(), io, machine, asked, own })
    }

    /// Refuses new sessions, closes all with `reason` at once, and waits until their tasks have ended. Says how each of
    /// them ended. Bounded by the stages' deadlines.
    ///
    /// # Cancel safety
    /// The closes go on when the future is dropped.
    pub async fn close(&self, reason: CloseReason) -> Vec<CloseReport> {
        self.inner.closed.cancel();
        self.inner.tasks.close();
        let sessions: Vec<Arc<Shared>> =
            self.inner.sessions.iter().map(|entry| Arc::clone(entry.value())).collect();
        for session in &sessions {
            session.close(reason.clone());
        }
        let reports = join_all(sessions.iter().map(|session| session.closed())).await;
        self.inner.tasks.wait().await;
        reports
    }

    /// Ends every session at once; nothing is waited for.
    pub fn abort(&self) {
        self.inner.closed.cancel();
        self.inner.aborted.cancel();
    }

    /// Sessions whose tasks run.
    pub fn sessions(&self) -> usize {
        self.inner.sessions.len()
    }

    /// Whether it takes no further session.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.is_cancelled()
    }

    /// Resolves once it takes no further session.
    pub(super) async fn closed(&self) {
        self.inner.closed.cancelled().await;
    }

    async fn unless_closed<T>(
        &self,
        establish: impl Future<Output = Result<T, EstablishError>>,
    ) -> Result<T, EstablishError> {
        tokio::select! {
            biased;
            () = self.inner.closed.cancelled() => Err(EstablishError::EndpointClosed),
            result = establish => result,
        }
    }

    fn spawn<Io>(&self, io: Io, established: Established, own: Own) -> Result<Session, EstablishError>
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let clock = self.inner.clock;
        let about = About {
            instance: established.instance,
            side: established.side,
            peer: established.peer.clone(),
            suite: established.suite,
            mode: established.mode,
            app_protocol: established.app_protocol.clone(),
        };
        let instance = about.instance;
        let machine = SessionMachine::new(established, own.provider, own.identity, &own.config, clock.now());
        let shared = Arc::new(Shared::new(machine, about, clock));
        let session = Session::new(Arc::clone(&shared));
        self.inner.sessions.insert(instance, Arc::clone(&shared));
        let registered = Registered { inner: Arc::clone(&self.inner), instance };
        let task = SessionTask::new(io, shared, self.inner.aborted.clone().cancelled_owned());
        if self.is_closed() {
            // Whoever collects the sessions may have seen this one: dropping its task ends it.
            return Err(EstablishError::EndpointClosed);
        }
        self.inner.tasks.spawn(async move {
            let _registered = registered;
            task.await;
        });
        Ok(session)
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hub({} sessions)", self.sessions())
    }
}

/// A client that has proven who it is and waits for the answer. Dropping it ends the attempt without one.
pub struct Identified<Io> {
    hub: Hub,
    io: Io,
    machine: ServerHandshake,
    asked: Asked,
    own: Own,
}

impl<Io: AsyncRead + AsyncWrite + Send + Unpin + 'static> Identified<Io> {
    /// The proven client.
    pub const fn peer(&self) -> &IdentityPublic {
        &self.asked.peer
    }

    /// The proven client's id.
    pub fn peer_id(&self) -> PeerId {
        self.asked.peer.peer_id()
    }

    /// What it asks for.
    pub const fn request(&self) -> &Request {
        &self.asked.request
    }

    /// Says yes.
    ///
    /// # Errors
    /// [`EstablishError`], when the handshake's deadline has passed for example.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; the client may have seen the yes.
    pub async fn accept(self) -> Result<Session, EstablishError> {
        self.accept_with(Grant::default()).await
    }

    /// Says yes and grants this.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// As [`accept`](Self::accept).
    pub async fn accept_with(self, grant: Grant) -> Result<Session, EstablishError> {
        let Self { hub, mut io, mut machine, own, .. } = self;
        let decide = establish::decide(&mut io, &mut machine, Input::Accept(grant), hub.inner.clock);
        let established = hub.unless_closed(decide).await?;
        let established = established.ok_or(HandshakeError::Rejected(RefusalCode::INTERNAL))?;
        hub.spawn(io, established, own)
    }

    /// Says no, with a reason. The application's own codes start at [`RefusalCode::APPLICATION`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; the client may not learn the reason.
    pub async fn refuse(self, refused: impl Into<Refused>) {
        let Self { hub, mut io, mut machine, asked, .. } = self;
        let answer = Input::Refuse(refused.into());
        let decide = establish::decide(&mut io, &mut machine, answer, hub.inner.clock);
        if let Err(error) = hub.unless_closed(decide).await {
            log::debug!(target: "citadel::session", "refused {}: {error}", asked.peer.peer_id());
        }
    }
}

impl<Io> fmt::Debug for Identified<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identified({}, {:?})", self.asked.peer.peer_id(), self.asked.request)
    }
}
