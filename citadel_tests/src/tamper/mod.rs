//! Handshakes between two real machines joined by a wire that a test may cut into.
//!
//! Owns: the pair of machines on a virtual clock, the tape that makes a handshake repeatable, the recorded scene that
//! is played again with one flight spoilt, the judge of what must hold then, and the key schedule computed by other
//! crates. Never: a stand-in for a primitive; the tape replays what the native provider did.

mod pair;
pub mod recompute;
mod scene;
mod tape;

pub use pair::{Answer, Ends, Pair, Wire};
pub use scene::{Cast, Scene};
pub use tape::Tape;
