//! How sessions between peers end, and the nodes that have them: who closes × where a round stands × what is in flight × what
//! becomes of what carries them (SCENARIOS 15–22 over peers, 26–31). Nodes, keys, lanes and QUIC are real; clock and network
//! are not, but in `sockets`.

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
#[path = "peers/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of peers, which use all of it")]
mod scene;
#[path = "peer_shutdown/sockets.rs"]
mod sockets;
