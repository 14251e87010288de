//! Two endpoints whose sessions may lose their path: a server that takes whoever comes, and a client with a switch
//! between them that a test cuts and holds.

use crate::canary;
use crate::session_world::{client_config, identity, server_config};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::{ClientConfig, Limits, ServerConfig};
use citadel_crypt::identity::Identity;
use citadel_proto::SessionConfig;
use citadel_proto::driver::{Dialer, Duplex, EstablishError, Hub, Identified, Session};
use futures::FutureExt;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// Both endpoints.
pub struct Ends {
    /// The client's.
    pub client_hub: Hub,
    /// The server's.
    pub server_hub: Hub,
    /// How the client asks.
    pub client: ClientConfig,
    /// How the server answers.
    pub server: Arc<ServerConfig>,
    /// Who the client is.
    pub alice: Arc<Identity>,
    /// Who the server is.
    pub bob: Arc<Identity>,
    /// What both tell their sessions.
    pub session: SessionConfig,
}

impl Ends {
    /// Endpoints whose sessions wait `resume` for another path.
    pub fn new(resume: Duration) -> Self {
        canary::watch();
        let (mode, limits) = (SecrecyMode::BestEffort, Limits::default());
        let (alice, bob) = (identity(), identity());
        Self {
            client_hub: Hub::new(),
            server_hub: Hub::new(),
            client: client_config(&alice, &bob, mode, limits),
            server: server_config(&bob, mode, limits),
            alice,
            bob,
            session: SessionConfig { resume, ..SessionConfig::default() },
        }
    }

    /// The server's handshake over `io`, until the client is proven.
    ///
    /// # Errors
    /// [`EstablishError`].
    pub async fn identify(&self, io: impl Duplex + 'static) -> Result<Identified, EstablishError> {
        let server = Arc::clone(&self.server);
        self.server_hub.identify(io, b"pipe", server, self.session.clone(), false).await
    }

    /// A session without a dialer: both ends, and the pipe's ends behind taps that a test can cut.
    ///
    /// # Panics
    /// When the handshake fails.
    pub async fn session(&self) -> (Session, Session, Cut) {
        let (near, far, cut) = cuttable();
        let connect = self.client_hub.connect(near, self.client.clone(), self.session.clone(), None);
        let accept = async { self.identify(far).await?.accept().await };
        let (client, server) = tokio::join!(connect, accept);
        (client.expect("both ends are honest"), server.expect("both ends are honest"), cut)
    }

    /// One resumption of `client` over a fresh pipe: what both ends say of it, and the pipe's switch.
    pub async fn resume(
        &self,
        client: &Session,
    ) -> (Result<(), EstablishError>, Result<Session, EstablishError>, Cut) {
        let (near, far, cut) = cuttable();
        let accept = async { self.identify(far).await?.accept().await };
        let (asked, given) = tokio::join!(self.client_hub.resume(client, near), accept);
        (asked, given, cut)
    }

    /// A dialer to a server that serves whoever comes until its hub is closed, and the switch of every pipe that it opens.
    pub fn dialer(&self) -> (Dialer, Switch) {
        let switch = Switch::default();
        let (arrivals, arrived) = mpsc::unbounded_channel();
        self.serve(arrived);
        let pipes = switch.clone();
        let dialer: Dialer = Arc::new(move || {
            let (near, far, cut) = cuttable();
            let opened = pipes.open(cut).and_then(|()| {
                arrivals.send(far).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))
            });
            std::future::ready(opened.map(|()| Box::new(near) as _)).boxed()
        });
        (dialer, switch)
    }

    #[expect(clippy::disallowed_methods, reason = "the server of a test is a task of its own")]
    fn serve(&self, mut arrived: mpsc::UnboundedReceiver<DuplexStream>) {
        let (hub, config, session) =
            (self.server_hub.clone(), Arc::clone(&self.server), self.session.clone());
        tokio::spawn(async move {
            while let Some(io) = arrived.recv().await {
                let (hub, config, session) = (hub.clone(), Arc::clone(&config), session.clone());
                tokio::spawn(async move {
                    let identified = hub.identify(io, b"pipe", config, session, false).await;
                    if let Ok(identified) = identified
                        && let Ok(session) = identified.accept().await
                    {
                        session.closed().await;
                    }
                });
            }
        });
    }
}

/// The pipes of a dialer.
#[derive(Clone, Default)]
pub struct Switch(Arc<Mutex<Pipes>>);

#[derive(Default)]
struct Pipes {
    last: Option<Cut>,
    refuses: bool,
    dials: usize,
}

impl Switch {
    fn open(&self, cut: Cut) -> io::Result<()> {
        let mut pipes = self.0.lock();
        pipes.dials += 1;
        if pipes.refuses {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        pipes.last = Some(cut);
        Ok(())
    }

    /// Cuts the pipe that was opened last.
    pub fn cut(&self) {
        drop(self.0.lock().last.take());
    }

    /// From now on dialling fails, or does not.
    pub fn refuse(&self, refuses: bool) {
        self.0.lock().refuses = refuses;
    }

    /// How often was dialled.
    pub fn dials(&self) -> usize {
        self.0.lock().dials
    }
}

/// Cuts a pipe when it is dropped: both ends see it end.
pub struct Cut(#[expect(dead_code, reason = "its drop is what counts")] tokio_util::sync::DropGuard);

/// A pipe in memory that ends on both sides when the switch is dropped.
fn cuttable() -> (DuplexStream, DuplexStream, Cut) {
    let (near, mut near_inner) = duplex(1 << 16);
    let (far, mut far_inner) = duplex(1 << 16);
    let token = tokio_util::sync::CancellationToken::new();
    let cut = Cut(token.clone().drop_guard());
    spawn(async move {
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            _ended = tokio::io::copy_bidirectional(&mut near_inner, &mut far_inner) => {}
        }
    });
    (near, far, cut)
}

/// The near end of a pipe, the far one, and what joins them.
pub struct Held {
    joined: tokio::task::JoinHandle<()>,
    far: tokio::sync::oneshot::Receiver<DuplexStream>,
    cut: tokio_util::sync::CancellationToken,
}

impl Held {
    /// Ends the pipe for the near end alone: the far end waits on, and what it writes goes nowhere. It ends when what
    /// is returned is dropped.
    pub fn cut_near(self) -> impl Sized {
        self.cut.cancel();
        (self.joined, self.far)
    }
}

/// A pipe in memory whose near end can end without the far one learning it.
pub fn half_open() -> (DuplexStream, DuplexStream, Held) {
    let (near, mut near_inner) = duplex(1 << 16);
    let (far, mut far_inner) = duplex(1 << 16);
    let cut = tokio_util::sync::CancellationToken::new();
    let (keeper, kept) = tokio::sync::oneshot::channel();
    let token = cut.clone();
    let joined = spawn(async move {
        tokio::select! {
            biased;
            () = token.cancelled() => {}
            _ended = tokio::io::copy_bidirectional(&mut near_inner, &mut far_inner) => {}
        }
        drop(near_inner);
        // Lives in the receiver's place until that is dropped.
        let _gone = keeper.send(far_inner);
    });
    (near, far, Held { joined, far: kept, cut })
}

#[expect(clippy::disallowed_methods, reason = "the network of a test is a task of its own")]
fn spawn(network: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(network)
}
