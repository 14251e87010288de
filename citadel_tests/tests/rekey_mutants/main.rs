//! The explorer must be able to see: each mutant of the rekey machine breaks one rule, and a violation is required.
//!
//! A copy of `ratchets/rekey/` with one change is compiled with the explorer into a program of its own and run.

mod list;

use citadel_tests::mutants::{Workshop, check_list};
use list::MUTANTS;
use std::path::Path;

/// The program: the smallest scenarios that show every rule, each exhaustive or ended by its limit, the first
/// violation printed.
const MAIN: &str = r#"
#[path = "rekey/mod.rs"]
pub mod rekey;
#[path = "explorer/mod.rs"]
pub mod explorer;

use explorer::{Network, Scenario, explore};

const LIMIT: usize = 400_000;

fn main() -> std::process::ExitCode {
    let any = Network::AnyOrder;
    let scenarios = [
        Scenario::new("1 trigger, any order", 1, 0, any),
        Scenario::new("1 trigger, 1 withdrawal, reliable", 1, 1, Network::Ordered),
        Scenario::new("1 trigger, 1 withdrawal, any order", 1, 1, any).with_window(2),
        Scenario::new("1 trigger, halts, data, any order", 1, 0, any).with_halts().with_data(1),
        Scenario::new("1 trigger, every second round signed, any order", 1, 0, any).with_signed_rounds(1),
        Scenario::new("2 triggers, 1 withdrawal, reliable", 2, 1, Network::Ordered).with_window(2),
        Scenario::new("2 triggers, any order", 2, 0, any).with_window(2),
        Scenario::new("2 triggers, 1 withdrawal, one loss", 2, 1, Network::OrderedWithLoss(1)).with_window(2),
        Scenario::new("2 triggers, 1 withdrawal, any order", 2, 1, any).with_window(2),
    ];
    for scenario in scenarios {
        match explore(&scenario.with_limit(LIMIT)) {
            Ok(report) => println!("  {report}{}", if report.exhausted { "" } else { ", given up" }),
            Err(violation) => {
                print!("{violation}");
                return std::process::ExitCode::from(1);
            }
        }
    }
    std::process::ExitCode::SUCCESS
}
"#;

#[test]
fn every_mutant_is_seen_and_the_machine_itself_passes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rekey_mutants");
    let parts = &[("../citadel_crypt/src/ratchets/rekey", "rekey"), ("src/explorer", "explorer")];
    Workshop { folder, parts, machine: "rekey", main: MAIN }.judge(MUTANTS);
}

#[test]
fn the_list_is_well_formed() {
    check_list(MUTANTS, 10);
}
