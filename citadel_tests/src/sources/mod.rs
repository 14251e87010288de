//! The workspace's own text, for tests about the text: files, functions, documents.
//!
//! Owns: finding files, blanking comments and literals, listing functions with their attributes, and types.
//! Never: a full Rust parser. It reads formatted code of this workspace and nothing else.

mod functions;
mod mask;
mod types;

pub use functions::{Function, functions};
pub use mask::mask;
pub use types::public_types;

use std::fs;
use std::path::{Path, PathBuf};

/// The four crates.
pub const CRATES: [&str; 4] = ["citadel_crypt", "citadel_proto", "citadel_sdk", "citadel_tests"];

/// A text file of the workspace.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path from the workspace's root, with `/` between its parts.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Text of one file, or `None` when it does not exist.
pub fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok().map(|text| text.replace("\r\n", "\n"))
}

/// Every text file of the workspace under `folder` ("" for all) whose name ends in one of `endings`, sorted by path.
/// Build output and hidden folders are left out, but for those that hold the checks.
pub fn files(folder: &str, endings: &[&str]) -> Vec<SourceFile> {
    let mut found = Vec::new();
    walk(&root().join(folder), folder, endings, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(at: &Path, path: &str, endings: &[&str], found: &mut Vec<SourceFile>) {
    let Ok(entries) = fs::read_dir(at) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        let at = entry.path();
        if at.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".github";
            if !hidden && name != "target" && name != "corpus" {
                walk(&at, &below, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending))
            && let Ok(text) = fs::read_to_string(&at)
        {
            found.push(SourceFile { path: below, text: text.replace("\r\n", "\n") });
        }
    }
}

/// Every Rust file of a crate's `src`.
pub fn crate_sources(name: &str) -> Vec<SourceFile> {
    files(&format!("{name}/src"), &[".rs"])
}

/// The files of one integration test of `citadel_tests`: `tests/NAME.rs` and everything in `tests/NAME/`.
pub fn test_binary(name: &str) -> Vec<SourceFile> {
    let head = format!("citadel_tests/tests/{name}.rs");
    let mut all = files(&format!("citadel_tests/tests/{name}"), &[".rs"]);
    if let Some(text) = read(&head) {
        all.insert(0, SourceFile { path: head, text });
    }
    all
}

/// `RatchetManager` as `ratchet_manager`.
pub fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
