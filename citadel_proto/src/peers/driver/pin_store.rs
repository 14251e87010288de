//! Where pins are kept: in memory, or in one file that is whole or not there.

use super::super::Party;
use super::super::pins::Pin;
use async_trait::async_trait;
use citadel_crypt::addr::PeerId;
use citadel_crypt::private_file::{self, Beside};
use citadel_crypt::suite::hash::sha3_512;
use citadel_crypt::suite::{CryptoProvider, Native};
use citadel_crypt::wire;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Whose pin: a party at a server.
pub type PinKey = (PeerId, Party);

/// Why pins cannot be read or kept.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinStoreError {
    /// A file operation failed.
    #[error("the file of pins cannot be used")]
    Io(#[source] Arc<io::Error>),
    /// Its bytes are not those of pins, or were changed.
    #[error("the file of pins is damaged")]
    Damaged,
    /// A newer version of this program wrote it.
    #[error("the file of pins is of another version")]
    Version,
    /// It may be read or written by others than its owner.
    #[error("the file of pins is open to others (mode {mode:o}); restrict it to 600")]
    Permissions {
        /// The permission bits found.
        mode: u32,
    },
    /// More pins than a file holds.
    #[error("too many pins")]
    Full,
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
    async fn load(&self) -> Result<BTreeMap<PinKey, Pin>, PinStoreError>;

    /// Keeps `pin` in the place of what was kept for `key`, or nothing any more. Durable when it resolves. Calls are made one
    /// after the other.
    ///
    /// # Errors
    /// [`PinStoreError`]; what was kept before is still there.
    ///
    /// # Cancel safety
    /// A dropped future leaves it done or not done.
    async fn put(&self, key: PinKey, pin: Option<Pin>) -> Result<(), PinStoreError>;
}

/// Keeps pins as long as it lives.
#[derive(Default, Debug)]
pub struct MemoryPins {
    pins: Mutex<BTreeMap<PinKey, Pin>>,
}

impl MemoryPins {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }
}

fn put_into(pins: &mut BTreeMap<PinKey, Pin>, key: PinKey, pin: Option<Pin>) {
    match pin {
        Some(pin) => pins.insert(key, pin),
        None => pins.remove(&key),
    };
}

#[async_trait]
impl PinStore for MemoryPins {
    async fn load(&self) -> Result<BTreeMap<PinKey, Pin>, PinStoreError> {
        Ok(self.pins.lock().clone())
    }

    async fn put(&self, key: PinKey, pin: Option<Pin>) -> Result<(), PinStoreError> {
        put_into(&mut self.pins.lock(), key, pin);
        Ok(())
    }
}

/// What a file of this version starts with.
const HEAD: &[u8] = b"citadel pins 1\n";
/// What a file of any version starts with.
const ANY_HEAD: &[u8] = b"citadel pins ";
const CHECKSUM_LEN: usize = 8;
/// Most pins of a file: what 1 MiB holds of usual ones.
const MOST: usize = 4_096;

/// Keeps pins in one file, which is written anew beside, synced and renamed with each change. Only its owner may open it.
#[derive(Clone, Debug)]
pub struct FilePins {
    path: PathBuf,
}

impl FilePins {
    /// The file at `path`; one that is not there holds nothing and is made with the first pin.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self) -> Result<BTreeMap<PinKey, Pin>, PinStoreError> {
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.into()),
        };
        if let Some(mode) = private_file::open_to_others(&metadata) {
            return Err(PinStoreError::Permissions { mode });
        }
        if metadata.len() > wire::MAX_LEN as u64 {
            return Err(PinStoreError::Damaged);
        }
        decode(&fs::read(&self.path)?)
    }

    fn write(&self, pins: &BTreeMap<PinKey, Pin>) -> Result<(), PinStoreError> {
        let bytes = encode(pins)?;
        let mut unique = [0; 8];
        Native.random(&mut unique).map_err(|_| io::Error::from(ErrorKind::Other))?;
        let beside =
            Beside::new(&self.path, unique, "tmp").ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        let mut file = private_file::new_file().open(beside.path())?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(beside.path(), &self.path)?;
        Ok(private_file::sync_folder(&self.path)?)
    }
}

#[async_trait]
impl PinStore for FilePins {
    async fn load(&self) -> Result<BTreeMap<PinKey, Pin>, PinStoreError> {
        let file = self.clone();
        blocking(move || file.read()).await
    }

    async fn put(&self, key: PinKey, pin: Option<Pin>) -> Result<(), PinStoreError> {
        let file = self.clone();
        let put = move || {
            let mut pins = file.read()?;
            put_into(&mut pins, key, pin);
            file.write(&pins)
        };
        blocking(put).await
    }
}

/// Runs what may wait for a disk away from the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PinStoreError> + Send + 'static,
) -> Result<T, PinStoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    // A runtime that goes down cancels it.
    done.unwrap_or_else(|_| Err(io::Error::from(ErrorKind::Interrupted).into()))
}

fn encode(pins: &BTreeMap<PinKey, Pin>) -> Result<Vec<u8>, PinStoreError> {
    if pins.len() > MOST {
        return Err(PinStoreError::Full);
    }
    let body = wire::encode(pins).map_err(|_| PinStoreError::Full)?;
    let bytes = [HEAD, &body, &checksum(&body)].concat();
    if bytes.len() > wire::MAX_LEN { Err(PinStoreError::Full) } else { Ok(bytes) }
}

fn decode(bytes: &[u8]) -> Result<BTreeMap<PinKey, Pin>, PinStoreError> {
    let Some(rest) = bytes.strip_prefix(HEAD) else {
        let is_other = bytes.starts_with(ANY_HEAD);
        return Err(if is_other { PinStoreError::Version } else { PinStoreError::Damaged });
    };
    let (body, found) = rest.split_last_chunk::<CHECKSUM_LEN>().ok_or(PinStoreError::Damaged)?;
    if *found != checksum(body) {
        return Err(PinStoreError::Damaged);
    }
    wire::decode(body, wire::MAX_LEN).map_err(|_| PinStoreError::Damaged)
}

/// Against accidents: who can write the file can write this, too.
fn checksum(body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = sha3_512(&[HEAD, body]);
    let mut checksum = [0; CHECKSUM_LEN];
    checksum.copy_from_slice(&hash[..CHECKSUM_LEN]);
    checksum
}
