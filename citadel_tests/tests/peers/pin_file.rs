//! A file of pins and the processes that use it: one at a time, and nothing is left of one that was killed.
//!
//! The other process is this test binary again, told by its environment what to do.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_proto::peers::{FilePins, Party, PinKey, PinRecord, PinStore, PinStoreError};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::runtime::Runtime;

const FILE: &str = "CITADEL_PIN_FILE";
/// What the other process says once the file is its own.
const OPENED: &str = "opened";

fn key(number: u64) -> PinKey {
    (PeerId([7; 32]), Party::Account(Cid(number)))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// The process: opens the file, says so, and writes until it is killed.
#[test]
fn the_process_that_uses_the_file() {
    let Ok(file) = std::env::var(FILE) else { return };
    runtime().block_on(async {
        let store = FilePins::new(file);
        store.load().await.unwrap();
        // Around the harness, which would keep the lines of a test to itself.
        writeln!(std::io::stdout().lock(), "\n{OPENED}").unwrap();
        for number in 0.. {
            store.put(key(number % 50), Some(PinRecord::default())).await.unwrap();
        }
    });
}

/// A folder of a test's own, with the file in it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("citadel-pin-processes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("pins")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next run makes it anew.
        let _left_behind = std::fs::remove_dir_all(&self.0);
    }
}

struct Process(Child);

impl Process {
    /// Starts it; the file is its own.
    fn start(file: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "pin_file::the_process_that_uses_the_file", "--nocapture", "--test-threads=1"])
            .env(FILE, file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said = lines.map_while(Result::ok);
        assert!(said.any(|line| line == OPENED), "it could not open the file");
        Self(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that was killed already is fine.
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

#[test]
fn a_file_of_pins_has_one_process_at_a_time_and_is_free_when_that_is_killed() {
    let folder = Folder::new();
    for _ in 0..5 {
        let mut other = Process::start(&folder.file());
        runtime().block_on(async {
            let ours = FilePins::new(folder.file());
            let loaded = ours.load().await;
            assert!(matches!(loaded, Err(PinStoreError::InUse)), "{loaded:?}");
            let put = ours.put(key(1), None).await;
            assert!(matches!(put, Err(PinStoreError::InUse)), "{put:?}");
            other.kill();
            // The one that was refused may have it now; what the other one was writing is whole, old or new.
            ours.load().await.unwrap();
            assert!(
                folder.names().iter().all(|name| ["pins", "pins.lock"].contains(&&**name)),
                "{:?}",
                folder.names()
            );
            ours.put(key(1), None).await.unwrap();
        });
        assert_eq!(folder.names(), ["pins", "pins.lock"]);
    }
}
