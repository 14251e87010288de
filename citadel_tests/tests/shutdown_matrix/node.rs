//! A client node's end over real sessions: the order of their ends, and routes that are asked for at every step
//! (SCENARIOS 16, 19b; FIX-0003).

use super::ZERO;
use citadel_crypt::SecrecyMode;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Instance;
use citadel_crypt::ratchets::PathId;
use citadel_proto::session::SessionConfig;
use citadel_proto::shutdown::{
    ClientNodePlan, Member, NodeInput, NodeOutput, NodeShutdownConfig, NodeStage, NodeSummary, Route, Routes,
};
use citadel_proto::{CloseReason, PathLoss};
use citadel_tests::session_world::{Side, World};
use rstest::rstest;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(10);

/// A client with a server, a relayed peer and a direct one, all with messages in flight.
struct Node {
    plan: ClientNodePlan,
    now: Timestamp,
    sessions: Vec<World>,
    is_told: Vec<bool>,
    report: Option<NodeSummary>,
}

const SERVER: usize = 0;
const RELAYED: usize = 1;
const DIRECT: usize = 2;

impl Node {
    fn new() -> Self {
        let config = SessionConfig { resume: Duration::from_secs(60), ..SessionConfig::default() };
        let sessions: Vec<_> =
            (1..=3).map(|seed| World::new(seed, SecrecyMode::BestEffort, &config)).collect();
        let mut node = Self {
            plan: ClientNodePlan::new(NodeShutdownConfig::default()),
            now: Timestamp::ZERO,
            is_told: vec![false; sessions.len()],
            sessions,
            report: None,
        };
        let relayed = Member::Peer(Routes::of(Route::Relayed(PathId(1))));
        let direct = Member::Peer(Routes::of(Route::Direct(PathId(2))));
        for (at, member) in [Member::Server, relayed, direct].into_iter().enumerate() {
            let instance = node.instance(at);
            node.give(NodeInput::Opened(instance, member));
            for side in [Side::A, Side::B] {
                (0..50).for_each(|_| node.sessions[at].send(side, ZERO, vec![7; 3_000]));
            }
        }
        node
    }

    fn instance(&self, at: usize) -> Instance {
        self.sessions[at].a.machine.instance()
    }

    fn give(&mut self, input: NodeInput) {
        self.plan.handle(self.now, input);
        while let Some(output) = self.plan.poll_output() {
            assert!(self.report.is_none(), "an output after Closed");
            match output {
                NodeOutput::Refuse | NodeOutput::FlushStorage => {}
                NodeOutput::Close(instance, reason) => self.close(instance, reason),
                NodeOutput::Abort(instance) => self.close(instance, CloseReason::Aborted),
                NodeOutput::StopEndpoint => self.plan.handle(self.now, NodeInput::EndpointStopped),
                NodeOutput::Closed(report) => self.report = Some(report),
            }
        }
    }

    fn close(&mut self, instance: Instance, reason: CloseReason) {
        let session = self.sessions.iter_mut().find(|session| session.a.machine.instance() == instance);
        session.expect("only sessions of this node").close(Side::A, reason);
    }

    /// One moment: sessions go on, ends are told, every route is asked for.
    fn tick(&mut self) {
        self.now = self.now + TICK;
        for at in 0..self.sessions.len() {
            self.sessions[at].pass(TICK);
            let ended = self.sessions[at].a.closed.clone();
            if let Some(report) = ended.filter(|_| !self.is_told[at]) {
                self.is_told[at] = true;
                self.give(NodeInput::Ended(report));
            }
        }
        if self.plan.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.give(NodeInput::Timeout);
        }
        for at in [SERVER, RELAYED, DIRECT] {
            let route = self.plan.get_preferred_stream(self.instance(at));
            let expected = match at {
                _ if self.is_told[at] => None,
                RELAYED if !self.is_told[SERVER] => Some(Route::Relayed(PathId(1))),
                DIRECT => Some(Route::Direct(PathId(2))),
                _ => None,
            };
            assert_eq!(route, expected, "session {at} at {:?}", self.plan.stage());
        }
    }

    fn finish(mut self) -> NodeSummary {
        for _ in 0..2_000 {
            if self.report.is_some() {
                break;
            }
            self.tick();
        }
        let order: Vec<_> = self.sessions.iter().map(|session| session.a.machine.instance()).collect();
        assert_eq!(self.plan.stage(), NodeStage::Closed);
        assert!(order.iter().all(|instance| self.plan.get_preferred_stream(*instance).is_none()));
        for session in self.sessions {
            session.finish_after(Duration::from_secs(80));
        }
        self.report.expect("closed")
    }
}

fn order(report: &NodeSummary) -> Vec<Instance> {
    report.sessions.iter().map(|session| session.instance).collect()
}

#[test]
fn a_node_closes_its_relayed_peers_before_its_server_and_everything_arrives() {
    let mut node = Node::new();
    let expected = [RELAYED, DIRECT, SERVER].map(|at| node.instance(at));
    node.give(NodeInput::Close(CloseReason::GoingAway));
    let report = node.finish();
    assert_eq!(order(&report), expected);
    assert!(report.is_clean(), "{report:?}");
}

#[test]
fn a_server_that_goes_away_carries_the_relayed_peers_until_they_are_closed() {
    let mut node = Node::new();
    node.give(NodeInput::ServerGoingAway);
    while node.plan.needs_server() {
        node.tick();
    }
    assert_eq!(node.is_told, [false, true, false], "only what the server alone carries");
    node.give(NodeInput::Close(CloseReason::GoingAway));
    let report = node.finish();
    assert!(report.is_clean());
    assert_eq!(report.sessions.len(), 2);
}

#[rstest]
fn no_route_is_an_answer_when_the_server_is_gone_in_the_middle_of_the_teardown(
    #[values(0, 1, 2, 3, 5, 20, 60)] ticks: usize,
) {
    let mut node = Node::new();
    for session in &mut node.sessions {
        session.stalled = Some(Side::B);
    }
    node.give(NodeInput::Close(CloseReason::GoingAway));
    (0..ticks).for_each(|_| node.tick());
    node.sessions[SERVER].abandon(Side::A, PathLoss::Io);
    node.sessions[SERVER].abandon(Side::B, PathLoss::Io);
    node.tick();
    assert!(node.is_told[SERVER] && !node.is_told[RELAYED]);
    let relayed = node.instance(RELAYED);
    assert_eq!(node.plan.get_preferred_stream(relayed), None);
    let report = node.finish();
    assert_eq!(report.sessions.len() + report.unfinished.len(), 3);
    assert!(!report.is_clean());
}
