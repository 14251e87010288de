//! Worlds of peers and their server on a virtual clock and a seeded network.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the head of a crate of tests")]

#[path = "peer_world/seeds.rs"]
mod seeds;
