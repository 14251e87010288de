//! Handshakes between two real machines joined by a wire that a test may cut into.
//!
//! Owns: the pair of machines on a virtual clock, the tape that makes a handshake repeatable, the ways to spoil a flight and
//! what must hold when one is spoilt. Never: a stand-in for a primitive; the tape replays what the native provider did.

mod pair;
mod tape;

pub use pair::{Answer, Ends, Pair, Wire};
pub use tape::Tape;
