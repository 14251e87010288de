//! One callback for all peers: it gets each as it is met, or why it was not.

use super::super::Callback;
use super::link;
use super::meet::{PeerConnection, PeerFailure, Purpose, meet};
use super::peers::Peers;
use crate::kernel::{HandlerError, HandlerLost, KernelResult};
use crate::node::NodeRemote;
use crate::prelude::BoxError;
use citadel_proto::driver::Session;
use citadel_proto::peers::PeerClient;
use core::fmt;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures::future::join_all;
use futures::{FutureExt, Stream};
use tokio::sync::{mpsc, watch};

/// The results of a kernel's peers, each as it comes, in no order. Ends when every peer had its one.
pub struct PeerResults {
    results: mpsc::Receiver<Result<PeerConnection, PeerNotMet>>,
    peers: PeerClient,
}

/// A peer with whom there is no session.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
#[non_exhaustive]
pub struct PeerNotMet {
    /// By the name that the kernel was given.
    pub name: String,
    /// Why.
    pub source: PeerFailure,
}

impl PeerResults {
    /// The next result; none after that of the last peer, or once the node is to end.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn next(&mut self) -> Option<Result<PeerConnection, PeerNotMet>> {
        self.results.recv().await
    }

    /// The peers of this node, for whoever wants more of them.
    pub const fn peers(&self) -> &PeerClient {
        &self.peers
    }
}

impl Stream for PeerResults {
    type Item = Result<PeerConnection, PeerNotMet>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.results.poll_recv(cx)
    }
}

impl fmt::Debug for PeerResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerResults({} there)", self.results.len())
    }
}

/// How the callback ended, as far as its sessions are concerned.
#[derive(Clone)]
enum Verdict {
    Done,
    Failed(Option<HandlerError>),
    Panicked,
}

impl Verdict {
    fn of(result: &std::thread::Result<KernelResult>) -> Self {
        match result {
            Ok(Ok(())) => Self::Done,
            Ok(Err(error)) => Self::Failed(error.downcast_ref::<HandlerError>().cloned()),
            Err(_) => Self::Panicked,
        }
    }

    /// The end of a session's handler that ends the session as the callback's own would.
    fn carry_out(self) -> KernelResult {
        match self {
            Self::Done => Ok(()),
            Self::Failed(Some(error)) => Err(error.into()),
            Self::Failed(None) => Err("the callback of all peers failed".into()),
            // Where the callback panicked the message went to the hook; here nothing is told twice.
            Self::Panicked => std::panic::resume_unwind(Box::new("the callback of all peers")),
        }
    }
}

/// Meets all of `wanted` side by side, runs `callback` with what comes of it, then ends the sessions as it ended.
pub(super) async fn serve(
    node: &NodeRemote,
    peers: &PeerClient,
    wanted: &Peers,
    patience: Duration,
    callback: &Callback<PeerResults>,
) -> KernelResult {
    let (sender, results) = mpsc::channel(wanted.list().count());
    let verdict = watch::Sender::new(None);
    let meetings = wanted.list().map(|wanted| {
        let (sender, mut told) = (sender.clone(), verdict.subscribe());
        let meeting = link::within(patience, meet(peers, wanted, Purpose::Talk));
        async move {
            let met = tokio::select! {
                biased;
                _ = told.wait_for(Option::is_some) => return,
                met = link::unless_stopping(node, meeting) => met,
            };
            let Some(met) = met else { return };
            let met = met.unwrap_or(Err(PeerFailure::Absent(patience)));
            let session = met.as_ref().ok().map(|met| met.session.clone());
            let result = met.map_err(|source| PeerNotMet { name: wanted.to_string(), source });
            // There is room for all of them; a callback that dropped them wants none.
            let _unwanted = sender.send(result).await;
            drop(sender);
            if let Some(session) = session {
                let _end = node.handle(session.clone(), handler(session, told)).await;
            }
        }
    });
    let meetings: Vec<_> = meetings.collect();
    drop(sender);
    let work = async {
        let given = PeerResults { results, peers: peers.clone() };
        let result = AssertUnwindSafe(callback(given)).catch_unwind().await;
        verdict.send_replace(Some(Verdict::of(&result)));
        match result {
            // Whoever ended the node wanted no more of it.
            Ok(Err(_)) if node.is_stopping() => Ok(()),
            Ok(result) => result,
            Err(_) => Err(BoxError::from(HandlerLost::Panicked)),
        }
    };
    let (result, _) = futures::future::join(work, join_all(meetings)).await;
    result
}

/// Lives as long as the session or the callback does.
async fn handler(session: Session, mut told: watch::Receiver<Option<Verdict>>) -> KernelResult {
    let verdict = tokio::select! {
        biased;
        verdict = told.wait_for(Option::is_some) => verdict.map_or(None, |verdict| (*verdict).clone()),
        _ = session.closed() => None,
    };
    verdict.map_or(Ok(()), Verdict::carry_out)
}
