//! The tasks of a node: the main one, the accept loops, one for each session that arrives.

mod end;

use self::end::{Callbacks, Ended, Ending};
use super::error::NodeError;
use super::remote::{Inner, Listed, NodeRemote};
use crate::kernel::{KernelResult, NetKernel};
use crate::report::NodeReport;
use citadel_crypt::handshake::Request;
use citadel_proto::accounts::{Accounts, AdmitError};
use citadel_proto::driver::{Acceptor, Incoming, Session};
use citadel_proto::peers::Switchboard;
use core::fmt;
use core::ops::Deref;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A running node. Awaited, it gives the kernel back and a report of the sessions, once the kernel's own work is done or
/// [`shutdown`](Self::shutdown) was asked for, and every session is closed in order.
///
/// It has the methods of [`NodeRemote`]. Dropping it, or the future that it turns into, aborts the node: callbacks are
/// dropped at their next await, sessions close `Aborted`, nothing is waited for.
#[must_use = "a node that is dropped is aborted; await it"]
pub struct Node<K> {
    remote: NodeRemote,
    main: JoinHandle<Option<Result<(K, NodeReport), NodeError>>>,
    guard: AbortOnDrop,
}

impl<K: NetKernel> Node<K> {
    /// A handle for callbacks and other tasks, which does not keep the node alive.
    pub fn remote(&self) -> NodeRemote {
        self.remote.clone()
    }

    /// Ends the node in order and waits: nothing new is accepted, every session closes with `GoingAway`, what was sent on
    /// either end is delivered, handlers end, listeners close. Bounded by the node's shutdown deadline.
    ///
    /// # Errors
    /// As awaiting the node.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the node, as dropping the node does.
    pub async fn shutdown(self) -> Result<(K, NodeReport), NodeError> {
        self.remote.begin_shutdown();
        self.await
    }
}

impl<K> Deref for Node<K> {
    type Target = NodeRemote;

    fn deref(&self) -> &NodeRemote {
        &self.remote
    }
}

impl<K> fmt::Debug for Node<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl<K: NetKernel> IntoFuture for Node<K> {
    type Output = Result<(K, NodeReport), NodeError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { main, guard, .. } = self;
        async move {
            let ended = main.await;
            drop(guard);
            // A main task that panicked is a bug of this file; cancelled, it was by its runtime.
            ended.ok().flatten().unwrap_or(Err(NodeError::Aborted))
        }
        .boxed()
    }
}

/// Aborts the node: without effect on one that has ended.
struct AbortOnDrop {
    inner: Arc<Inner>,
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.inner.abort();
    }
}

/// Starts the tasks of a node.
pub(super) fn spawn<K: NetKernel>(kernel: K, remote: NodeRemote, acceptor: Option<Arc<Acceptor>>) -> Node<K> {
    let guard = AbortOnDrop { inner: Arc::clone(&remote.inner) };
    let work = Main { kernel: Arc::new(kernel), inner: Arc::clone(&remote.inner), acceptor };
    let aborted = remote.inner.aborted.clone();
    let main = TaskTracker::new().spawn(work.run(aborted));
    Node { remote, main, guard }
}

/// What the main task owns.
struct Main<K> {
    kernel: Arc<K>,
    inner: Arc<Inner>,
    /// Of a server. It holds the sockets.
    acceptor: Option<Arc<Acceptor>>,
}

/// How a callback's task ended; none if it was cut short.
type Joined = Result<Option<KernelResult>, JoinError>;

impl<K: NetKernel> Main<K> {
    /// None if the node was dropped.
    async fn run(self, dropped: CancellationToken) -> Option<Result<(K, NodeReport), NodeError>> {
        let Self { kernel, inner, acceptor } = self;
        if let Some(acceptor) = &acceptor {
            let accepting = accept(Arc::clone(&kernel), Arc::clone(&inner), Arc::clone(acceptor));
            inner.tasks.spawn(accepting);
        }
        let mut work = {
            let (kernel, remote) = (Arc::clone(&kernel), NodeRemote { inner: Arc::clone(&inner) });
            inner.callback(async move { kernel.run(remote).await })
        };
        let mut ending = Ending::new(&inner);
        let first = tokio::select! {
            biased;
            () = dropped.cancelled() => return None,
            ended = &mut work => Some(ended),
            () = inner.stopping.cancelled() => None,
            never = ending.watch() => match never {},
        };
        inner.stopping.cancel();
        let on_stop = {
            let kernel = Arc::clone(&kernel);
            async move { kernel.on_stop().await }
        };
        let Ended { report, callbacks } = ending.end(acceptor, on_stop).await;
        let stopped = match callbacks {
            Callbacks::Ended(stopped) => stopped,
            Callbacks::Left(tasks) => return Some(Err(NodeError::Stuck { tasks, report })),
        };
        let ran = match first {
            Some(ended) => ended,
            None => work.await,
        };
        match failure(ran).or(failure(stopped)) {
            Some(Failure::Error(source)) => Some(Err(NodeError::Kernel { source, report })),
            Some(Failure::Panic) => Some(Err(NodeError::Panicked { report })),
            None => {
                // Every task that held it has ended.
                let kernel = Arc::into_inner(kernel);
                Some(kernel.map(|kernel| (kernel, report)).ok_or(NodeError::Aborted))
            }
        }
    }
}

enum Failure {
    Error(crate::prelude::BoxError),
    Panic,
}

fn failure(joined: Joined) -> Option<Failure> {
    match joined {
        Ok(Some(Err(error))) => Some(Failure::Error(error)),
        Err(error) if error.is_panic() => Some(Failure::Panic),
        _ => None,
    }
}

impl Inner {
    /// A callback in a task of its own.
    fn callback(
        &self,
        callback: impl Future<Output = KernelResult> + Send + 'static,
    ) -> JoinHandle<Option<KernelResult>> {
        self.tasks.spawn(self.aborted.clone().run_until_cancelled_owned(callback))
    }

    fn abort(&self) {
        self.stopping.cancel();
        self.aborted.cancel();
        self.hub.abort();
    }
}

/// Takes whoever dials, until the hub closes.
async fn accept<K: NetKernel>(kernel: Arc<K>, inner: Arc<Inner>, acceptor: Arc<Acceptor>) {
    while let Some(incoming) = acceptor.accept().await {
        let (kernel, serving) = (Arc::clone(&kernel), Arc::clone(&inner));
        inner.tasks.spawn(async move {
            let from = incoming.remote_addr();
            // Boxed: what a handshake needs is not kept for the life of the session.
            match Box::pin(admit(&*kernel, &serving, incoming)).await {
                Ok(Some(session)) => serve(kernel, serving, session).await,
                Ok(None) => {}
                Err(error) => log::debug!(target: "citadel::node", "{from}: {error}"),
            }
        });
    }
}

/// The handshake, the kernel's say and that of the accounts; none where no new session came of it.
async fn admit<K: NetKernel>(
    kernel: &K,
    inner: &Inner,
    incoming: Incoming,
) -> Result<Option<Session>, AdmitError> {
    let source = incoming.remote_addr().ip();
    let identified = incoming.identify().await?;
    if matches!(identified.request(), Request::Resume(_)) {
        // Whose session it is, its handler runs already.
        let _resumed = identified.resume().await?;
        return Ok(None);
    }
    if let Err(code) = kernel.on_identified(identified.peer(), identified.request()).await {
        identified.refuse(code).await;
        return Ok(None);
    }
    match &inner.accounts {
        Some(accounts) => accounts.admit(identified, source).await.map(Some),
        None => Ok(Some(identified.accept().await?)),
    }
}

/// The session's handler, and beside it what the session asks of its account and of its peers.
async fn serve<K: NetKernel>(kernel: Arc<K>, inner: Arc<Inner>, session: Session) {
    let _listed = Listed::new(Arc::clone(&inner), &session);
    if let Some(accounts) = &inner.accounts {
        let board = inner.board.clone();
        inner.tasks.spawn(answer(accounts.clone(), board, session.clone(), inner.aborted.clone()));
    }
    let handled = session.clone();
    inner.supervise(session, async move { kernel.on_session(handled).await }).await;
}

async fn answer(
    accounts: Accounts,
    board: Option<Switchboard>,
    session: Session,
    aborted: CancellationToken,
) {
    let attendance = board.map(|board| board.attend(&session));
    let of_peers = |channel| match &attendance {
        Some(attendance) => attendance.take(channel),
        None => Some(channel),
    };
    aborted.run_until_cancelled(accounts.serve_beside(&session, of_peers)).await;
}
