//! A client: its session with the server, again and again, its peers, and the sessions with them that its user was shown.

use super::app::{self, Shown};
use super::crypto::identity;
use super::ending::{Node, end};
use super::server::session_config;
use super::world::{ADDRESS, World, pass};
use citadel_crypt::handshake::{
    ClientConfig, DeviceName, DisplayName, HandshakeConfig, Instance, Password, Request, Trust, UserName,
};
use citadel_proto::CloseReason;
use citadel_proto::driver::{Dialer, EstablishError, Hub, Session, Transport};
use citadel_proto::peers::{Direct, Party, PeerClient, PeerEvent, PeerSession, PeersConfig};
use core::time::Duration;
use futures::FutureExt;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Between two logins.
const PAUSE: Duration = Duration::from_millis(300);
/// Longer than any task of a node that has ended lives on: an attempt's deadline.
const LEFTOVERS: Duration = Duration::from_secs(60);

/// A client while it runs.
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) world: Arc<World>,
    pub(super) hub: Hub,
    pub(super) peers: PeerClient,
    /// Of the library.
    tasks: TaskTracker,
    /// Of its user.
    users: TaskTracker,
    killed: CancellationToken,
    leaving: CancellationToken,
    server: Mutex<Option<Session>>,
    shown: Mutex<Vec<Shown>>,
}

pub(super) fn user_name(client: usize) -> UserName {
    UserName::new(format!("user {client}")).expect("a name")
}

fn registration(client: usize) -> Request {
    Request::Register {
        user: user_name(client),
        display_name: DisplayName::new("of the world").expect("a name"),
        password: Password::new(crate::canary::marked("a password")).expect("a password"),
        device: DeviceName::new("a device").expect("a name"),
    }
}

impl Client {
    /// Starts it, with an account if it has one.
    pub(super) async fn start(world: &Arc<World>, number: usize) -> Arc<Self> {
        let (hub, tasks) = (Hub::new(), TaskTracker::new());
        let setup = &world.setup;
        let common = world.common(1 + number);
        let of_peers = HandshakeConfig { limits: setup.session.limits, mode: setup.mode, ..common.clone() };
        let config = PeersConfig {
            direct: setup.air.as_ref().map_or(Direct::Off, |air| air.direct(number)),
            udp: world.internet.as_ref().map(|internet| internet.at(number)),
            clock: world.clock(),
            ..PeersConfig::new(of_peers, setup.session.clone())
        };
        let pins = Arc::clone(&world.pins[number]);
        let peers = PeerClient::new(hub.clone(), identity(1 + number), config, pins, tasks.clone()).await;
        let client = Arc::new(Self {
            number,
            world: Arc::clone(world),
            hub,
            peers: peers.expect("memory does not fail"),
            tasks,
            users: TaskTracker::new(),
            killed: CancellationToken::new(),
            leaving: CancellationToken::new(),
            server: Mutex::new(None),
            shown: Mutex::default(),
        });
        client.run(Arc::clone(&client).serve(common));
        client.run(Arc::clone(&client).greet());
        client.run(Arc::clone(&client).say_yes());
        world.put_client(number, Some(Arc::clone(&client)));
        world.ledger.say(format_args!("client {number} runs"));
        client
    }

    /// A task of its user: over when the client is killed.
    pub(super) fn run(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let killed = self.killed.clone();
        self.users.spawn(async move { killed.run_until_cancelled(work).await });
    }

    /// Keeps a session with the server, attached.
    async fn serve(self: Arc<Self>, common: HandshakeConfig) {
        while !self.leaving.is_cancelled() {
            match self.log_in(common.clone()).await {
                Ok(session) => self.attend(session).await,
                Err(EstablishError::EndpointClosed) => return,
                Err(error) => self.say(format_args!("no session with the server: {error}")),
            }
            pass(PAUSE).await;
        }
    }

    async fn log_in(&self, common: HandshakeConfig) -> Result<Session, EstablishError> {
        let is_known = self.world.party(self.number).is_some();
        let request = if is_known {
            Request::Login { user: user_name(self.number) }
        } else {
            registration(self.number)
        };
        let trust = Trust::Peer(identity(0).peer_id());
        let config = ClientConfig { request: request.into(), ..ClientConfig::new(common, trust) };
        let network = self.world.networks[self.number].clone();
        let dialer: Dialer = Arc::new(move || {
            let network = network.clone();
            async move { network.connect(ADDRESS.0, ADDRESS.1).await }.boxed()
        });
        self.hub.connect_with(dialer, config, session_config(&self.world), None).await
    }

    async fn attend(&self, session: Session) {
        let party = session.cid().map(Party::Account);
        let known = self.world.parties.lock()[self.number];
        self.world
            .ledger
            .check(known.is_none_or(|known| Some(known) == party), format_args!("another account"));
        self.world.parties.lock()[self.number] = party;
        self.say(format_args!("has a session with the server"));
        *self.server.lock() = Some(session.clone());
        match self.peers.attach(session.clone()).await {
            Ok(()) => {
                self.say(format_args!("is attached"));
                session.closed().await;
            }
            Err(error) => {
                self.say(format_args!("is not attached: {error}"));
                session.close(0, "").await;
            }
        }
        *self.server.lock() = None;
        self.say(format_args!("has no session with the server"));
    }

    /// Takes sessions that peers open.
    async fn greet(self: Arc<Self>) {
        loop {
            let arrived = self.peers.accept_session().await;
            self.show(arrived, "came");
        }
    }

    /// Everybody who asks is accepted.
    async fn say_yes(self: Arc<Self>) {
        let mut events = self.peers.events();
        loop {
            if let PeerEvent::Requested(party) = events.next().await
                && let Err(error) = self.peers.accept(party, None).await
            {
                self.say(format_args!("did not accept: {error}"));
            }
        }
    }

    pub(super) fn say(&self, text: core::fmt::Arguments<'_>) {
        self.world.ledger.say(format_args!("client {}: {text}", self.number));
    }

    /// A session that the library gave out.
    pub(super) fn show(self: &Arc<Self>, met: PeerSession, how: &str) {
        let PeerSession { session, party, .. } = met;
        let ledger = &self.world.ledger;
        let number = ledger.number(session.instance());
        let Some(peer) = self.world.who(party) else {
            return ledger.fail(format_args!("client {}: session {number} with nobody", self.number));
        };
        let is_right = session.peer_id() == World::device(peer);
        ledger.check(is_right, format_args!("client {}: session {number} with another device", self.number));
        let mut shown = self.shown.lock();
        if shown.iter().any(|known| known.session.instance() == session.instance()) {
            return;
        }
        self.say(format_args!("session {number} with client {peer} {how}"));
        let older = shown.iter().filter(|known| known.peer == peer && known.session.closing().is_none());
        let older = older.count();
        ledger.check(
            older == 0,
            format_args!("client {}: {older} sessions beside session {number}", self.number),
        );
        ledger.shown((number, self.number));
        ledger.with(|state| state.met += 1);
        let version = session.version();
        let print = session.fingerprint(version);
        print.into_iter().for_each(|print| ledger.print(session.instance(), version.0, &print));
        let new = Shown { session, peer };
        app::begin(self, &new, number);
        shown.push(new);
    }

    pub(super) fn forget(&self, session: Instance) {
        self.shown.lock().retain(|shown| shown.session.instance() != session);
    }

    /// Sessions with a peer that nobody has begun to close, as shown to the user.
    pub(super) fn sessions_with(&self, peer: usize) -> Vec<Session> {
        let shown = self.shown.lock();
        let open = shown.iter().filter(|shown| shown.peer == peer && shown.session.closing().is_none());
        open.map(|shown| shown.session.clone()).collect()
    }

    /// The session with the server.
    pub(super) fn server(&self) -> Option<Session> {
        self.server.lock().clone()
    }

    /// Ends in order; says whether every session ended clean.
    pub(super) async fn leave(&self) -> bool {
        self.say(format_args!("leaves"));
        self.leaving.cancel();
        let summary = end(&self.hub, Node::Client(self.number), &self.world.ledger).await;
        self.world.put_client(self.number, None);
        *self.server.lock() = None;
        // What was received may still be read. Two tasks of its user wait for ever.
        pass(LEFTOVERS).await;
        self.ends().await;
        summary.is_clean()
    }

    /// Ends at once and without a word.
    pub(super) async fn kill(&self) {
        self.fall().await;
        self.ends().await;
    }

    /// The same; its network goes first. What is left of it has still to [end](Self::ends).
    pub(super) async fn fall(&self) {
        self.say(format_args!("is killed"));
        self.world.networks[self.number].take_down();
        self.world.internet.iter().for_each(|internet| internet.unplug(self.number));
        self.world.ledger.killed(self.number);
        self.killed.cancel();
        self.hub.abort();
        self.hub.close(CloseReason::Aborted).await;
        self.world.put_client(self.number, None);
        self.shown.lock().clear();
        *self.server.lock() = None;
        self.world.networks[self.number].heal();
    }

    /// Nothing of it is left.
    pub(super) async fn ends(&self) {
        let ledger = &self.world.ledger;
        self.killed.cancel();
        self.users.close();
        self.users.wait().await;
        self.tasks.close();
        let over = timeout(LEFTOVERS, self.tasks.wait()).await;
        ledger
            .check(over.is_ok(), format_args!("client {}: {} tasks are left", self.number, self.tasks.len()));
        ledger.check(self.hub.sessions() == 0, format_args!("client {}: sessions are left", self.number));
    }
}
