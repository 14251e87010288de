//! Kernels of client nodes.

mod peer_connection;
mod peers;
mod single_connection;

pub use peer_connection::{PeerConnection, PeerConnectionKernel, PeerFailure, PeerFailures};
pub use peers::Peers;
pub use single_connection::SingleClientServerConnectionKernel;
