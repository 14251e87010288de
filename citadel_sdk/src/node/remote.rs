//! The handle that callbacks and their application use on a running node.

use super::handlers::{History, SessionEnd};
use super::reload::Settings;
use crate::kernel::KernelResult;
use crate::server_connection::{Client, ConnectError, ServerConnection};
use crate::trust::ServerTrust;
use citadel_crypt::addr::{NodeAddr, PeerId};
use citadel_crypt::handshake::{Cid, Instance};
use citadel_crypt::identity::Identity;
use citadel_proto::accounts::Accounts;
use citadel_proto::driver::{Hub, Session, UdpNetwork};
use citadel_proto::peers::{Direct, PeerClient, PeersError, PinStore, Switchboard};
use citadel_proto::{CloseReason, CloseReport};
use core::fmt;
use core::ops::Deref;
use core::time::Duration;
use futures::future::join_all;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running node, as its callbacks see it. Cheap to clone; holding one keeps nothing open: once the node has ended, or was
/// dropped, connecting fails typed and lists are empty.
#[derive(Clone)]
pub struct NodeRemote {
    pub(super) inner: Arc<Inner>,
}

/// What a node is made of.
pub(super) struct Parts {
    pub(super) identity: Arc<Identity>,
    pub(super) settings: Settings,
    pub(super) trust: Option<ServerTrust>,
    pub(super) hub: Hub,
    /// Of a server.
    pub(super) accounts: Option<Accounts>,
    /// Likewise.
    pub(super) board: Option<Switchboard>,
    pub(super) pins: Arc<dyn PinStore>,
    pub(super) require_verified: bool,
    pub(super) direct: Direct,
    pub(super) udp: Option<Arc<dyn UdpNetwork>>,
    pub(super) outlive_server: Duration,
    /// Every task but the main one.
    pub(super) tasks: TaskTracker,
    pub(super) listens: Vec<SocketAddr>,
    /// Longest time from the beginning of the end until sessions and callbacks are cut short.
    pub(super) deadline: Duration,
}

/// What a node's tasks share.
pub(super) struct Inner {
    parts: Parts,
    /// Cancelled when the node begins to end.
    pub(super) stopping: CancellationToken,
    /// Cancelled when callbacks are cut short.
    pub(super) aborted: CancellationToken,
    pub(super) sessions: Mutex<HashMap<Instance, Session>>,
    pub(super) history: History,
    /// The peers of a client, once somebody asked for them.
    peers: OnceCell<PeerClient>,
}

impl Inner {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            stopping: CancellationToken::new(),
            aborted: CancellationToken::new(),
            sessions: Mutex::default(),
            history: History::default(),
            peers: OnceCell::new(),
        }
    }
}

impl Inner {
    /// The session with the server that peers are reached through, or were.
    pub(super) fn attached(&self) -> Option<Instance> {
        self.peers.get().and_then(PeerClient::attached)
    }
}

impl Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Which sessions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Who {
    /// The one of this instance.
    Session(Instance),
    /// Those with this node.
    Peer(PeerId),
    /// Those of this account, from all its devices.
    Account(Cid),
    /// All.
    Everybody,
}

impl From<Instance> for Who {
    fn from(instance: Instance) -> Self {
        Self::Session(instance)
    }
}

impl From<PeerId> for Who {
    fn from(peer: PeerId) -> Self {
        Self::Peer(peer)
    }
}

impl From<Cid> for Who {
    fn from(cid: Cid) -> Self {
        Self::Account(cid)
    }
}

impl Who {
    fn is(&self, session: &Session) -> bool {
        match self {
            Self::Session(instance) => session.instance() == *instance,
            Self::Peer(peer) => session.peer_id() == *peer,
            Self::Account(cid) => session.cid() == Some(*cid),
            Self::Everybody => true,
        }
    }
}

/// A session's place in the node's list, given up when its task ends, however that is.
pub(super) struct Listed {
    inner: Arc<Inner>,
    instance: Instance,
}

impl Listed {
    pub(super) fn new(inner: Arc<Inner>, session: &Session) -> Self {
        let instance = session.instance();
        inner.sessions.lock().insert(instance, session.clone());
        Self { inner, instance }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let _session = self.inner.sessions.lock().remove(&self.instance);
    }
}

impl NodeRemote {
    /// Fingerprint of the node's identity: what others dial.
    pub fn peer_id(&self) -> PeerId {
        self.inner.identity.peer_id()
    }

    /// What others dial, with the real port of the first listener. A node that does not listen has the unspecified
    /// address, `0.0.0.0:0`.
    pub fn addr(&self) -> NodeAddr {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        NodeAddr::from_socket(self.peer_id(), self.inner.listens.first().copied().unwrap_or(unspecified))
    }

    /// The addresses listened on, in the order in which the builder was told.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.inner.listens
    }

    /// The sessions whose handlers run. Holding one of these handles keeps no session open that the node closes.
    pub fn sessions(&self) -> Vec<Session> {
        self.inner.sessions.lock().values().cloned().collect()
    }

    /// The accounts of a server, for whoever administers it: find, list, reset a password, block, delete. A client has
    /// none.
    pub fn accounts(&self) -> Option<&Accounts> {
        self.inner.accounts.as_ref()
    }

    /// Peers at one server, as that server sees them. A client has none.
    pub fn switchboard(&self) -> Option<&Switchboard> {
        self.inner.board.as_ref()
    }

    /// The peers of this client. The first call reads the pins. They are there once they are
    /// [attached](PeerClient::attach) to a session with a server.
    ///
    /// # Errors
    /// [`PeersError`]: the pins cannot be read.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn peers(&self) -> Result<PeerClient, PeersError> {
        let parts = &**self.inner;
        let Parts { hub, identity, settings, pins, tasks, .. } = parts;
        let make = || async {
            let mut config = settings.config().peers(identity);
            (config.require_verified, config.outlive_server) = (parts.require_verified, parts.outlive_server);
            (config.direct, config.udp) = (parts.direct.clone(), parts.udp.clone());
            PeerClient::new(hub.clone(), Arc::clone(identity), config, Arc::clone(pins), tasks.clone()).await
        };
        self.inner.peers.get_or_try_init(make).await.cloned()
    }

    /// Opens a session and leaves it to the caller: [`handle`](Self::handle) runs it as the prefabs do. The node's end
    /// closes it.
    ///
    /// # Errors
    /// [`ConnectError`]; [`EstablishError::EndpointClosed`](crate::EstablishError::EndpointClosed) once the node ends.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub async fn connect(&self, server: &ServerConnection) -> Result<Session, ConnectError> {
        let Parts { hub, identity, settings, trust, .. } = &**self.inner;
        let config = &*settings.config();
        server.open(Client { hub, identity, config, trust: trust.as_ref() }).await
    }

    /// Runs `handler` in a task of its own and then ends `session`: in order after `Ok`, with a
    /// [`HandlerError`](crate::HandlerError)'s code after an error, with `HandlerPanicked` after a panic. Resolves when
    /// the session has closed.
    ///
    /// # Cancel safety
    /// Dropping the future leaves handler and session running, to the same end.
    pub async fn handle(
        &self,
        session: Session,
        handler: impl Future<Output = KernelResult> + Send + 'static,
    ) -> SessionEnd {
        let inner = Arc::clone(&self.inner);
        let instance = session.instance();
        let listed = Listed::new(Arc::clone(&inner), &session);
        let supervised = self.inner.tasks.spawn(async move {
            let _listed = listed;
            inner.supervise(session, handler).await
        });
        match supervised.await {
            Ok(end) => end,
            // The runtime is going down: nothing more will happen in it.
            Err(error) => {
                log::debug!(target: "citadel::node", "session {instance}: {error}");
                core::future::pending().await
            }
        }
    }

    /// Closes sessions in order with the application's `code` and `text`; resolves when they have closed. Their handlers
    /// see it as any close.
    ///
    /// # Cancel safety
    /// The closes go on when the future is dropped.
    pub async fn disconnect(&self, who: impl Into<Who>, code: u32, text: &str) -> Vec<CloseReport> {
        let who = who.into();
        let sessions: Vec<_> = self.sessions().into_iter().filter(|session| who.is(session)).collect();
        let reason = CloseReason::application(code, text);
        for session in &sessions {
            session.begin_shutdown(reason.clone());
        }
        join_all(sessions.iter().map(Session::closed)).await
    }

    /// Asks the node to end in order and does not wait: what [`Node::shutdown`](crate::Node::shutdown) waits for.
    pub fn begin_shutdown(&self) {
        self.inner.stopping.cancel();
    }

    /// Resolves once the node begins to end.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn stopping(&self) {
        self.inner.stopping.cancelled().await;
    }

    /// Whether the node has begun to end.
    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.is_cancelled()
    }
}

impl fmt::Debug for NodeRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRemote").field("addr", &self.addr().to_string()).finish_non_exhaustive()
    }
}
