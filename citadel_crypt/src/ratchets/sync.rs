//! The synchronization that `snapshot.rs` and `completion.rs` are written against.
//!
//! Those two files name no other. The shuttle tests include them beside a module of this name whose
//! types are shuttle's, so every interleaving they check is one of the shipped code.

pub(crate) use arc_swap::ArcSwap;
pub(crate) use parking_lot::Mutex;
pub(crate) use std::sync::Arc;
