//! The real rekey machine, explored exhaustively with stand-in key agreement.
//!
//! Which network makes each configuration both complete and finite:
//!
//! | configuration (a side) | network |
//! |---|---|
//! | 2 triggers, 2 withdrawals | any order, any number of times or never (window 2; window 4: `explore_long`), and reliable |
//! | 4 triggers | any order |
//! | 2 triggers, 1 withdrawal, one dropped round | queues; once a queue, both or one message of a round is lost |
//! | 2 triggers, halt of either side | any order |
//! | 1 trigger, 1 withdrawal, data as implicit finish and acknowledgement | any order, data without limit |
//! | 2 triggers, every second round signed | any order, and reliable with 1 withdrawal |
//! | timers removed | reliable queues: 2 triggers, 2 withdrawals, and 2, 1 with a halt and a data record |
//!
//! In the any-order networks every loss is in the model already, so the dropped round is explored where loss is
//! an event: there a timer is longer than the path and fires when nothing is in flight.

use citadel_tests::explorer::{Network, Scenario, explore};
use std::io::Write;

const ANY: Network = Network::AnyOrder;
const RELIABLE: Network = Network::Ordered;
const ONE_LOSS: Network = Network::OrderedWithLoss(1);

/// Explores, prints its line past the capture of the test harness, and asserts that there was something to explore.
fn exhaust(scenario: Scenario, at_least: u64) {
    let report = explore(&scenario).expect("every invariant holds");
    std::io::stdout().write_all(format!("{report}\n").as_bytes()).expect("standard output is open");
    assert!(report.exhausted, "{}: not exhaustive", scenario.name);
    assert!(report.states >= at_least, "{}: only {} states", scenario.name, report.states);
    assert!(report.audited >= report.ends as u64, "{}: hardly audited", scenario.name);
}

#[test]
fn two_triggers_two_withdrawals() {
    exhaust(Scenario::new("(2 triggers, 2 withdrawals), any order", 2, 2, ANY).with_window(2), 10_000_000);
}

#[test]
fn four_triggers() {
    let scenario = Scenario::new("(4 triggers), any order", 4, 0, ANY);
    exhaust(scenario, 500_000);
    exhaust(scenario.with_window(2), 150_000);
}

#[test]
fn two_triggers_one_withdrawal_one_dropped_round() {
    let scenario = Scenario::new("(2 triggers, 1 withdrawal, one dropped round), queues", 2, 1, ONE_LOSS);
    exhaust(scenario, 100_000);
    exhaust(scenario.with_window(2), 80_000);
}

#[test]
fn two_triggers_and_a_halt_of_either_side() {
    let scenario = Scenario::new("(2 triggers, halt of either side), any order", 2, 0, ANY).with_halts();
    exhaust(scenario, 25_000);
    exhaust(scenario.with_window(2), 20_000);
}

#[test]
fn one_trigger_one_withdrawal_and_data() {
    let scenario = Scenario::new("(1 trigger, 1 withdrawal, data), any order", 1, 1, ANY).with_data(1);
    exhaust(scenario, 15_000);
    exhaust(scenario.with_window(2), 15_000);
}

#[test]
fn reliable_paths_without_timers() {
    let scenario = Scenario::new("(2 triggers, 2 withdrawals), reliable, no timers", 2, 2, RELIABLE);
    exhaust(scenario, 15_000);
    exhaust(scenario.with_window(2), 15_000);
    let scenario =
        Scenario::new("(2 triggers, 1 withdrawal, halt, data), reliable, no timers", 2, 1, RELIABLE);
    exhaust(scenario.with_halts().with_data(1), 800_000);
    exhaust(scenario.with_halts().with_data(1).with_window(2), 800_000);
}

#[test]
fn signed_rounds_that_start_by_themselves() {
    let scenario = Scenario::new("(2 triggers, every second round signed), any order", 2, 0, ANY);
    exhaust(scenario.with_signed_rounds(1), 150_000);
    let scenario =
        Scenario::new("(2 triggers, 1 withdrawal, every second round signed), reliable", 2, 1, RELIABLE);
    exhaust(scenario.with_signed_rounds(1), 50_000);
}
