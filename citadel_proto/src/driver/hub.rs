//! All sessions and tasks of one endpoint.

use super::buffers::Buffers;
use super::clock::Clock;
use super::establish::{self, EstablishError, TrustPolicy};
use super::identified::Identified;
use super::redial::{self, Dialer};
use super::registry::{Known, Registered, Registry};
use super::session::Session;
use super::shared::{About, Shared};
use super::status::{End, Status};
use super::task::SessionTask;
use super::transport::{BoxedIo, Duplex, boxed};
use crate::session::{PathKind, SessionConfig, SessionMachine};
use crate::shutdown::{CloseReason, CloseReport};
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    ClientConfig, Established, HandshakeConfig, Instance, Request, ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::CryptoProvider;
use core::fmt;
use core::time::Duration;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::Instant;
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
    buffers: Arc<Buffers>,
    tasks: TaskTracker,
    /// Cancelled as soon as the endpoint takes no further session.
    closed: CancellationToken,
    registry: Arc<Registry>,
}

/// What a session needs beside what its handshake established.
pub(super) struct Own {
    provider: Arc<dyn CryptoProvider>,
    identity: Arc<Identity>,
    pub(super) config: SessionConfig,
    /// It is a session for both ends as soon as it is there. One of an attempt is kept later, or never.
    pub(super) is_kept: bool,
    /// How this end asks, if it opens the session and may resume it.
    client: Option<ClientConfig>,
}

impl Own {
    pub(super) fn new(common: &HandshakeConfig, mut config: SessionConfig) -> Self {
        config.limits = common.limits;
        let (provider, identity) = (Arc::clone(&common.provider), Arc::clone(&common.identity));
        Self { provider, identity, config, is_kept: true, client: None }
    }

    /// Of an end that opens the session. What it keeps to ask again holds no password: a resumption asks for nothing
    /// else.
    fn of_client(client: &ClientConfig, session: SessionConfig) -> Self {
        let mut own = Self::new(&client.common, session);
        if !own.config.resume.is_zero() {
            let (common, psk) = (client.common.clone(), client.psk.clone());
            own.client = Some(ClientConfig {
                psk,
                request: Request::Identity.into(),
                ..ClientConfig::new(common, client.trust)
            });
        }
        own
    }
}

/// A session that lives, and its end.
pub struct Ending {
    /// Which.
    pub instance: Instance,
    /// With whom.
    pub kind: SessionKind,
    /// What carries it now.
    pub path: PathKind,
    /// Resolves when it begins to close, with the reason; with none if it has closed before anyone looked.
    pub closing: BoxFuture<'static, Option<CloseReason>>,
    /// Resolves when it has closed.
    pub closed: BoxFuture<'static, CloseReport>,
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ending({}, {:?})", self.instance, self.kind)
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
            buffers: Arc::default(),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
            registry: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Opens a session over `io`. `trust` decides where the configuration says
    /// [`Trust::Ask`](citadel_crypt::handshake::Trust::Ask); without it the answer is no. The limits of `session` are those of
    /// `config`. Where `session` has a time to resume and the server grants one, the session outlives its path for the
    /// shorter of the two; [`resume`](Self::resume) brings another.
    ///
    /// # Errors
    /// [`EstablishError`], by the handshake's deadline at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect<Io: Duplex + 'static>(
        &self,
        io: Io,
        config: ClientConfig,
        session: SessionConfig,
        trust: Option<TrustPolicy>,
    ) -> Result<Session, EstablishError> {
        let own = Own::of_client(&config, session);
        self.open(boxed(io), config, own, trust).await.map(|(session, _)| session)
    }

    /// As [`connect`](Self::connect) over a stream that `dialer` opens, and keeps the session on a path: whenever it has
    /// none, `dialer` is asked again, at once and then with pauses that grow from 100 ms to 5 s, until the time to resume
    /// is over. A server that proves itself and refuses ends the session with [`CloseReason::PathLost`], which says which
    /// refusal it was. One dial may take as long as a handshake.
    ///
    /// # Errors
    /// [`EstablishError`] of the first attempt, which is not repeated.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect_with(
        &self,
        dialer: Dialer,
        config: ClientConfig,
        session: SessionConfig,
        trust: Option<TrustPolicy>,
    ) -> Result<Session, EstablishError> {
        let own = Own::of_client(&config, session);
        self.dial(dialer, config, own, trust).await
    }

    /// The same for a session that is none yet: until it is [kept](Self::keep) whatever would close it aborts it, and neither
    /// [`ends`](Self::ends) nor the reports of [`close`](Self::close) name it. The peer may have given up what it answers.
    pub(crate) async fn attempt(
        &self,
        dialer: Dialer,
        config: ClientConfig,
        session: SessionConfig,
    ) -> Result<Session, EstablishError> {
        let own = Own { is_kept: false, ..Own::of_client(&config, session) };
        self.dial(dialer, config, own, None).await
    }

    /// From now on the session of an attempt is one like any other, unless it ended otherwise than in order.
    pub(crate) fn keep(&self, session: &Session) {
        session.shared().keep();
        self.inner.registry.arrivals.send_modify(|count| *count += 1);
    }

    async fn dial(
        &self,
        dialer: Dialer,
        config: ClientConfig,
        own: Own,
        trust: Option<TrustPolicy>,
    ) -> Result<Session, EstablishError> {
        let deadline = config.common.deadline;
        let io = self.unless_closed(redial::dial_within(deadline, &dialer)).await?;
        let (session, shared) = self.open(io, config, own, trust).await?;
        if shared.about.client.is_some() {
            // It ends with the session.
            self.inner.tasks.spawn(redial::keep(shared, dialer));
        }
        Ok(session)
    }

    /// Asks at the other end of `io` for `session`, which this end opened, and carries it on there: the path that it had,
    /// if any, is dropped. Both identities are proven again.
    ///
    /// # Errors
    /// [`EstablishError::NotResumable`] when the session takes no path; else as [`connect`](Self::connect), with the
    /// server's refusal if it knows better. The session is as it was before.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn resume<Io: Duplex + 'static>(
        &self,
        session: &Session,
        io: Io,
    ) -> Result<(), EstablishError> {
        let shared = session.shared();
        let kind = shared.about.usual_path();
        self.unless_closed(redial::resume(shared, boxed(io), kind)).await.map(drop)
    }

    /// The same over a stream of that kind, and waits until the session is on it, or on a later path, or over. True if it is on
    /// a path of that kind.
    pub(crate) async fn move_to(
        &self,
        session: &Session,
        io: BoxedIo,
        kind: PathKind,
    ) -> Result<bool, EstablishError> {
        let shared = session.shared();
        let _moving = shared.begin_move();
        // Not ended by an endpoint that takes no session any more: the peer may be on the path already.
        let path = tokio::select! {
            biased;
            _ = shared.closed() => return Ok(false),
            path = redial::resume(shared, io, kind) => path?,
        };
        let mut status = shared.status.subscribe();
        let is_there = |status: &Status| status.carrier.path >= path || matches!(status.end, End::Closed(_));
        let carrier = status.wait_for(is_there).await.map(|status| status.carrier);
        Ok(carrier.is_ok_and(|carrier| carrier.kind == kind && carrier.lost.is_none()))
    }

    /// Runs the handshake with whoever is at the other end of `io`, until it has proven who it is. `source` is where it comes
    /// from (an address), `under_load` asks it for a cookie first.
    ///
    /// # Errors
    /// [`EstablishError`], by the handshake's deadline at the latest.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn identify<Io: Duplex + 'static>(
        &self,
        io: Io,
        source: &[u8],
        config: Arc<ServerConfig>,
        session: SessionConfig,
        under_load: bool,
    ) -> Result<Identified, EstablishError> {
        let mut io = boxed(io);
        let own = Own::new(&config.common, session);
        let identify = establish::identify(&mut io, config, source, under_load, self.inner.clock);
        let (machine, asked) = self.unless_closed(identify).await?;
        Ok(Identified::new(self.clone(), io, machine, asked, own))
    }

    /// The session of that instance, if its task runs and a handle is left.
    pub fn session(&self, instance: Instance) -> Option<Session> {
        self.inner.registry.session(instance)
    }

    /// The sessions with a peer that have a handle left, those that close included.
    pub fn sessions_of(&self, peer: PeerId) -> Vec<Session> {
        let of_peer = self.inner.registry.of(peer);
        of_peer.iter().filter_map(|shared| self.session(shared.about.instance)).collect()
    }

    /// Begins to close every session with a peer and does not wait. Says how many there were.
    pub fn close_sessions_of(&self, peer: PeerId, reason: &CloseReason) -> usize {
        let sessions = self.inner.registry.of(peer);
        sessions.iter().for_each(|session| session.close(reason.clone()));
        sessions.len()
    }

    /// Takes no further session from now on; those that there are go on, and attempts at one end. The first step of a node that ends in its own
    /// order, with [`ends`](Self::ends) and [`close_session`](Self::close_session).
    pub fn refuse(&self) {
        self.inner.closed.cancel();
        self.inner.tasks.close();
        // Nobody has them yet, and the peer may not know of them.
        self.inner.registry.all().iter().for_each(|session| session.end_attempt());
    }

    /// The sessions whose tasks run, attempts aside, each with futures of the beginning and the end of its close. They keep no session open.
    pub fn ends(&self) -> Vec<Ending> {
        let end = |shared: Arc<Shared>| {
            let (instance, kind) = (shared.about.instance, shared.about.kind);
            let path = shared.look(|core| core.kind);
            let other = Arc::clone(&shared);
            let closing = async move { other.closing().await }.boxed();
            Ending { instance, kind, path, closing, closed: async move { shared.closed().await }.boxed() }
        };
        self.inner.registry.kept().map(end).collect()
    }

    /// Rises with every session: whoever marks it as seen, asks for [`ends`](Self::ends) and then waits for it misses none.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.inner.registry.arrivals.subscribe()
    }

    /// Begins to close that session and does not wait; says whether its task ran. [`CloseReason::Aborted`] cuts short a
    /// close under way.
    pub fn close_session(&self, instance: Instance, reason: CloseReason) -> bool {
        self.inner.registry.get(instance).map(|shared| shared.close(reason)).is_some()
    }

    /// Refuses new sessions, closes all with `reason` at once, and waits until their tasks have ended. Says how each of
    /// them ended. Bounded by the stages' deadlines.
    ///
    /// # Cancel safety
    /// The closes go on when the future is dropped.
    pub async fn close(&self, reason: CloseReason) -> Vec<CloseReport> {
        self.refuse();
        let sessions: Vec<_> = self.inner.registry.kept().collect();
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
        // One that is not in the registry by now finds the endpoint closed.
        self.inner.registry.all().iter().for_each(|session| session.close(CloseReason::Aborted));
    }

    /// Sessions whose tasks run.
    pub fn sessions(&self) -> usize {
        self.inner.registry.len()
    }

    /// Whether it takes no further session.
    pub fn is_closed(&self) -> bool {
        self.inner.closed.is_cancelled()
    }

    /// Resolves once it takes no further session.
    pub(crate) async fn closed(&self) {
        self.inner.closed.cancelled().await;
    }

    /// What time it is in the machines of this endpoint.
    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// When that is.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.inner.clock.instant(at)
    }

    pub(super) fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// What is known of a session to a peer that asks for it.
    pub(super) fn known(&self, instance: Instance, peer: PeerId) -> Known {
        self.inner.registry.known(instance, peer)
    }

    pub(super) async fn unless_closed<T>(
        &self,
        establish: impl Future<Output = Result<T, EstablishError>>,
    ) -> Result<T, EstablishError> {
        tokio::select! {
            biased;
            () = self.inner.closed.cancelled() => Err(EstablishError::EndpointClosed),
            result = establish => result,
        }
    }

    async fn open(
        &self,
        mut io: BoxedIo,
        config: ClientConfig,
        own: Own,
        trust: Option<TrustPolicy>,
    ) -> Result<(Session, Arc<Shared>), EstablishError> {
        let establish = establish::client(&mut io, config, trust.as_ref(), self.inner.clock);
        let established = self.unless_closed(establish).await?;
        self.spawn(io, established, own)
    }

    pub(super) fn spawn(
        &self,
        io: BoxedIo,
        established: Established,
        mut own: Own,
    ) -> Result<(Session, Arc<Shared>), EstablishError> {
        let clock = self.inner.clock;
        own.config.resume = resume_time(&established, &own.config);
        let about = about(&established, &mut own);
        let machine = SessionMachine::new(established, own.provider, own.identity, &own.config, clock.now());
        let buffers = Arc::clone(&self.inner.buffers);
        let shared = Arc::new(Shared::new(machine, about, clock, buffers, own.is_kept));
        let session = Session::new(Arc::clone(&shared));
        let registered = Registry::register(&self.inner.registry, &shared, &session);
        let task = SessionTask::new(io, Arc::clone(&shared), Arc::clone(&self.inner.buffers));
        if self.is_closed() {
            // Whoever collects the sessions may have seen this one: dropping its task ends it.
            return Err(EstablishError::EndpointClosed);
        }
        self.inner.tasks.spawn(run(task, registered));
        Ok((session, shared))
    }
}

/// The task first, so that its end is published before its place is given up.
async fn run(task: SessionTask, registered: Registered) {
    task.await;
    drop(registered);
}

/// How long a session waits for a path: what the server granted, and a client no longer than it wants to.
fn resume_time(established: &Established, config: &SessionConfig) -> Duration {
    match established.side {
        Side::Initiator => established.grant.resume.min(config.resume),
        Side::Responder => established.grant.resume,
    }
}

fn about(established: &Established, own: &mut Own) -> About {
    let peer = established.peer.clone();
    // Whoever the server was the first time, from now on it is this one.
    let trust = Trust::Peer(peer.peer_id());
    let client = own.client.take().filter(|_| !own.config.resume.is_zero());
    About {
        instance: established.instance,
        kind: established.kind,
        side: established.side,
        own: own.identity.peer_id(),
        peer,
        suite: established.suite,
        mode: established.mode,
        app_protocol: established.app_protocol.clone(),
        grant: established.grant,
        resume: own.config.resume,
        resumption: Arc::clone(&established.resumption),
        client: client.map(|client| Box::new(ClientConfig { trust, ..client })),
    }
}

#[cfg(test)]
impl Hub {
    /// Buffers that its sessions hold.
    pub(super) fn lent(&self) -> usize {
        self.inner.buffers.lent()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hub({} sessions)", self.sessions())
    }
}
