//! Kernels of client nodes.

mod single_connection;

pub use single_connection::SingleClientServerConnectionKernel;
