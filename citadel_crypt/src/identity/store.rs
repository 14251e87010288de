//! The identity file: made once, whole or not at all, readable by its owner only.

use super::{Identity, IdentityError, STORED_LEN};
use crate::suite::{CryptoProvider, Native};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
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
    check_mode(&metadata)?;
    if metadata.len() != STORED_LEN as u64 {
        return Err(IdentityError::Length);
    }
    let mut bytes = Zeroizing::new([0; STORED_LEN]);
    file.read_exact(&mut bytes[..])?;
    Identity::from_bytes(&bytes[..])
}

/// Makes `path`, or leaves alone what another process made there meanwhile.
fn create(path: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = Temporary(temporary_name(path, directory)?);
    let mut file = new_private_file(&temporary.0)?;
    file.write_all(&identity.to_bytes())?;
    file.sync_all()?;
    match fs::hard_link(&temporary.0, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    drop(temporary);
    sync_directory(directory)?;
    Ok(())
}

fn temporary_name(path: &Path, directory: &Path) -> Result<PathBuf, IdentityError> {
    let name = path.file_name().ok_or(IdentityError::NotAFile)?;
    let mut random = [0; 8];
    Native.random(&mut random).map_err(IdentityError::Crypto)?;
    let mut temporary = name.to_os_string();
    temporary.push(format!(".{:016x}.tmp", u64::from_le_bytes(random)));
    Ok(directory.join(temporary))
}

/// Removes the temporary name however the creation ends.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!(target: "citadel::identity", "cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(unix)]
fn new_private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn new_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

#[cfg(unix)]
fn check_mode(metadata: &fs::Metadata) -> Result<(), IdentityError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IdentityError::Permissions { mode }) }
}

#[cfg(not(unix))]
fn check_mode(_metadata: &fs::Metadata) -> Result<(), IdentityError> {
    Ok(())
}

/// The new name survives a power cut only once its directory is synced; only Unix lets a directory be opened.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}
