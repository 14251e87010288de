//! Post-quantum secure sessions for applications.
//!
//! Owns: nodes and their kernels, the [`prefabs`], [`Endpoint`], configuration, the [`prelude`], the examples. Never: a protocol
//! decision: sessions, channels and accounts are those of `citadel_proto`, keys those of `citadel_crypt`.
//!
//! # Nodes and kernels
//!
//! A [`Node`] runs a *kernel*: an object with callbacks ([`NetKernel`]). For most applications one of the [`prefabs`] is
//! the kernel, and the application writes one callback. A server:
//!
//! ```no_run
//! use citadel_sdk::prelude::*;
//! # async fn server() -> Result<(), BoxError> {
//! let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
//!     while let Some(message) = connection.channel.recv().await? { connection.channel.send(message).await?; }
//!     Ok(connection.channel.finish().await?)
//! });
//! let node = NodeBuilder::new(echo).identity(Identity::load_or_create("server.id")?).backend(Redb::open("server.redb")?)
//!     .listen(Transport::Tcp("127.0.0.1:4433")).start().await?;
//! println!("{}", node.addr()); // PEER_ID@127.0.0.1:4433, what clients dial
//! let (_kernel, report) = node.await?;
//! # Ok(())
//! # }
//! ```
//!
//! A client, with the address that the server printed:
//!
//! ```no_run
//! use citadel_sdk::prelude::*;
//! # async fn client(server: NodeAddr) -> Result<(), BoxError> {
//! let account = ServerConnection::to(server).register("alice", "correct horse battery staple");
//! let hello = SingleClientServerConnectionKernel::new(account, |mut connection| async move {
//!     connection.channel.send("hello").await?;
//!     println!("{:?}", connection.channel.recv().await?);
//!     Ok(())
//! });
//! let node = NodeBuilder::new(hello).identity(Identity::load_or_create("alice.id")?).start().await?;
//! let (_kernel, report) = node.await?;
//! # Ok(())
//! # }
//! ```
//!
//! A session lives as long as its handler: when the handler returns, the session is closed in order, everything sent is
//! delivered, and the node goes on ([`NetKernel::on_session`]). A connection that is lost is dialled again and the session goes
//! on where it was ([`NodeBuilder::resume`]); what happens when that fails is [`Reconnect`]'s. What is stored with an account
//! and what can be asked about it is [`AccountClient`]'s. [`Node::shutdown`] ends a node in order.
//!
//! # Port mapping
//!
//! With the feature `port-mapping` (off by default) direct paths between peers ask this machine's router to forward a UDP port to
//! their socket, by PCP, NAT-PMP or UPnP, and tell peers where it is: sessions become direct behind translators that would keep
//! them on the server's lanes. UPnP looks for routers by a multicast on the own link. The port is given back at the node's end.
//! A node that is not to ask says so:
//!
//! ```
//! use citadel_sdk::{Direct, DirectConfig, PortMapping};
//! let direct = Direct::On(DirectConfig { port_mapping: PortMapping::Off, ..DirectConfig::default() });
//! ```
//!
//! Without the feature nobody is asked, and `Off` is all there is. Whom it asks, and what it exposes:
//! `docs/protocol/direct.md`.
//!
//! # The plain layer
//!
//! An [`Endpoint`] has an [`Identity`], whose fingerprint is its [`PeerId`], and no accounts. It accepts sessions on an address
//! and opens sessions to others by [`NodeAddr`], `PEER_ID@HOST:PORT`: who is dialled by peer id cannot be swapped for another.
//! A [`Session`] carries ordered, flow-controlled [`Channel`]s of messages and renews its keys whenever either end asks for
//! it, without a pause. `examples/echo_server.rs` and `examples/echo_client.rs` are the whole of it on one page.

mod config;
mod endpoint;
mod kernel;
pub mod memory;
mod node;
pub mod prefabs;
pub mod prelude;
mod report;
mod server_connection;
mod trust;

pub use citadel_crypt::SecrecyMode;
pub use citadel_crypt::addr::{NodeAddr, PeerId};
pub use citadel_crypt::handshake::{
    AppProtocol, Cid, DeviceName, DisplayName, HandshakeError, Instance, Limits, NameError, Password, Psk,
    PskHint, RefusalCode, Request, Trust, UserName,
};
pub use citadel_crypt::identity::{Identity, IdentityError, IdentityPublic};
pub use citadel_crypt::ratchets::rekey::{RekeyOutcome, RekeyStats, Role, Version};
pub use citadel_crypt::suite::{SecurityLevel, Suite};
pub use citadel_proto::accounts::{
    AccountClient, Accounts, AccountsConfig, AdminError, CallError, Policy, Profile, Rate, RateLimits,
};
pub use citadel_proto::backend::{Backend, BackendError, Memory, Redb, RedbConfig, SealingKey};
pub use citadel_proto::driver::{
    Channel, ChannelIo, Datagrams, EstablishError, ExchangeError, HandshakeCaps, Identified, Incoming,
    Permit, Quic, RecvHalf, SendHalf, Session, SessionEvent, SessionEvents, TrustPolicy, UdpNetwork,
    UdpSocket, WeakSession,
};
pub use citadel_proto::peers::direct::{Link, Locality, ProbeTimes};
pub use citadel_proto::peers::{
    ConnectError as PeerConnectError, Direct, DirectConfig, FilePins, MappingConfig, MemoryPins, Party,
    PeerClient, PeerEvent, PeerEvents, PeerInfo, PeerSession, PeerTrust, PeersError, PinError, PinKey,
    PinRecord, PinStore, PinStoreError, Pinned, PortMapping, Standing, Switchboard, Who as WhichPeer,
};
pub use citadel_proto::{
    ChannelId, CloseReason, CloseReport, DatagramError, DatagramStats, Fault, MAX_DATAGRAM, MIN_DATAGRAM,
    OpenError, PathKind, PathLoss, RecvError, RekeyError, RekeyPolicy, SendError, SessionConfig,
    SessionStats, TryRecvError, TrySendError, Unconfirmed,
};
pub use config::EndpointConfig;
pub use endpoint::Endpoint;
pub use kernel::{Connection, HandlerEnd, HandlerError, HandlerLost, KernelResult, NetKernel};
pub use node::{Node, NodeBuilder, NodeError, NodeRemote, Reload, SessionEnd, Transport, Who};
pub use report::{EndpointReport, NodeReport, StorageEnd};
pub use server_connection::{ConnectError, CredentialsError, Reconnect, ServerConnection};
pub use trust::ServerTrust;

/// What implementing [`NetKernel`] takes: put it above the `impl`.
pub use async_trait::async_trait;
