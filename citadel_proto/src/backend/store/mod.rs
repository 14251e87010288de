//! What every transaction of a backend means, over ordered tables of bytes.
//!
//! Invariants: every user name leads to the account that has it, and every account's name leads to it; devices, mail,
//! values, pairs, vouches and usage exist only of accounts that exist; a pair is recorded twice, the same under each of its
//! accounts; usage counts what is there. A transaction checks before it
//! writes, and what it wrote is undone when it fails all the same.

mod accounts;
mod devices;
mod mailbox;
mod pairs;
mod reseal;
mod tickets;
mod values;

pub(super) use reseal::reseal;

use super::engine::{Read, Write};
use super::error::BackendError;
use super::record::{Table, Usage, keys};
use super::sealing::Sealer;
use citadel_crypt::handshake::Cid;
use core::ops::ControlFlow;

/// A reading transaction.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    tables: &'a dyn Read,
    sealer: &'a Sealer,
}

/// The writing transaction.
pub(super) struct Writer<'a> {
    tables: &'a mut dyn Write,
    sealer: &'a Sealer,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(tables: &'a dyn Read, sealer: &'a Sealer) -> Self {
        Self { tables, sealer }
    }

    fn usage(&self, cid: Cid) -> Result<Usage, BackendError> {
        let record = self.tables.get(Table::Usage, &keys::account(cid))?;
        record.as_deref().map_or_else(|| Ok(Usage::default()), Usage::decode)
    }

    /// Visits the records whose key starts with `prefix`, from `from` on, which starts with it too.
    fn scan_prefix(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, BackendError>,
    ) -> Result<(), BackendError> {
        self.tables.scan(table, from, &mut |key, record| {
            if key.starts_with(prefix) { visit(key, record) } else { Ok(ControlFlow::Break(())) }
        })
    }
}

impl<'a> Writer<'a> {
    pub(super) fn new(tables: &'a mut dyn Write, sealer: &'a Sealer) -> Self {
        Self { tables, sealer }
    }

    /// The same transaction, to read.
    fn reader(&self) -> Reader<'_> {
        Reader { tables: self.tables, sealer: self.sealer }
    }

    /// The error of one who writes for an account that is not there.
    fn require_account(&self, cid: Cid) -> Result<(), BackendError> {
        self.tables.get(Table::Accounts, &keys::account(cid))?.map(|_| ()).ok_or(BackendError::NoAccount)
    }

    fn put_usage(&mut self, cid: Cid, usage: &Usage) -> Result<(), BackendError> {
        self.tables.put(Table::Usage, &keys::account(cid), usage.encode())
    }

    /// Deletes all records whose key starts with `prefix`, some at a time: a listing of all of them would have no bound.
    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), BackendError> {
        const AT_ONCE: usize = 256;
        loop {
            let mut found = Vec::new();
            self.reader().scan_prefix(table, prefix, prefix, |key, _| {
                found.push(key.to_vec());
                Ok(if found.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            for key in &found {
                self.tables.delete(table, key)?;
            }
            if found.len() < AT_ONCE {
                return Ok(());
            }
        }
    }
}
