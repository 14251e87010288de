//! Files of one owner that are whole or not there: written under another name beside their own, then given it.
//!
//! Owns: the second name, the mode, the folder's sync. Never: what stands in a file, and whether an old one is replaced.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata, OpenOptions};
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

    /// Removes the files beside `path` with such an ending, whatever number they have: a process that was killed has left them. Only
    /// who knows that none is being written may do so. What cannot be removed stays, and is logged.
    pub fn remove_left_behind(path: &Path, ending: &str) {
        let Some(name) = path.file_name() else { return };
        let entries = match fs::read_dir(folder(path)) {
            Ok(entries) => entries.filter_map(Result::ok),
            Err(error) => return log::warn!(target: "citadel::files", "what was left behind stays: {error}"),
        };
        let is_left = |entry: &DirEntry| {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            is_file && is_beside(&entry.file_name(), name, ending)
        };
        entries.filter(is_left).for_each(|entry| drop(Self(entry.path())));
    }
}

/// Whether `found` is `NAME.UNIQUE.ENDING`.
fn is_beside(found: &OsStr, name: &OsStr, ending: &str) -> bool {
    let rest = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
    let rest = rest.and_then(|rest| rest.strip_prefix(b"."));
    let unique =
        rest.and_then(|rest| rest.strip_suffix(ending.as_bytes())).and_then(|rest| rest.strip_suffix(b"."));
    unique.is_some_and(|unique| {
        unique.len() == 16 && unique.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
    fs::File::open(folder(path))?.sync_all()
}
