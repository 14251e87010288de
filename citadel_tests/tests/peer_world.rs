//! Worlds of peers and their server on a virtual clock and a seeded network, and a server that lies.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the head of a crate of tests")]

#[path = "peer_world/fair.rs"]
mod fair;
#[path = "peer_world/hostile_relay.rs"]
mod hostile_relay;
#[path = "peer_world/hostile_server.rs"]
mod hostile_server;
#[path = "peer_world/liar.rs"]
mod liar;
#[path = "peer_world/seeds.rs"]
mod seeds;
#[path = "peer_world/takes_back.rs"]
mod takes_back;
#[path = "peer_world/trips.rs"]
mod trips;
