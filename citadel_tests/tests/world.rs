//! Worlds of nodes on a virtual clock and a seeded network: a thousand mixed workloads, and random schedules that shrink.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the head of a crate of tests")]

#[path = "world/schedules.rs"]
mod schedules;
#[path = "world/seeds.rs"]
mod seeds;
