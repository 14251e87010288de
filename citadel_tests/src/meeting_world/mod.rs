//! Two devices that want one session, explored exhaustively: the real `Meeting` at both ends, the attempts between them,
//! and every order of everything.
//!
//! Owns: a model of attempts on their lanes, what a driver does with outputs, the search, the invariants of
//! `docs/protocol/peers.md` ("One session for a pair of devices"). Not the machine: that is `crate::meeting`, the shipped
//! code or a mutant of it; this folder needs it, its words and the standard library alone.
//!
//! Patience is zero: time never passes, a timer may fire at any moment and costs one of the losses. What is lost is seen by
//! both ends, each when it may, so that without timers everything must come to rest.

mod lane;
mod search;
mod step;
mod world;

use std::fmt;

/// What is explored. Numbers of events are for each side, losses for both together.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Printed with the figures.
    pub name: &'static str,
    /// Callers.
    pub dials: u8,
    /// Times that all callers who wait go away.
    pub withdrawals: u8,
    /// Sessions that an application ends.
    pub ends: u8,
    /// Lanes that break, attempts that an end loses by itself, and timers that fire.
    pub losses: u8,
    /// Whether the driver keeps its part.
    pub driver: Driver,
    /// States after which a search is given up.
    pub limit: usize,
}

impl Scenario {
    /// Callers of either side and nothing else.
    pub const fn new(name: &'static str, dials: u8) -> Self {
        Self { name, dials, withdrawals: 0, ends: 0, losses: 0, driver: Driver::Right, limit: usize::MAX }
    }

    /// The same with so many withdrawals.
    pub const fn with_withdrawals(self, withdrawals: u8) -> Self {
        Self { withdrawals, ..self }
    }

    /// The same with so many sessions ended.
    pub const fn with_ends(self, ends: u8) -> Self {
        Self { ends, ..self }
    }

    /// The same with so many losses.
    pub const fn with_losses(self, losses: u8) -> Self {
        Self { losses, ..self }
    }

    /// The same with another driver.
    pub const fn with_driver(self, driver: Driver) -> Self {
        Self { driver, ..self }
    }

    /// The same, given up after about `limit` states.
    pub const fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Whether the first session is the only one, ever.
    const fn is_undisturbed(&self) -> bool {
        self.ends == 0 && self.losses == 0 && !matches!(self.driver, Driver::NumbersLate)
    }
}

/// How the driver of both ends does its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// As the contract says.
    Right,
    /// Reports an accepted attempt as established at once, not when the peer was heard.
    DoesNotListen,
    /// Numbers the peer's attempts in the order in which they are proven, not in that of their lanes.
    NumbersLate,
    /// Reports the end of a session as the end of the one that there is.
    MixesUpEnds,
    /// Takes the peer's id for its own on the side with the smaller id.
    SmallerYields,
    /// Takes the peer's id for its own on the side with the larger id.
    LargerKeeps,
}

impl Driver {
    const fn mixes_up_ids(self, side: usize) -> bool {
        matches!((self, side), (Self::SmallerYields, 0) | (Self::LargerKeeps, 1))
    }
}

/// Explores `scenario` to its end.
///
/// # Errors
/// The first invariant that does not hold, with the shortest trace to it.
pub fn explore(scenario: &Scenario) -> Result<Report, Violation> {
    search::run(scenario)
}

/// Figures of an exploration.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What was explored.
    pub scenario: Scenario,
    /// Whether every state was explored.
    pub exhausted: bool,
    /// Different states.
    pub states: usize,
    /// Moves between them.
    pub edges: u64,
    /// States in which nothing is on its way.
    pub quiet: u64,
    /// The most attempts of both sides on one way.
    pub attempts: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, states, edges, quiet, attempts, .. } = self;
        write!(f, "{}: explored {states} states, {edges} edges", scenario.name)?;
        write!(f, " ({quiet} at rest, at most {attempts} attempts)")
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
        writeln!(f, "{}: {}", self.scenario.name, self.breach)?;
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
