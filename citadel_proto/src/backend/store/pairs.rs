//! What pairs of accounts have agreed, and the vouches of an account.

use super::super::account::Revision;
use super::super::error::{BackendError, Conflict, Limit};
use super::super::pair::StoredPair;
use super::super::record::{Table, keys, open_pair, open_vouch, seal_pair, seal_vouch};
use super::super::{MAX_PAGE, MAX_PAGE_BYTES};
use super::{Reader, Writer};
use crate::peers::{Pair, Party};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use core::ops::ControlFlow;

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
        most: usize,
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
        let sides = [(a, b), (b, a)];
        let mut usages = [self.reader().usage(a)?, self.reader().usage(b)?];
        for (usage, side) in usages.iter_mut().zip(sides) {
            match (before.as_ref().is_some_and(|before| counts(&before.pair, side)), counts(pair, side)) {
                (false, true) if usage.pairs >= most as u64 => return Err(Limit::Pairs.into()),
                (false, true) => usage.pairs += 1,
                (true, false) => usage.pairs = one_fewer(usage.pairs)?,
                (true, true) | (false, false) => {}
            }
        }
        if pair.is_nothing() && found.is_none() {
            return Ok(None);
        }
        let last = usages[0].last_pair.max(usages[1].last_pair);
        let now = (!pair.is_nothing()).then_some(Revision(last + 1));
        for (mut usage, (of, other)) in usages.into_iter().zip(sides) {
            let key = keys::pair(of, other);
            if let Some(revision) = now {
                let record = seal_pair(self.sealer, &key, revision, pair)?;
                self.tables.put(Table::Pairs, &key, record)?;
                usage.last_pair = revision.0;
            } else {
                self.tables.delete(Table::Pairs, &key)?;
            }
            self.put_usage(of, &usage)?;
        }
        Ok(now)
    }

    /// Deletes the records that others have of their pairs with `cid`; its own are deleted with all that it has.
    pub(super) fn delete_pairs_with(&mut self, cid: Cid) -> Result<(), BackendError> {
        let (prefix, sealer) = (keys::account(cid), self.sealer);
        let mut others = Vec::new();
        self.reader().scan_prefix(Table::Pairs, &prefix, &prefix, |key, record| {
            let other = other_of(key)?;
            others.push((other, counts(&open_pair(sealer, key, record)?.pair, (other, cid))));
            Ok(ControlFlow::Continue(()))
        })?;
        for (other, counted) in others {
            self.tables.delete(Table::Pairs, &keys::pair(other, cid))?;
            if counted {
                let mut usage = self.reader().usage(other)?;
                usage.pairs = one_fewer(usage.pairs)?;
                self.put_usage(other, &usage)?;
            }
        }
        Ok(())
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

/// Whether a pair counts for the first of the two.
fn counts(pair: &Pair, (own, other): (Cid, Cid)) -> bool {
    pair.counts_for(Party::Account(own), Party::Account(other))
}

fn one_fewer(pairs: u64) -> Result<u64, BackendError> {
    pairs.checked_sub(1).ok_or(Table::Usage.corrupt())
}

fn other_of(key: &[u8]) -> Result<Cid, BackendError> {
    let other = key.get(8..).and_then(|other| other.try_into().ok()).ok_or(Table::Pairs.corrupt())?;
    Ok(Cid(u64::from_be_bytes(other)))
}
