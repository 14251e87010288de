//! Where pins are kept: in memory, or in one file that is whole or not there.

mod file;

pub use file::FilePins;

use super::super::Party;
use super::super::pins::PinRecord;
use async_trait::async_trait;
use citadel_crypt::addr::PeerId;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Whose pin: a party at a server. The own account has one as well, of the devices that this one knows as its own.
pub type PinKey = (PeerId, Party);

/// Why pins cannot be read or kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinStoreError {
    /// A file operation failed.
    #[error("the file of pins cannot be used")]
    Io(#[source] Arc<io::Error>),
    /// What stands there is no regular file.
    #[error("the file of pins is not a regular file")]
    NotAFile,
    /// Its bytes are not those of pins, or were changed.
    #[error("the file of pins is damaged")]
    Damaged,
    /// Another version of this program wrote it, which this one does not understand.
    #[error("the file of pins is of another version")]
    Version,
    /// It may be read or written by others than its owner.
    #[error("the file of pins is open to others (mode {mode:o}); restrict it to 600")]
    Permissions {
        /// The permission bits found.
        mode: u32,
    },
    /// Another process, or another node of this one, uses it.
    #[error("the file of pins is in use")]
    InUse,
    /// More pins than a file holds.
    #[error("too many pins")]
    Full,
    /// The runtime went down before it was known to be kept.
    #[error("the program ends")]
    Interrupted,
}

impl From<io::Error> for PinStoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// Keeps pins. Whoever can put an old state back brings back a device that was disowned since (docs/security.md).
#[async_trait]
pub trait PinStore: Send + Sync + 'static {
    /// Everything that is kept.
    ///
    /// # Errors
    /// [`PinStoreError`].
    async fn load(&self) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError>;

    /// Keeps `record` in the place of what was kept for `key`, or nothing any more. Durable when it resolves. Calls are made one
    /// after the other, and never dropped before they resolved but with the runtime.
    ///
    /// # Errors
    /// [`PinStoreError`]: it is not known to be durable. The old record is kept or the new one, whole; the next call that succeeds
    /// for the key decides, and the client makes no session with the party until then.
    ///
    /// # Cancel safety
    /// A dropped future leaves it done or not done.
    async fn put(&self, key: PinKey, record: Option<PinRecord>) -> Result<(), PinStoreError>;
}

/// Keeps pins as long as it lives: for programs whose users do not remove peers, or for tests. It is what a node uses that is given
/// no other store.
///
/// What it forgets with its process is not only whom it knew: it forgets whom its user has removed, blocked or declined, and which
/// devices were disowned. A server that shows an old agreement to the next process makes a peer of that party again, and its
/// devices are trusted on first use (docs/security.md). Where that matters [`FilePins`] keeps it in a file.
#[derive(Default, Debug)]
pub struct MemoryPins {
    records: Mutex<BTreeMap<PinKey, PinRecord>>,
}

impl MemoryPins {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }
}

fn put_into(records: &mut BTreeMap<PinKey, PinRecord>, key: PinKey, record: Option<PinRecord>) {
    match record {
        Some(record) => records.insert(key, record),
        None => records.remove(&key),
    };
}

#[async_trait]
impl PinStore for MemoryPins {
    async fn load(&self) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError> {
        Ok(self.records.lock().clone())
    }

    async fn put(&self, key: PinKey, record: Option<PinRecord>) -> Result<(), PinStoreError> {
        put_into(&mut self.records.lock(), key, record);
        Ok(())
    }
}
