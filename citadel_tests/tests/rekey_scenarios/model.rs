//! Lists of operations against a naive model: what the callers were promised, and nothing about how it is done.

use super::{A, B, ms};
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::{Side, Verdict};
use citadel_tests::rekey_world::{CallError, CallId, Link, Setup, World};
use core::time::Duration;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

#[derive(Clone, Copy, Debug)]
enum Op {
    Call(Side),
    Withdraw(Side),
    Send(Side, u64),
    Run(u64),
    LoseAll,
    ReplacePath,
    Suspend(Side),
    Resume(Side),
    Jump(Side, u64),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(A), Just(B)]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => side().prop_map(Op::Call),
        2 => side().prop_map(Op::Withdraw),
        3 => (side(), 1..4_u64).prop_map(|(s, n)| Op::Send(s, n)),
        8 => (0..12_u64).prop_map(Op::Run),
        1 => (12..3000_u64).prop_map(Op::Run),
        1 => Just(Op::LoseAll),
        1 => Just(Op::ReplacePath),
        1 => side().prop_map(Op::Suspend),
        1 => side().prop_map(Op::Resume),
        1 => (side(), 1..100_000_u64).prop_map(|(s, n)| Op::Jump(s, n)),
    ]
}

/// What is known without knowing the protocol.
#[derive(Default)]
struct Model {
    /// Calls that nobody withdrew: each is served.
    waiting: Vec<(Side, CallId)>,
    withdrawn: Vec<(Side, CallId)>,
    calls: u64,
    is_lossless: bool,
}

impl Model {
    fn apply(&mut self, world: &mut World, op: Op) {
        match op {
            Op::Call(side) => {
                self.calls += 1;
                self.waiting.push((side, world.call(side)));
            }
            Op::Withdraw(side) => {
                let is_pending =
                    |w: &World, (s, c): (Side, CallId)| s == side && w.end(s).result(c).is_none();
                let pending: Vec<_> =
                    self.waiting.iter().copied().filter(|c| is_pending(world, *c)).collect();
                if world.withdraw(side) == Verdict::Done {
                    self.waiting.retain(|c| !pending.contains(c));
                    self.withdrawn.extend(pending);
                }
            }
            Op::Send(side, items) => world.send(side, items),
            Op::Run(millis) => world.run(ms(millis)),
            Op::LoseAll => {
                world.network.in_flight_mut().clear();
                self.is_lossless = false;
            }
            Op::ReplacePath => {
                world.replace_path(false);
                self.is_lossless = false;
            }
            Op::Suspend(side) => world.suspend(side),
            Op::Resume(side) => world.resume(side),
            Op::Jump(side, seconds) => world.jump(side, Duration::from_secs(seconds)),
        }
    }

    fn check(&self, world: &World) -> Result<(), TestCaseError> {
        for (side, call) in &self.waiting {
            let result = world.end(*side).result(*call);
            let from = world.end(*side).calls[call.0].from;
            prop_assert!(matches!(result, Some(Ok(o)) if o.version > from), "{:?} {:?}", side, result);
        }
        for (side, call) in &self.withdrawn {
            prop_assert_eq!(world.end(*side).result(*call), Some(Err(CallError::Withdrawn)));
        }
        let latest = world.end(A).machine().latest().0;
        prop_assert!(latest <= self.calls, "{} rounds for {} calls", latest, self.calls);
        prop_assert_eq!(self.calls == 0, world.end(A).events.is_empty() && world.end(B).events.is_empty());
        for side in [A, B] {
            let versions: Vec<u64> = world.end(side).history.iter().map(|o| o.version.0).collect();
            prop_assert_eq!(versions, (1..=latest).collect::<Vec<u64>>());
            let mut delivered = world.end(side).delivered.clone();
            let sent = world.end(side.peer()).sent_data();
            if self.is_lossless {
                prop_assert_eq!(&delivered, &(0..sent).collect::<Vec<u64>>());
            }
            let arrived = delivered.len();
            delivered.sort_unstable();
            delivered.dedup();
            prop_assert_eq!(delivered.len(), arrived, "an item came twice");
        }
        Ok(())
    }
}

fn run(setup: Setup, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut world = World::new(Setup { patience: Duration::from_secs(3000), ..setup });
    let mut model = Model { is_lossless: setup.link.ordered, ..Model::default() };
    for op in ops {
        model.apply(&mut world, *op);
    }
    world.resume(A);
    world.resume(B);
    world.settle();
    model.check(&world)?;
    world.finish();
    Ok(())
}

/// Deterministic: the same lists in every run; a failure prints its list, shrunk.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]))
}

#[test]
fn any_list_of_operations_on_a_reliable_path_keeps_what_the_callers_were_promised() {
    let lists = prop::collection::vec(op(), 0..40);
    runner(400).run(&lists, |ops| run(Setup::RELIABLE, &ops)).expect("the model agrees");
}

#[test]
fn any_list_of_operations_on_a_lossy_path_keeps_what_the_callers_were_promised() {
    let lists = (prop::collection::vec(op(), 0..40), 1..u64::MAX, 0..300_u32, 2..6_u8);
    let with_link = |(ops, seed, loss, window): (Vec<Op>, u64, u32, u8)| {
        let link = Link { loss, ..Link::LOSSY };
        let mode = if seed % 2 == 0 { SecrecyMode::BestEffort } else { SecrecyMode::Perfect };
        run(Setup { seed, link, window, mode, ..Setup::RELIABLE }, &ops)
    };
    runner(400).run(&lists, with_link).expect("the model agrees");
}
