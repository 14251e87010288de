//! The file of pins: whole, one's own, and what it was before a change that failed.

use super::*;
use crate::peers::pins::Pin;
use crate::peers::statement::StatementNumber;
use crate::peers::{MAX_PINNED, Party};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use futures::poll;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{LazyLock, Mutex};

/// A folder of a test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("citadel-pins-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("pins")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next run makes it anew.
        let _left_behind = fs::remove_dir_all(&self.0);
    }
}

fn key(number: u64) -> PinKey {
    (PeerId([7; 32]), Party::Account(Cid(number)))
}

fn record(number: u8) -> PinRecord {
    PinRecord::of_own(Pin::of_own(PeerId([number; 32])), Some(StatementNumber(number.into())))
}

fn records(of: &[(u64, u8)]) -> BTreeMap<PinKey, PinRecord> {
    of.iter().map(|(party, number)| (key(*party), record(*number))).collect()
}

/// A file that nobody else may open.
fn write(path: &Path, bytes: &[u8]) {
    let _replaced = fs::remove_file(path);
    private_file::new_file().open(path).unwrap().write_all(bytes).unwrap();
}

async fn error(store: &FilePins) -> PinStoreError {
    store.load().await.unwrap_err()
}

#[tokio::test]
async fn what_is_put_is_there_for_whoever_opens_the_file_next() {
    let folder = Folder::new("next");
    for round in 0..3_u8 {
        let store = FilePins::new(folder.file());
        let before = if round == 0 { records(&[]) } else { records(&[(1, round - 1), (2, 9)]) };
        assert_eq!(store.load().await.unwrap(), before);
        store.put(key(1), Some(record(round))).await.unwrap();
        store.put(key(2), Some(record(9))).await.unwrap();
        store.put(key(3), Some(record(9))).await.unwrap();
        store.clone().put(key(3), None).await.unwrap();
        assert_eq!(store.load().await.unwrap(), records(&[(1, round), (2, 9)]));
        assert_eq!(folder.names(), ["pins", "pins.lock"]);
    }
}

#[tokio::test]
async fn a_file_that_was_changed_or_cut_off_is_refused() {
    let folder = Folder::new("changed");
    let store = FilePins::new(folder.file());
    let good = encode(&records(&[(1, 1), (2, 2)])).unwrap();
    assert!(good.starts_with(b"citadel pins 2\n"));
    write(&folder.file(), &good);
    assert_eq!(store.load().await.unwrap(), records(&[(1, 1), (2, 2)]));
    let refused =
        |bytes: &[u8]| matches!(decode(bytes), Err(PinStoreError::Damaged | PinStoreError::Version));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(refused(&bad), "bit {bit} of byte {at}");
        }
        assert!(refused(&good[..at]), "cut at {at}");
    }
    write(&folder.file(), &good[..good.len() - 1]);
    assert!(matches!(error(&store).await, PinStoreError::Damaged));
    // Nothing is written over what cannot be read.
    assert!(matches!(store.put(key(1), None).await, Err(PinStoreError::Damaged)));
    assert_eq!(fs::read(folder.file()).unwrap(), good[..good.len() - 1]);
}

#[tokio::test]
async fn a_file_of_another_version_is_refused_as_such() {
    let folder = Folder::new("version");
    let store = FilePins::new(folder.file());
    for other in ["citadel pins 1\n", "citadel pins 3\nwhatever comes then"] {
        write(&folder.file(), other.as_bytes());
        assert!(matches!(error(&store).await, PinStoreError::Version));
    }
    write(&folder.file(), b"");
    assert!(matches!(error(&store).await, PinStoreError::Damaged));
}

#[test]
fn what_has_a_good_checksum_is_still_read_with_care() {
    let signed = |body: &[u8]| {
        let bytes = [HEAD, body].concat();
        [&bytes[..], &checksum(&bytes)].concat()
    };
    let entry = |key: PinKey| {
        let entry = wire::encode(&(key, record(1))).unwrap();
        [&u32::try_from(entry.len()).unwrap().to_le_bytes()[..], &entry].concat()
    };
    assert!(decode(&signed(&entry(key(1)))).is_ok());
    assert_eq!(decode(&signed(b"")).unwrap(), BTreeMap::new());
    let long = [&u32::MAX.to_le_bytes()[..], &[0; 64]].concat();
    for bad in [&[0][..], &[0; 4], &entry(key(1))[..9], &[entry(key(1)), entry(key(1))].concat(), &long] {
        assert!(matches!(decode(&signed(bad)), Err(PinStoreError::Damaged)), "{bad:?}");
    }
    let many: Vec<u8> = (0..4_097).flat_map(|number| entry(key(number))).collect();
    assert!(matches!(decode(&signed(&many)), Err(PinStoreError::Damaged)));
}

#[test]
fn a_file_holds_so_many_records_and_each_of_them_as_large_as_it_gets() {
    let many = |most| (0..most).map(|number| (key(number), record(1))).collect::<BTreeMap<_, _>>();
    assert!(encode(&many(4_096)).is_ok());
    assert!(matches!(encode(&many(4_097)), Err(PinStoreError::Full)));
    let peer = |number: usize| PeerId([u8::try_from(number).unwrap(); 32]);
    // As many devices as there may be, each with as many vouchers.
    let device = |number: usize| {
        let vouchers: Vec<PeerId> =
            (0..MAX_PINNED).filter(|other| *other != number).take(8).map(peer).collect();
        (peer(number), (Some(u64::MAX), (0_u32, vouchers)))
    };
    let pin: BTreeMap<_, _> = (0..MAX_PINNED).map(device).collect();
    let pin: Pin = wire::decode(&wire::encode(&pin).unwrap(), 1 << 20).unwrap();
    let largest = BTreeMap::from([(key(1), PinRecord::of_own(pin, Some(StatementNumber(u64::MAX))))]);
    assert_eq!(decode(&encode(&largest).unwrap()).unwrap(), largest);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_others_may_open_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("open");
    let store = FilePins::new(folder.file());
    store.put(key(1), Some(record(1))).await.unwrap();
    let mode = |mode| fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
    for open in [0o644, 0o660, 0o604, 0o601] {
        mode(open);
        assert!(matches!(error(&store).await, PinStoreError::Permissions { mode } if mode == open));
    }
    mode(0o600);
    assert_eq!(store.load().await.unwrap(), records(&[(1, 1)]));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_refused() {
    let folder = Folder::new("regular");
    fs::create_dir(folder.file()).unwrap();
    let store = FilePins::new(folder.file());
    assert!(matches!(error(&store).await, PinStoreError::NotAFile));
    fs::remove_dir(folder.file()).unwrap();
    let elsewhere = folder.0.join("elsewhere");
    write(&elsewhere, &encode(&records(&[(1, 1)])).unwrap());
    std::os::unix::fs::symlink(&elsewhere, folder.file()).unwrap();
    assert!(matches!(error(&store).await, PinStoreError::NotAFile));
    assert!(matches!(FilePins::new("/").load().await, Err(PinStoreError::NotAFile)));
    fs::remove_file(folder.file()).unwrap();
    write(&folder.file(), b"");
    File::options().write(true).open(folder.file()).unwrap().set_len((16 << 20) + 1).unwrap();
    assert!(matches!(error(&store).await, PinStoreError::Damaged));
}

#[tokio::test]
async fn fix_0046_a_file_is_used_by_one_store_at_a_time() {
    let folder = Folder::new("use");
    let (one, other) = (FilePins::new(folder.file()), FilePins::new(folder.file()));
    one.put(key(1), Some(record(1))).await.unwrap();
    assert!(matches!(error(&other).await, PinStoreError::InUse));
    assert!(matches!(other.put(key(2), Some(record(2))).await, Err(PinStoreError::InUse)));
    let clone = one.clone();
    drop(one);
    assert!(matches!(error(&other).await, PinStoreError::InUse));
    drop(clone);
    assert_eq!(other.load().await.unwrap(), records(&[(1, 1)]));
    other.put(key(2), Some(record(2))).await.unwrap();
}

/// What is asked before each step.
type Before = fn(Step) -> io::Result<()>;

fn fails(at: Step, step: Step) -> io::Result<()> {
    if at == step { Err(io::Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
}

#[tokio::test]
async fn fix_0041_a_change_that_fails_at_any_step_leaves_the_old_state_or_the_new_one() {
    let steps: [(&str, Before); 5] = [
        ("make", |step| fails(Step::Make, step)),
        ("write", |step| fails(Step::Write, step)),
        ("sync", |step| fails(Step::Sync, step)),
        ("rename", |step| fails(Step::Rename, step)),
        ("sync folder", |step| fails(Step::SyncFolder, step)),
    ];
    for (name, before) in steps {
        let folder = Folder::new(name);
        FilePins::new(folder.file()).put(key(1), Some(record(1))).await.unwrap();
        let failing = FilePins::with(folder.file(), before);
        assert!(matches!(failing.put(key(1), Some(record(2))).await, Err(PinStoreError::Io(_))), "{name}");
        let left = if name == "sync folder" { 2 } else { 1 };
        assert_eq!(failing.load().await.unwrap(), records(&[(1, left)]), "{name}");
        drop(failing);
        assert_eq!(folder.names(), ["pins", "pins.lock"], "{name}");
        let store = FilePins::new(folder.file());
        store.put(key(1), Some(record(3))).await.unwrap();
        assert_eq!(store.load().await.unwrap(), records(&[(1, 3)]));
    }
}

#[tokio::test]
async fn what_a_process_that_was_killed_leaves_beside_the_file_is_never_read() {
    let folder = Folder::new("killed");
    let whole = encode(&records(&[(1, 2)])).unwrap();
    // Before the first file was renamed, and before a later one was.
    for (expected, is_first) in [(records(&[]), true), (records(&[(1, 1)]), false)] {
        if !is_first {
            FilePins::new(folder.file()).put(key(1), Some(record(1))).await.unwrap();
        }
        for cut in [0, 1, whole.len() / 2, whole.len()] {
            write(&folder.0.join("pins.0123456789abcdef.tmp"), &whole[..cut]);
            assert_eq!(FilePins::new(folder.file()).load().await.unwrap(), expected);
        }
    }
    FilePins::new(folder.file()).put(key(1), Some(record(3))).await.unwrap();
    assert_eq!(FilePins::new(folder.file()).load().await.unwrap(), records(&[(1, 3)]));
}

#[tokio::test]
async fn fix_0079_what_a_process_that_was_killed_leaves_is_gone_when_the_file_is_opened() {
    let folder = Folder::new("left behind");
    let left = ["pins.0123456789abcdef.tmp", "pins.ffffffffffffffff.tmp"];
    let others = [
        "Pins.0123456789abcdef.tmp",
        "pin.0123456789abcdef.tmp",
        "pins.0123456789ABCDEF.tmp",
        "pins.0123456789abcde.tmp",
        "pins.0123456789abcdef.tmp.old",
        "pins.0123456789abcdeg.tmp",
        "pins.tmp",
    ];
    left.iter().chain(&others).for_each(|name| write(&folder.0.join(name), b"half a"));
    // No write has made a folder.
    fs::create_dir(folder.0.join("pins.00000000000000ff.tmp")).unwrap();
    let store = FilePins::new(folder.file());
    assert_eq!(store.load().await.unwrap(), records(&[]));
    let mut expected: Vec<&str> =
        others.into_iter().chain(["pins.00000000000000ff.tmp", "pins.lock"]).collect();
    expected.sort_unstable();
    assert_eq!(folder.names(), expected);
    // One that does not get the file removes nothing: it may be in use.
    write(&folder.0.join(left[0]), b"half a");
    assert!(matches!(error(&FilePins::new(folder.file())).await, PinStoreError::InUse));
    assert!(folder.names().iter().any(|name| name == left[0]));
}

/// Where the first write of the test below stands, and what lets it go on.
static REACHED: LazyLock<(Sender<()>, Mutex<Receiver<()>>)> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
});
static GOES_ON: LazyLock<(Sender<()>, Mutex<Receiver<()>>)> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
});
/// Writes that began and did not end yet, and the most at once.
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static MOST_RUNNING: AtomicUsize = AtomicUsize::new(0);

fn stops_once(step: Step) -> io::Result<()> {
    if step == Step::Make {
        let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
        if MOST_RUNNING.fetch_max(running, Ordering::SeqCst) == 0 {
            REACHED.0.send(()).unwrap();
            GOES_ON.1.lock().unwrap().recv().unwrap();
        }
    }
    if step == Step::SyncFolder {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
    Ok(())
}

#[tokio::test]
async fn fix_0040_a_change_that_nobody_waits_for_any_more_comes_before_the_next() {
    let folder = Folder::new("order");
    let store = FilePins::with(folder.file(), stops_once);
    {
        let mut dropped = store.put(key(1), Some(record(1)));
        assert!(poll!(&mut dropped).is_pending());
        REACHED.1.lock().unwrap().recv().unwrap();
    }
    let (mut next, mut last) = (store.put(key(2), Some(record(2))), store.put(key(1), None));
    assert!(poll!(&mut next).is_pending());
    assert!(poll!(&mut last).is_pending());
    GOES_ON.0.send(()).unwrap();
    next.await.unwrap();
    last.await.unwrap();
    assert_eq!(MOST_RUNNING.load(Ordering::SeqCst), 1);
    assert_eq!(store.load().await.unwrap(), records(&[(2, 2)]));
}
