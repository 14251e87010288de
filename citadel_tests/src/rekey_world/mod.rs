//! Two rekey machines, a virtual clock and a network that does what a script says.
//!
//! Owns: the two ends with real keys, packets in flight, whoever waits for a version, the checks that hold after
//! every step (I1, I2, I5, I6) and those of an end ("nothing left", "no forbidden event").
//! Never: protocol decisions, wall time, sleeps. Everything follows from the script and the seed.

mod checks;
mod counted;
mod end;
mod keys;
mod network;
mod world;

pub use counted::{Counted, CountedSecret, SecretsAlive, recast};
pub use end::{Call, CallError, CallId, End, Machine};
pub use keys::{Agreement, EndKeys};
pub use network::{Fate, Link, Network, Packet, Script, Sent};
pub use world::{Setup, World};
