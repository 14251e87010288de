//! A disk in memory that remembers what was written and when it was synced, and shows what a crash may leave of it.
//!
//! Between two syncs a disk may keep any of the writes and lose any other: SIGKILL shows none of that, because the system's
//! cache survives it. An image is what is on the disk after a crash: all that was synced, and some of the rest.

use parking_lot::Mutex;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use redb::StorageBackend;
use std::io;
use std::sync::Arc;

/// A change of the disk.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Arc<[u8]> },
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if image.len() < end {
                    image.resize(end, 0);
                }
                image[*at..end].copy_from_slice(bytes);
            }
            Self::Length(length) => image.resize(*length, 0),
        }
    }

    /// The first sectors of a write, which is not one write to a disk.
    fn torn(&self, rng: &mut ChaCha8Rng) -> Self {
        const SECTOR: usize = 512;
        match self {
            Self::Write { at, bytes } if bytes.len() > SECTOR => {
                let sectors = rng.next_u64() % (bytes.len() / SECTOR) as u64;
                let kept = usize::try_from(sectors).expect("fewer sectors than bytes") * SECTOR;
                Self::Write { at: *at, bytes: bytes[..kept].into() }
            }
            whole => whole.clone(),
        }
    }
}

#[derive(Default)]
struct State {
    image: Vec<u8>,
    /// Changes since the last sync, and before it all those that were synced together.
    intervals: Vec<Vec<Change>>,
    pending: Vec<Change>,
}

/// The disk. Clones are the same one.
#[derive(Clone, Default)]
pub struct CrashDisk {
    state: Arc<Mutex<State>>,
}

/// A moment: so many syncs, and so many changes after the last of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    /// Syncs done.
    pub syncs: usize,
    /// Changes since.
    pub changes: usize,
}

impl CrashDisk {
    /// A disk that holds `image`.
    pub fn new(image: Vec<u8>) -> Self {
        let state = State { image, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Now.
    pub fn moment(&self) -> Moment {
        let state = self.state.lock();
        Moment { syncs: state.intervals.len(), changes: state.pending.len() }
    }

    /// All that happened to the disk so far, which began empty.
    pub fn history(&self) -> History {
        let state = self.state.lock();
        History { intervals: state.intervals.iter().cloned().chain([state.pending.clone()]).collect() }
    }
}

impl core::fmt::Debug for CrashDisk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "CrashDisk({:?})", self.moment())
    }
}

impl StorageBackend for CrashDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().image.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let state = self.state.lock();
        let end = at.checked_add(out.len()).ok_or(io::ErrorKind::InvalidInput)?;
        let bytes = state.image.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(len).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let pending = std::mem::take(&mut state.pending);
        state.intervals.push(pending);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(Change::Write { at, bytes: data.into() });
        Ok(())
    }
}

impl CrashDisk {
    fn change(&self, change: Change) {
        let mut state = self.state.lock();
        change.apply(&mut state.image);
        state.pending.push(change);
    }
}

/// What happened to a disk, to be cut off anywhere.
pub struct History {
    intervals: Vec<Vec<Change>>,
}

impl History {
    /// Calls `check` with the moment of a crash and an image that it may leave: for every interval between two syncs every
    /// prefix of its changes, and `subsets` seeded subsets of them, in half of which a write is torn. Returns how many.
    pub fn crashes(&self, subsets: u64, mut check: impl FnMut(Moment, Vec<u8>)) -> usize {
        let (mut synced, mut count) = (Vec::new(), 0);
        for (syncs, interval) in self.intervals.iter().enumerate() {
            let mut image = synced.clone();
            check(Moment { syncs, changes: 0 }, image.clone());
            for (at, change) in interval.iter().enumerate() {
                change.apply(&mut image);
                check(Moment { syncs, changes: at + 1 }, image.clone());
            }
            count += 1 + interval.len();
            for subset in 0..if interval.is_empty() { 0 } else { subsets } {
                let mut rng = ChaCha8Rng::seed_from_u64((syncs as u64) << 32 | subset);
                check(
                    Moment { syncs, changes: interval.len() },
                    some(&synced, interval, subset % 2 == 1, &mut rng),
                );
                count += 1;
            }
            synced = image;
        }
        count
    }
}

/// What is left when each change of `interval` is kept or lost by chance.
fn some(synced: &[u8], interval: &[Change], is_torn: bool, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut image = synced.to_vec();
    for change in interval {
        match rng.next_u64() % 8 {
            0..4 => {}
            4 if is_torn => change.torn(rng).apply(&mut image),
            _ => change.apply(&mut image),
        }
    }
    image
}
