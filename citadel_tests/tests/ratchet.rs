//! Record keys by version, path and record: windows, replay, skips, limits, and what is gone after use.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "ratchet/paths.rs"]
mod paths;
#[path = "ratchet/records.rs"]
mod records;
#[path = "ratchet/rounds.rs"]
mod rounds;
#[path = "ratchet/support.rs"]
mod support;
