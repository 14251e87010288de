//! The end of a node: carries out the plan of `citadel_proto::shutdown`, one input, then its outputs, then one timer.
//!
//! A client's plan hears of sessions while the node runs, too: when the server goes away, sessions with peers that only it
//! carries close before it (R-SHUT-2). A server's hears of them when the node ends.
//!
//! A server's callbacks, `on_stop` last, end before its storage is flushed: what they wrote is in it. A client has no
//! storage; its callbacks end before its endpoint stops.

use super::super::remote::Inner;
use super::Joined;
use crate::kernel::KernelResult;
use crate::report::{NodeReport, StorageEnd};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{Instance, SessionKind};
use citadel_crypt::ratchets::PathId;
use citadel_proto::backend::BackendError;
use citadel_proto::driver::{Acceptor, Ending as Live};
use citadel_proto::shutdown::{
    ClientNodePlan, Member, NodeInput, NodeOutput, NodeShutdownConfig, NodeSummary, Route, Routes,
    ServerNodePlan,
};
use citadel_proto::{CloseReason, PathKind};
use core::convert::Infallible;
use core::time::Duration;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// Time that callbacks have to notice that they are cut short. 1 s: they are dropped at their next await.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What carries a session with a peer. Which path of the session it is is the session's own matter.
const fn routes(path: PathKind) -> Routes {
    Routes::of(if path.is_direct() { Route::Direct(PathId::FIRST) } else { Route::Relayed(PathId::FIRST) })
}

/// How a node ended.
pub(super) struct Ended {
    pub(super) report: NodeReport,
    pub(super) callbacks: Callbacks,
}

/// How its callbacks ended.
pub(super) enum Callbacks {
    /// All of them, and `on_stop` after them in this way.
    Ended(Joined),
    /// So many tasks block their threads: `on_stop`, or others, and then it did not run.
    Left(usize),
}

enum Plan {
    Client(ClientNodePlan),
    Server(ServerNodePlan),
}

impl Plan {
    fn new(inner: &Inner) -> Self {
        let default = NodeShutdownConfig::default();
        // Callbacks and `on_stop` are bounded by themselves, within the step that they come first in.
        let callbacks = 2 * (inner.deadline + LAST_CALL);
        let config = NodeShutdownConfig { sessions: inner.deadline, ..default };
        if inner.accounts.is_some() {
            let storage = callbacks + default.storage;
            Self::Server(ServerNodePlan::new(NodeShutdownConfig { storage, ..config }))
        } else {
            let endpoint = callbacks + default.endpoint;
            Self::Client(ClientNodePlan::new(NodeShutdownConfig { endpoint, ..config }))
        }
    }

    /// Whom a session of that kind is with, and what carries a peer's now: relayed ones end before direct ones, all before the
    /// server's.
    const fn member(&self, kind: SessionKind, path: PathKind) -> Member {
        match (self, kind) {
            (_, SessionKind::P2P) => Member::Peer(routes(path)),
            (Self::Client(_), SessionKind::C2S) => Member::Server,
            (Self::Server(_), SessionKind::C2S) => Member::Client,
        }
    }

    fn handle(&mut self, now: Timestamp, input: NodeInput) {
        match self {
            Self::Client(plan) => plan.handle(now, input),
            Self::Server(plan) => plan.handle(now, input),
        }
    }

    fn poll_output(&mut self) -> Option<NodeOutput> {
        match self {
            Self::Client(plan) => plan.poll_output(),
            Self::Server(plan) => plan.poll_output(),
        }
    }

    fn timeout(&self) -> Option<Timestamp> {
        let timeout = match self {
            Self::Client(plan) => plan.poll_timeout(),
            Self::Server(plan) => plan.poll_timeout(),
        };
        timeout.map(|(at, _)| at)
    }
}

/// What became of an act.
enum Fact {
    Input(NodeInput),
    /// The session with a server begins to close.
    Closing(Instance, Option<CloseReason>),
    /// The callbacks have ended, on time or not.
    Called(Callbacks, bool),
    Stored(Result<(), BackendError>),
}

/// A session as the plan was told of it.
struct Known {
    kind: SessionKind,
    path: PathKind,
    is_over: bool,
}

/// A node's plan, from its start to its end, and what it waits for.
pub(super) struct Ending<'a> {
    inner: &'a Inner,
    origin: Instant,
    /// When the end began.
    began: Instant,
    plan: Plan,
    /// What the plan said last.
    summary: Option<NodeSummary>,
    acts: FuturesUnordered<BoxFuture<'a, Fact>>,
    /// The sessions that the plan was told of, as long as their tasks run.
    known: BTreeMap<Instance, Known>,
    /// Those of them with a server that goes away.
    leaving: BTreeSet<Instance>,
    /// The sockets, until their turn.
    acceptor: Option<Arc<Acceptor>>,
    /// The last callback, until its turn.
    on_stop: Option<BoxFuture<'static, KernelResult>>,
    callbacks: Callbacks,
    is_late: bool,
    storage: StorageEnd,
}

impl<'a> Ending<'a> {
    /// Of a node that starts.
    pub(super) fn new(inner: &'a Inner) -> Self {
        let now = now();
        Self {
            inner,
            origin: now,
            began: now,
            plan: Plan::new(inner),
            summary: None,
            acts: FuturesUnordered::new(),
            known: BTreeMap::new(),
            leaving: BTreeSet::new(),
            acceptor: None,
            on_stop: None,
            callbacks: Callbacks::Left(0),
            is_late: false,
            storage: StorageEnd::Stored,
        }
    }

    /// While the node runs: tells a client's plan what happens to its sessions and does what the plan says. Dropped between
    /// two steps, it has done none by half.
    pub(super) async fn watch(&mut self) -> Infallible {
        let mut arrivals = self.inner.hub.arrivals();
        while let Plan::Client(_) = self.plan {
            arrivals.mark_unchanged();
            self.take_in();
            tokio::select! {
                biased;
                Some(fact) = self.acts.next() => self.on_fact(fact),
                // The sender lives in the hub, which `inner` holds.
                _ = arrivals.changed() => {}
            }
        }
        core::future::pending().await
    }

    /// Ends the node in the order of its plan.
    pub(super) async fn end(
        mut self,
        acceptor: Option<Arc<Acceptor>>,
        on_stop: impl Future<Output = KernelResult> + Send + 'static,
    ) -> Ended {
        (self.acceptor, self.on_stop) = (acceptor, Some(on_stop.boxed()));
        let summary = self.run().await;
        let Ending { inner, callbacks, is_late, storage, .. } = self;
        let storage = match storage {
            StorageEnd::Stored if !summary.is_stored => StorageEnd::Unknown,
            told => told,
        };
        let (sessions, earlier) = inner.history.take(summary.sessions);
        let report = NodeReport { sessions, earlier, unfinished: summary.unfinished, is_late, storage };
        Ended { report, callbacks }
    }

    async fn run(&mut self) -> NodeSummary {
        self.began = now();
        // Before the sessions are counted: whatever is in the hub from now on is in the list.
        self.inner.hub.refuse();
        self.take_in();
        self.handle(NodeInput::Close(CloseReason::GoingAway));
        loop {
            if let Some(summary) = self.summary.take() {
                return summary;
            }
            let timeout = self.plan.timeout().map(|at| self.origin + at.since(Timestamp::ZERO));
            tokio::select! {
                biased;
                Some(fact) = self.acts.next() => self.on_fact(fact),
                () = until(timeout) => self.handle(NodeInput::Timeout),
            }
        }
    }

    /// Tells the plan of the sessions that it does not know.
    fn take_in(&mut self) {
        let live = self.inner.hub.ends();
        let listed: BTreeSet<Instance> = live.iter().map(|session| session.instance).collect();
        self.known.retain(|instance, _| listed.contains(instance));
        self.leaving.retain(|instance| listed.contains(instance));
        self.look_at_paths(&live);
        for Live { instance, kind, path, closing, closed } in live {
            if self.known.contains_key(&instance) {
                continue;
            }
            self.known.insert(instance, Known { kind, path, is_over: false });
            self.acts.push(closed.map(|report| Fact::Input(NodeInput::Ended(report))).boxed());
            let member = self.plan.member(kind, path);
            if member == Member::Server {
                self.acts.push(closing.map(move |why| Fact::Closing(instance, why)).boxed());
            }
            self.handle(NodeInput::Opened(instance, member));
            if member == Member::Server {
                self.reroute();
            }
        }
        // Also those that came about while the server was going.
        self.look_at_server();
    }

    /// What one server carried finds its way through another one, as long as there is one.
    fn reroute(&mut self) {
        let of_kind = |kind| {
            let live = self.known.iter().filter(move |(_, known)| known.kind == kind && !known.is_over);
            live.map(|(instance, known)| (*instance, known.path)).collect::<Vec<_>>()
        };
        if matches!(self.plan, Plan::Server(_)) || of_kind(SessionKind::C2S).is_empty() {
            return;
        }
        for (peer, path) in of_kind(SessionKind::P2P) {
            self.handle(NodeInput::Rerouted(peer, routes(path)));
        }
    }

    /// Tells the plan which peers have come to a direct path, or lost it, since it was told last: before it decides by that.
    fn look_at_paths(&mut self, live: &[Live]) {
        for Live { instance, path, .. } in live {
            let known = self.known.get_mut(instance).filter(|known| known.kind == SessionKind::P2P);
            let Some(known) = known.filter(|known| !known.is_over && known.path != *path) else { continue };
            known.path = *path;
            self.handle(NodeInput::Rerouted(*instance, routes(*path)));
        }
    }

    /// Closes what the server carries if it is the one that goes. Those that were asked to close before are not asked again.
    fn look_at_server(&mut self) {
        if self.inner.attached().is_some_and(|server| self.leaving.contains(&server)) {
            self.handle(NodeInput::ServerGoingAway);
        }
    }

    fn handle(&mut self, input: NodeInput) {
        let nanos = now().saturating_duration_since(self.origin).as_nanos();
        let at = Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.plan.handle(at, input);
        while let Some(output) = self.plan.poll_output() {
            match output {
                NodeOutput::Closed(summary) => self.summary = Some(summary),
                output => self.act(output),
            }
        }
    }

    fn act(&mut self, output: NodeOutput) {
        match output {
            // The hub refuses since before the plan was asked.
            NodeOutput::Refuse => self.inner.hub.refuse(),
            NodeOutput::Close(instance, reason) => {
                self.inner.hub.close_session(instance, reason);
            }
            NodeOutput::Abort(instance) => {
                self.is_late = true;
                self.inner.hub.close_session(instance, CloseReason::Aborted);
            }
            NodeOutput::FlushStorage => self.call_last(),
            NodeOutput::StopEndpoint if self.on_stop.is_some() => self.call_last(),
            NodeOutput::StopEndpoint => self.stop_endpoint(),
            NodeOutput::Closed(_) => {}
        }
    }

    fn on_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Input(NodeInput::Ended(report)) => {
                let known = self.known.get_mut(&report.instance);
                let kind = known.map(|known| {
                    known.is_over = true;
                    known.kind
                });
                self.handle(NodeInput::Ended(report));
                if kind == Some(SessionKind::C2S) {
                    self.reroute();
                }
            }
            Fact::Input(input) => self.handle(input),
            Fact::Closing(server, Some(CloseReason::GoingAway)) => {
                self.leaving.insert(server);
                self.look_at_paths(&self.inner.hub.ends());
                self.look_at_server();
            }
            Fact::Closing(..) => {}
            Fact::Called(callbacks, is_late) => {
                self.callbacks = callbacks;
                self.is_late |= is_late;
                match &self.inner.accounts {
                    Some(accounts) => {
                        let backend = Arc::clone(accounts.backend());
                        self.acts.push(async move { Fact::Stored(backend.flush().await) }.boxed());
                    }
                    None => self.stop_endpoint(),
                }
            }
            Fact::Stored(Ok(())) => self.handle(NodeInput::StorageFlushed),
            Fact::Stored(Err(error)) => {
                log::error!(target: "citadel::node", "storage: {error}");
                self.storage = StorageEnd::Failed(Arc::new(error));
                self.handle(NodeInput::StorageFailed);
            }
        }
    }

    /// Joins the callbacks, then runs the last one.
    fn call_last(&mut self) {
        let Some(on_stop) = self.on_stop.take() else { return };
        let (inner, deadline) = (self.inner, self.began + self.inner.deadline);
        let called = async move {
            let is_late = inner.join_callbacks(deadline).await;
            if !inner.tasks.is_empty() {
                return Fact::Called(Callbacks::Left(inner.tasks.len()), true);
            }
            let (callbacks, is_cut) = inner.stopped_callback(on_stop).await;
            Fact::Called(callbacks, is_late || is_cut)
        };
        self.acts.push(called.boxed());
    }

    /// Closes the sockets, and waits for the tasks of the sessions: a path may still bring the last bytes of one (QUIC).
    fn stop_endpoint(&mut self) {
        drop(self.acceptor.take());
        let stopped = self.inner.hub.close(CloseReason::GoingAway);
        self.acts.push(stopped.map(|_reports| Fact::Input(NodeInput::EndpointStopped)).boxed());
    }
}

impl Inner {
    /// Waits for every task; after the deadline, callbacks are cut short. Says whether it passed.
    async fn join_callbacks(&self, deadline: Instant) -> bool {
        self.tasks.close();
        if timeout_at(deadline, self.tasks.wait()).await.is_ok() {
            return false;
        }
        log::warn!(target: "citadel::node", "{} tasks left at the deadline", self.tasks.len());
        self.abort();
        let _ended = timeout(LAST_CALL, self.tasks.wait()).await;
        true
    }

    /// The last callback, after all others have ended, with a deadline of its own. Says whether it was cut short.
    async fn stopped_callback(
        &self,
        callback: impl Future<Output = KernelResult> + Send + 'static,
    ) -> (Callbacks, bool) {
        let mut task = self.callback(callback);
        if let Ok(joined) = timeout(self.deadline, &mut task).await {
            return (Callbacks::Ended(joined), false);
        }
        task.abort();
        match timeout(LAST_CALL, task).await {
            Ok(joined) => (Callbacks::Ended(joined), true),
            Err(_) => (Callbacks::Left(self.tasks.len()), true),
        }
    }
}

/// At that time; never if there is none.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => core::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock, here and nowhere else in it")]
fn now() -> Instant {
    Instant::now()
}
