//! Kernels of server nodes.

mod client_connect_listener;
mod empty;
mod internal_service;

pub use client_connect_listener::ClientConnectListenerKernel;
pub use empty::EmptyKernel;
pub use internal_service::{InternalServiceKernel, ServiceConnection};
