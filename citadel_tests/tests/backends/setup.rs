//! The backends under test, and what they are asked to keep.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, UserName};
use citadel_proto::backend::{
    Backend, BackendError, Device, Memory, NewAccount, PairLimits, PasswordHash, Redb, RedbConfig, SealScope,
    SealingKey, UnixTime,
};
use citadel_tests::canary;
use redb::backends::InMemoryBackend;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The implementations, each in the ways that it can be set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Memory,
    Redb,
    Sealed,
}

pub(crate) fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes(&[byte; 32]).unwrap()
}

pub(crate) fn sealed(byte: u8, scope: SealScope) -> RedbConfig {
    RedbConfig { scope, ..RedbConfig::sealed(key(byte)) }
}

/// An empty store.
pub(crate) fn new(kind: Kind) -> Arc<dyn Backend> {
    canary::watch();
    let redb = |config| Arc::new(Redb::with_storage(InMemoryBackend::new(), config).unwrap());
    match kind {
        Kind::Memory => Arc::new(Memory::new()),
        Kind::Redb => redb(RedbConfig::default()),
        Kind::Sealed => redb(sealed(1, SealScope::All)),
    }
}

/// A file that is removed with the test.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new() -> Self {
        canary::watch();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("citadel-{}-{}.redb", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn cid(number: u64) -> Cid {
    Cid(number)
}

pub(crate) fn peer(number: u8) -> PeerId {
    PeerId([number; 32])
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

pub(crate) fn account(number: u64, name: &str) -> NewAccount {
    NewAccount {
        cid: cid(number),
        user: user(name),
        display_name: DisplayName::new("Somebody").unwrap(),
        password: PasswordHash::new("$argon2id$first-hash").unwrap(),
        created: UnixTime(100),
    }
}

pub(crate) fn device(number: u8) -> Device {
    Device::new(peer(number), DeviceName::new("phone").unwrap(), UnixTime(200))
}

/// Stores account 1, `alice`, with device 1.
pub(crate) async fn alice(backend: &dyn Backend) {
    backend.create_account(account(1, "alice"), device(1)).await.unwrap();
}

/// The code of an error that there must be.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, BackendError>) -> u32 {
    result.unwrap_err().code()
}

/// So many pairs of an account, and requests without end, at a time at which nothing is over.
pub(crate) fn most(pairs: usize) -> PairLimits {
    PairLimits { pairs, requests: usize::MAX, now: UnixTime(7) }
}
