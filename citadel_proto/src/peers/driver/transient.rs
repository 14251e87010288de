//! Pairs with a party that has no account: in memory, and gone with it.
//!
//! They are counted as the stored ones are (`backend/store/pairs.rs`), each party's by itself.

use super::super::{Pair, Party};
use crate::backend::{PairLimits, UnixTime};
use std::collections::{BTreeMap, HashMap};

/// A party has no room for a pair, or for a request that would wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Full;

/// Whether a pair takes room of the first party.
type TakesRoom = fn(&Pair, Party, Party) -> bool;

/// The pairs, each under both of its parties.
#[derive(Default)]
pub(super) struct TransientPairs {
    of: HashMap<Party, Table>,
}

/// The pairs of one party.
#[derive(Default)]
struct Table {
    /// Those that count for it; as many as it may have.
    counted: BTreeMap<Party, Pair>,
    /// Those in which the other one blocks it, and no more; no more of them than there are others.
    blocked: BTreeMap<Party, Pair>,
}

impl TransientPairs {
    /// The pair of two parties; nothing if they have said nothing.
    pub(super) fn pair(&self, one: Party, other: Party) -> Pair {
        let table = self.of.get(&one);
        let pair = table.and_then(|table| table.counted.get(&other).or_else(|| table.blocked.get(&other)));
        pair.cloned().unwrap_or_default()
    }

    /// Those that count for a party.
    pub(super) fn counted(&self, own: Party) -> impl Iterator<Item = (Party, &Pair)> {
        self.of.get(&own).into_iter().flat_map(|table| &table.counted).map(|(other, pair)| (*other, pair))
    }

    /// Sets a pair, if both parties have room for it. What is over by now is taken out of their others if there is none.
    pub(super) fn put(
        &mut self,
        one: Party,
        other: Party,
        pair: &Pair,
        limits: PairLimits,
    ) -> Result<(), Full> {
        let before = self.pair(one, other);
        self.make_room(one, other, (&before, pair), limits)?;
        self.make_room(other, one, (&before, pair), limits)?;
        self.set(one, other, pair);
        Ok(())
    }

    /// Forgets a party; whoever had a pair with it.
    pub(super) fn forget(&mut self, party: Party) -> Vec<Party> {
        let Table { counted, blocked } = self.of.remove(&party).unwrap_or_default();
        let others: Vec<Party> = counted.into_keys().chain(blocked.into_keys()).collect();
        others.iter().for_each(|other| self.set_half(*other, party, &Pair::default()));
        others
    }

    fn make_room(
        &mut self,
        own: Party,
        other: Party,
        (before, after): (&Pair, &Pair),
        limits: PairLimits,
    ) -> Result<(), Full> {
        let needs: [(bool, TakesRoom, usize); 2] = [
            (after.takes_a_place(before, own, other), Pair::counts_for, limits.pairs),
            (after.takes_a_turn(before, own, other), Pair::waits_for, limits.requests),
        ];
        for (_, takes_room, most) in needs.into_iter().filter(|(needs, ..)| *needs) {
            let taken =
                |pairs: &Self| pairs.counted(own).filter(|(with, pair)| takes_room(pair, own, *with)).count();
            if taken(self) < most {
                continue;
            }
            self.lapse(own, other, limits.now, takes_room);
            if taken(self) >= most {
                return Err(Full);
            }
        }
        Ok(())
    }

    /// Takes what is over by `now` out of pairs of `own` in which nothing is left of what takes room then.
    fn lapse(&mut self, own: Party, except: Party, now: UnixTime, takes_room: TakesRoom) {
        let over = self.counted(own).filter_map(|(with, pair)| {
            let mut lapsed = pair.clone();
            let is_free = with != except && lapsed.lapse(now) && !takes_room(&lapsed, own, with);
            is_free.then_some((with, lapsed))
        });
        let over: Vec<_> = over.collect();
        over.iter().for_each(|(with, lapsed)| self.set(own, *with, lapsed));
    }

    fn set(&mut self, one: Party, other: Party, pair: &Pair) {
        self.set_half(one, other, pair);
        self.set_half(other, one, pair);
    }

    fn set_half(&mut self, own: Party, other: Party, pair: &Pair) {
        let table = self.of.entry(own).or_default();
        table.counted.remove(&other);
        table.blocked.remove(&other);
        if pair.counts_for(own, other) {
            table.counted.insert(other, pair.clone());
        } else if !pair.is_nothing() {
            table.blocked.insert(other, pair.clone());
        }
        if table.counted.is_empty() && table.blocked.is_empty() {
            self.of.remove(&own);
        }
    }
}

#[cfg(test)]
mod tests;
