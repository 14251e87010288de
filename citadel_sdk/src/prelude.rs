//! What almost every application names.

pub use crate::prefabs::client::{
    BackPressure, Broadcast, BroadcastKernel, PeerConnection, PeerConnectionKernel, PeerResults, Peers,
    SingleClientServerConnectionKernel,
};
pub use crate::prefabs::server::{ClientConnectListenerKernel, EmptyKernel, InternalServiceKernel};
pub use crate::{
    Channel, Connection, Datagrams, Endpoint, EndpointConfig, Identity, Incoming, KernelResult, Memory,
    NetKernel, Node, NodeAddr, NodeBuilder, NodeRemote, PeerId, Reconnect, Redb, SecrecyMode,
    ServerConnection, Session, Transport, async_trait,
};

/// Any error, for `main` and for handlers that only pass errors on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
