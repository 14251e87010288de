//! Random schedules: every message that `send` accepted is delivered exactly once and in order, or its channel reports
//! it undelivered. A failure shrinks to a schedule that reads like one.

use citadel_proto::CloseReason;
use citadel_tests::world::{CutSeen, Op, Pace, Setup, Side, Step, run_script};
use core::time::Duration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

fn op() -> impl Strategy<Value = Op> {
    let channel = || 0..3_usize;
    let len = prop_oneof![0..100_usize, 0..20_000_usize, Just(150_000_usize)];
    prop_oneof![
        2 => Just(Op::Open),
        1 => Just(Op::OpenLane),
        12 => (channel(), len).prop_map(|(channel, len)| Op::Send(channel, len)),
        6 => channel().prop_map(Op::Recv),
        2 => (channel(), prop_oneof![Just(Pace::Stalled), Just(Pace::Eager), (1..50_u64).prop_map(Pace::Millis)])
            .prop_map(|(channel, pace)| Op::Read(channel, pace)),
        2 => channel().prop_map(Op::Finish),
        1 => (channel(), 1..100_u32).prop_map(|(channel, code)| Op::Reset(channel, code)),
        1 => channel().prop_map(Op::DropSender),
        1 => (channel(), 1..100_u32).prop_map(|(channel, code)| Op::DropReader(channel, code)),
        1 => channel().prop_map(Op::DropFuture),
        3 => Just(Op::Rekey),
        1 => prop_oneof![
            Just(CloseReason::GoingAway),
            Just(CloseReason::Aborted),
            Just(CloseReason::Superseded),
            Just(CloseReason::application(7, "done")),
        ].prop_map(Op::Close),
        1 => Just(Op::DropSession),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Server)];
    let seen = || prop::sample::select(&CutSeen::ALL[..]);
    prop_oneof![
        20 => (side.clone(), op()).prop_map(|(side, op)| Step::At(0, side, op)),
        10 => (0..40_u64).prop_map(|millis| Step::Pass(Duration::from_millis(millis))),
        1 => (1..40_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        3 => (seen(), 0..=1000_u64).prop_map(|(seen, keep)| Step::Cut(0, seen, keep)),
        1 => seen().prop_map(|seen| Step::Down(0, seen)),
        2 => Just(Step::Heal(0)),
        1 => Just(Step::Redial(0)),
        1 => side.clone().prop_map(|side| Step::Copy(0, side)),
        1 => side.clone().prop_map(|side| Step::Forge(0, side)),
        1 => Just(Step::RekeyBoth(0)),
        1 => Just(Step::Dial(0)),
    ]
}

/// The same lists in every run; a failure prints its list, shrunk.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]))
}

#[test]
fn any_schedule_delivers_once_and_in_order_or_says_what_it_did_not() {
    let schedules = (any::<u32>(), prop::collection::vec(step(), 1..60));
    let run = |(seed, steps): (u32, Vec<Step>)| {
        let start = [Step::Dial(0), Step::Pass(Duration::from_millis(60))];
        let steps: Vec<Step> = start.into_iter().chain(steps).collect();
        match run_script(Setup::simple(seed.into()), &steps) {
            Ok(_) => Ok(()),
            Err(failure) => Err(TestCaseError::fail(format!("{failure}"))),
        }
    };
    runner(400).run(&schedules, run).unwrap_or_else(|error| panic!("{error}"));
}
