//! The identity file: made once, whole or not at all, readable by its owner only.

use super::{Identity, IdentityError, STORED_LEN};
use crate::private_file::{self, Beside};
use crate::suite::{CryptoProvider, Native};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

impl Identity {
    /// Reads the identity at `path`, or makes one there. Blocks on the file system.
    ///
    /// A new file is written beside `path` with mode 0600 (on Unix), synced, and linked to its name without replacing
    /// anything: of two processes that create it at once, both return the one that won. A file that is there is never
    /// changed.
    ///
    /// # Errors
    /// [`IdentityError`]: the file is of another size or kind, damaged, open to others (on Unix), or cannot be read or
    /// made; the directory has to exist and its file system has to know hard links.
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let path = path.as_ref();
        match load(path) {
            Err(IdentityError::Io(error)) if error.kind() == ErrorKind::NotFound => {}
            other => return other,
        }
        create(path, &Self::generate())?;
        load(path)
    }
}

fn load(path: &Path) -> Result<Identity, IdentityError> {
    // Asked before opening: a named pipe would block, a directory does not open everywhere.
    if !fs::metadata(path)?.is_file() {
        return Err(IdentityError::NotAFile);
    }
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if let Some(mode) = private_file::open_to_others(&metadata) {
        return Err(IdentityError::Permissions { mode });
    }
    if metadata.len() != STORED_LEN as u64 {
        return Err(IdentityError::Length);
    }
    let mut bytes = Zeroizing::new([0; STORED_LEN]);
    file.read_exact(&mut bytes[..])?;
    Identity::from_bytes(&bytes[..])
}

/// Makes `path`, or leaves alone what another process made there meanwhile.
fn create(path: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let mut unique = [0; 8];
    Native.random(&mut unique).map_err(IdentityError::Crypto)?;
    let beside = Beside::new(path, unique, "tmp").ok_or(IdentityError::NotAFile)?;
    let mut file = private_file::new_file().open(beside.path())?;
    file.write_all(&identity.to_bytes())?;
    file.sync_all()?;
    match fs::hard_link(beside.path(), path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    drop(beside);
    private_file::sync_folder(path)?;
    Ok(())
}
