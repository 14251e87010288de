//! How a node ends: which sessions close in which order, and what follows them.
//!
//! ```text
//! client: Running ─▶ Refusing ─▶ ClosingRelayed ─▶ ClosingDirect ─▶ ClosingServer ─▶ StoppingEndpoint ─▶ Closed
//! server: Running ─▶ Refusing ─▶ Draining ─▶ FlushingStorage ─▶ StoppingEndpoint ─▶ Closed
//! ```
//!
//! Both are one [`Sequence`] over different steps. Each session closes by its own plan; this one only says when it begins,
//! and hears when it is over.

use super::members::{Concerns, Members};
use super::{CloseReason, CloseReport, Route, Routes};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Instance;
use core::time::Duration;
use std::collections::VecDeque;

/// Deadlines of a node's end; their sum bounds it (R-SHUT-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeShutdownConfig {
    /// Longest time for all sessions together; what is left then is aborted. 10 s: above the 8.25 s of one session.
    pub sessions: Duration,
    /// Longest wait for what was aborted. 2 s: twice the time for one frame.
    pub aborted: Duration,
    /// Longest wait for the storage. 5 s: a disk that wakes up.
    pub storage: Duration,
    /// Longest wait for sockets and timers. 1 s.
    pub endpoint: Duration,
}

impl Default for NodeShutdownConfig {
    fn default() -> Self {
        Self {
            sessions: Duration::from_secs(10),
            aborted: Duration::from_secs(2),
            storage: Duration::from_secs(5),
            endpoint: Duration::from_secs(1),
        }
    }
}

/// Stages of a node's end; each kind of node passes through its own, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeStage {
    /// Open.
    Running,
    /// Nothing new is taken in; left at once.
    Refusing,
    /// A client's sessions with peers that have no way but through its server.
    ClosingRelayed,
    /// A client's other sessions with peers.
    ClosingDirect,
    /// A client's session with its server.
    ClosingServer,
    /// A server's sessions, all at once.
    Draining,
    /// What the storage still holds in memory.
    FlushingStorage,
    /// Sockets and timers.
    StoppingEndpoint,
    /// Over.
    Closed,
}

/// Whom a session is with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Member {
    /// A server's session with a client.
    Client,
    /// A client's session with its server.
    Server,
    /// A client's session with a peer, and the ways to it.
    Peer(Routes),
}

/// An input.
#[derive(Clone, Debug)]
pub enum NodeInput {
    /// A session is there. One that comes after the end began is closed at once.
    Opened(Instance, Member),
    /// A way to a peer was proven or lost.
    Rerouted(Instance, Routes),
    /// A session is over.
    Ended(CloseReport),
    /// The server of a client is going away: relayed sessions close while it still carries them (R-SHUT-2).
    ServerGoingAway,
    /// The node is to end. The first reason stays.
    Close(CloseReason),
    /// The storage holds nothing in memory any more.
    StorageFlushed,
    /// The storage could not write what it was given.
    StorageFailed,
    /// Sockets and timers are gone.
    EndpointStopped,
    /// The time of `poll_timeout` has come. Early or spurious ones do nothing.
    Timeout,
}

/// An output, in the order in which it must be acted on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeOutput {
    /// Accept no connection, begin no session, open no peer, channel or transfer any more.
    Refuse,
    /// Close this session with this reason. Those of one step go on side by side.
    Close(Instance, CloseReason),
    /// Its time is over.
    Abort(Instance),
    /// Have the storage write what it holds.
    FlushStorage,
    /// Close sockets, stop timers.
    StopEndpoint,
    /// The end. Last output.
    Closed(NodeSummary),
}

/// How a node ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NodeSummary {
    /// Why.
    pub reason: CloseReason,
    /// The sessions that were open when the end began, in the order in which they ended.
    pub sessions: Vec<CloseReport>,
    /// Those of them that said nothing even after they were aborted.
    pub unfinished: Vec<Instance>,
    /// Whether the storage has all that it was given; true where there is none.
    pub is_stored: bool,
}

impl NodeSummary {
    /// Whether every session ended clean and everything is stored.
    pub fn is_clean(&self) -> bool {
        self.is_stored && self.unfinished.is_empty() && self.sessions.iter().all(|session| session.clean)
    }
}

/// The plan of a client node.
#[derive(Debug)]
pub struct ClientNodePlan(Sequence);

/// The plan of a server node.
#[derive(Debug)]
pub struct ServerNodePlan(Sequence);

macro_rules! plan {
    ($name:ident, $stages:expr) => {
        impl $name {
            /// A node that is open.
            pub fn new(config: NodeShutdownConfig) -> Self {
                const STAGES: &[NodeStage] = &$stages;
                Self(Sequence::new(config, STAGES))
            }

            /// Takes an input; outputs are to be drained before the next one.
            pub fn handle(&mut self, now: Timestamp, input: NodeInput) {
                self.0.handle(now, input);
            }

            /// The next thing to do, in order.
            pub fn poll_output(&mut self) -> Option<NodeOutput> {
                self.0.outputs.pop_front()
            }

            /// When to come back with [`NodeInput::Timeout`], and the stage whose deadline it is.
            pub fn poll_timeout(&self) -> Option<(Timestamp, NodeStage)> {
                self.0.poll_timeout()
            }

            /// Where the node stands.
            pub const fn stage(&self) -> NodeStage {
                self.0.stage()
            }
        }
    };
}

plan!(
    ClientNodePlan,
    [
        NodeStage::Refusing,
        NodeStage::ClosingRelayed,
        NodeStage::ClosingDirect,
        NodeStage::ClosingServer,
        NodeStage::StoppingEndpoint,
        NodeStage::Closed,
    ]
);
plan!(
    ServerNodePlan,
    [
        NodeStage::Refusing,
        NodeStage::Draining,
        NodeStage::FlushingStorage,
        NodeStage::StoppingEndpoint,
        NodeStage::Closed,
    ]
);

impl ClientNodePlan {
    /// The way to use to a peer; `None` if there is none, for whatever reason, at any time (R-SHUT-1).
    pub fn get_preferred_stream(&self, peer: Instance) -> Option<Route> {
        self.0.members.routes(peer)?.get_preferred_stream()
    }

    /// Whether a session lives that only the session with the server carries: that one stays in `Flushing` until then
    /// (R-SHUT-2).
    pub fn needs_server(&self) -> bool {
        self.0.members.any(Concerns::Relayed)
    }
}

/// Steps one after the other. Each is left by a fact, or by its deadline.
#[derive(Debug)]
struct Sequence {
    config: NodeShutdownConfig,
    stages: &'static [NodeStage],
    phase: Phase,
    members: Members,
    outputs: VecDeque<NodeOutput>,
}

#[derive(Debug)]
enum Phase {
    Running,
    Ending(Ending),
}

#[derive(Debug)]
struct Ending {
    stage: NodeStage,
    report: NodeSummary,
    deadline: Deadline,
}

/// What comes when the time of a stage is over.
#[derive(Clone, Copy, Debug)]
enum Deadline {
    /// Every session that is left is aborted.
    Abort(Timestamp),
    /// Nobody waits for the aborted ones any more.
    Forget(Timestamp),
    /// The next stage.
    Next(Timestamp),
}

impl Deadline {
    const fn at(self) -> Timestamp {
        match self {
            Self::Abort(at) | Self::Forget(at) | Self::Next(at) => at,
        }
    }
}

impl Sequence {
    const fn new(config: NodeShutdownConfig, stages: &'static [NodeStage]) -> Self {
        Self { config, stages, phase: Phase::Running, members: Members::new(), outputs: VecDeque::new() }
    }

    const fn stage(&self) -> NodeStage {
        match &self.phase {
            Phase::Running => NodeStage::Running,
            Phase::Ending(ending) => ending.stage,
        }
    }

    fn poll_timeout(&self) -> Option<(Timestamp, NodeStage)> {
        match &self.phase {
            Phase::Ending(ending) if ending.stage < NodeStage::Closed => {
                Some((ending.deadline.at(), ending.stage))
            }
            _ => None,
        }
    }

    fn handle(&mut self, now: Timestamp, input: NodeInput) {
        match input {
            NodeInput::Opened(instance, member) => self.on_opened(instance, member),
            NodeInput::Rerouted(instance, routes) => self.members.reroute(instance, routes),
            NodeInput::Ended(report) => {
                if self.members.remove(report.instance)
                    && let Phase::Ending(ending) = &mut self.phase
                {
                    ending.report.sessions.push(report);
                }
            }
            NodeInput::ServerGoingAway => {
                let relayed = self.members.begin(Concerns::Relayed);
                let close = |instance| NodeOutput::Close(instance, CloseReason::GoingAway);
                self.outputs.extend(relayed.into_iter().map(close));
            }
            NodeInput::Close(reason) => self.on_close(now, reason),
            NodeInput::StorageFlushed => self.on_done(now, NodeStage::FlushingStorage),
            NodeInput::StorageFailed => self.on_storage_failed(now),
            NodeInput::EndpointStopped => self.on_done(now, NodeStage::StoppingEndpoint),
            NodeInput::Timeout => self.on_timeout(now),
        }
        while self.is_left() {
            self.enter_next(now);
        }
    }

    fn on_opened(&mut self, instance: Instance, member: Member) {
        match &self.phase {
            Phase::Running => self.members.insert(instance, member),
            Phase::Ending(ending) if ending.stage < NodeStage::FlushingStorage => {
                self.members.insert(instance, member);
                self.members.begin(Concerns::One(instance));
                self.outputs.push_back(NodeOutput::Close(instance, ending.report.reason.clone()));
            }
            Phase::Ending(ending) if ending.stage < NodeStage::Closed => {
                self.outputs.push_back(NodeOutput::Abort(instance));
            }
            Phase::Ending(_) => {}
        }
    }

    fn on_close(&mut self, now: Timestamp, reason: CloseReason) {
        if let Phase::Running = self.phase {
            let report =
                NodeSummary { reason, sessions: Vec::new(), unfinished: Vec::new(), is_stored: true };
            let deadline = Deadline::Abort(now + self.config.sessions);
            self.phase = Phase::Ending(Ending { stage: NodeStage::Refusing, report, deadline });
            self.outputs.push_back(NodeOutput::Refuse);
        }
    }

    /// The storage, or the endpoint, is done.
    fn on_done(&mut self, now: Timestamp, stage: NodeStage) {
        if self.stage() == stage {
            self.enter_next(now);
        }
    }

    fn on_storage_failed(&mut self, now: Timestamp) {
        if let Phase::Ending(ending) = &mut self.phase
            && ending.stage == NodeStage::FlushingStorage
        {
            ending.report.is_stored = false;
            self.enter_next(now);
        }
    }

    fn on_timeout(&mut self, now: Timestamp) {
        let Phase::Ending(ending) = &mut self.phase else { return };
        if ending.stage == NodeStage::Closed || now < ending.deadline.at() {
            return;
        }
        match ending.deadline {
            Deadline::Abort(_) => {
                self.outputs.extend(self.members.all().map(NodeOutput::Abort));
                ending.deadline = Deadline::Forget(now + self.config.aborted);
            }
            Deadline::Forget(_) => ending.report.unfinished.extend(self.members.clear()),
            Deadline::Next(_) => {
                ending.report.is_stored &= ending.stage != NodeStage::FlushingStorage;
                self.enter_next(now);
            }
        }
    }

    /// Whether the stage at hand is over by what the sessions did. Storage and endpoint say it themselves.
    fn is_left(&self) -> bool {
        let Phase::Ending(ending) = &self.phase else { return false };
        match ending.stage {
            NodeStage::Refusing => true,
            stage => Concerns::of(stage).is_some_and(|concerns| !self.members.any(concerns)),
        }
    }

    fn enter_next(&mut self, now: Timestamp) {
        let Phase::Ending(ending) = &mut self.phase else { return };
        let next = self.stages.iter().copied().find(|stage| *stage > ending.stage);
        ending.stage = next.unwrap_or(NodeStage::Closed);
        match ending.stage {
            NodeStage::FlushingStorage => {
                ending.deadline = Deadline::Next(now + self.config.storage);
                self.outputs.push_back(NodeOutput::FlushStorage);
            }
            NodeStage::StoppingEndpoint => {
                ending.deadline = Deadline::Next(now + self.config.endpoint);
                self.outputs.push_back(NodeOutput::StopEndpoint);
            }
            NodeStage::Closed => self.outputs.push_back(NodeOutput::Closed(ending.report.clone())),
            stage => {
                let begun = Concerns::of(stage).map(|concerns| self.members.begin(concerns));
                let close = |instance| NodeOutput::Close(instance, ending.report.reason.clone());
                self.outputs.extend(begun.into_iter().flatten().map(close));
            }
        }
    }
}
