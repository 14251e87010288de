//! A server with accounts, devices that dial it through memory, a hasher that counts, a clock that is set.

use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Cid, ClientConfig, DeviceName, DisplayName, HandshakeConfig, HandshakeError, Password, RefusalCode,
    Request, ServerConfig, SessionKind, Trust, UserName,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{CryptoProvider, Native};
use citadel_proto::accounts::{
    AccountClient, Accounts, AccountsClock, AccountsConfig, AdmitError, Argon2id, HashError, PasswordHasher,
    RateLimits, SALT_LEN, Verified,
};
use citadel_proto::backend::{Backend, Memory, PasswordHash, Redb, UnixTime};
use citadel_proto::driver::{EstablishError, Hub, Session};
use citadel_proto::{CloseReason, SessionConfig};
use citadel_tests::canary;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub(crate) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// Argon2id, and how often it ran.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: Argon2id,
    runs: AtomicUsize,
}

impl Counting {
    pub(crate) fn new(inner: Argon2id) -> Self {
        Self { inner, runs: AtomicUsize::new(0) }
    }

    /// Runs since the last look.
    pub(crate) fn runs(&self) -> usize {
        self.runs.swap(0, Ordering::AcqRel)
    }
}

impl PasswordHasher for Counting {
    fn hash(&self, password: &Password, salt: &[u8; SALT_LEN]) -> Result<PasswordHash, HashError> {
        self.runs.fetch_add(1, Ordering::AcqRel);
        self.inner.hash(password, salt)
    }

    fn verify(&self, password: &Password, stored: &PasswordHash) -> Result<Verified, HashError> {
        self.runs.fetch_add(1, Ordering::AcqRel);
        self.inner.verify(password, stored)
    }

    fn decoy(&self, random: &[u8; SALT_LEN + 32]) -> Result<PasswordHash, HashError> {
        self.inner.decoy(random)
    }
}

/// A clock that stands until it is told to go on.
#[derive(Debug, Default)]
pub(crate) struct Still(AtomicU64);

impl Still {
    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap(), Ordering::AcqRel);
    }
}

impl AccountsClock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::Acquire))
    }

    fn unix(&self) -> UnixTime {
        UnixTime(1_800_000_000 + self.0.load(Ordering::Acquire) / 1_000_000_000)
    }
}

/// Which backend a case runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Memory,
    Redb,
}

/// A backend in a place of its own, which is removed with it.
pub(crate) struct Place {
    pub(crate) backend: Arc<dyn Backend>,
    _folder: Option<Folder>,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the system's temporary folder fails no test.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

impl Store {
    pub(crate) fn open(self) -> Place {
        match self {
            Self::Memory => Place { backend: Arc::new(Memory::new()), _folder: None },
            Self::Redb => {
                static NUMBER: AtomicUsize = AtomicUsize::new(0);
                let number = NUMBER.fetch_add(1, Ordering::AcqRel);
                let name = format!("citadel-accounts-{}-{number}", std::process::id());
                let folder = Folder(std::env::temp_dir().join(name));
                std::fs::create_dir_all(&folder.0).unwrap();
                let backend = Arc::new(Redb::open(folder.0.join("server.redb")).unwrap());
                Place { backend, _folder: Some(folder) }
            }
        }
    }
}

/// A server with accounts. Each stream is answered by a task that serves its session to the end.
pub(crate) struct Server {
    pub(crate) hub: Hub,
    pub(crate) accounts: Accounts,
    pub(crate) hasher: Arc<Counting>,
    pub(crate) clock: Arc<Still>,
    pub(crate) config: Arc<ServerConfig>,
    tasks: TaskTracker,
    _place: Place,
}

fn common() -> HandshakeConfig {
    canary::watch();
    let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
    let identity = Arc::new(Identity::generate());
    HandshakeConfig::new(provider, identity, SessionKind::C2S)
}

/// No limits: what most tests are about is not them.
pub(crate) fn unlimited() -> AccountsConfig {
    AccountsConfig { rates: RateLimits::none(), ..AccountsConfig::default() }
}

impl Server {
    pub(crate) fn new(store: Store) -> Self {
        Self::with(store.open(), unlimited(), Counting::default())
    }

    pub(crate) fn limited(config: AccountsConfig) -> Self {
        Self::with(Store::Memory.open(), config, Counting::default())
    }

    pub(crate) fn with(place: Place, config: AccountsConfig, hasher: Counting) -> Self {
        let (hub, hasher, clock) = (Hub::new(), Arc::new(hasher), Arc::new(Still::default()));
        let handshake = Arc::new(ServerConfig::new(common()).unwrap());
        let accounts = Accounts::with_parts(
            hub.clone(),
            Arc::clone(&place.backend),
            config,
            Arc::new(Native),
            Arc::clone(&hasher) as Arc<dyn PasswordHasher>,
            Arc::clone(&clock) as Arc<dyn AccountsClock>,
        );
        let accounts = accounts.unwrap();
        Self { hub, accounts, hasher, clock, config: handshake, tasks: TaskTracker::new(), _place: place }
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        self.config.common.identity.peer_id()
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &**self.accounts.backend()
    }

    /// Answers whoever is at the other end of `io`; says what came of it once that is decided.
    pub(crate) fn answer(
        &self,
        io: DuplexStream,
        source: IpAddr,
    ) -> oneshot::Receiver<Result<Session, AdmitError>> {
        let (hub, accounts, config) = (self.hub.clone(), self.accounts.clone(), Arc::clone(&self.config));
        let (tell, told) = oneshot::channel();
        self.tasks.spawn(async move {
            let services = SessionConfig { services: true, ..SessionConfig::default() };
            let identified = hub.identify(io, b"source", config, services, false).await;
            let (is_new, admitted) = match identified {
                Ok(identified) => {
                    let is_new = !matches!(identified.request(), Request::Resume(_));
                    (is_new, accounts.admit(identified, source).await)
                }
                Err(error) => (false, Err(error.into())),
            };
            let session = admitted.as_ref().ok().filter(|_| is_new).cloned();
            let _gone = tell.send(admitted);
            if let Some(session) = session {
                accounts.serve(&session).await;
            }
        });
        told
    }

    /// Ends everything; whatever is left would hang here.
    pub(crate) async fn stop(self) {
        self.hub.close(CloseReason::GoingAway).await;
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.hub.sessions(), 0);
    }
}

/// A device: an identity and its sessions.
pub(crate) struct DeviceEnd {
    pub(crate) common: HandshakeConfig,
    pub(crate) hub: Hub,
}

/// Both ends of what an attempt came to.
pub(crate) struct Met {
    pub(crate) opened: Result<Session, EstablishError>,
    pub(crate) admitted: Result<Session, AdmitError>,
    /// Bytes that the server sent until it was decided.
    pub(crate) bytes: usize,
}

impl DeviceEnd {
    pub(crate) fn new() -> Self {
        Self { common: common(), hub: Hub::new() }
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        self.common.identity.peer_id()
    }

    pub(crate) fn config(&self, server: &Server, request: Request) -> ClientConfig {
        let mut config = ClientConfig::new(self.common.clone(), Trust::Peer(server.peer_id()));
        config.request = request.into();
        config
    }

    pub(crate) async fn meet(&self, server: &Server, request: Request, source: IpAddr) -> Met {
        let (near, far) = tokio::io::duplex(64 << 10);
        let admitted = server.answer(far, source);
        let bytes = Arc::new(AtomicUsize::new(0));
        let tap = Tap { io: near, bytes: Arc::clone(&bytes) };
        let config = self.config(server, request);
        let opened = self.hub.connect(tap, config, SessionConfig::default(), None).await;
        Met { opened, admitted: admitted.await.unwrap(), bytes: bytes.load(Ordering::Acquire) }
    }

    /// A session, which the server has noted too.
    pub(crate) async fn session(&self, server: &Server, request: Request) -> Session {
        let met = self.meet(server, request, HOME).await;
        met.admitted.unwrap();
        met.opened.unwrap()
    }

    /// The code of the refusal, authenticated, and the size of what the server sent.
    pub(crate) async fn refused(&self, server: &Server, request: Request) -> (RefusalCode, usize) {
        let (code, _, bytes) = self.refused_from(server, request, HOME).await;
        (code, bytes)
    }

    pub(crate) async fn refused_from(
        &self,
        server: &Server,
        request: Request,
        source: IpAddr,
    ) -> (RefusalCode, Option<Duration>, usize) {
        let met = self.meet(server, request, source).await;
        assert!(matches!(met.admitted, Err(AdmitError::Refused(_))), "{:?}", met.admitted);
        match met.opened {
            Err(EstablishError::Handshake(HandshakeError::Refused {
                code,
                authenticated: true,
                retry_after,
            })) => (code, retry_after, met.bytes),
            other => panic!("no refusal: {other:?}"),
        }
    }
}

/// A stream that counts what is read from it.
struct Tap {
    io: DuplexStream,
    bytes: Arc<AtomicUsize>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.bytes.fetch_add(buf.filled().len() - before, Ordering::AcqRel);
        polled
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

/// What the user types, marked as a secret.
pub(crate) fn password(bytes: impl AsRef<[u8]>) -> Password {
    Password::new(canary::marked(bytes)).unwrap()
}

pub(crate) fn register(name: &str, word: impl AsRef<[u8]>) -> Request {
    Request::Register {
        user: user(name),
        display_name: DisplayName::new(format!("{name} the first")).unwrap(),
        password: password(word),
        device: DeviceName::new("first device").unwrap(),
    }
}

pub(crate) fn login(name: &str) -> Request {
    Request::Login { user: user(name) }
}

pub(crate) fn add_device(name: &str, word: impl AsRef<[u8]>) -> Request {
    Request::AddDevice {
        user: user(name),
        password: password(word),
        device: DeviceName::new("another device").unwrap(),
    }
}

/// An account with one device and a session of it.
pub(crate) async fn registered(server: &Server, name: &str, word: &str) -> (DeviceEnd, Session, Cid) {
    let device = DeviceEnd::new();
    let session = device.session(server, register(name, word)).await;
    let cid = session.cid().unwrap();
    (device, session, cid)
}

pub(crate) fn client(session: &Session) -> AccountClient {
    AccountClient::new(session.clone())
}

/// Why the session ended, as its client's report says: the server's reason.
pub(crate) async fn ended_by(session: &Session) -> CloseReason {
    let report = session.closed().await;
    report.peer.clone().unwrap_or_else(|| panic!("the server said no reason: {report:?}"))
}

impl Place {
    /// A backend that another server has, too.
    pub(crate) fn of(backend: Arc<dyn Backend>) -> Self {
        Self { backend, _folder: None }
    }
}
