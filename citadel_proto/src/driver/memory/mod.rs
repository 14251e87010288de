//! Paths in memory, for tests without sockets: a pipe, a network of names whose paths can be delayed and cut, and one of
//! packets, for direct paths.
//!
//! Owns: nothing outside the process. Never: wall time; delays are tokio's, so that a paused clock runs through them.
//!
//! Chance comes from a seed alone: the same writes in the same order meet the same delays and the same cuts.

mod faults;
mod network;
mod packets;
mod pipe;

pub use faults::Faults;
pub use network::Network;
pub use packets::PacketNetwork;
pub use pipe::Pipe;

/// Two ends of a pipe in memory, whose bytes take up to 20 ms by the chance of `seed` ([`Faults::DELAYS`]).
///
/// Dropping an end closes both directions: what was written before is read first.
pub fn pair(seed: u64) -> (Pipe, Pipe) {
    pair_with(seed, Faults::DELAYS)
}

/// As [`pair`], with other faults.
pub fn pair_with(seed: u64, faults: Faults) -> (Pipe, Pipe) {
    Pipe::pair(seed, faults)
}
