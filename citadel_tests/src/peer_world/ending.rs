//! The orderly end of a node, by the plan that nodes end by.

use super::ledger::{Ledger, name_of};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::SessionKind;
use citadel_crypt::ratchets::PathId;
use citadel_proto::CloseReason;
use citadel_proto::backend::Backend;
use citadel_proto::driver::{Ending, Hub};
use citadel_proto::shutdown::{
    ClientNodePlan, Member, NodeInput, NodeOutput, NodeShutdownConfig, NodeSummary, Route, Routes,
    ServerNodePlan,
};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

/// Which kind of node.
pub(super) enum Node {
    Client(usize),
    Server(Arc<dyn Backend>),
}

enum Plan {
    Client(ClientNodePlan),
    Server(ServerNodePlan),
}

impl Plan {
    fn handle(&mut self, at: Timestamp, input: NodeInput) {
        match self {
            Self::Client(plan) => plan.handle(at, input),
            Self::Server(plan) => plan.handle(at, input),
        }
    }

    fn poll_output(&mut self) -> Option<NodeOutput> {
        match self {
            Self::Client(plan) => plan.poll_output(),
            Self::Server(plan) => plan.poll_output(),
        }
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let timeout = match self {
            Self::Client(plan) => plan.poll_timeout(),
            Self::Server(plan) => plan.poll_timeout(),
        };
        timeout.map(|(at, _)| at)
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused: time is the script's")]
fn now() -> Instant {
    Instant::now()
}

/// Ends the node of `hub`: carries out its plan, and finds peers' sessions closed before the server's is asked to close.
pub(super) async fn end(hub: &Hub, node: Node, ledger: &Ledger) -> NodeSummary {
    let (origin, config) = (now(), NodeShutdownConfig::default());
    let mut plan = match &node {
        Node::Client(_) => Plan::Client(ClientNodePlan::new(config)),
        Node::Server(_) => Plan::Server(ServerNodePlan::new(config)),
    };
    let mut acts: FuturesUnordered<BoxFuture<'_, NodeInput>> = FuturesUnordered::new();
    let (mut peers, mut server) = (BTreeSet::new(), BTreeSet::new());
    hub.refuse();
    for Ending { instance, kind, path, closed, .. } in hub.ends() {
        let member = match (&node, kind) {
            (_, SessionKind::P2P) if path.is_direct() => {
                Member::Peer(Routes::of(Route::Direct(PathId::FIRST)))
            }
            (_, SessionKind::P2P) => Member::Peer(Routes::of(Route::Relayed(PathId::FIRST))),
            (Node::Client(_), SessionKind::C2S) => Member::Server,
            (Node::Server(_), SessionKind::C2S) => Member::Client,
        };
        let of_kind = if kind == SessionKind::P2P { &mut peers } else { &mut server };
        of_kind.insert(instance);
        acts.push(closed.map(NodeInput::Ended).boxed());
        plan.handle(Timestamp::ZERO, NodeInput::Opened(instance, member));
    }
    let at = |instant: Instant| {
        Timestamp::from_nanos(u64::try_from((instant - origin).as_nanos()).unwrap_or(u64::MAX))
    };
    plan.handle(at(now()), NodeInput::Close(CloseReason::GoingAway));
    let mut has_aborted = false;
    loop {
        while let Some(output) = plan.poll_output() {
            match output {
                NodeOutput::Close(instance, reason) => {
                    let is_early = server.contains(&instance) && !peers.is_empty() && !has_aborted;
                    if let Node::Client(number) = &node {
                        ledger.check(
                            !is_early,
                            format_args!("client {number}: the server's session ends before a peer's"),
                        );
                    }
                    hub.close_session(instance, reason);
                }
                NodeOutput::Abort(instance) => {
                    has_aborted = true;
                    hub.close_session(instance, CloseReason::Aborted);
                }
                NodeOutput::FlushStorage => {
                    let Node::Server(backend) = &node else { continue };
                    let backend = Arc::clone(backend);
                    let flush = async move {
                        backend.flush().await.map_or(NodeInput::StorageFailed, |()| NodeInput::StorageFlushed)
                    };
                    acts.push(flush.boxed());
                }
                NodeOutput::StopEndpoint => {
                    let stopped = hub.close(CloseReason::GoingAway);
                    acts.push(stopped.map(|_| NodeInput::EndpointStopped).boxed());
                }
                NodeOutput::Refuse => hub.refuse(),
                NodeOutput::Closed(summary) => return summary,
            }
        }
        let timeout = plan.poll_timeout().map(|at| origin + at.since(Timestamp::ZERO));
        let input = tokio::select! {
            biased;
            Some(input) = acts.next() => input,
            () = until(timeout) => NodeInput::Timeout,
        };
        if let NodeInput::Ended(report) = &input {
            let kind = if peers.remove(&report.instance) { SessionKind::P2P } else { SessionKind::C2S };
            server.remove(&report.instance);
            ledger.say(format_args!("{} session has ended: {}", name_of(kind), report.reason()));
        }
        plan.handle(at(now()), input);
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => core::future::pending().await,
    }
}
