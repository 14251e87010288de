//! Builds and starts nodes.

use super::driver::{self, Node};
use super::error::NodeError;
use super::reload::Settings;
use super::remote::{Inner, NodeRemote, Parts};
use crate::EndpointConfig;
use crate::kernel::NetKernel;
use crate::report::NodeReport;
use crate::trust::ServerTrust;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::{AppProtocol, Limits, Psk, ServerConfig};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{Native, SecurityLevel, Suite};
use citadel_proto::RekeyPolicy;
use citadel_proto::accounts::{Accounts, AccountsConfig};
use citadel_proto::backend::{Backend, Memory};
use citadel_proto::driver::{
    Acceptor, Admission, EstablishError, HandshakeCaps, Hub, Listener, Quic, Tcp, Transport as _, UdpNetwork,
};
use citadel_proto::peers::{Direct, MemoryPins, Observer, PinStore, Switchboard};
use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Where a node listens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Transport<'a> {
    /// TCP at `HOST:PORT`; port 0 takes a free one.
    Tcp(&'a str),
    /// QUIC at `HOST:PORT`, over UDP; port 0 takes a free one. Clients dial it
    /// [`over`](crate::ServerConnection::over)`(Quic::new())`.
    Quic(&'a str),
}

/// Longest deadline of a node's end. A year: sums of it are within what a clock can say.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

enum Listen {
    Tcp(String),
    Quic(String),
    On(Box<dyn Listener>),
}

/// Builds a node: a kernel, an identity, and whatever differs from the defaults.
///
/// A node that [listens](Self::listen) is a server, one that does not is a client.
#[must_use = "a node starts with `start`"]
pub struct NodeBuilder<K> {
    kernel: K,
    identity: Option<Arc<Identity>>,
    config: EndpointConfig,
    listen: Vec<Listen>,
    backend: Option<Arc<dyn Backend>>,
    accounts: AccountsConfig,
    trust: Option<ServerTrust>,
    pins: Arc<dyn PinStore>,
    require_verified: bool,
    direct: Direct,
    udp: Option<Arc<dyn UdpNetwork>>,
    outlive_server: Duration,
    observe: Option<String>,
    resume: Duration,
    shutdown_deadline: Duration,
}

impl<K: NetKernel> NodeBuilder<K> {
    /// A node that will run `kernel`.
    pub fn new(kernel: K) -> Self {
        Self {
            kernel,
            identity: None,
            config: EndpointConfig::default(),
            listen: Vec::new(),
            backend: None,
            accounts: AccountsConfig::default(),
            trust: None,
            pins: Arc::new(MemoryPins::new()),
            require_verified: false,
            direct: Direct::on(),
            udp: None,
            outlive_server: Duration::from_secs(60),
            observe: None,
            resume: Duration::from_secs(60),
            shutdown_deadline: Duration::from_secs(10),
        }
    }

    /// Who the node is. Every node needs one: [`Identity::load_or_create`] keeps it in a file, [`Identity::generate`] is
    /// for those that nobody needs to recognise again.
    pub fn identity(mut self, identity: impl Into<Arc<Identity>>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Listens there as well; a node may listen at several places at once.
    pub fn listen(mut self, at: Transport<'_>) -> Self {
        self.listen.push(match at {
            Transport::Tcp(address) => Listen::Tcp(address.to_owned()),
            Transport::Quic(address) => Listen::Quic(address.to_owned()),
        });
        self
    }

    /// Listens with a transport of one's own as well.
    pub fn listen_on(mut self, listener: impl Listener) -> Self {
        self.listen.push(Listen::On(Box::new(listener)));
        self
    }

    /// Where a server keeps its accounts and what belongs to them: [`Redb`](crate::Redb) in a file. Without one they live in
    /// memory and end with the node.
    pub fn backend(self, backend: impl Backend) -> Self {
        self.shared_backend(Arc::new(backend))
    }

    /// As [`backend`](Self::backend) for one that is used elsewhere, too.
    pub fn shared_backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Everything that a server's accounts can be told; replaces what the methods below set so far.
    pub fn accounts(mut self, config: AccountsConfig) -> Self {
        self.resume = config.policy.resume;
        self.accounts = config;
        self
    }

    /// Whether anyone may make an account on this server. Yes by default.
    pub const fn registration(mut self, is_open: bool) -> Self {
        self.accounts.policy.registration = is_open;
        self
    }

    /// Whether this server takes clients without an account that ask for that. No by default.
    pub const fn transient(mut self, is_allowed: bool) -> Self {
        self.accounts.policy.transient = is_allowed;
        self
    }

    /// Whether this server takes sessions between bare identities, those of an [`Endpoint`](crate::Endpoint) for example. No by
    /// default; [`NetKernel::on_identified`] chooses among them.
    pub const fn identities(mut self, is_allowed: bool) -> Self {
        self.accounts.policy.identity = is_allowed;
        self
    }

    /// Whom a client takes for its server where the address names no peer ([`ServerConnection::at`](crate::ServerConnection::at)).
    /// Nobody by default.
    pub fn trust(mut self, trust: ServerTrust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Where a client keeps what it knows of its peers' devices, and whom its user took back: [`FilePins`](crate::FilePins) in a
    /// file, which has one node at a time. Without one it is kept in memory ([`MemoryPins`](crate::MemoryPins)), and after a
    /// restart the node begins anew: who a peer is is taken from the statements of its registration again, also of one that was
    /// removed, blocked or declined, or of a device that was disowned, if the server shows them.
    pub fn pins(mut self, store: impl PinStore) -> Self {
        self.pins = Arc::new(store);
        self
    }

    /// Whether sessions are made only with peers whose peer id was named or whose codes were compared. No by default: the first
    /// use of a name is trusted, and said to be ([`PeerTrust`](crate::PeerTrust)).
    pub const fn require_verified(mut self, is_required: bool) -> Self {
        self.require_verified = is_required;
        self
    }

    /// Whether sessions with peers seek a path without the server, in the background. On by default: to be peers is a consent
    /// that both gave, and what they expect of it is that the two machines talk to each other. Addresses of this machine are
    /// told to peers alone; who hides them from peers as well says [`Direct::Off`]. With the feature `port-mapping` the router is
    /// asked for a port ([`PortMapping`](crate::PortMapping)).
    pub fn direct(mut self, direct: Direct) -> Self {
        self.direct = direct;
        self
    }

    /// Where direct paths have their sockets: this machine by default. [`memory::PacketNetwork`](crate::memory::PacketNetwork) for tests
    /// with a paused clock.
    pub fn udp(mut self, network: Arc<dyn UdpNetwork>) -> Self {
        self.udp = Some(network);
        self
    }

    /// How long a session with a peer goes on over a direct path once the session with the server is over for good. 60 s.
    pub const fn outlive_server(mut self, time: Duration) -> Self {
        self.outlive_server = time;
        self
    }

    /// Tells a server's clients, at this UDP address, where their packets come from: two behind address translators need it to
    /// find a path to each other. `0.0.0.0:PORT` is told as the address at which a client reaches the server. No port by
    /// default; a client has none.
    pub fn observe(mut self, address: &str) -> Self {
        self.observe = Some(address.to_owned());
        self
    }

    /// How long a session whose path is lost waits for another one, the shorter time of both ends. 60 s; zero for not at
    /// all. Meanwhile its handles work: sending fills the credit, receiving waits.
    pub const fn resume(mut self, time: Duration) -> Self {
        self.resume = time;
        self
    }

    /// What the other end of a session may send before this one takes it.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Most memory, in bytes, that the messages of one session may take here, both directions together: half of it is what
    /// the other end may send before a reader takes it, half is shared by the channels that send. The longest message is
    /// cut to fit. Relay lanes, which carry sessions with peers, come on top: each at most 256 KiB in either direction, and less
    /// where that is less; the other end can open 80 of them at most. So do datagrams where they are asked for: 256 KiB in either
    /// direction.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        let limits = &mut self.config.limits;
        let (receive, send) = (bytes / 2, bytes - bytes / 2);
        limits.session_credit = receive;
        limits.channel_credit = limits.channel_credit.min(receive);
        limits.max_message = limits.max_message.min(receive);
        // Channel 0 and those that either end opens.
        let channels = 2 * u64::from(limits.max_channels) + 1;
        self.config.session.send_buffer = send / channels;
        self
    }

    /// When keys are renewed without anyone asking.
    pub const fn rekey_policy(mut self, policy: RekeyPolicy) -> Self {
        self.config.session.rekey = policy;
        self
    }

    /// The least secrecy wanted; a session is `Perfect` when either end asks for it.
    pub const fn secrecy(mut self, mode: SecrecyMode) -> Self {
        self.config.secrecy = mode;
        self
    }

    /// What suites must satisfy.
    pub const fn security(mut self, level: SecurityLevel) -> Self {
        self.config.security = level;
        self
    }

    /// Suites offered and accepted, best first, instead of those of the security level.
    pub fn suites(mut self, suites: impl Into<Vec<Suite>>) -> Self {
        self.config.suites = Some(suites.into());
        self
    }

    /// Application protocols, best first, as in ALPN.
    pub fn app_protocols(mut self, protocols: impl Into<Vec<AppProtocol>>) -> Self {
        self.config.app_protocols = protocols.into();
        self
    }

    /// The pre-shared key that this node connects with, and never without.
    pub fn psk(mut self, psk: impl Into<Arc<Psk>>) -> Self {
        self.config.psk = Some(psk.into());
        self
    }

    /// Pre-shared keys that others may connect with: during a rotation the old one and the new one.
    pub fn accepted_psks(mut self, psks: impl Into<Arc<[Psk]>>) -> Self {
        self.config.accepted_psks = psks.into();
        self
    }

    /// Lets in only those who connect with a pre-shared key.
    pub const fn require_psk(mut self, is_required: bool) -> Self {
        self.config.require_psk = is_required;
        self
    }

    /// Handshakes at a time.
    pub const fn handshake_caps(mut self, caps: HandshakeCaps) -> Self {
        self.config.handshake_caps = caps;
        self
    }

    /// Longest time from the beginning of the node's end until sessions are aborted and callbacks cut short. 10 s: more than
    /// the stages of a session take, and a year counts for what is longer. `on_stop` has as long again, storage and sockets 5 s
    /// and 1 s.
    pub const fn shutdown_deadline(mut self, deadline: Duration) -> Self {
        self.shutdown_deadline = deadline;
        self
    }

    /// Everything that sessions and handshakes can be told, but for the [resume time](Self::resume); replaces what other
    /// methods set of it so far.
    pub fn config(mut self, config: EndpointConfig) -> Self {
        self.config = config;
        self
    }

    /// Starts the node: listens, runs [`NetKernel::on_start`], then accepts. The node runs in tasks of the runtime that this is
    /// called in.
    ///
    /// # Errors
    /// [`NodeError`]: no identity, a configuration that no handshake can run with, an address that cannot be listened on, or
    /// what `on_start` returned.
    ///
    /// # Cancel safety
    /// Dropping the future starts nothing.
    pub async fn start(self) -> Result<Node<K>, NodeError> {
        let Self { kernel, identity, mut config, listen, backend, mut accounts, trust, resume, .. } = self;
        let deadline = self.shutdown_deadline.min(LONGEST);
        let (pins, require_verified) = (self.pins, self.require_verified);
        let (direct, udp, outlive_server) = (self.direct, self.udp, self.outlive_server);
        let identity = identity.ok_or(NodeError::NoIdentity)?;
        config.session.resume = resume;
        accounts.policy.resume = resume;
        let is_server = !listen.is_empty();
        // A server answers for accounts and peers, a client takes the lanes of its peers.
        config.session.services = true;
        let server = config.server(&identity).map_err(|error| NodeError::Config(error.into()))?;
        let hub = Hub::new();
        let server = Arc::new(server);
        let acceptor = listen_all(&hub, &config, Arc::clone(&server), listen).await?;
        let accounts = if is_server { Some(open_accounts(&hub, backend, accounts)?) } else { None };
        let listens = acceptor.as_ref().map(|acceptor| acceptor.local_addrs().to_vec()).unwrap_or_default();
        let door = acceptor.as_ref().map(Arc::downgrade).unwrap_or_default();
        let settings = Settings::new(config, server, door);
        let tasks = TaskTracker::new();
        let board = |accounts| Switchboard::new(accounts, identity.peer_id(), tasks.clone());
        let board = accounts.clone().map(board);
        if let (Some(board), Some(address)) = (&board, self.observe) {
            board.observe(observer(&hub, &address).await?);
        }
        let parts = Parts {
            identity,
            settings,
            trust,
            hub,
            accounts,
            board,
            pins,
            require_verified,
            direct,
            udp,
            outlive_server,
            tasks,
            listens,
            deadline,
        };
        let remote = NodeRemote { inner: Arc::new(Inner::new(parts)) };
        if let Err(source) = kernel.on_start(&remote).await {
            return Err(NodeError::Kernel { source, report: NodeReport::default() });
        }
        Ok(driver::spawn(kernel, remote, acceptor))
    }
}

async fn observer(hub: &Hub, address: &str) -> Result<Observer, NodeError> {
    let failed = |source| NodeError::Listen { address: address.to_owned(), source };
    let mut found = tokio::net::lookup_host(address).await.map_err(failed)?;
    let at = found.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    Observer::bind(hub.clone(), at, Arc::new(Native)).map_err(|error| failed(io::Error::other(error)))
}

fn open_accounts(
    hub: &Hub,
    backend: Option<Arc<dyn Backend>>,
    config: AccountsConfig,
) -> Result<Accounts, NodeError> {
    let backend = backend.unwrap_or_else(|| Arc::new(Memory::new()));
    Accounts::new(hub.clone(), backend, config, Arc::new(Native)).map_err(NodeError::Accounts)
}

/// Opens the listeners in order; none for a client.
async fn listen_all(
    hub: &Hub,
    config: &EndpointConfig,
    server: Arc<ServerConfig>,
    listen: Vec<Listen>,
) -> Result<Option<Arc<Acceptor>>, NodeError> {
    let mut listeners = Vec::with_capacity(listen.len());
    for place in listen {
        let (listener, address) = match place {
            Listen::Tcp(address) => (Tcp.listen(&address).await, address),
            Listen::Quic(address) => (Quic::new().listen(&address).await, address),
            Listen::On(listener) => (Ok(listener), String::new()),
        };
        match listener {
            Ok(listener) => listeners.push(listener),
            Err(source) => return Err(NodeError::Listen { address, source }),
        }
    }
    if listeners.is_empty() {
        return Ok(None);
    }
    let admission = Admission::new(config.handshake_caps);
    let acceptor = Acceptor::new(hub.clone(), listeners, server, config.session.clone(), admission);
    let failed = |source| NodeError::Listen { address: "the address of a listener".to_owned(), source };
    acceptor.map(|acceptor| Some(Arc::new(acceptor))).map_err(failed)
}

impl<K> fmt::Debug for NodeBuilder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl From<EstablishError> for NodeError {
    fn from(error: EstablishError) -> Self {
        Self::Config(error)
    }
}
