//! Breadth-first search, so that the first violation found has the shortest trace.

use super::step::after;
use super::world::{Breach, Machines, Move, World};
use super::{Report, Scenario, Violation};
use crate::explorer::hash::FastMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

/// A state, and the one and the move that led there first.
type Found = (Rc<World>, Option<(usize, Move)>);

/// The states in the order of their discovery.
struct Search<'a> {
    scenario: &'a Scenario,
    machines: Machines,
    numbers: FastMap<Rc<World>, usize>,
    states: Vec<Found>,
}

pub(super) fn run(scenario: &Scenario) -> Result<Report, Violation> {
    let mut machines = Machines::default();
    let start = Rc::new(World::new(scenario, &mut machines));
    let numbers = FastMap::from_iter([(Rc::clone(&start), 0)]);
    let mut search = Search { scenario, machines, numbers, states: vec![(start, None)] };
    let mut report =
        Report { scenario: *scenario, exhausted: true, states: 0, edges: 0, quiet: 0, attempts: 0 };
    let mut at = 0;
    while let Some((state, _)) = search.states.get(at).cloned() {
        if state.is_quiet() {
            report.quiet += 1;
            state.check_rest(&search.machines).map_err(|breach| search.violation(at, None, breach))?;
        }
        report.attempts = report.attempts.max(state.attempts());
        for by in state.moves(&search.machines) {
            report.edges += 1;
            let next = after(&state, by, scenario, &mut search.machines);
            let next = next.map_err(|breach| search.violation(at, Some(by), breach))?;
            search.insert(next, at, by);
        }
        at += 1;
        if search.states.len() > scenario.limit {
            report.exhausted = false;
            break;
        }
    }
    report.states = search.states.len();
    Ok(report)
}

impl Search<'_> {
    fn insert(&mut self, state: World, from: usize, by: Move) {
        let state = Rc::new(state);
        if let Entry::Vacant(entry) = self.numbers.entry(Rc::clone(&state)) {
            entry.insert(self.states.len());
            self.states.push((state, Some((from, by))));
        }
    }

    fn violation(&self, at: usize, last: Option<Move>, Breach(breach): Breach) -> Violation {
        let mut trace: Vec<String> = last.map(|by| format!("{by:?}")).into_iter().collect();
        let mut number = at;
        while let (state, Some((from, by))) = &self.states[number] {
            trace.push(format!("{:<24} {}", format!("{by:?}"), state.picture(&self.machines)));
            number = *from;
        }
        trace.reverse();
        Violation { scenario: *self.scenario, breach, trace }
    }
}
