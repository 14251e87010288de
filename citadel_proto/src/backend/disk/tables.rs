//! Tables of a redb transaction.

use super::super::engine::{Read, Visit, Write};
use super::super::error::BackendError;
use super::super::record::Table;
use core::ops::{Bound, ControlFlow};
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use std::io;

/// Keys and records are bytes.
pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(super) const fn definition(table: Table) -> Bytes {
    TableDefinition::new(table.name())
}

/// What redb says, as ours.
pub(super) fn failed(error: impl Into<redb::Error>) -> BackendError {
    match error.into() {
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => file_is_damaged(),
        redb::Error::Io(error) => BackendError::Io(error),
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => file_is_damaged(),
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => BackendError::InUse,
        error => BackendError::Io(io::Error::other(error)),
    }
}

/// The file is not one that was written here.
pub(super) const fn file_is_damaged() -> BackendError {
    BackendError::Corrupt { table: "file" }
}

fn get(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    key: &[u8],
) -> Result<Option<Vec<u8>>, BackendError> {
    Ok(table.get(key).map_err(failed)?.map(|record| record.value().to_vec()))
}

fn scan(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    from: &[u8],
    visit: Visit<'_>,
) -> Result<(), BackendError> {
    let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(from), Bound::Unbounded);
    for entry in table.range::<&[u8]>(range).map_err(failed)? {
        let (key, record) = entry.map_err(failed)?;
        if let ControlFlow::Break(()) = visit(key.value(), record.value())? {
            break;
        }
    }
    Ok(())
}

/// The tables of a reading transaction.
pub(super) struct ReadTables(pub(super) ReadTransaction);

impl Read for ReadTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        get(&self.0.open_table(definition(table)).map_err(failed)?, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), BackendError> {
        scan(&self.0.open_table(definition(table)).map_err(failed)?, from, visit)
    }
}

/// The tables of the writing transaction.
pub(super) struct WriteTables {
    transaction: WriteTransaction,
    changed: bool,
}

impl WriteTables {
    pub(super) const fn new(transaction: WriteTransaction) -> Self {
        Self { transaction, changed: false }
    }

    /// The transaction, for what is in no table of [`Table`]. Counts as a change.
    pub(super) const fn transaction(&mut self) -> &WriteTransaction {
        self.changed = true;
        &self.transaction
    }

    /// Makes the changes durable. A transaction without any costs no sync.
    pub(super) fn commit(self) -> Result<(), BackendError> {
        if self.changed {
            self.transaction.commit().map_err(failed)
        } else {
            self.abort();
            Ok(())
        }
    }

    /// Forgets the changes.
    pub(super) fn abort(self) {
        if let Err(error) = self.transaction.abort() {
            log::warn!(target: "citadel::backend", "a transaction was not rolled back at once: {error}");
        }
    }
}

impl Read for WriteTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        get(&self.transaction.open_table(definition(table)).map_err(failed)?, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), BackendError> {
        scan(&self.transaction.open_table(definition(table)).map_err(failed)?, from, visit)
    }
}

impl Write for WriteTables {
    fn put(&mut self, table: Table, key: &[u8], record: Vec<u8>) -> Result<(), BackendError> {
        self.changed = true;
        let mut table = self.transaction.open_table(definition(table)).map_err(failed)?;
        table.insert(key, record.as_slice()).map_err(failed)?;
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), BackendError> {
        self.changed = true;
        let mut table = self.transaction.open_table(definition(table)).map_err(failed)?;
        table.remove(key).map_err(failed)?;
        Ok(())
    }
}
