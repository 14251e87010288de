//! A client of a server and of peers that it knows through it.

use super::super::{Callback, boxed};
use super::peers::{Peers, Wanted};
use crate::kernel::{KernelResult, NetKernel};
use crate::node::NodeRemote;
use crate::prelude::BoxError;
use crate::server_connection::{ConnectError, ServerConnection};
use async_trait::async_trait;
use citadel_crypt::addr::PeerId;
use citadel_crypt::suite::{CryptoProvider, Native};
use citadel_proto::OpenError;
use citadel_proto::driver::{Channel, Session};
use citadel_proto::peers::{
    ConnectError as PeerConnectError, Party, PeerAskError, PeerClient, PeerInfo, PeerSession, PeerTrust,
    PeersCallError, PeersError, Standing,
};
use core::fmt;
use core::time::Duration;
use futures::future::join_all;

/// First and longest pause between two looks for somebody who is not there yet.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Connects to a server, and through it to peers: registers with each of them unless that was done before, opens one session
/// with each, from end to end, and runs the callback with it. Both ends may be the first, and both may run at the same time:
/// one session comes of it, and both get it.
///
/// Each callback runs to its own end, whatever becomes of the others (R-SHUT-3); when all have ended, sessions close in the
/// order of the plan, peers before the server, and the node ends with their errors, if any ([`PeerFailures`]).
///
/// A connection to the server that is lost for good is made again as far as
/// [`ServerConnection::reconnect`] allows; sessions with peers go on meanwhile for their time to resume.
pub struct PeerConnectionKernel {
    server: ServerConnection,
    peers: Peers,
    patience: Duration,
    callback: Callback<PeerConnection>,
}

/// A session with a peer, and its channel 0. What [`Connection`](crate::Connection) says of handlers holds here, too.
#[derive(Debug)]
#[non_exhaustive]
pub struct PeerConnection {
    /// The session, from end to end.
    pub session: Session,
    /// Channel 0.
    pub channel: Channel,
    /// What the peer is called: its display name, or its user name, or its peer id.
    pub name: String,
    /// The device at the other end: what a pin, a code or a user compares.
    pub peer_id: PeerId,
    /// Who it is at the server.
    pub party: Party,
    /// What the trust in the device rests on.
    pub trust: PeerTrust,
    /// The peers of this node, for whoever wants more of them.
    pub peers: PeerClient,
}

/// Why there was no session with a peer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFailure {
    /// It was not there, did not agree, or was not reached within the kernel's patience.
    #[error("not there within {0:?}")]
    Absent(Duration),
    /// It does not want to be a peer.
    #[error("declined")]
    Declined,
    /// Something about its registration failed.
    #[error(transparent)]
    Peers(#[from] PeersError),
    /// No session came about.
    #[error(transparent)]
    Connect(#[from] PeerConnectError),
    /// Channel 0 was taken before.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// The peers whose session or callback failed, by the names that the kernel was given. All others ended well.
#[derive(Debug)]
pub struct PeerFailures {
    /// Each with its error.
    pub failures: Vec<(String, BoxError)>,
}

impl fmt::Display for PeerFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (name, error)) in self.failures.iter().enumerate() {
            let sign = if position == 0 { "" } else { "; " };
            write!(f, "{sign}{name}: {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for PeerFailures {}

impl PeerConnectionKernel {
    /// Connects to `server` and runs `callback` for each of `peers`, side by side.
    pub fn for_each<F, Fut>(server: ServerConnection, peers: Peers, callback: F) -> Self
    where
        F: Fn(PeerConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        Self { server, peers, patience: Duration::from_secs(60), callback: boxed(callback) }
    }

    /// How long each peer may take to be there, to agree, and to be reached. 60 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One peer, from looking for it to the end of its session.
    async fn serve(&self, node: &NodeRemote, peers: &PeerClient, wanted: &Wanted) -> KernelResult {
        let met = tokio::time::timeout(self.patience, meet(peers, wanted)).await;
        let met = met.unwrap_or(Err(PeerFailure::Absent(self.patience)))?;
        let session = met.session.clone();
        let connection = connection(peers, met)?;
        let end = node.handle(session, (self.callback)(connection)).await;
        end.handler.into_result()
    }

    /// All peers, each to its own end.
    async fn serve_all(&self, node: &NodeRemote, peers: &PeerClient) -> KernelResult {
        let each = self.peers.list().map(|wanted| async move {
            let served = self.serve(node, peers, wanted).await;
            served.err().map(|error| (wanted.to_string(), error))
        });
        let failures: Vec<_> = join_all(each).await.into_iter().flatten().collect();
        if failures.is_empty() { Ok(()) } else { Err(PeerFailures { failures }.into()) }
    }

    /// Keeps `peers` attached to the server until that is no use any more; says why.
    async fn keep_connected(&self, node: &NodeRemote, peers: &PeerClient, mut session: Session) -> BoxError {
        let server = self.server.once_known();
        let mut failed = 0u32;
        loop {
            let report = session.closed().await;
            let mut error: BoxError = report.reason().to_string().into();
            if node.is_stopping() || !report.reason().is_retryable() {
                return error;
            }
            session = loop {
                failed = failed.saturating_add(1);
                let Some(pause) = self.server.reconnect_policy().pause_after(failed) else { return error };
                wait(pause).await;
                match node.connect(&server).await {
                    Ok(session) => match peers.attach(session.clone()).await {
                        Ok(()) => break session,
                        Err(attach) => error = attach.into(),
                    },
                    Err(connect) if connect.is_retryable() => error = connect.into(),
                    Err(connect) => return connect.into(),
                }
            };
            failed = 0;
        }
    }

    /// The first session with the server.
    async fn connect(&self, node: &NodeRemote) -> Result<Session, ConnectError> {
        let mut failed = 0u32;
        loop {
            match node.connect(&self.server).await {
                Ok(session) => return Ok(session),
                Err(error) if error.is_retryable() && !node.is_stopping() => {
                    failed = failed.saturating_add(1);
                    let Some(pause) = self.server.reconnect_policy().pause_after(failed) else {
                        return Err(error);
                    };
                    wait(pause).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl NetKernel for PeerConnectionKernel {
    async fn on_start(&self, _node: &NodeRemote) -> KernelResult {
        self.server.check()?;
        Ok(self.peers.check()?)
    }

    async fn run(&self, node: NodeRemote) -> KernelResult {
        let session = self.connect(&node).await?;
        let peers = node.peers().await?;
        peers.attach(session.clone()).await?;
        let work = self.serve_all(&node, &peers);
        tokio::pin!(work);
        let lost = tokio::select! {
            biased;
            served = &mut work => return served,
            lost = self.keep_connected(&node, &peers, session) => lost,
        };
        // Without the server no new session comes about; those that there are end by themselves.
        match work.await {
            Err(_) if node.is_stopping() => Ok(()),
            Err(error) => {
                log::info!(target: "citadel::node", "the server: {lost}");
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A session with a peer, registering with it on the way if need be.
async fn meet(peers: &PeerClient, wanted: &Wanted) -> Result<PeerSession, PeerFailure> {
    let party = find(peers, wanted).await?;
    register(peers, party, wanted.expect).await?;
    let mut pause = PAUSES.0;
    loop {
        peers.online(party).await;
        match peers.connect(party).await {
            Ok(met) => return Ok(met),
            Err(error) if error.is_retryable() => {
                log::debug!(target: "citadel::node", "{wanted}: {error}");
                wait(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Looks for it until there is one: either end may be the first.
async fn find(peers: &PeerClient, wanted: &Wanted) -> Result<Party, PeerFailure> {
    let mut pause = PAUSES.0;
    loop {
        let Ok(who) = wanted.who() else { return Err(PeersError::NotPeer.into()) };
        match peers.find(who).await {
            Ok(party) => return Ok(party),
            Err(error) if is_absent(&error) || error.is_retryable() => {
                wait(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

const fn is_absent(error: &PeersError) -> bool {
    matches!(error, PeersError::Call(PeersCallError::Refused(PeerAskError::Unknown)))
}

/// Agrees with it, whoever was the first to ask.
async fn register(peers: &PeerClient, party: Party, expect: Option<PeerId>) -> Result<PeerInfo, PeerFailure> {
    let standing = peers.info(party).map(|info| info.standing);
    if standing != Some(Standing::Peer) {
        peers.ask(party, expect).await.or_else(unless_done)?;
    }
    match peers.answered(party).await {
        Standing::Peer => Ok(peers.registered(party).await?),
        _ => Err(PeerFailure::Declined),
    }
}

/// They may have become peers while this end was asking.
fn unless_done(error: PeersError) -> Result<(), PeersError> {
    use citadel_proto::peers::ConsentError;
    match error {
        PeersError::Call(PeersCallError::Refused(PeerAskError::Consent(ConsentError::AlreadyPeers))) => {
            Ok(())
        }
        error => Err(error),
    }
}

fn connection(peers: &PeerClient, met: PeerSession) -> Result<PeerConnection, PeerFailure> {
    let PeerSession { session, party, trust, .. } = met;
    let peer_id = session.peer_id();
    let info = peers.info(party);
    let display_name = info.as_ref().and_then(|info| info.display_name.as_ref()).map(|name| name.as_str());
    let user = info.as_ref().and_then(|info| info.user.as_ref()).map(|name| name.as_str());
    let name = display_name.filter(|name| !name.is_empty()).or(user);
    let name = name.map_or_else(|| peer_id.to_string(), str::to_owned);
    let channel = session.channel()?.left_to_session();
    Ok(PeerConnection { session, channel, name, peer_id, party, trust, peers: peers.clone() })
}

/// Waits for between half of `pause` and all of it, by chance.
#[expect(clippy::disallowed_methods, reason = "the driver of this kernel: the pause is its back-off")]
async fn wait(pause: Duration) {
    let mut random = [0; 1];
    // Without randomness the pause is the same for everybody, which is all that fails.
    let _spread = Native.random(&mut random);
    tokio::time::sleep(pause.mul_f64(0.5 + f64::from(random[0]) / 512.0)).await;
}

impl fmt::Debug for PeerConnectionKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnectionKernel")
            .field("server", &self.server)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
