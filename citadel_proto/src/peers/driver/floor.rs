//! What the server has in memory of parties: their sessions, who watches whom, their lanes.

use super::super::Party;
use super::board::{Inner, tell_of};
use super::transient::TransientPairs;
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
    /// The lanes between two parties, the lower one first.
    pub(super) lanes: HashMap<(Party, Party), BTreeMap<u64, Lane>>,
    /// How many lanes end at a seat.
    taken: HashMap<u64, usize>,
    /// Pairs with a party that has no account.
    pub(super) transient: TransientPairs,
}

/// Most lanes of a session. The rest of the service channels that its other end takes are for what nodes ask each other.
const MOST_LANES: usize = 64;
/// Most of them with one party: a quarter. No peer takes from the others the lanes that they need, of which each session with a
/// device is one.
const MOST_LANES_WITH_ONE: usize = 16;

/// A lane, as far as others end and count it.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) ended: CancellationToken,
    /// The sessions at its ends; none until it is known that there may be one.
    ends: Option<[u64; 2]>,
}

/// A session has as many lanes as it may have.
pub(super) struct TooManyLanes;

/// A session at the switchboard.
pub(super) struct Seat {
    pub(super) id: u64,
    pub(super) party: Party,
    pub(super) device: PeerId,
    pub(super) session: WeakSession,
    pub(super) watch: Mutex<Watch>,
    /// Told whenever there is more to tell.
    pub(super) news: Notify,
    /// Its device was shut out: nothing is served here any more, however long the session takes to close.
    pub(super) over: CancellationToken,
}

/// What a watching client was not told yet. One entry a pair, whatever happens while nobody reads.
#[derive(Default)]
pub(super) struct Watch {
    is_on: bool,
    stale: BTreeMap<Party, Stale>,
    /// Whose coming and going it is told of.
    pub(super) interests: BTreeSet<Party>,
}

impl Watch {
    fn note(&mut self, party: Party, what: Stale) {
        let stale = self.stale.entry(party).or_insert(what);
        *stale = what.max(*stale);
    }
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
            watch.note(party, what);
            drop(watch);
            self.news.notify_one();
        }
    }

    /// Notes what is still to be told, for when there is something else to tell or to answer: nobody is woken.
    pub(super) fn owe(&self, owed: impl IntoIterator<Item = (Party, Stale)>) {
        let mut watch = self.watch.lock();
        owed.into_iter().for_each(|(party, what)| watch.note(party, what));
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
        tell_of(self.seat.party, told);
    }
}

/// A lane's place among those of its pair.
pub(super) struct Listed {
    pub(super) inner: Arc<Inner>,
    pub(super) pair: (Party, Party),
    pub(super) id: u64,
    pub(super) ended: CancellationToken,
}

impl Listed {
    /// A lane between these two, if both have room for it.
    pub(super) fn join(&self, ends: [&Seat; 2]) -> Result<(), TooManyLanes> {
        self.inner.floor.lock().join_lane(self, ends)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.floor.lock().end_lane(self);
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
        let mut was_there = false;
        if let Some(seats) = self.seats.get_mut(&party) {
            was_there = seats.remove(&seat.id).is_some();
            if seats.is_empty() {
                self.seats.remove(&party);
            }
        }
        for of in core::mem::take(&mut seat.watch.lock().interests) {
            self.lose_interest(seat, of);
        }
        // A device that was shut out has left before its session ends.
        if !was_there {
            return Vec::new();
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
        let others = self.transient.forget(party);
        let floor = &*self;
        let seats = others.into_iter().flat_map(|other| floor.seats_of(other));
        seats.map(|seat| (Arc::clone(seat), Stale::Pair)).collect()
    }

    /// Devices of an account have no place here any more, nor their lanes; who is to be told.
    pub(super) fn shut_out(&mut self, account: Party, devices: &[PeerId]) -> Told {
        let seats = self.seats_of(account).filter(|seat| devices.contains(&seat.device));
        let seats: Vec<Arc<Seat>> = seats.map(Arc::clone).collect();
        let mut told = Vec::new();
        for seat in seats {
            seat.over.cancel();
            told = self.leave(&seat);
        }
        told
    }

    /// An account is gone, with the pairs that it had with these; who is to be told.
    pub(super) fn left(&mut self, account: Party, others: impl Iterator<Item = Party>) -> Told {
        let mut told = Vec::new();
        for other in self.transient.forget(account).into_iter().chain(others) {
            self.end_lanes(account, other);
            told.extend(self.seats_of(other).map(|seat| (Arc::clone(seat), Stale::Pair)));
        }
        told
    }

    pub(super) fn end_lanes(&self, one: Party, other: Party) {
        let lanes = self.lanes.get(&(one.min(other), one.max(other)));
        lanes.into_iter().flat_map(BTreeMap::values).for_each(|lane| lane.ended.cancel());
    }

    fn join_lane(&mut self, listed: &Listed, ends: [&Seat; 2]) -> Result<(), TooManyLanes> {
        let ends = ends.map(|seat| seat.id);
        let Some(lanes) = self.lanes.get_mut(&listed.pair) else { return Ok(()) };
        for seat in &ends {
            let with_one = lanes.values().filter(|lane| lane.ends.is_some_and(|ends| ends.contains(seat)));
            let all = self.taken.get(seat).copied().unwrap_or_default();
            if with_one.count() >= MOST_LANES_WITH_ONE || all >= MOST_LANES {
                return Err(TooManyLanes);
            }
        }
        if let Some(lane) = lanes.get_mut(&listed.id) {
            lane.ends = Some(ends);
            ends.iter().for_each(|seat| *self.taken.entry(*seat).or_default() += 1);
        }
        Ok(())
    }

    fn end_lane(&mut self, listed: &Listed) {
        let Some(lanes) = self.lanes.get_mut(&listed.pair) else { return };
        let ends = lanes.remove(&listed.id).and_then(|lane| lane.ends);
        if lanes.is_empty() {
            self.lanes.remove(&listed.pair);
        }
        for seat in ends.into_iter().flatten() {
            let left = self.taken.remove(&seat).unwrap_or_default().saturating_sub(1);
            if left > 0 {
                self.taken.insert(seat, left);
            }
        }
    }

    pub(super) fn online(&self, party: Party) -> Vec<PeerId> {
        let devices: BTreeSet<PeerId> = self.seats_of(party).map(|seat| seat.device).collect();
        devices.into_iter().collect()
    }
}
