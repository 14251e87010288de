//! The server: accounts and a switchboard over storage that outlives it.

use super::crypto::identity;
use super::ending::{Node, end};
use super::internet::Internet;
use super::world::{ADDRESS, World};
use crate::quick_hasher::Quick;
use citadel_crypt::handshake::{Request, ServerConfig};
use citadel_proto::SessionConfig;
use citadel_proto::accounts::{Accounts, AccountsConfig, Policy, RateLimits};
use citadel_proto::driver::{Acceptor, Admission, HandshakeCaps, Hub, Incoming, Transport};
use citadel_proto::peers::{Observer, Switchboard};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The server while it runs.
pub(super) struct Server {
    pub(super) hub: Hub,
    pub(super) board: Switchboard,
    tasks: TaskTracker,
    aborted: CancellationToken,
}

/// What answers a client.
struct Desk {
    accounts: Accounts,
    board: Switchboard,
    aborted: CancellationToken,
}

impl Server {
    /// Listens in every network.
    pub(super) async fn start(world: &World) -> Arc<Self> {
        let (hub, tasks, aborted) = (Hub::new(), TaskTracker::new(), CancellationToken::new());
        let common = world.common(0);
        let policy = Policy { resume: world.setup.session.resume, ..Policy::default() };
        let config = AccountsConfig { policy, rates: RateLimits::none(), ..AccountsConfig::default() };
        let accounts = Accounts::with_parts(
            hub.clone(),
            Arc::clone(&world.backend),
            config,
            Arc::clone(&common.provider),
            Arc::new(Quick),
            world.clock(),
        );
        let accounts = accounts.expect("randomness is there");
        let board = Switchboard::new(accounts.clone(), identity(0).peer_id(), tasks.clone());
        if let Some(internet) = &world.internet {
            let socket = internet.at_server().bind(Internet::observation()).expect("the port is free");
            let observer = Observer::on(hub.clone(), socket, Arc::clone(&common.provider));
            board.observe(observer.expect("randomness is there"));
        }
        let config = Arc::new(ServerConfig::new(common).expect("randomness is there"));
        let session = session_config(world);
        let mut listeners = Vec::new();
        for network in &world.networks {
            let address = format!("{}:{}", ADDRESS.0, ADDRESS.1);
            listeners.push(network.listen(&address).await.expect("the last server has closed its listener"));
        }
        let admission = Admission::new(HandshakeCaps::default());
        let acceptor = Acceptor::new(hub.clone(), listeners, config, session, admission);
        let acceptor = acceptor.expect("there are listeners");
        let desk = Arc::new(Desk { accounts, board: board.clone(), aborted: aborted.clone() });
        tasks.spawn(accept(acceptor, desk, tasks.clone()));
        world.ledger.say(format_args!("the server runs"));
        Arc::new(Self { hub, board, tasks, aborted })
    }

    /// Ends in order, or at once and without a word; nothing of it is left either way.
    pub(super) async fn stop(&self, world: &World, is_orderly: bool) {
        if is_orderly {
            world.ledger.say(format_args!("the server ends"));
            end(&self.hub, Node::Server(Arc::clone(&world.backend)), &world.ledger).await;
        } else {
            world.ledger.say(format_args!("the server is killed"));
            for network in &world.networks {
                network.take_down();
            }
            self.aborted.cancel();
            self.hub.abort();
            self.hub.close(citadel_proto::CloseReason::Aborted).await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        world.internet.iter().for_each(|internet| internet.unplug_server());
        let left = (self.hub.sessions(), self.board.lanes(), self.board.parties(), self.tasks.len());
        world.ledger.check(
            left == (0, 0, 0, 0),
            format_args!("sessions, lanes, parties, tasks are left at the server: {left:?}"),
        );
    }
}

/// Of sessions between clients and the server, at both ends.
pub(super) fn session_config(world: &World) -> SessionConfig {
    SessionConfig { resume: world.setup.session.resume, services: true, ..SessionConfig::default() }
}

/// Takes whoever dials, until the hub closes.
async fn accept(acceptor: Acceptor, desk: Arc<Desk>, tasks: TaskTracker) {
    while let Some(incoming) = acceptor.accept().await {
        let desk = Arc::clone(&desk);
        let aborted = desk.aborted.clone();
        tasks.spawn(async move { aborted.run_until_cancelled(desk.serve(incoming)).await });
    }
}

impl Desk {
    async fn serve(&self, incoming: Incoming) {
        let source = incoming.remote_addr().ip();
        // A handshake that fails is the network's doing, or the client's; it knows.
        let Ok(identified) = incoming.identify().await else { return };
        if matches!(identified.request(), Request::Resume(_)) {
            drop(identified.resume().await);
            return;
        }
        let Ok(session) = self.accounts.admit(identified, source).await else { return };
        let attendance = self.board.attend(&session);
        self.accounts.serve_beside(&session, |channel| attendance.take(channel)).await;
    }
}
