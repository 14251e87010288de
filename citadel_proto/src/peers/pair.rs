//! What two parties have agreed about each other: one record, the same for both.

use super::Party;
use crate::backend::UnixTime;

/// One party's half of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Stance {
    /// It has said nothing, or has taken back what it said.
    #[default]
    Silent,
    /// It wants to be a peer of the other; its statement is a request.
    Asked,
    /// It wants to be a peer of the other, who does too; its statement is an acceptance.
    Accepted,
    /// It does not want to.
    Declined,
}

/// One party's half of a pair, as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Half {
    /// What it said last.
    pub stance: Stance,
    /// When.
    pub at: UnixTime,
    /// The signed statement that says so; empty where there is none.
    pub statement: Vec<u8>,
    /// Whether it wants to hear nothing of the other.
    pub blocks: bool,
}

/// What two parties have agreed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pair {
    /// The half of the lower party.
    pub lower: Half,
    /// The half of the higher party.
    pub upper: Half,
}

impl Half {
    /// Longest statement, bytes. A vouch, the longest, has two public keys and a signature of 3,373 bytes.
    pub const MAX_STATEMENT: usize = 8 << 10;

    fn is_nothing(&self) -> bool {
        self.stance == Stance::Silent && !self.blocks
    }
}

impl Pair {
    /// The half of `own` in its pair with `other`, then the other's.
    pub fn halves(&self, own: Party, other: Party) -> (&Half, &Half) {
        if own < other { (&self.lower, &self.upper) } else { (&self.upper, &self.lower) }
    }

    /// The same, to change.
    pub fn halves_mut(&mut self, own: Party, other: Party) -> (&mut Half, &mut Half) {
        if own < other { (&mut self.lower, &mut self.upper) } else { (&mut self.upper, &mut self.lower) }
    }

    /// Whether both have agreed, and neither blocks the other.
    pub fn is_agreed(&self) -> bool {
        use Stance::{Accepted, Asked};
        let stances = (self.lower.stance, self.upper.stance);
        let both = matches!(stances, (Accepted, Asked | Accepted) | (Asked, Accepted));
        both && !self.lower.blocks && !self.upper.blocks
    }

    /// Whether there is nothing to remember.
    pub fn is_nothing(&self) -> bool {
        self.lower.is_nothing() && self.upper.is_nothing()
    }

    /// Whether it is one of the pairs that `own` may have: if all that there is of it is that the other blocks, it is not, or
    /// strangers could use up the room of whom they block.
    pub fn counts_for(&self, own: Party, other: Party) -> bool {
        let (mine, theirs) = self.halves(own, other);
        !mine.is_nothing() || theirs.stance != Stance::Silent
    }

    /// Whether a request of `other` waits for the answer of `own`, to one who does not look at the time.
    pub fn waits_for(&self, own: Party, other: Party) -> bool {
        let (mine, theirs) = self.halves(own, other);
        self.is_asked_by(own, other) && !mine.blocks && !theirs.blocks
    }

    /// Whether this, which was `before`, needs a place among the pairs of `own`. Where `own` blocks `other` the pair has one; who
    /// begins to speak needs one all the same, or the answer would tell of the block.
    pub(crate) fn takes_a_place(&self, before: &Self, own: Party, other: Party) -> bool {
        let begins_to_count = self.counts_for(own, other) && !before.counts_for(own, other);
        begins_to_count || self.is_spoken_in() && !before.is_spoken_in()
    }

    /// Whether this, which was `before`, needs a place among the requests that wait for `own`, blocked or not.
    pub(crate) fn takes_a_turn(&self, before: &Self, own: Party, other: Party) -> bool {
        self.is_asked_by(own, other) && !before.is_asked_by(own, other)
    }

    /// Whether `other` asks and `own` has not agreed.
    fn is_asked_by(&self, own: Party, other: Party) -> bool {
        self.halves(own, other).1.stance == Stance::Asked && !self.is_agreed()
    }

    fn is_spoken_in(&self) -> bool {
        [&self.lower, &self.upper].iter().any(|half| half.stance != Stance::Silent)
    }
}
