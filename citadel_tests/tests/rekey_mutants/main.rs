//! The explorer must be able to see: each mutant of the rekey machine breaks one rule, and a violation is required.
//!
//! A copy of `ratchets/rekey/` with one change is compiled with the explorer into a program of its own and run.
//! Nothing but `rustc` and the standard library takes part. Mutants that another rule makes harmless are listed
//! as survivors, with that rule, and are required to survive; so is the unmodified copy.

mod build;
mod list;

use build::{Program, Verdict};
use list::{Change, Fate, MUTANTS, Mutant};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two at a time: CI has two cores.
const WORKERS: usize = 2;

#[test]
fn every_mutant_is_seen_and_the_machine_itself_passes() {
    let unmodified = Mutant { name: "unmodified", changes: &[], fate: Fate::Survives("it is the machine") };
    let all: Vec<&Mutant> = std::iter::once(&unmodified).chain(MUTANTS).collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(mutant) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(failure) = judge(mutant) {
                        failures.lock().expect("no worker panics").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no worker panics");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn judge(mutant: &Mutant) -> Result<(), String> {
    let program = Program::compile(mutant)?;
    let name = mutant.name;
    match (program.run()?, &mutant.fate) {
        (Verdict::Violation(trace), Fate::Dies) => {
            build::say(&format!("mutant `{name}` is seen:\n{trace}"));
            Ok(())
        }
        (Verdict::Clean(report), Fate::Survives(_)) if report.contains("given up") => {
            Err(format!("`{name}` was not explored to its end:\n{report}"))
        }
        (Verdict::Clean(report), Fate::Survives(reason)) => {
            build::say(&format!("`{name}` passes, as expected ({reason}):\n{report}"));
            Ok(())
        }
        (Verdict::Clean(report), Fate::Dies) => Err(format!("mutant `{name}` was not seen:\n{report}")),
        (Verdict::Violation(trace), Fate::Survives(_)) => Err(format!("`{name}` should pass:\n{trace}")),
    }
}

#[test]
fn the_list_is_well_formed() {
    assert!(MUTANTS.iter().filter(|mutant| matches!(mutant.fate, Fate::Dies)).count() >= 10);
    for (index, mutant) in MUTANTS.iter().enumerate() {
        assert!(MUTANTS[..index].iter().all(|other| other.name != mutant.name), "{} twice", mutant.name);
        assert!(!mutant.changes.is_empty(), "{} changes nothing", mutant.name);
        for Change { file, old, new } in mutant.changes {
            assert_ne!(old, new, "{}: {file}", mutant.name);
        }
    }
}
