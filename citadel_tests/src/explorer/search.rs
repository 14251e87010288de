//! Breadth-first search over joint states, so that the first violation found has the shortest trace.

use super::hash::FastSet;
use super::invariants::{check, check_rest};
use super::network::Networks;
use super::scenario::{Network, Scenario};
use super::seen::{Joint, Loss, Move, MoveKind, Seen};
use super::settle::{run_dry, settle};
use super::step::{Act, Breach};
use super::table::{DRAIN, FIRST_PACKET, HALT, SEND_DATA, Step, TIMEOUT, TRIGGER, Table, WITHDRAW};
use super::{Report, Violation};

pub(super) struct Search<'a> {
    scenario: &'a Scenario,
    table: Table,
    networks: Networks,
    seen: Seen,
    /// Pairs of ends that were checked, and led to rest from.
    pairs: FastSet<[u32; 2]>,
    edges: u64,
}

/// A breach and the move on which it came, if it was not found in the state itself.
struct Found {
    by: Option<Move>,
    breach: Breach,
}

impl From<Breach> for Found {
    fn from(breach: Breach) -> Self {
        Self { by: None, breach }
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        let losses = match scenario.network {
            Network::OrderedWithLoss(losses) => losses,
            Network::AnyOrder | Network::Ordered => 0,
        };
        let start = Joint { ends: [0, 0], flight: [0, 0], losses };
        Self {
            scenario,
            table: Table::new(scenario),
            networks: Networks::new(scenario.network != Network::AnyOrder),
            seen: Seen::new(start),
            pairs: FastSet::default(),
            edges: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<Report, Box<Violation>> {
        let mut number = 0;
        while let Some(state) = self.seen.get(number) {
            let result = self.visit(state).map_err(Found::from).and_then(|()| self.expand(number, state));
            if let Err(found) = result {
                return Err(Box::new(self.violation(number, found)));
            }
            number += 1;
            if self.seen.len() > self.scenario.limit {
                break;
            }
        }
        let exhausted = number == self.seen.len();
        let audited = match self.table.audit() {
            Ok(steps) => steps,
            Err(breach) => return Err(Box::new(self.violation(0, breach.into()))),
        };
        let (ends, messages) = self.table.sizes();
        let (states, edges, pairs) = (self.seen.len() as u64, self.edges, self.pairs.len() as u64);
        Ok(Report { scenario: *self.scenario, exhausted, states, edges, pairs, audited, ends, messages })
    }

    /// What must hold in this state, and that rest is never far.
    fn visit(&mut self, state: Joint) -> Result<(), Breach> {
        let [a, b] = state.ends;
        if self.pairs.insert(state.ends) {
            check(self.table.picture(0, a), self.table.picture(1, b))?;
            for first in 0..2 {
                settle(&mut self.table, state.ends, first)?;
            }
        }
        if self.scenario.network == Network::AnyOrder {
            return Ok(());
        }
        let flight = state.flight.map(|content| self.networks.get(content));
        run_dry(&mut self.table, state.ends, flight)?;
        if flight.iter().all(|queue| queue.is_empty()) && !self.scenario.has_timers() {
            check_rest(self.table.picture(0, a), self.table.picture(1, b))?;
        }
        Ok(())
    }

    fn expand(&mut self, number: usize, state: Joint) -> Result<(), Found> {
        for side in 0..2 {
            for act in [TRIGGER, WITHDRAW] {
                self.act(number, state, side, act)?;
            }
            if self.scenario.halts {
                self.act(number, state, side, HALT)?;
            }
            if self.scenario.data > 0 {
                self.act(number, state, side, SEND_DATA)?;
            }
            if self.scenario.has_timers()
                && (self.scenario.network == Network::AnyOrder || state.flight == [0, 0])
            {
                self.act(number, state, side, TIMEOUT)?;
                self.act(number, state, side, DRAIN)?;
            }
            self.deliver(number, state, side)?;
        }
        if state.losses > 0 && state.flight != [0, 0] {
            self.lose(number, state);
        }
        Ok(())
    }

    fn deliver(&mut self, number: usize, state: Joint, side: usize) -> Result<(), Found> {
        let flight = state.flight[1 - side];
        if self.scenario.network == Network::AnyOrder {
            for index in 0..self.networks.get(flight).len() {
                let packet = self.networks.get(flight)[index];
                self.act(number, state, side, FIRST_PACKET + packet)?;
            }
            return Ok(());
        }
        let Some(packet) = self.networks.get(flight).first().copied() else { return Ok(()) };
        let mut rest = state;
        rest.flight[1 - side] = self.networks.take(flight);
        let act = FIRST_PACKET + packet;
        if !self.act(number, rest, side, act)? {
            let breach = Breach("a record on an ordered path does not open".into());
            return Err(Found { by: Some(Move::act(side, act)), breach });
        }
        Ok(())
    }

    /// Takes one act from `state`; false if it cannot happen there.
    fn act(&mut self, number: usize, state: Joint, side: usize, act: u16) -> Result<bool, Found> {
        let end = state.ends[side];
        let by = Move::act(side, act);
        let step = self.table.step(side, end, act).map_err(|breach| Found { by: Some(by), breach })?;
        let Step::To { end: next, sent } = step else { return Ok(false) };
        self.edges += 1;
        if self.scenario.network == Network::AnyOrder && next == end && sent == 0 {
            return Ok(true);
        }
        let mut after = state;
        after.ends[side] = next;
        after.flight[side] = self.networks.add(&self.table, state.flight[side], sent);
        let earliest = self.table.earliest(side, next);
        if self.scenario.network == Network::AnyOrder && earliest > self.table.earliest(side, end) {
            let sender = 1 - side;
            after.flight[sender] = self.networks.prune(&self.table, sender, after.flight[sender], earliest);
        }
        self.seen.insert(after, number, by);
        Ok(true)
    }

    fn lose(&mut self, number: usize, state: Joint) {
        for (index, loss) in Loss::EACH.into_iter().enumerate() {
            let mut after = Joint { losses: state.losses - 1, ..state };
            match loss {
                Loss::All => after.flight = [0, 0],
                Loss::AllFrom(side) => after.flight[side] = 0,
                Loss::NextFrom(side) => after.flight[side] = self.networks.take(state.flight[side]),
            }
            self.edges += 1;
            self.seen.insert(after, number, Move::lose(index));
        }
    }

    fn violation(&self, number: usize, found: Found) -> Violation {
        let mut trace: Vec<String> = Vec::new();
        for (state, by) in self.seen.path(number) {
            trace.push(format!("{:<64} {}", self.describe(by), self.phases(state)));
        }
        trace.extend(found.by.map(|by| self.describe(by)));
        Violation { scenario: *self.scenario, breach: found.breach.0, trace }
    }

    fn describe(&self, by: Move) -> String {
        let name = |side: usize| ["initiator", "responder"][side];
        match by.kind() {
            MoveKind::Lose(Loss::All) => "everything in flight is lost".into(),
            MoveKind::Lose(Loss::AllFrom(side)) => format!("all from the {} is lost", name(side)),
            MoveKind::Lose(Loss::NextFrom(side)) => format!("the next from the {} is lost", name(side)),
            MoveKind::Act { side, act } => match self.table.act(side, act) {
                Act::Trigger => format!("{}: trigger", name(side)),
                Act::Withdraw => format!("{}: withdraw", name(side)),
                Act::Halt => format!("{}: halt", name(side)),
                Act::Drain => format!("{}: drain ends", name(side)),
                Act::Timeout => format!("{}: timer", name(side)),
                Act::SendData => format!("{}: sends data", name(side)),
                Act::Deliver(packet) => format!("{} gets {packet}", name(side)),
            },
        }
    }

    fn phases(&self, state: Joint) -> String {
        let [a, b] = [0, 1].map(|side| {
            let end = self.table.picture(side, state.ends[side]);
            format!("{:?} {:?} {:?}", end.latest, end.phase, end.lifecycle)
        });
        format!("| {a} | {b}")
    }
}
