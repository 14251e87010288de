//! The plans against the tables of SHUTDOWN.md, written here again: every reason, every stage, every way out; then nodes.

#![expect(clippy::panic, reason = "a harness of tests fails by panicking")]

#[path = "shutdown_plan/nodes.rs"]
mod nodes;

use citadel_crypt::Timestamp;
use citadel_proto::shutdown::{Facts, Input, Output, SessionPlan, ShutdownConfig, Stage, Summary};
use citadel_proto::{CloseReason, Fault, PathLoss};
use rstest::rstest;
use std::time::Duration;

const CONFIG: ShutdownConfig = ShutdownConfig {
    flush: Duration::from_secs(5),
    halt: Duration::from_secs(2),
    announce: Duration::from_secs(1),
    await_peer: Duration::from_millis(250),
};
const NONE: Facts = Facts {
    items_acknowledged: false,
    peer_finished: false,
    rekey_stopped: false,
    close_written: false,
    detached: false,
    round_trip: Duration::ZERO,
};
const FLUSHED: Facts = Facts { items_acknowledged: true, peer_finished: true, ..NONE };
const HALTED: Facts = Facts { rekey_stopped: true, ..FLUSHED };
const WRITTEN: Facts = Facts { close_written: true, ..HALTED };

/// A plan, the time, and what came out so far.
struct Run {
    plan: SessionPlan,
    now: Timestamp,
    outputs: Vec<Output>,
}

impl Run {
    fn new() -> Self {
        Self { plan: SessionPlan::new(CONFIG), now: Timestamp::ZERO, outputs: Vec::new() }
    }

    fn give(&mut self, input: Input) -> Stage {
        self.plan.handle(self.now, input);
        while let Some(output) = self.plan.poll_output() {
            self.outputs.push(output);
        }
        self.plan.stage()
    }

    /// Lets the deadline at hand pass; says which stage it was of and how long it took.
    fn time_out(&mut self) -> (Stage, Duration) {
        let (at, stage) = self.plan.poll_timeout().expect("every stage that waits has a deadline");
        let waited = at.since(self.now);
        let just_before = Timestamp::from_nanos(at.as_nanos() - 1);
        self.plan.handle(just_before, Input::Timeout);
        assert_eq!(self.plan.stage(), stage, "left before its deadline");
        self.now = at;
        self.give(Input::Timeout);
        (stage, waited)
    }

    /// Ends the run: `Closed` exactly once, last, nothing armed, nothing after it.
    fn summary(mut self) -> (Vec<Output>, Summary) {
        assert_eq!(self.plan.stage(), Stage::Releasing);
        assert_eq!(self.give(Input::Released), Stage::Closed);
        assert_eq!(self.plan.poll_timeout(), None);
        let outputs = self.outputs.clone();
        for late in [
            Input::Close(CloseReason::Aborted),
            Input::PeerClosing(CloseReason::GoingAway),
            Input::PeerClosed(CloseReason::Aborted),
            Input::PathLost(PathLoss::Ended),
            Input::Facts(WRITTEN),
            Input::Released,
            Input::Timeout,
        ] {
            assert_eq!(self.give(late), Stage::Closed);
        }
        assert_eq!(self.outputs, outputs, "an output after Closed");
        match self.outputs.split_last() {
            Some((Output::Closed(summary), before)) => {
                assert!(!before.iter().any(|output| matches!(output, Output::Closed(_))));
                (before.to_vec(), summary.clone())
            }
            other => panic!("the last output is not Closed: {other:?}"),
        }
    }
}

/// The second table: reason, then Flushing, HaltingRekey, Announcing, AwaitingPeer.
fn table() -> Vec<(CloseReason, [bool; 4])> {
    let fatal = [Fault::FlowControl, Fault::KeyMismatch, Fault::ChannelLimit].map(CloseReason::Fatal);
    let mut rows = vec![
        (CloseReason::application(7, "bye"), [true, true, true, true]),
        (CloseReason::PeerClosing, [true, true, true, true]),
        (CloseReason::GoingAway, [true, true, true, true]),
        (CloseReason::Idle, [true, true, true, true]),
        (CloseReason::Aborted, [false, false, true, false]),
        (CloseReason::HandlerPanicked, [false, false, true, false]),
        (CloseReason::PathLost(PathLoss::Silent), [false, false, false, false]),
        (CloseReason::Superseded, [false, false, true, false]),
        (CloseReason::Revoked, [false, false, true, false]),
    ];
    rows.extend(fatal.map(|reason| (reason, [false, false, true, false])));
    rows
}

/// How a waiting stage ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exit {
    Fact,
    Deadline,
}

fn leave(run: &mut Run, stage: Stage, exit: Exit) {
    assert_eq!(run.plan.stage(), stage);
    if exit == Exit::Deadline {
        let limit = match stage {
            Stage::Flushing => CONFIG.flush,
            Stage::HaltingRekey => CONFIG.halt,
            Stage::Announcing => CONFIG.announce,
            _ => CONFIG.await_peer,
        };
        assert_eq!(run.time_out(), (stage, limit));
        return;
    }
    run.give(match stage {
        Stage::Flushing => Input::Facts(FLUSHED),
        Stage::HaltingRekey => Input::Facts(HALTED),
        Stage::Announcing => Input::Facts(WRITTEN),
        _ => Input::PeerClosed(CloseReason::PeerClosing),
    });
}

#[rstest]
#[case::every_stage_left_by_its_fact(Exit::Fact)]
#[case::every_stage_left_by_its_deadline(Exit::Deadline)]
fn every_reason_passes_through_exactly_its_stages(#[case] exit: Exit) {
    const STAGES: [Stage; 4] = [Stage::Flushing, Stage::HaltingRekey, Stage::Announcing, Stage::AwaitingPeer];
    for (reason, row) in table() {
        let mut run = Run::new();
        run.give(match &reason {
            CloseReason::PathLost(loss) => Input::PathLost(*loss),
            CloseReason::PeerClosing => Input::PeerClosing(CloseReason::GoingAway),
            other => Input::Close(other.clone()),
        });
        let visited: Vec<Stage> =
            STAGES.into_iter().zip(row).filter(|(_, yes)| *yes).map(|(stage, _)| stage).collect();
        for stage in &visited {
            leave(&mut run, *stage, exit);
        }
        let (outputs, summary) = run.summary();

        let mut expected = vec![Output::Tell(reason.clone())];
        expected.extend(row[0].then(|| Output::SendClosing(reason.clone())));
        expected.extend(row[0].then_some(Output::Flush));
        expected.extend(row[1].then_some(Output::HaltRekey));
        expected.extend(row[2].then(|| Output::SendClose(reason.clone())));
        expected.push(Output::Release);
        assert_eq!(outputs, expected, "{reason}");
        assert_eq!(summary.local, reason);
        assert_eq!(summary.clean, exit == Exit::Fact && row[0], "{reason}: {summary:?}");
    }
}

#[test]
fn nothing_happens_while_running() {
    let mut run = Run::new();
    for input in [Input::Timeout, Input::Facts(WRITTEN), Input::Released] {
        assert_eq!(run.give(input), Stage::Running);
    }
    assert!(run.outputs.is_empty());
    assert_eq!(run.plan.poll_timeout(), None);
    assert_eq!(run.plan.reason(), None);
}

#[test]
fn both_ends_closing_at_once_keep_their_own_reasons() {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::application(1, "mine")));
    run.give(Input::PeerClosing(CloseReason::application(2, "theirs")));
    run.give(Input::Facts(WRITTEN));
    assert_eq!(run.plan.stage(), Stage::AwaitingPeer);
    run.give(Input::PeerClosed(CloseReason::application(2, "theirs")));
    let (_, summary) = run.summary();
    assert_eq!(summary.local, CloseReason::application(1, "mine"));
    assert_eq!(summary.peer, Some(CloseReason::application(2, "theirs")));
    assert!(summary.clean);
}

#[test]
fn a_close_without_closing_is_answered_by_one_close_and_nothing_else() {
    let mut run = Run::new();
    assert_eq!(run.give(Input::PeerClosed(CloseReason::Aborted)), Stage::Announcing);
    run.give(Input::PeerClosed(CloseReason::GoingAway));
    run.give(Input::Facts(WRITTEN));
    let (outputs, summary) = run.summary();
    let tell = Output::Tell(CloseReason::PeerClosing);
    let close = Output::SendClose(CloseReason::PeerClosing);
    assert_eq!(outputs, [tell, close, Output::Release]);
    assert_eq!(summary.peer, Some(CloseReason::Aborted), "the first Close counts");
    assert!(!summary.clean, "an abort of the peer is no clean end");
}

#[rstest]
#[case(Stage::Flushing, NONE)]
#[case(Stage::HaltingRekey, FLUSHED)]
fn the_peers_close_ends_every_wait_for_it(#[case] stage: Stage, #[case] facts: Facts) {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::GoingAway));
    assert_eq!(run.give(Input::Facts(facts)), stage);
    assert_eq!(run.give(Input::PeerClosed(CloseReason::PeerClosing)), Stage::Announcing);
    run.give(Input::Facts(Facts { close_written: true, ..facts }));
    let (_, summary) = run.summary();
    assert_eq!(summary.clean, facts.items_acknowledged);
}

#[rstest]
#[case(Stage::Flushing, NONE)]
#[case(Stage::HaltingRekey, FLUSHED)]
#[case(Stage::Announcing, HALTED)]
#[case(Stage::AwaitingPeer, WRITTEN)]
fn a_path_lost_while_closing_keeps_the_reason_and_is_not_clean(#[case] stage: Stage, #[case] facts: Facts) {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::application(3, "")));
    assert_eq!(run.give(Input::Facts(facts)), stage);
    assert_eq!(run.give(Input::PathLost(PathLoss::Io)), Stage::Releasing);
    let (_, summary) = run.summary();
    assert_eq!(summary.local, CloseReason::application(3, ""));
    assert!(!summary.clean);
}

#[rstest]
#[case(Stage::Flushing, NONE, CloseReason::Aborted)]
#[case(Stage::HaltingRekey, FLUSHED, CloseReason::Fatal(Fault::MalformedFrame))]
#[case(Stage::Flushing, NONE, CloseReason::Revoked)]
fn an_abrupt_reason_cuts_an_orderly_close_short_without_replacing_its_reason(
    #[case] stage: Stage,
    #[case] facts: Facts,
    #[case] abrupt: CloseReason,
) {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::GoingAway));
    assert_eq!(run.give(Input::Facts(facts)), stage);
    assert_eq!(run.give(Input::Close(abrupt.clone())), Stage::Announcing);
    assert_eq!(
        run.outputs.last(),
        Some(&Output::SendClose(abrupt.clone())),
        "the peer learns the graver one"
    );
    run.give(Input::Facts(Facts { close_written: true, ..facts }));
    let (_, summary) = run.summary();
    assert_eq!(summary.local, CloseReason::GoingAway);
    assert_eq!(summary.cut_short, Some(abrupt));
    assert!(!summary.clean);
}

#[test]
fn a_later_orderly_reason_changes_nothing() {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::GoingAway));
    let before = run.outputs.clone();
    run.give(Input::Close(CloseReason::application(9, "again")));
    run.give(Input::PeerClosing(CloseReason::Idle));
    assert_eq!(run.outputs, before);
    assert_eq!(run.plan.reason(), Some(&CloseReason::GoingAway));
}

#[test]
fn the_wait_for_the_peer_is_three_round_trips_but_not_less_than_the_floor() {
    for (round_trip, limit) in [(20, 250), (83, 250), (100, 300), (1_000, 3_000)]
        .map(|(r, l)| (Duration::from_millis(r), Duration::from_millis(l)))
    {
        let mut run = Run::new();
        run.give(Input::Close(CloseReason::GoingAway));
        run.give(Input::Facts(Facts { round_trip, ..WRITTEN }));
        assert_eq!(run.time_out(), (Stage::AwaitingPeer, limit));
    }
}

#[test]
fn the_sum_of_the_deadlines_bounds_the_close() {
    let mut run = Run::new();
    run.give(Input::Close(CloseReason::GoingAway));
    let mut sum = Duration::ZERO;
    while run.plan.stage() < Stage::Releasing {
        sum += run.time_out().1;
    }
    assert_eq!(sum, Duration::from_millis(5_000 + 2_000 + 1_000 + 250));
    assert!(!run.summary().1.clean);
}

#[test]
fn stages_only_go_forward_whatever_comes_in_whatever_order() {
    let inputs = [
        Input::Close(CloseReason::GoingAway),
        Input::Close(CloseReason::Aborted),
        Input::PeerClosing(CloseReason::Idle),
        Input::PeerClosed(CloseReason::Idle),
        Input::PathLost(PathLoss::Ended),
        Input::Facts(FLUSHED),
        Input::Facts(HALTED),
        Input::Facts(WRITTEN),
        Input::Facts(NONE),
        Input::Released,
        Input::Timeout,
    ];
    let count = inputs.len();
    for word in 0..count.pow(5) {
        let mut run = Run::new();
        let mut stage = Stage::Running;
        let mut rest = word;
        for _ in 0..5 {
            run.now = run.now + Duration::from_millis(900);
            let next = run.give(inputs[rest % count].clone());
            assert!(next >= stage, "went back from {stage:?} to {next:?}");
            stage = next;
            rest /= count;
        }
        let closed = run.outputs.iter().filter(|output| matches!(output, Output::Closed(_))).count();
        assert_eq!(closed, usize::from(stage == Stage::Closed));
        let closes = run.outputs.iter().filter(|output| matches!(output, Output::SendClose(_))).count();
        assert!(closes <= 1, "more than one Close");
    }
}
