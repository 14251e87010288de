//! Worlds of nodes on a virtual clock and a seeded network: a thousand mixed workloads, random schedules that shrink, and
//! accounts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the head of a crate of tests")]

#[path = "world/accounts.rs"]
mod accounts;
#[path = "world/schedules.rs"]
mod schedules;
#[path = "world/seeds.rs"]
mod seeds;
