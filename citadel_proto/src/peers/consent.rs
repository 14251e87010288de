//! The table of consent: pair, side and act make a pair, or a typed refusal. It decides and does nothing else.
//!
//! Invariants, of every pair that began as nothing: a pair is agreed only while each party has asked or accepted and none
//! has removed or blocked the other since; then one half is a request and the other its acceptance. A half that blocks is
//! silent. Whether the other half blocks changes nothing of what a party is shown and is answered.

use super::{Half, Pair, Party, Stance};
use crate::backend::UnixTime;

/// Seconds after which an ask without an answer is over, and a decline is seen no more: 30 days.
pub const OVER_AFTER: u64 = 30 * 24 * 60 * 60;

/// What a party does about another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Act {
    /// Wants to be a peer; the signed request.
    Ask(Vec<u8>),
    /// Wants to be one, as the other does; the signed acceptance.
    Accept(Vec<u8>),
    /// Does not want to.
    Decline,
    /// Takes back what was said, by either.
    Remove,
    /// Wants to hear nothing of the other from now on.
    Block,
    /// Wants to hear of the other again.
    Unblock,
}

/// Why an act changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsentError {
    /// The other is oneself.
    #[error("nobody is a peer of itself")]
    Yourself,
    /// Both have agreed already.
    #[error("they are peers already")]
    AlreadyPeers,
    /// The other did not ask, or too long ago.
    #[error("there is no request to answer")]
    NoRequest,
    /// Who acts blocks the other.
    #[error("you block it: unblock it first")]
    Blocked,
}

impl ConsentError {
    /// Stable number.
    pub const fn code(self) -> u32 {
        match self {
            Self::Yourself => 1,
            Self::AlreadyPeers => 2,
            Self::NoRequest => 3,
            Self::Blocked => 4,
        }
    }
}

/// What one party is shown of a pair.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Shown {
    /// Nothing.
    None,
    /// Its own request waits for an answer, as far as it knows.
    AskedByYou,
    /// The other's request waits for its answer, whether or not it has asked too.
    AskedByThem {
        /// The other's request.
        statement: Vec<u8>,
    },
    /// The other does not want to.
    DeclinedByThem,
    /// Both have agreed. One statement is the request, the other its acceptance.
    Peers {
        /// Its own.
        mine: Vec<u8>,
        /// The other's.
        theirs: Vec<u8>,
    },
}

/// The pair of `own` and `other` after `own` did `act`. What is over by `now` is taken out first.
///
/// Whether a removal removed anything is whether its party was shown anything before ([`Pair::shown_to`]).
///
/// # Errors
/// [`ConsentError`]; then the pair stays as it is.
pub(super) fn apply(
    pair: &Pair,
    own: Party,
    other: Party,
    act: Act,
    now: UnixTime,
) -> Result<Pair, ConsentError> {
    if own == other {
        return Err(ConsentError::Yourself);
    }
    let mut next = pair.clone();
    next.lapse(now);
    let are_peers = next.is_agreed();
    let (mine, theirs) = next.halves_mut(own, other);
    match act {
        Act::Ask(_) | Act::Accept(_) | Act::Decline if mine.blocks => return Err(ConsentError::Blocked),
        Act::Ask(_) | Act::Decline if are_peers => return Err(ConsentError::AlreadyPeers),
        // Said again because the answer was lost, or by both of two who had asked: the first acceptance stands beside
        // the request that it names.
        Act::Accept(_) if are_peers => {}
        Act::Accept(_) | Act::Decline if !theirs.asks() => return Err(ConsentError::NoRequest),
        // Likewise: it has been waiting since it was said first.
        Act::Ask(statement) if mine.asks() && mine.statement == statement => {}
        Act::Ask(statement) => {
            mine.say(Stance::Asked, statement, now);
            if !theirs.asks() {
                theirs.silence(now);
            }
        }
        Act::Accept(statement) => mine.say(Stance::Accepted, statement, now),
        Act::Decline => {
            mine.say(Stance::Declined, Vec::new(), now);
            theirs.silence(now);
        }
        // Who blocks sees nothing of the other, so there is nothing to remove; the other would learn of it.
        Act::Remove if mine.blocks => {}
        Act::Remove => {
            mine.silence(now);
            theirs.silence(now);
        }
        Act::Block if mine.blocks => {}
        Act::Block => {
            // An ask goes on waiting, as one does that comes later: its end would tell the other of the block.
            if are_peers || !theirs.asks() {
                theirs.silence(now);
            }
            *mine = Half { at: now, blocks: true, ..Half::default() };
        }
        Act::Unblock if mine.blocks => *mine = Half { at: now, ..Half::default() },
        Act::Unblock => {}
    }
    Ok(next)
}

impl Half {
    /// Whether it waits for an answer, to one who does not look at the time.
    fn asks(&self) -> bool {
        self.stance == Stance::Asked && !self.blocks
    }

    fn say(&mut self, stance: Stance, statement: Vec<u8>, now: UnixTime) {
        *self = Self { stance, at: now, statement, blocks: self.blocks };
    }

    /// Takes back what it said, if it said anything.
    fn silence(&mut self, now: UnixTime) {
        if self.stance != Stance::Silent {
            self.say(Stance::Silent, Vec::new(), now);
        }
    }

    /// Whether it said something that is over by `now`, unless it led to an agreement.
    fn is_over(&self, now: UnixTime) -> bool {
        matches!(self.stance, Stance::Asked | Stance::Declined)
            && now.0.saturating_sub(self.at.0) > OVER_AFTER
    }
}

impl Pair {
    /// Takes out what is over by `now`: an ask or a decline older than [`OVER_AFTER`], unless they are peers. Whether that was
    /// anything. A pair that is nothing then needs no record, and counts for nobody.
    pub fn lapse(&mut self, now: UnixTime) -> bool {
        if self.is_agreed() {
            return false;
        }
        let mut was_anything = false;
        for half in [&mut self.lower, &mut self.upper] {
            if half.is_over(now) {
                half.silence(now);
                was_anything = true;
            }
        }
        was_anything
    }

    /// What `own` is shown of its pair with `other`. Whether the other blocks it is not in it.
    pub fn shown_to(&self, own: Party, other: Party, now: UnixTime) -> Shown {
        let (mine, theirs) = self.halves(own, other);
        if self.is_agreed() {
            return Shown::Peers { mine: mine.statement.clone(), theirs: theirs.statement.clone() };
        }
        if mine.blocks {
            return Shown::None;
        }
        let stance =
            |half: &Half| if half.blocks || half.is_over(now) { Stance::Silent } else { half.stance };
        match (stance(mine), stance(theirs)) {
            (_, Stance::Asked) => Shown::AskedByThem { statement: theirs.statement.clone() },
            (_, Stance::Declined) => Shown::DeclinedByThem,
            (Stance::Asked, Stance::Silent | Stance::Accepted) => Shown::AskedByYou,
            (Stance::Silent | Stance::Accepted | Stance::Declined, Stance::Silent | Stance::Accepted) => {
                Shown::None
            }
        }
    }
}

#[cfg(test)]
mod tests;
