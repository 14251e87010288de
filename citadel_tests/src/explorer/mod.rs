//! Exhaustive exploration of the real rekey machine: two ends, a network, and every order of everything.
//!
//! Owns: the search, stand-in keys, networks, the invariants of `docs/protocol/rekey.md`. Not the machine: that is
//! `crate::rekey`, the shipped code or a mutant of it; this folder needs it and the standard library alone.
//!
//! Identity of a state is the `view()` of both ends, what is in flight, what is left to do and the transcripts of
//! the stand-in keys. Durations are zero: time never passes, a timer may fire at any moment, and no state holds
//! a clock. Each end's step runs the real machine once and is then looked up, which `Table::audit` justifies.
//!
//! In every state: I1–I6 between the ends, I7–I11 in each step, and from every pair of ends with everything in
//! flight lost, timers alone lead to rest (idle, equal, nothing promised: I12) within two periods.

mod agreement;
mod end;
pub(crate) mod hash;
mod invariants;
mod network;
mod packet;
mod scenario;
mod search;
mod seen;
mod settle;
mod step;
mod table;

pub use scenario::{Network, Scenario};

use std::fmt;

/// Explores `scenario` to its end.
///
/// # Errors
/// The first invariant that does not hold, with the shortest trace to it.
pub fn explore(scenario: &Scenario) -> Result<Report, Box<Violation>> {
    search::Search::new(scenario).run()
}

/// Figures of a completed exploration.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What was explored.
    pub scenario: Scenario,
    /// Whether every state was explored; false where [`Scenario::limit`] ended the search.
    pub exhausted: bool,
    /// Different joint states.
    pub states: u64,
    /// Moves between them.
    pub edges: u64,
    /// Different pairs of ends; from each one timers alone led to rest.
    pub pairs: u64,
    /// Steps of the machine that were run again from another past and had to come out alike.
    pub audited: u64,
    /// Different ends.
    pub ends: usize,
    /// Different messages.
    pub messages: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, states, edges, pairs, audited, ends, messages, .. } = self;
        write!(f, "{}, window {}: explored {states} states, {edges} edges", scenario.name, scenario.window)?;
        write!(f, " ({ends} ends, {messages} messages, {pairs} pairs led to rest, {audited} steps audited)")
    }
}

/// An invariant that does not hold. `Debug` is `Display`, so that an `expect` shows the trace line by line.
#[derive(Clone)]
pub struct Violation {
    /// What was explored.
    pub scenario: Scenario,
    /// Which invariant, and how it fails.
    pub breach: String,
    /// Shortest way there, one move a line.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, window {}: {}", self.scenario.name, self.scenario.window, self.breach)?;
        for (number, line) in self.trace.iter().enumerate() {
            writeln!(f, "  {:>2}. {line}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Violation {}
