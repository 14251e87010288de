//! The shutdown matrix: who closes × where a round stands × what is in flight × what becomes of the path × whether a
//! deadline passes (SCENARIOS 15–17), on a virtual clock with real keys.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "shutdown_matrix/lanes.rs"]
mod lanes;
#[path = "shutdown_matrix/matrix.rs"]
mod matrix;
#[path = "shutdown_matrix/node.rs"]
mod node;
#[path = "shutdown_matrix/transitions.rs"]
mod transitions;

/// The channel that exists from the start.
const ZERO: citadel_proto::ChannelId = citadel_proto::ChannelId(0);
