//! Files of one owner that are whole or not there: written under another name beside their own, then given it.
//!
//! Owns: the second name, the mode, the folder's sync. Never: what stands in a file, and whether an old one is replaced.

use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A second name in the folder of a file. Whatever has it when this is dropped is removed.
#[derive(Debug)]
pub struct Beside(PathBuf);

impl Beside {
    /// `NAME.UNIQUE.ENDING` beside `path`; none if `path` names no file. Two that may be there at once need two `unique`
    /// numbers.
    pub fn new(path: &Path, unique: [u8; 8], ending: &str) -> Option<Self> {
        let mut name = path.file_name()?.to_owned();
        name.push(format!(".{:016x}.{ending}", u64::from_le_bytes(unique)));
        Some(Self(path.with_file_name(name)))
    }

    /// The name.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // A link leaves the second name behind, a failure may leave the file; a rename leaves nothing.
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != ErrorKind::NotFound
        {
            log::warn!(target: "citadel::files", "{} is left behind: {error}", self.0.display());
        }
    }
}

/// How to make a file that is not there yet and that only its owner may open (mode 0600, on Unix); for writing.
pub fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The permission bits of a file that others than its owner may open in any way. Only Unix has such bits.
pub fn open_to_others(metadata: &Metadata) -> Option<u32> {
    #[cfg(unix)]
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    #[cfg(not(unix))]
    let mode = {
        let _ = metadata;
        0
    };
    (mode & 0o077 != 0).then_some(mode)
}

/// Makes the names in the folder of `path` durable: a new one survives a power cut only after that. Only Unix lets a
/// folder be opened; elsewhere this does nothing.
///
/// # Errors
/// What the file system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
