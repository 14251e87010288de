//! What pairs of accounts have agreed, and the vouches of an account.

use super::super::account::{Revision, UnixTime};
use super::super::error::{BackendError, Conflict, Limit};
use super::super::pair::{PairLimits, StoredPair};
use super::super::record::{
    Table, Usage, keys, open_outline, open_pair, open_vouch, seal_outline, seal_pair, seal_vouch,
};
use super::super::{MAX_PAGE, MAX_PAGE_BYTES};
use super::{Reader, Writer};
use crate::peers::{Pair, Party};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use core::ops::ControlFlow;

/// Pairs that are looked at again at once for what is over in them. 64, so that one change has a bounded cost, and those after it
/// find room for a while.
const LAPSING: usize = 64;

impl Reader<'_> {
    pub(in super::super) fn pair(&self, a: Cid, b: Cid) -> Result<Option<StoredPair>, BackendError> {
        let key = keys::pair(a, b);
        let record = self.tables.get(Table::Pairs, &key)?;
        record.map(|record| open_pair(self.sealer, &key, &record)).transpose()
    }

    pub(in super::super) fn pairs(
        &self,
        of: Cid,
        after: Option<Cid>,
        limit: usize,
    ) -> Result<Vec<(Cid, StoredPair)>, BackendError> {
        let prefix = keys::account(of);
        let from = after.map_or_else(|| prefix.to_vec(), |other| keys::above(&keys::pair(of, other)));
        let (mut pairs, mut bytes, limit) = (Vec::new(), 0, limit.min(MAX_PAGE));
        self.scan_prefix(Table::Pairs, &prefix, &from, |key, record| {
            if pairs.len() >= limit || bytes >= MAX_PAGE_BYTES {
                return Ok(ControlFlow::Break(()));
            }
            let stored = open_pair(self.sealer, key, record)?;
            bytes += key.len() + stored.pair.lower.statement.len() + stored.pair.upper.statement.len();
            pairs.push((other_of(key)?, stored));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(pairs)
    }

    pub(in super::super) fn outlines(&self, of: Cid) -> Result<Vec<(Cid, Pair)>, BackendError> {
        let prefix = keys::account(of);
        let mut outlines = Vec::new();
        self.scan_prefix(Table::Outlines, &prefix, &prefix, |key, record| {
            outlines.push((other_of(key)?, open_outline(self.sealer, key, record)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(outlines)
    }

    pub(in super::super) fn vouches(&self, cid: Cid) -> Result<Vec<Vec<u8>>, BackendError> {
        let prefix = keys::account(cid);
        let mut vouches = Vec::new();
        self.scan_prefix(Table::Vouches, &prefix, &prefix, |key, record| {
            vouches.push(open_vouch(self.sealer, key, record)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(vouches)
    }

    /// How many records have a key that starts with `prefix`; stops at `most`.
    fn count(&self, table: Table, prefix: &[u8], most: usize) -> Result<usize, BackendError> {
        let mut count = 0;
        self.scan_prefix(table, prefix, prefix, |_, _| {
            count += 1;
            Ok(if count < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(count)
    }
}

impl Writer<'_> {
    pub(in super::super) fn put_pair(
        &mut self,
        [a, b]: [Cid; 2],
        pair: &Pair,
        expected: Option<Revision>,
        limits: PairLimits,
    ) -> Result<Option<Revision>, BackendError> {
        if a == b {
            return Err(Conflict::Oneself.into());
        }
        self.require_account(a)?;
        self.require_account(b)?;
        let before = self.reader().pair(a, b)?;
        let found = before.as_ref().map(|before| before.revision);
        if found != expected {
            return Err(Conflict::Revision(found.unwrap_or(Revision::NONE)).into());
        }
        let before = before.map(|before| before.pair).unwrap_or_default();
        for side in [Side(a, b), Side(b, a)] {
            self.make_room(side, (&before, pair), limits)?;
        }
        if pair.is_nothing() && found.is_none() {
            return Ok(None);
        }
        self.write_pair([a, b], &before, pair)
    }

    /// Sees to it that the account has room for a pair that becomes another.
    fn make_room(
        &mut self,
        side: Side,
        (before, after): (&Pair, &Pair),
        limits: PairLimits,
    ) -> Result<(), BackendError> {
        let (own, other) = side.parties();
        let needs: [(bool, Room); 2] = [
            (after.takes_a_place(before, own, other), Room::of_pairs(limits)),
            (after.takes_a_turn(before, own, other), Room::of_requests(limits)),
        ];
        for (_, room) in needs.into_iter().filter(|(needs, _)| *needs) {
            if room.is_left(&self.reader().usage(side.0)?) {
                continue;
            }
            self.lapse(side, limits.now, room.is_taken_by)?;
            if !room.is_left(&self.reader().usage(side.0)?) {
                return Err(room.full.into());
            }
        }
        Ok(())
    }

    /// Takes what is over by `now` out of some pairs of an account in which nothing is left of what takes room; not out of that with
    /// the other one, which is being changed.
    fn lapse(
        &mut self,
        Side(own, other): Side,
        now: UnixTime,
        takes_room: fn(Side, &Pair) -> bool,
    ) -> Result<(), BackendError> {
        let (prefix, sealer) = (keys::account(own), self.sealer);
        let mut over = Vec::new();
        self.reader().scan_prefix(Table::Outlines, &prefix, &prefix, |key, record| {
            let (with, mut pair) = (other_of(key)?, open_outline(sealer, key, record)?);
            let took = takes_room(Side(own, with), &pair);
            if with != other && took && pair.lapse(now) && !takes_room(Side(own, with), &pair) {
                over.push(with);
            }
            Ok(if over.len() < LAPSING { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        for with in over {
            let before = self.reader().pair(own, with)?.ok_or(Table::Outlines.corrupt())?.pair;
            let mut pair = before.clone();
            pair.lapse(now);
            self.write_pair([own, with], &before, &pair)?;
        }
        Ok(())
    }

    /// Writes a pair that was `before` under both of its accounts, or deletes one that is nothing, and counts it.
    fn write_pair(
        &mut self,
        [a, b]: [Cid; 2],
        before: &Pair,
        pair: &Pair,
    ) -> Result<Option<Revision>, BackendError> {
        let usages = [self.reader().usage(a)?, self.reader().usage(b)?];
        let last = usages[0].last_pair.max(usages[1].last_pair);
        let now = (!pair.is_nothing()).then_some(Revision(last + 1));
        for (mut usage, side) in usages.into_iter().zip([Side(a, b), Side(b, a)]) {
            let (did_count, counts) = (side.counts(before), side.counts(pair));
            usage.pairs = counted(usage.pairs, did_count, counts)?;
            usage.requests = counted(usage.requests, side.waits(before), side.waits(pair))?;
            let key = keys::pair(side.0, side.1);
            if let Some(revision) = now {
                let record = seal_pair(self.sealer, &key, revision, pair)?;
                self.tables.put(Table::Pairs, &key, record)?;
                usage.last_pair = revision.0;
            } else {
                self.tables.delete(Table::Pairs, &key)?;
            }
            if counts {
                let record = seal_outline(self.sealer, &key, pair)?;
                self.tables.put(Table::Outlines, &key, record)?;
            } else if did_count {
                self.tables.delete(Table::Outlines, &key)?;
            }
            self.put_usage(side.0, &usage)?;
        }
        Ok(now)
    }

    /// Deletes what others have of their pairs with `cid`, and says who they are; its own is deleted with all that it has.
    pub(super) fn delete_pairs_with(&mut self, cid: Cid) -> Result<Vec<Cid>, BackendError> {
        let (prefix, sealer) = (keys::account(cid), self.sealer);
        let mut others = Vec::new();
        self.reader().scan_prefix(Table::Pairs, &prefix, &prefix, |key, record| {
            let (side, pair) = (Side(other_of(key)?, cid), open_pair(sealer, key, record)?.pair);
            others.push((side, side.counts(&pair), side.waits(&pair)));
            Ok(ControlFlow::Continue(()))
        })?;
        for &(side, counts, waits) in &others {
            let key = keys::pair(side.0, side.1);
            self.tables.delete(Table::Pairs, &key)?;
            if counts {
                self.tables.delete(Table::Outlines, &key)?;
                let mut usage = self.reader().usage(side.0)?;
                usage.pairs = counted(usage.pairs, counts, false)?;
                usage.requests = counted(usage.requests, waits, false)?;
                self.put_usage(side.0, &usage)?;
            }
        }
        Ok(others.into_iter().map(|(side, ..)| side.0).collect())
    }

    pub(in super::super) fn put_vouch(
        &mut self,
        cid: Cid,
        [subject, signer]: [PeerId; 2],
        statement: &[u8],
        most: usize,
    ) -> Result<(), BackendError> {
        self.require_account(cid)?;
        let key = keys::vouch(cid, subject, signer);
        let is_new = self.tables.get(Table::Vouches, &key)?.is_none();
        if is_new && self.reader().count(Table::Vouches, &keys::account(cid), most)? >= most {
            return Err(Limit::Vouches.into());
        }
        let record = seal_vouch(self.sealer, &key, statement)?;
        self.tables.put(Table::Vouches, &key, record)
    }
}

/// What of an account a pair may need: a place among those that count, or among the requests that wait.
struct Room {
    most: usize,
    taken: fn(&Usage) -> u64,
    is_taken_by: fn(Side, &Pair) -> bool,
    full: Limit,
}

impl Room {
    fn of_pairs(limits: PairLimits) -> Self {
        Self { most: limits.pairs, taken: |usage| usage.pairs, is_taken_by: Side::counts, full: Limit::Pairs }
    }

    fn of_requests(limits: PairLimits) -> Self {
        Self {
            most: limits.requests,
            taken: |usage| usage.requests,
            is_taken_by: Side::waits,
            full: Limit::Requests,
        }
    }

    fn is_left(&self, usage: &Usage) -> bool {
        (self.taken)(usage) < self.most as u64
    }
}

/// One of the two accounts of a pair, then the other.
#[derive(Clone, Copy)]
struct Side(Cid, Cid);

impl Side {
    const fn parties(self) -> (Party, Party) {
        (Party::Account(self.0), Party::Account(self.1))
    }

    /// Whether a pair counts for the first of the two.
    fn counts(self, pair: &Pair) -> bool {
        let (own, other) = self.parties();
        pair.counts_for(own, other)
    }

    /// Whether a request waits for the first of the two. Then the pair counts for it, too.
    fn waits(self, pair: &Pair) -> bool {
        let (own, other) = self.parties();
        pair.waits_for(own, other)
    }
}

/// A count of what one thing was part of, or was not, and now is, or is not.
fn counted(count: u64, was: bool, is: bool) -> Result<u64, BackendError> {
    match (was, is) {
        (false, true) => Ok(count + 1),
        (true, false) => count.checked_sub(1).ok_or(Table::Usage.corrupt()),
        (true, true) | (false, false) => Ok(count),
    }
}

fn other_of(key: &[u8]) -> Result<Cid, BackendError> {
    let other = key.get(8..).and_then(|other| other.try_into().ok()).ok_or(Table::Pairs.corrupt())?;
    Ok(Cid(u64::from_be_bytes(other)))
}
