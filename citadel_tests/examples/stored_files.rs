//! Writes the stored file of schema 1 of a backend: `cargo run -p citadel_tests --example stored_files`.
//!
//! The file is committed and stays as it is: it stands for those that users have. That of schema 2 was written by the store of
//! its time, of which no encoder is kept.

use citadel_tests::{schema_1, sources};
use std::{fs, io};

fn main() -> io::Result<()> {
    let path = sources::root().join(schema_1::STORED);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    schema_1::write(&path).map_err(io::Error::other)
}
