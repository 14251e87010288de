//! A backend that forgets: for tests, and for servers whose accounts may go with the process.

use super::engine::{Engine, Read, Visit, Write};
use super::error::BackendError;
use super::record::Table;
use super::sealing::Sealer;
use super::store::{Reader, Writer};
use core::fmt;
use core::ops::{Bound, ControlFlow};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything in memory, nothing on a disk. Cheap to clone; clones are the same store, so that a server that is started
/// again within a process finds what it knew. Its methods never wait.
#[derive(Clone, Default)]
pub struct Memory {
    tables: Arc<Mutex<Tables>>,
}

#[derive(Default)]
struct Tables([BTreeMap<Vec<u8>, Vec<u8>>; Table::ALL.len()]);

impl Memory {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Read for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        Ok(self.0[table.index()].get(key).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), BackendError> {
        for (key, record) in self.0[table.index()].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
        {
            if let ControlFlow::Break(()) = visit(key, record)? {
                break;
            }
        }
        Ok(())
    }
}

/// Remembers what was there before each write, to put it back.
struct Undoable<'a> {
    tables: &'a mut Tables,
    before: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

impl Undoable<'_> {
    fn set(&mut self, table: Table, key: &[u8], record: Option<Vec<u8>>) {
        let records = &mut self.tables.0[table.index()];
        let before = match record {
            Some(record) => records.insert(key.to_vec(), record),
            None => records.remove(key),
        };
        self.before.push((table, key.to_vec(), before));
    }

    fn undo(self) {
        for (table, key, before) in self.before.into_iter().rev() {
            let records = &mut self.tables.0[table.index()];
            match before {
                Some(record) => records.insert(key, record),
                None => records.remove(&key),
            };
        }
    }
}

impl Read for Undoable<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError> {
        self.tables.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), BackendError> {
        self.tables.scan(table, from, visit)
    }
}

impl Write for Undoable<'_> {
    fn put(&mut self, table: Table, key: &[u8], record: Vec<u8>) -> Result<(), BackendError> {
        self.set(table, key, Some(record));
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), BackendError> {
        self.set(table, key, None);
        Ok(())
    }
}

impl Engine for Memory {
    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(Reader<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> Result<R, BackendError> {
        work(Reader::new(&*self.tables.lock(), &Sealer::plain()))
    }

    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> Result<R, BackendError> {
        let mut tables = self.tables.lock();
        let mut undoable = Undoable { tables: &mut tables, before: Vec::new() };
        let done = work(&mut Writer::new(&mut undoable, &Sealer::plain()));
        if done.is_err() {
            undoable.undo();
        }
        done
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}
