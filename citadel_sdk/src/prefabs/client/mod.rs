//! Kernels of client nodes.

mod back_off;
mod broadcast;
mod link;
mod meet;
mod peer_connection;
mod peers;
mod results;
mod single_connection;

pub use broadcast::{
    BackPressure, Broadcast, BroadcastKernel, BroadcastOver, BroadcastReport, ReceiverReport, ReceiverState,
};
pub use meet::{PeerConnection, PeerFailure};
pub use peer_connection::{PeerConnectionKernel, PeerFailures};
pub use peers::Peers;
pub use results::{PeerNotMet, PeerResults};
pub use single_connection::SingleClientServerConnectionKernel;
