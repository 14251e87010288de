//! A client of a server and of peers that it knows through it.

use super::super::{Callback, boxed};
use super::link;
use super::meet::{PeerConnection, PeerFailure, Purpose, meet};
use super::peers::{Peers, Wanted};
use super::results::{self, PeerResults};
use crate::kernel::{KernelResult, NetKernel};
use crate::node::NodeRemote;
use crate::prelude::BoxError;
use crate::server_connection::ServerConnection;
use async_trait::async_trait;
use citadel_proto::peers::PeerClient;
use core::fmt;
use core::time::Duration;
use futures::future::join_all;

/// Connects to a server, and through it to peers: registers with each of them unless that was done before, opens one session
/// with each, from end to end, and runs the callback with it. Both ends may be the first, and both may run at the same time:
/// one session comes of it, and both get it.
///
/// Each callback runs to its own end, whatever becomes of the others (R-SHUT-3); when all have ended, sessions close in the
/// order of the plan, peers before the server, and the node ends with their errors, if any ([`PeerFailures`]). What a callback
/// makes of a node that is asked to end is no error.
///
/// A connection to the server that is lost for good is made again as far as
/// [`ServerConnection::reconnect`] allows; sessions with peers go on meanwhile for their time to resume.
pub struct PeerConnectionKernel {
    server: ServerConnection,
    peers: Peers,
    patience: Duration,
    work: Work,
}

/// What the application wrote.
enum Work {
    Each(Callback<PeerConnection>),
    All(Callback<PeerResults>),
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
        Self::with(server, peers, Work::Each(boxed(callback)))
    }

    /// Connects to `server` and runs `callback` once, with the results of all `peers` as they come: a connection, or why there
    /// is none. A failure is the callback's to judge and no error of the node.
    ///
    /// The sessions live until the callback returns, unless it closes them itself, and then end as that of a handler does:
    /// in order after `Ok`, with a [`HandlerError`](crate::HandlerError)'s code after an error, with `HandlerPanicked`
    /// after a panic. Whoever was not met by then is looked for no more.
    pub fn for_all<F, Fut>(server: ServerConnection, peers: Peers, callback: F) -> Self
    where
        F: Fn(PeerResults) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        Self::with(server, peers, Work::All(boxed(callback)))
    }

    const fn with(server: ServerConnection, peers: Peers, work: Work) -> Self {
        Self { server, peers, patience: Duration::from_secs(60), work }
    }

    /// How long each peer may take to be there, to agree, and to be reached. 60 s.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// One peer, from looking for it to the end of its session.
    async fn serve(
        &self,
        node: &NodeRemote,
        peers: &PeerClient,
        wanted: &Wanted,
        callback: &Callback<PeerConnection>,
    ) -> KernelResult {
        let meeting = link::within(self.patience, meet(peers, wanted, Purpose::Talk));
        // Nobody is looked for any more, so nobody failed.
        let Some(met) = link::unless_stopping(node, meeting).await else { return Ok(()) };
        let connection = met.unwrap_or(Err(PeerFailure::Absent(self.patience)))?;
        let end = node.handle(connection.session.clone(), callback(connection)).await;
        match end.handler.into_result() {
            // Whoever ended the node wanted no more of it.
            Err(_) if node.is_stopping() && end.report.reason().is_retryable() => Ok(()),
            result => result,
        }
    }

    /// All peers, each to its own end.
    async fn serve_all(
        &self,
        node: &NodeRemote,
        peers: &PeerClient,
        callback: &Callback<PeerConnection>,
    ) -> KernelResult {
        let each = self.peers.list().map(|wanted| async move {
            let served = self.serve(node, peers, wanted, callback).await;
            served.err().map(|error| (wanted.to_string(), error))
        });
        let failures: Vec<_> = join_all(each).await.into_iter().flatten().collect();
        if failures.is_empty() { Ok(()) } else { Err(PeerFailures { failures }.into()) }
    }
}

#[async_trait]
impl NetKernel for PeerConnectionKernel {
    async fn on_start(&self, _node: &NodeRemote) -> KernelResult {
        self.server.check()?;
        Ok(self.peers.check()?)
    }

    async fn run(&self, node: NodeRemote) -> KernelResult {
        let node = &node;
        let work = |peers: PeerClient| async move {
            match &self.work {
                Work::Each(callback) => self.serve_all(node, &peers, callback).await,
                Work::All(callback) => {
                    results::serve(node, &peers, &self.peers, self.patience, callback).await
                }
            }
        };
        link::beside_server(&self.server, node, work).await
    }
}

impl fmt::Debug for PeerConnectionKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerConnectionKernel")
            .field("server", &self.server)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}
