//! Paths in memory, so that an application is tested without sockets.
//!
//! A [`Network`] is a [`Transport`]: nodes listen on it ([`NodeBuilder::listen_on`](crate::NodeBuilder::listen_on)) and dial
//! through it, and a test delays, cuts and heals it. A [`pair`] is two ends of one path, for
//! [`Endpoint::connect_io`](crate::Endpoint::connect_io) and [`Endpoint::accept_io`](crate::Endpoint::accept_io). Delays are
//! tokio's, so that a test with a paused clock waits for nothing; what goes wrong follows from a seed alone. Direct paths between
//! peers go over [`PacketNetwork`] ([`NodeBuilder::udp`](crate::NodeBuilder::udp)).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use citadel_sdk::{Endpoint, Identity, memory};
//!
//! let (server, client) = (Endpoint::client(Identity::generate()), Endpoint::client(Identity::generate()));
//! let (near, far) = memory::pair(7);
//! let (opened, accepted) = tokio::join!(client.connect_io(near, server.peer_id()), server.accept_io(far));
//! let (mut there, mut here) = (opened?.channel()?, accepted?.channel()?);
//! there.send("hello").await?;
//! assert_eq!(here.recv().await?.as_deref(), Some(&b"hello"[..]));
//! # Ok(())
//! # }
//! ```

pub use citadel_proto::driver::memory::{Faults, Network, PacketNetwork, Pipe, pair, pair_with};
pub use citadel_proto::driver::{Listener, Transport};
