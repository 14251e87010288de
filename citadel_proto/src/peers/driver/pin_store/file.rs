//! Pins in one file: `head ‖ (length (u32) ‖ key and record)* ‖ checksum`, written anew beside it, synced and renamed.

use super::super::super::pins::PinRecord;
use super::{PinKey, PinStore, PinStoreError, put_into};
use async_trait::async_trait;
use citadel_crypt::labels;
use citadel_crypt::private_file::{self, Beside};
use citadel_crypt::suite::{CryptoProvider, Native};
use citadel_crypt::transcript::Transcript;
use citadel_crypt::wire;
use core::fmt;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex as AsyncMutex;

/// What a file of this version starts with.
const HEAD: &[u8] = b"citadel pins 2\n";
/// What a file of any version starts with.
const ANY_HEAD: &[u8] = b"citadel pins ";
/// How the names of files end that are not whole yet.
const TEMPORARY: &str = "tmp";
const CHECKSUM_LEN: usize = 8;
/// Most records of a file: four times the peers that an account may have.
const MOST: usize = 4_096;
/// Longest record, bytes: of as many devices as a pin may know, each with as many vouchers as it may have.
const MAX_RECORD: usize = 32 << 10;
/// Longest file, bytes. What a usual peer takes is 200.
const MAX_FILE: usize = 16 << 20;

/// Keeps pins in one file, which only its owner may open. A change writes all of it beside, syncs, renames, and syncs the folder.
///
/// From the first use until the last clone is dropped the file belongs to this store: another one, in this process or another,
/// gets [`PinStoreError::InUse`]. What says so is a lock on `NAME.lock` beside the file, which stays there. The first use removes
/// what a process that was killed in the midst of a change has left beside it (`NAME.NUMBER.tmp`).
#[derive(Clone)]
pub struct FilePins {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Whose turn it is, with the lock once it is taken. An operation has it until the last of its effects, even if whoever
    /// waited for it is gone.
    turn: Arc<AsyncMutex<Option<File>>>,
    /// Asked before each step of a write. Files do not fail when a test wants it.
    before: fn(Step) -> io::Result<()>,
}

/// The steps of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Make,
    Write,
    Sync,
    Rename,
    SyncFolder,
}

impl FilePins {
    /// The file at `path`; one that is not there holds nothing and is made with the first pin. Its folder has to exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path.into(), |_| Ok(()))
    }

    fn with(path: PathBuf, before: fn(Step) -> io::Result<()>) -> Self {
        Self { shared: Arc::new(Shared { path, turn: Arc::default(), before }) }
    }

    /// Runs what may wait for a disk away from the async threads, one after the other.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, PinStoreError> + Send + 'static,
    ) -> Result<T, PinStoreError> {
        let mut turn = Arc::clone(&self.shared.turn).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || {
            if turn.is_none() {
                *turn = Some(lock(&shared.path)?);
                // Nobody else is writing: what is beside it now will never be renamed.
                Beside::remove_left_behind(&shared.path, TEMPORARY);
            }
            let result = work(&shared);
            drop(turn);
            result
        });
        // A runtime that goes down cancels it.
        done.await.unwrap_or(Err(PinStoreError::Interrupted))
    }
}

impl fmt::Debug for FilePins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePins({})", self.shared.path.display())
    }
}

#[async_trait]
impl PinStore for FilePins {
    async fn load(&self) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError> {
        self.blocking(Shared::read).await
    }

    async fn put(&self, key: PinKey, record: Option<PinRecord>) -> Result<(), PinStoreError> {
        let put = move |shared: &Shared| {
            let mut records = shared.read()?;
            put_into(&mut records, key, record);
            shared.write(&records)
        };
        self.blocking(put).await
    }
}

impl Shared {
    fn read(&self) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError> {
        // Asked before opening: a named pipe would block. A link would be replaced by the file that is written.
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(PinStoreError::NotAFile),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        }
        let file = File::open(&self.path)?;
        if let Some(mode) = private_file::open_to_others(&file.metadata()?) {
            return Err(PinStoreError::Permissions { mode });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > MAX_FILE { Err(PinStoreError::Damaged) } else { decode(&bytes) }
    }

    fn write(&self, records: &BTreeMap<PinKey, PinRecord>) -> Result<(), PinStoreError> {
        let bytes = encode(records)?;
        let mut unique = [0; 8];
        Native.random(&mut unique).map_err(|_| io::Error::from(ErrorKind::Other))?;
        let beside = Beside::new(&self.path, unique, TEMPORARY).ok_or(PinStoreError::NotAFile)?;
        (self.before)(Step::Make)?;
        let mut file = private_file::new_file().open(beside.path())?;
        (self.before)(Step::Write)?;
        file.write_all(&bytes)?;
        (self.before)(Step::Sync)?;
        file.sync_all()?;
        (self.before)(Step::Rename)?;
        fs::rename(beside.path(), &self.path)?;
        (self.before)(Step::SyncFolder)?;
        Ok(private_file::sync_folder(&self.path)?)
    }
}

/// Takes the file for this process, as long as what is returned lives.
fn lock(path: &Path) -> Result<File, PinStoreError> {
    let mut name = path.file_name().ok_or(PinStoreError::NotAFile)?.to_owned();
    name.push(".lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path.with_file_name(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(PinStoreError::InUse),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn encode(records: &BTreeMap<PinKey, PinRecord>) -> Result<Vec<u8>, PinStoreError> {
    if records.len() > MOST {
        return Err(PinStoreError::Full);
    }
    let mut bytes = HEAD.to_vec();
    for record in records {
        let record = wire::encode(&record).map_err(|_| PinStoreError::Full)?;
        let len = u32::try_from(record.len()).ok().filter(|_| record.len() <= MAX_RECORD);
        bytes.extend_from_slice(&len.ok_or(PinStoreError::Full)?.to_le_bytes());
        bytes.extend_from_slice(&record);
    }
    bytes.extend_from_slice(&checksum(&bytes));
    if bytes.len() > MAX_FILE { Err(PinStoreError::Full) } else { Ok(bytes) }
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<PinKey, PinRecord>, PinStoreError> {
    if !bytes.starts_with(HEAD) {
        let is_other = bytes.starts_with(ANY_HEAD);
        return Err(if is_other { PinStoreError::Version } else { PinStoreError::Damaged });
    }
    let (whole, found) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(PinStoreError::Damaged)?;
    if *found != checksum(whole) {
        return Err(PinStoreError::Damaged);
    }
    read_records(whole.strip_prefix(HEAD)).ok_or(PinStoreError::Damaged)
}

fn read_records(body: Option<&[u8]>) -> Option<BTreeMap<PinKey, PinRecord>> {
    let (mut rest, mut records) = (body?, BTreeMap::new());
    while let Some((len, after)) = rest.split_first_chunk() {
        let (record, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let (key, record) = wire::decode(record, MAX_RECORD).ok()?;
        let is_twice = records.insert(key, record).is_some();
        if is_twice || records.len() > MOST {
            return None;
        }
        rest = after;
    }
    rest.is_empty().then_some(records)
}

/// Against accidents: who can write the file can write this, too.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = Transcript::new(labels::PINS_CHECKSUM).field(bytes).finish();
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(&hash[..CHECKSUM_LEN]);
    checksum
}

#[cfg(test)]
mod tests;
