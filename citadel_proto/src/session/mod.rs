//! One session as a machine without sockets, tasks, clocks or locks: two of them and two byte queues are a session.
//!
//! Owns: what a record or frame does, what is sent next and under which version, the stages of the end, liveness, when a
//! round is due. Has parts for keys ([`citadel_crypt`]'s rekey machine and toolset), channels and the shutdown plan.
//! Never: bytes of frames, sockets, wakers, the handshake; how another path comes about.
//!
//! Invariants: control (rekey, credit, closing) goes before data; a record is sealed when the writer is ready for it,
//! never earlier, so none grows stale in a queue; the finish of a round is the first frame under its version; a record
//! that does not open ends the path, and a lost path ends the session only where none may follow; a new path is told
//! everything again from state, never from a queue of frames; [`Output::Closed`] is the last output, once.

mod closing;
mod config;
mod datagrams;
mod incoming;
mod io;
mod keys;
mod link;
mod liveness;
mod machine;
mod policy;
mod reserve;
mod transmit;

pub use config::{RekeyPolicy, SessionConfig};
pub use io::{Input, Output, PathKind, SessionStats, Tell, TimerReason};
pub use link::{Link, PathRefused};
pub use machine::SessionMachine;
