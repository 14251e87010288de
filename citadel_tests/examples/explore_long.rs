//! Larger explorations than a test run has time for: `explore_long [WORD]` runs those whose name contains WORD.
//!
//! Needs memory: about 60 bytes a state. Exits with 1 at the first violation and prints its shortest trace.

use citadel_tests::explorer::{Network, Scenario, explore};
use std::process::ExitCode;
use std::time::Instant;

const ANY: Network = Network::AnyOrder;

const SCENARIOS: [Scenario; 8] = [
    Scenario::new("(3 triggers, 1 withdrawal), any order", 3, 1, ANY).with_window(2),
    Scenario::new("(2 triggers, 2 withdrawals), any order", 2, 2, ANY),
    Scenario::new("(2 triggers, 1 withdrawal, halts), any order", 2, 1, ANY).with_window(2).with_halts(),
    Scenario::new("(2 triggers, 1 withdrawal, data), any order", 2, 1, ANY).with_window(2).with_data(1),
    Scenario::new("(1 trigger, 1 withdrawal, signed), any order", 1, 1, ANY).with_signed_rounds(1),
    Scenario::new("(3 triggers, 3 withdrawals), reliable", 3, 3, Network::Ordered),
    Scenario::new("(2 triggers, 1 withdrawal, halt, data, signed), reliable", 2, 1, Network::Ordered)
        .with_halts()
        .with_data(1)
        .with_signed_rounds(1),
    Scenario::new("(3 triggers, 2 withdrawals), two losses", 3, 2, Network::OrderedWithLoss(2)),
];

fn main() -> ExitCode {
    let word = std::env::args().nth(1).unwrap_or_default();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&word)) {
        #[expect(clippy::disallowed_methods, reason = "a stopwatch beside the exploration, not in it")]
        let start = Instant::now();
        match explore(scenario) {
            Ok(report) => println!("{report}, {:.1} s", start.elapsed().as_secs_f64()),
            Err(violation) => {
                eprintln!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
