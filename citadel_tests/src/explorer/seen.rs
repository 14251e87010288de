//! The joint states in the order of their discovery, each once, with the move that led there first.

use super::hash::digest;

/// Numbers of two ends and of what is in flight from each, and how many losses are left.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Joint {
    pub(super) ends: [u32; 2],
    pub(super) flight: [u32; 2],
    pub(super) losses: u8,
}

/// A move, packed: states are many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move(u32);

/// A move, readable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MoveKind {
    Act { side: usize, act: u16 },
    Lose(Loss),
}

/// What a loss takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    All,
    AllFrom(usize),
    NextFrom(usize),
}

impl Loss {
    pub(super) const EACH: [Self; 5] =
        [Self::All, Self::AllFrom(0), Self::AllFrom(1), Self::NextFrom(0), Self::NextFrom(1)];
}

const LOSS: u32 = 1 << 31;
const RESPONDER: u32 = 1 << 30;

impl Move {
    pub(super) fn act(side: usize, act: u16) -> Self {
        Self(u32::from(act) | if side == 1 { RESPONDER } else { 0 })
    }

    /// Loss number `index` of [`Loss::EACH`].
    pub(super) fn lose(index: usize) -> Self {
        Self(LOSS | index as u32)
    }

    pub(super) fn kind(self) -> MoveKind {
        if self.0 & LOSS != 0 {
            return MoveKind::Lose(Loss::EACH[(self.0 & !LOSS) as usize]);
        }
        MoveKind::Act { side: usize::from(self.0 & RESPONDER != 0), act: (self.0 & 0xffff) as u16 }
    }
}

/// All states; the hash table holds their numbers only.
pub(super) struct Seen {
    states: Vec<Joint>,
    origins: Vec<(u32, Move)>,
    slots: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Seen {
    pub(super) fn new(start: Joint) -> Self {
        let mut seen = Self { states: Vec::new(), origins: Vec::new(), slots: vec![FREE; 1 << 16] };
        seen.insert(start, 0, Move(0));
        seen
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<Joint> {
        self.states.get(number).copied()
    }

    /// Adds `state` unless it is known; `origin` is the state it was reached from.
    pub(super) fn insert(&mut self, state: Joint, origin: usize, by: Move) {
        let slot = self.slot(&state);
        if self.slots[slot] != FREE {
            return;
        }
        self.slots[slot] = self.states.len() as u32;
        self.states.push(state);
        self.origins.push((origin as u32, by));
        if self.states.len() * 2 > self.slots.len() {
            self.grow();
        }
    }

    /// The states from the first to `number`, each with the move that led to it.
    pub(super) fn path(&self, number: usize) -> Vec<(Joint, Move)> {
        let mut path = Vec::new();
        let mut at = number;
        while at != 0 {
            let (origin, by) = self.origins[at];
            path.push((self.states[at], by));
            at = origin as usize;
        }
        path.reverse();
        path
    }

    fn slot(&self, state: &Joint) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = digest(state) as usize & mask;
        while self.slots[slot] != FREE && self.states[self.slots[slot] as usize] != *state {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.slots = vec![FREE; self.slots.len() * 2];
        for number in 0..self.states.len() {
            let slot = self.slot(&self.states[number]);
            self.slots[slot] = number as u32;
        }
    }
}
