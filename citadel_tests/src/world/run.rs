//! Runs of worlds: a script to its end, and what is said when something does not hold.

use super::{Log, Setup, Step, World, script};
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lines of the log that a failure shows.
const TAIL: usize = 60;

/// A run in which everything held.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub log: Log,
    /// Sessions that were established.
    pub sessions: usize,
    /// Messages delivered.
    pub delivered: usize,
    /// Paths that were taken, all sessions together.
    pub paths: usize,
    /// Rounds that were committed at both ends.
    pub versions: u64,
    /// Events handled.
    pub events: u64,
}

/// Something did not hold.
#[derive(Debug)]
pub struct Failure {
    /// Of the world.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened before.
    pub log: Log,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.log.tail(TAIL) {
            writeln!(f, "{line}")?;
        }
        let Self { seed, what, .. } = self;
        writeln!(f, "seed {seed}: {what}")?;
        write!(f, "replay: cargo run --example world_soak -- --from {seed} --seeds 1 --log")
    }
}

/// Runs the world of a seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    let setup = Setup::of(seed);
    let steps = script(&setup);
    run_script(setup, &steps)
}

/// Runs a script on a world, and the world to its end.
///
/// # Errors
/// What did not hold.
pub fn run_script(setup: Setup, steps: &[Step]) -> Result<Report, Failure> {
    let (seed, log) = (setup.seed, Log::default());
    let run = || {
        let mut world = World::new(setup, log.clone());
        steps.iter().for_each(|step| world.apply(step));
        world.finish();
        world.report()
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure { seed, what: text.unwrap_or_else(|| "panic".to_owned()), log: log.clone() }
    })
}

impl World {
    fn report(&self) -> Report {
        let ends = || self.sessions.iter().flat_map(|session| session.ends.iter().flatten());
        let lanes = self.sessions.iter().flat_map(|session| session.book.lanes.values());
        Report {
            log: self.log.clone(),
            sessions: self.sessions.iter().filter(|session| session.ends[0].is_some()).count(),
            delivered: lanes.map(|lane| lane.delivered).sum(),
            paths: self.paths.len(),
            versions: ends().map(|end| end.machine.version().0).sum::<u64>() / 2,
            events: self.handled,
        }
    }
}
