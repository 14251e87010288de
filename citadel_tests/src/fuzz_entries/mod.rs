//! What a fuzz target calls: one function a parser, each of which may be given any bytes.
//!
//! A target in `fuzz/fuzz_targets/` is one call into here; the corpus smoke test makes the same calls without a fuzzer.
//! An entry panics when a parser breaks its promise: what parses is written again as the same bytes, and nothing that
//! is rejected has an effect.

mod accounts;
mod flights;
mod names;
mod peers;
mod rekey;
mod session;
mod stored;

pub use accounts::{account_entries, account_messages};
pub use flights::flights;
pub use names::{addresses, identities};
pub use peers::{peer_messages, peer_statements};
pub use rekey::{manager_records, rekey_messages};
pub use session::{frames, records};
pub use stored::stored_records;

/// An entry.
pub type Entry = fn(&[u8]);

/// Every entry with the name of its target and of its folder of seeds.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("account_entries", account_entries),
    ("account_messages", account_messages),
    ("addresses", addresses),
    ("flights", flights),
    ("frames", frames),
    ("identities", identities),
    ("manager_records", manager_records),
    ("peer_messages", peer_messages),
    ("peer_statements", peer_statements),
    ("records", records),
    ("rekey_messages", rekey_messages),
    ("stored_records", stored_records),
];
