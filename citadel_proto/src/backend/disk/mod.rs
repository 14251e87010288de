//! The backend that outlives the process: one file, redb.
//!
//! Owns: the file, its schema version, the seal's check. Blocking work runs off the async threads; one transaction
//! writes at a time and the rest wait without a thread. What is acknowledged was synced to the disk.

mod migrate;
mod open;
mod tables;

use super::engine::Engine;
use super::error::BackendError;
use super::sealing::{SealScope, Sealer, SealingKey};
use super::store::{Reader, Writer};
use core::fmt;
use redb::{Database, ReadableDatabase, StorageBackend, WriteTransaction};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tables::{ReadTables, WriteTables, failed};
use tokio::sync::Semaphore;

/// How a file is opened.
#[derive(Debug)]
pub struct RedbConfig {
    /// Seals secrets. A file without a seal is sealed when it is opened with a key; one with a seal needs its key ever after.
    pub key: Option<SealingKey>,
    /// What is sealed under the key. Another scope than the file's is brought about when it is opened.
    pub scope: SealScope,
    /// Bytes of the file that redb keeps in memory. 8 MiB by default and not redb's gibibyte: the system caches the
    /// file as well, and a server's memory is its sessions'.
    pub cache: usize,
    /// Reads the whole file when it is opened and verifies its checksums, not only after a crash. Off by default: it
    /// takes as long as the file is large. A file that somebody altered is found out by it before it is used.
    pub check: bool,
}

impl Default for RedbConfig {
    fn default() -> Self {
        Self { key: None, scope: SealScope::default(), cache: 8 << 20, check: false }
    }
}

impl RedbConfig {
    /// The defaults, with secrets sealed under `key`.
    pub fn sealed(key: SealingKey) -> Self {
        Self { key: Some(key), ..Self::default() }
    }
}

/// Everything in one file (redb), safe against a crash or a kill at any moment. Cheap to clone; clones are the same file,
/// which no other process can open meanwhile. Dropping the last clone closes it.
///
/// Its methods need a tokio runtime.
#[derive(Clone)]
pub struct Redb {
    inner: Arc<Inner>,
    /// Held by the transaction that writes, also when nobody waits for it any more.
    writer: Arc<Semaphore>,
}

struct Inner {
    database: Database,
    sealer: Sealer,
}

impl Redb {
    /// Opens the file at `path`, or creates it, readable by its owner only. Blocks: call it before serving.
    ///
    /// # Errors
    /// [`BackendError::InUse`], [`BackendError::NewerVersion`], [`BackendError::KeyNeeded`], [`BackendError::Corrupt`]
    /// for a file of something else, [`BackendError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, BackendError> {
        Self::open_with(path, RedbConfig::default())
    }

    /// As [`open`](Self::open) with a configuration.
    ///
    /// # Errors
    /// Also [`BackendError::WrongKey`].
    pub fn open_with(path: impl AsRef<Path>, config: RedbConfig) -> Result<Self, BackendError> {
        open::file(path.as_ref(), &config).and_then(|database| Self::new(database, &config))
    }

    /// As [`open_with`](Self::open_with) on any storage that redb can use, such as memory or one that a test breaks.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn with_storage(storage: impl StorageBackend, config: RedbConfig) -> Result<Self, BackendError> {
        open::builder(&config)
            .create_with_backend(storage)
            .map_err(failed)
            .and_then(|database| Self::new(database, &config))
    }

    fn new(database: Database, config: &RedbConfig) -> Result<Self, BackendError> {
        let sealer = open::prepare(&database, config)?;
        Ok(Self { inner: Arc::new(Inner { database, sealer }), writer: Arc::new(Semaphore::new(1)) })
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("sealed", &self.inner.sealer.scope()).finish_non_exhaustive()
    }
}

/// A writing transaction of `database`.
///
/// Two-phase commit: by redb's own account a one-phase commit rests on a checksum that whoever chooses the stored bytes
/// may be able to forge, and here strangers choose them. It costs a second sync.
fn begin(database: &Database) -> Result<WriteTransaction, BackendError> {
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

impl Engine for Redb {
    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(Reader<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> Result<R, BackendError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let transaction = inner.database.begin_read().map_err(failed)?;
            work(Reader::new(&ReadTables(transaction), &inner.sealer))
        })
        .await
    }

    async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> Result<R, BackendError> {
        let turn = Arc::clone(&self.writer).acquire_owned().await.expect("the semaphore is never closed");
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _turn = turn;
            let mut tables = WriteTables::new(begin(&inner.database)?);
            match work(&mut Writer::new(&mut tables, &inner.sealer)) {
                Ok(done) => tables.commit().map(|()| done),
                Err(error) => {
                    tables.abort();
                    Err(error)
                }
            }
        })
        .await
    }
}

/// Runs `work` off the async threads. A panic in it is an error of the store: redb panics where a file is not what it
/// wrote.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, BackendError> + Send + 'static,
) -> Result<R, BackendError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BackendError::Io(io::Error::other(error))),
    }
}
