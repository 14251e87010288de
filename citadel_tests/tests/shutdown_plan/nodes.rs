//! The plans of nodes: in which order sessions close, what follows them, and that every wait has an end (R-SHUT-1, -2, -5).

use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Instance;
use citadel_crypt::ratchets::PathId;
use citadel_proto::shutdown::{
    ClientNodePlan, Member, NodeInput, NodeOutput, NodeShutdownConfig, NodeStage, NodeSummary, Route, Routes,
    ServerNodePlan,
};
use citadel_proto::{CloseReason, CloseReport};
use citadel_tests::session_world::World;
use rstest::rstest;
use std::time::Duration;

const CONFIG: NodeShutdownConfig = NodeShutdownConfig {
    sessions: Duration::from_secs(10),
    aborted: Duration::from_secs(2),
    storage: Duration::from_secs(5),
    endpoint: Duration::from_secs(1),
};
const RELAYED: Route = Route::Relayed(PathId(7));
const DIRECT: Route = Route::Direct(PathId(8));

fn instance(number: u8) -> Instance {
    Instance([number; 16])
}

/// A clean report of an instance, as a real session gives it.
fn ended(number: u8) -> NodeInput {
    let mut world = World::simple(1);
    world.close(citadel_tests::session_world::Side::A, CloseReason::GoingAway);
    let (mut report, _): (CloseReport, _) = world.finish();
    report.instance = instance(number);
    NodeInput::Ended(report)
}

fn peer(routes: &[Route]) -> Member {
    let mut all = Routes::new();
    routes.iter().for_each(|route| all.add(*route));
    Member::Peer(all)
}

fn close(number: u8) -> NodeOutput {
    NodeOutput::Close(instance(number), CloseReason::GoingAway)
}

enum Plan {
    Client(ClientNodePlan),
    Server(ServerNodePlan),
}

/// A plan and the time.
struct Run {
    plan: Plan,
    now: Timestamp,
}

impl Run {
    /// A client of server 1 with peers 2 (relayed), 3 (direct), 4 (both) and 5 (relayed).
    fn client() -> Self {
        let mut run = Self { plan: Plan::Client(ClientNodePlan::new(CONFIG)), now: Timestamp::ZERO };
        let members = [
            (1, Member::Server),
            (2, peer(&[RELAYED])),
            (3, peer(&[DIRECT])),
            (4, peer(&[RELAYED, DIRECT])),
            (5, peer(&[RELAYED])),
        ];
        for (number, member) in members {
            assert_eq!(run.give(NodeInput::Opened(instance(number), member)), []);
        }
        run
    }

    /// A server of clients 1, 2 and 3.
    fn server() -> Self {
        let mut run = Self { plan: Plan::Server(ServerNodePlan::new(CONFIG)), now: Timestamp::ZERO };
        for number in 1..=3 {
            assert_eq!(run.give(NodeInput::Opened(instance(number), Member::Client)), []);
        }
        run
    }

    fn give(&mut self, input: NodeInput) -> Vec<NodeOutput> {
        let now = self.now;
        match &mut self.plan {
            Plan::Client(plan) => {
                plan.handle(now, input);
                std::iter::from_fn(|| plan.poll_output()).collect()
            }
            Plan::Server(plan) => {
                plan.handle(now, input);
                std::iter::from_fn(|| plan.poll_output()).collect()
            }
        }
    }

    fn timer(&self) -> Option<(Timestamp, NodeStage)> {
        match &self.plan {
            Plan::Client(plan) => plan.poll_timeout(),
            Plan::Server(plan) => plan.poll_timeout(),
        }
    }

    fn stage(&self) -> NodeStage {
        match &self.plan {
            Plan::Client(plan) => plan.stage(),
            Plan::Server(plan) => plan.stage(),
        }
    }

    fn route(&self, number: u8) -> Option<Route> {
        match &self.plan {
            Plan::Client(plan) => plan.get_preferred_stream(instance(number)),
            Plan::Server(_) => None,
        }
    }

    fn begin(&mut self) -> Vec<NodeOutput> {
        self.give(NodeInput::Close(CloseReason::GoingAway))
    }

    /// Lets the deadline at hand come; how long that took, and what follows.
    fn time_out(&mut self) -> (NodeStage, Duration, Vec<NodeOutput>) {
        let (at, stage) = self.timer().expect("every stage that waits has a deadline");
        let waited = at.since(self.now);
        self.now = Timestamp::from_nanos(at.as_nanos() - 1);
        assert_eq!(self.give(NodeInput::Timeout), [], "early");
        self.now = at;
        (stage, waited, self.give(NodeInput::Timeout))
    }

    /// The one report, and nothing after it.
    fn report(mut self, outputs: Vec<NodeOutput>) -> NodeSummary {
        assert_eq!((self.stage(), self.timer()), (NodeStage::Closed, None));
        for late in [
            NodeInput::Close(CloseReason::Aborted),
            NodeInput::Opened(instance(99), Member::Client),
            NodeInput::Timeout,
            NodeInput::StorageFlushed,
            NodeInput::StorageFailed,
            NodeInput::EndpointStopped,
            NodeInput::ServerGoingAway,
            ended(1),
        ] {
            assert_eq!(self.give(late), [], "an output after Closed");
        }
        match outputs.last() {
            Some(NodeOutput::Closed(report)) => report.clone(),
            other => panic!("the last output is {other:?}"),
        }
    }
}

#[test]
fn a_client_closes_relayed_peers_then_direct_ones_then_its_server_then_itself() {
    let mut run = Run::client();
    assert_eq!(run.begin(), [NodeOutput::Refuse, close(2), close(5)]);
    assert_eq!(run.stage(), NodeStage::ClosingRelayed);
    assert_eq!(run.give(ended(5)), []);
    assert_eq!(run.give(ended(2)), [close(3), close(4)]);
    assert_eq!(run.give(ended(3)), []);
    assert_eq!(run.give(ended(4)), [close(1)]);
    assert_eq!(run.stage(), NodeStage::ClosingServer);
    assert_eq!(run.give(ended(1)), [NodeOutput::StopEndpoint]);
    let outputs = run.give(NodeInput::EndpointStopped);
    let report = run.report(outputs);
    let order: Vec<_> = report.sessions.iter().map(|session| session.instance).collect();
    assert_eq!(order, [5, 2, 3, 4, 1].map(instance));
    assert!(report.is_clean());
}

#[test]
fn a_server_drains_its_sessions_side_by_side_then_stores_then_stops() {
    let mut run = Run::server();
    assert_eq!(run.begin(), [NodeOutput::Refuse, close(1), close(2), close(3)]);
    for number in [2, 3] {
        assert_eq!(run.give(ended(number)), []);
    }
    assert_eq!(run.give(NodeInput::EndpointStopped), [], "not yet asked for");
    assert_eq!(run.give(ended(1)), [NodeOutput::FlushStorage]);
    assert_eq!(run.give(NodeInput::StorageFlushed), [NodeOutput::StopEndpoint]);
    let outputs = run.give(NodeInput::EndpointStopped);
    assert!(run.report(outputs).is_clean());
}

#[test]
fn a_storage_that_fails_is_reported_and_holds_up_nothing() {
    let mut run = Run::server();
    assert_eq!(run.give(NodeInput::StorageFailed), [], "nobody has asked it");
    let _closing = run.begin();
    assert_eq!(run.give(NodeInput::StorageFailed), [], "not yet asked for");
    for number in [1, 2] {
        assert_eq!(run.give(ended(number)), []);
    }
    assert_eq!(run.give(ended(3)), [NodeOutput::FlushStorage]);
    assert_eq!(run.give(NodeInput::StorageFailed), [NodeOutput::StopEndpoint]);
    let outputs = run.give(NodeInput::EndpointStopped);
    let report = run.report(outputs);
    assert!(!report.is_stored && !report.is_clean());
}

#[rstest]
#[case::a_client(Run::client(), &[1, 2, 3, 4, 5], &[
    (NodeStage::ClosingRelayed, 10),
    (NodeStage::ClosingRelayed, 2),
    (NodeStage::StoppingEndpoint, 1),
])]
#[case::a_server(Run::server(), &[1, 2, 3], &[
    (NodeStage::Draining, 10),
    (NodeStage::Draining, 2),
    (NodeStage::FlushingStorage, 5),
    (NodeStage::StoppingEndpoint, 1),
])]
fn a_node_that_nothing_answers_is_over_by_its_deadlines(
    #[case] mut run: Run,
    #[case] all: &[u8],
    #[case] waits: &[(NodeStage, u64)],
) {
    run.begin();
    let mut last = Vec::new();
    for (stage, seconds) in waits {
        let (left, waited, outputs) = run.time_out();
        assert_eq!((left, waited), (*stage, Duration::from_secs(*seconds)));
        if *seconds == 10 {
            let aborts: Vec<_> = all.iter().map(|number| NodeOutput::Abort(instance(*number))).collect();
            assert_eq!(outputs, aborts);
        }
        last = outputs;
    }
    let has_storage = matches!(run.plan, Plan::Server(_));
    let report = run.report(last);
    assert_eq!(report.unfinished, all.iter().copied().map(instance).collect::<Vec<_>>());
    assert_eq!((report.is_stored, report.is_clean()), (!has_storage, false));
}

#[test]
fn an_aborted_session_that_ends_is_reported_and_its_order_kept() {
    let mut run = Run::client();
    run.begin();
    run.time_out();
    assert_eq!(run.give(ended(2)), []);
    assert_eq!(run.give(ended(1)), [close(3), close(4)], "the server's end takes every relay with it");
    for number in [3, 4] {
        assert_eq!(run.give(ended(number)), []);
    }
    let outputs = run.give(ended(5));
    assert_eq!(outputs, [NodeOutput::StopEndpoint]);
    let outputs = run.give(NodeInput::EndpointStopped);
    assert_eq!(run.report(outputs).sessions.len(), 5);
}

#[test]
fn a_server_that_goes_away_has_the_peers_closed_that_only_it_carries() {
    let mut run = Run::client();
    assert_eq!(run.give(NodeInput::ServerGoingAway), [close(2), close(5)]);
    assert_eq!(run.stage(), NodeStage::Running, "the node itself goes on");
    let needs = |run: &Run| matches!(&run.plan, Plan::Client(plan) if plan.needs_server());
    assert!(needs(&run));
    run.give(ended(2));
    assert!(needs(&run));
    run.give(ended(5));
    assert!(!needs(&run), "the others have a way of their own");
    assert_eq!(run.begin(), [NodeOutput::Refuse, close(3), close(4)], "nobody is asked twice");
}

/// SCENARIOS 16, FIX-0003: every lookup at every step has an answer, and nobody panics.
#[test]
fn a_route_is_looked_up_at_any_moment_of_the_teardown_and_the_answer_may_be_none() {
    let mut run = Run::client();
    assert_eq!([2, 3, 4].map(|n| run.route(n)), [Some(RELAYED), Some(DIRECT), Some(DIRECT)]);
    assert_eq!([1, 77].map(|n| run.route(n)), [None, None], "no peer");
    run.give(NodeInput::Rerouted(instance(4), Routes::of(RELAYED)));
    assert_eq!(run.route(4), Some(RELAYED), "the direct way died");
    run.begin();
    assert_eq!(run.route(2), Some(RELAYED), "closing sessions still have their way");
    run.give(ended(1));
    assert_eq!([2, 3, 4, 5].map(|n| run.route(n)), [None, Some(DIRECT), None, None]);
    run.give(NodeInput::Rerouted(instance(2), Routes::new()));
    for number in 2..=5 {
        run.give(ended(number));
        assert_eq!(run.route(number), None);
    }
    run.give(NodeInput::Rerouted(instance(2), Routes::of(DIRECT)));
    assert_eq!(run.route(2), None, "what is over does not come back");
    let outputs = run.give(NodeInput::EndpointStopped);
    run.report(outputs);
}

#[test]
fn a_route_is_removed_by_its_own_path_only() {
    let mut routes = Routes::of(Route::Direct(PathId(1)));
    routes.add(Route::Direct(PathId(2)));
    routes.remove(Route::Direct(PathId(1)));
    assert_eq!(routes.get_preferred_stream(), Some(Route::Direct(PathId(2))), "a late loss of the old one");
    routes.remove(Route::Direct(PathId(2)));
    assert_eq!(routes.get_preferred_stream(), None);
    routes.add(RELAYED);
    assert!(routes.is_relayed_only());
    routes.on_server_gone();
    assert_eq!(routes, Routes::new());
}

#[test]
fn a_session_that_comes_too_late_is_closed_at_once() {
    let mut run = Run::server();
    run.begin();
    assert_eq!(run.give(NodeInput::Opened(instance(9), Member::Client)), [close(9)]);
    for number in [1, 2, 3] {
        run.give(ended(number));
    }
    assert_eq!(run.stage(), NodeStage::Draining, "it is waited for as well");
    assert_eq!(run.give(ended(9)), [NodeOutput::FlushStorage]);
    let later = run.give(NodeInput::Opened(instance(10), Member::Client));
    assert_eq!(later, [NodeOutput::Abort(instance(10))]);
}

#[test]
fn an_empty_node_and_one_that_closes_twice_end_once() {
    let mut run = Run { plan: Plan::Client(ClientNodePlan::new(CONFIG)), now: Timestamp::ZERO };
    assert_eq!(run.begin(), [NodeOutput::Refuse, NodeOutput::StopEndpoint]);
    assert_eq!(run.give(NodeInput::Close(CloseReason::Aborted)), []);
    let outputs = run.give(NodeInput::EndpointStopped);
    let report = run.report(outputs);
    assert_eq!((report.reason.clone(), report.sessions.len()), (CloseReason::GoingAway, 0));
    assert!(report.is_clean());
}

#[test]
fn stages_of_nodes_only_go_forward_whatever_comes_in_whatever_order() {
    let inputs = |number: u8| {
        [
            NodeInput::Close(CloseReason::GoingAway),
            NodeInput::ServerGoingAway,
            NodeInput::Opened(instance(6), peer(&[RELAYED])),
            ended(1 + number % 5),
            NodeInput::Rerouted(instance(3), Routes::of(RELAYED)),
            NodeInput::StorageFlushed,
            NodeInput::EndpointStopped,
            NodeInput::Timeout,
        ]
    };
    let steps: Vec<_> = (0..5).map(inputs).collect();
    for word in 0..8_usize.pow(5) {
        for mut run in [Run::client(), Run::server()] {
            let (mut stage, mut rest, mut closed) = (NodeStage::Running, word, 0);
            for step in &steps {
                run.now = run.now + Duration::from_secs(4);
                let outputs = run.give(step[rest % 8].clone());
                closed += outputs.iter().filter(|output| matches!(output, NodeOutput::Closed(_))).count();
                assert!(run.stage() >= stage);
                stage = run.stage();
                assert_eq!(run.timer().is_none(), [NodeStage::Running, NodeStage::Closed].contains(&stage));
                rest /= 8;
            }
            assert_eq!(closed, usize::from(stage == NodeStage::Closed));
        }
    }
}
