//! What the server has in memory of parties: their sessions, who watches whom, their lanes.

use super::super::{Pair, Party};
use super::board::Inner;
use crate::driver::{Session, WeakSession};
use citadel_crypt::addr::PeerId;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What is in memory only. The lock is held for one step, never over an await and never for a message of a lane.
#[derive(Default)]
pub(super) struct Floor {
    next: u64,
    pub(super) seats: HashMap<Party, BTreeMap<u64, Arc<Seat>>>,
    /// Who is told when a party comes or goes.
    pub(super) interest: HashMap<Party, BTreeMap<u64, Arc<Seat>>>,
    /// What ends the lanes between two parties, the lower one first.
    pub(super) lanes: HashMap<(Party, Party), BTreeMap<u64, CancellationToken>>,
    /// Pairs with a party that has no account.
    pub(super) transient: HashMap<Party, BTreeMap<Party, Pair>>,
}

/// A session at the switchboard.
pub(super) struct Seat {
    pub(super) id: u64,
    pub(super) party: Party,
    pub(super) device: PeerId,
    pub(super) session: WeakSession,
    pub(super) watch: Mutex<Watch>,
    /// Told whenever there is more to tell.
    pub(super) news: Notify,
}

/// What a watching client was not told yet. One entry a pair, whatever happens while nobody reads.
#[derive(Default)]
pub(super) struct Watch {
    is_on: bool,
    stale: BTreeMap<Party, Stale>,
    /// Whose coming and going it is told of.
    pub(super) interests: BTreeSet<Party>,
}

/// What of a pair changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stale {
    /// Which devices are there.
    Presence,
    /// Anything.
    Pair,
}

impl Seat {
    pub(super) fn session(&self) -> Option<Session> {
        self.session.upgrade()
    }

    /// Notes that there is something to tell.
    pub(super) fn mark(&self, party: Party, what: Stale) {
        let mut watch = self.watch.lock();
        if watch.is_on {
            let stale = watch.stale.entry(party).or_insert(what);
            *stale = what.max(*stale);
            drop(watch);
            self.news.notify_one();
        }
    }

    pub(super) fn begin_watch(&self, parties: impl IntoIterator<Item = Party>) {
        self.watch.lock().is_on = true;
        parties.into_iter().for_each(|party| self.mark(party, Stale::Pair));
        self.news.notify_one();
    }

    /// The next pair that has to be told.
    pub(super) fn next_stale(&self) -> Option<(Party, Stale)> {
        self.watch.lock().stale.pop_first()
    }
}

/// A session's place at the switchboard, given up when this goes.
pub(super) struct Seated {
    pub(super) inner: Arc<Inner>,
    pub(super) seat: Arc<Seat>,
}

impl Drop for Seated {
    fn drop(&mut self) {
        let told = self.inner.floor.lock().leave(&self.seat);
        told.into_iter().for_each(|(seat, stale)| seat.mark(self.seat.party, stale));
    }
}

/// A lane's place among those of its pair.
pub(super) struct Listed {
    pub(super) inner: Arc<Inner>,
    pub(super) pair: (Party, Party),
    pub(super) id: u64,
    pub(super) ended: CancellationToken,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut floor = self.inner.floor.lock();
        if let Some(lanes) = floor.lanes.get_mut(&self.pair) {
            lanes.remove(&self.id);
            if lanes.is_empty() {
                floor.lanes.remove(&self.pair);
            }
        }
    }
}

pub(super) type Told = Vec<(Arc<Seat>, Stale)>;

impl Floor {
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn watchers(&self, party: Party, stale: Stale) -> Told {
        let of = self.interest.get(&party);
        of.into_iter().flat_map(BTreeMap::values).map(|seat| (Arc::clone(seat), stale)).collect()
    }

    pub(super) fn seats_of(&self, party: Party) -> impl Iterator<Item = &Arc<Seat>> {
        self.seats.get(&party).into_iter().flat_map(BTreeMap::values)
    }

    /// Takes a seat away; who is to be told.
    fn leave(&mut self, seat: &Seat) -> Told {
        let party = seat.party;
        if let Some(seats) = self.seats.get_mut(&party) {
            seats.remove(&seat.id);
            if seats.is_empty() {
                self.seats.remove(&party);
            }
        }
        for of in core::mem::take(&mut seat.watch.lock().interests) {
            self.lose_interest(seat, of);
        }
        let is_last = !self.seats.contains_key(&party);
        if is_last && party.cid().is_none() {
            self.forget(party)
        } else {
            self.watchers(party, Stale::Presence)
        }
    }

    pub(super) fn lose_interest(&mut self, seat: &Seat, of: Party) {
        if let Some(seats) = self.interest.get_mut(&of) {
            seats.remove(&seat.id);
            if seats.is_empty() {
                self.interest.remove(&of);
            }
        }
    }

    /// What a party without an account agreed to ends with it. Its lanes end by themselves, behind what was said last.
    fn forget(&mut self, party: Party) -> Told {
        let others = self.transient.remove(&party).unwrap_or_default();
        let mut told = Vec::new();
        for other in others.into_keys() {
            if let Some(pairs) = self.transient.get_mut(&other) {
                pairs.remove(&party);
            }
            told.extend(self.seats_of(other).map(|seat| (Arc::clone(seat), Stale::Pair)));
        }
        self.transient.retain(|_, pairs| !pairs.is_empty());
        told
    }

    pub(super) fn end_lanes(&self, one: Party, other: Party) {
        let lanes = self.lanes.get(&(one.min(other), one.max(other)));
        lanes.into_iter().flat_map(BTreeMap::values).for_each(CancellationToken::cancel);
    }

    pub(super) fn online(&self, party: Party) -> Vec<PeerId> {
        let devices: BTreeSet<PeerId> = self.seats_of(party).map(|seat| seat.device).collect();
        devices.into_iter().collect()
    }
}
