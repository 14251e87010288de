//! Kernels of server nodes.

mod client_connect_listener;
mod empty;

pub use client_connect_listener::ClientConnectListenerKernel;
pub use empty::EmptyKernel;
