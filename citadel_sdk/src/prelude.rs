//! What almost every application names.

pub use crate::{
    Channel, Endpoint, EndpointConfig, Identity, Incoming, NodeAddr, PeerId, SecrecyMode, Session,
};

/// Any error, for `main` and for handlers that only pass errors on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;
