//! Canaries: the secrets and payloads of the tests, which no line of any log may hold.
//!
//! Owns: the list of them, the spellings in which they might be told, and the logger that looks for them in each record
//! at trace level, when it is logged. A record that holds one ends the process: a panic might be caught, or swallowed by a
//! task. Every scene goes through a fixture that calls [`watch`]; `--test house` holds the test binaries to that. Examples
//! of the SDK run as processes of their own and install no logger. Never: a log that anyone reads.

mod list;
mod logger;
mod search;

pub use list::{MARK, PHRASES, WORDS, marked};
pub use logger::{Line, keep, kept, watch};
pub use search::find;
