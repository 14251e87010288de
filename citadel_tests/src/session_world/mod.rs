//! Two session machines, two queues of bytes, a virtual clock: a session without sockets, tasks or wall time.
//!
//! Bytes arrive in chunks of seeded sizes, so record boundaries never coincide with reads. Real handshake, real keys.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a harness of tests fails by panicking")]

mod establish;
mod rogue;
mod talk;
mod world;

pub use establish::{Pair, client_config, identity, server_config};
pub use rogue::Rogue;
pub use talk::Talk;
pub use world::{Chunks, End, Side, World};
