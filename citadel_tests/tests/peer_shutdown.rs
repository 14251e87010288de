//! How sessions between peers end, and the nodes that have them: who closes × where a round stands × what is in flight × what
//! becomes of what carries them (SCENARIOS 15–22 over peers, 26–31). Nodes, keys and lanes are real; clock and network are not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]
#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

#[path = "peer_shutdown/kernels.rs"]
mod kernels;
#[path = "peer_shutdown/lives.rs"]
mod lives;
#[path = "peer_shutdown/many.rs"]
mod many;
#[path = "peer_shutdown/matrix.rs"]
mod matrix;
#[path = "peer_shutdown/order.rs"]
mod order;
