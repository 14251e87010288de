//! Post-quantum secure sessions for applications.
//!
//! Owns: [`Endpoint`], its configuration and its errors, the [`prelude`], the examples. Never: a protocol decision:
//! sessions and channels are those of `citadel_proto`, keys those of `citadel_crypt`.
//!
//! An [`Endpoint`] has an [`Identity`], whose fingerprint is its [`PeerId`]. It accepts sessions on an address and opens
//! sessions to others by [`NodeAddr`], `PEER_ID@HOST:PORT`: who is dialled by peer id cannot be swapped for another. A
//! [`Session`] carries ordered, flow-controlled [`Channel`]s of messages and renews its keys whenever either end asks
//! for it, without a pause. `examples/echo_server.rs` and `examples/echo_client.rs` are the whole of it on one page.

mod config;
mod endpoint;
mod kernel;
pub mod memory;
mod node;
pub mod prefabs;
pub mod prelude;
mod report;
mod server_connection;

pub use citadel_crypt::SecrecyMode;
pub use citadel_crypt::addr::{NodeAddr, PeerId};
pub use citadel_crypt::handshake::{
    AppProtocol, HandshakeError, Instance, Limits, Psk, PskHint, RefusalCode, Request, Trust,
};
pub use citadel_crypt::identity::{Identity, IdentityError, IdentityPublic};
pub use citadel_crypt::ratchets::rekey::{RekeyOutcome, RekeyStats, Role, Version};
pub use citadel_crypt::suite::{SecurityLevel, Suite};
pub use citadel_proto::driver::{
    Channel, EstablishError, HandshakeCaps, Identified, Incoming, RecvHalf, SendHalf, Session, TrustPolicy,
    WeakSession,
};
pub use citadel_proto::{
    ChannelId, CloseReason, CloseReport, OpenError, RecvError, RekeyError, RekeyPolicy, SendError,
    SessionConfig, SessionStats, TryRecvError, TrySendError, Unconfirmed,
};
pub use config::EndpointConfig;
pub use endpoint::Endpoint;
pub use kernel::{Connection, HandlerEnd, HandlerError, HandlerLost, KernelResult, NetKernel};
pub use node::{Node, NodeBuilder, NodeError, NodeRemote, SessionEnd, Transport, Who};
pub use report::{EndpointReport, NodeReport};
pub use server_connection::{Reconnect, ServerConnection};

/// What implementing [`NetKernel`] takes: put it above the `impl`.
pub use async_trait::async_trait;
