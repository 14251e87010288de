//! Peers on tokio: the server's switchboard with its lanes, and a client's peers with their sessions.
//!
//! Owns: the service channels of peers on both ends, tasks of lanes and attempts, the pin file, the clock of statements.
//! Never: who agrees with whom, what a statement is worth, which attempt counts (the machines beside this folder decide).
//!
//! A server has a [`Switchboard`]: `floor.rs` is its memory, `board.rs` its rules, `serve.rs` answers requests, `vouches.rs`
//! keeps what devices say of each other, `relay.rs` carries lanes. A client has a [`PeerClient`]: `uplink.rs` asks, `feed.rs`
//! hears, `book.rs` remembers, `connect.rs` and `meetings.rs` make sessions, `arrivals.rs` has those that nobody took, `direct/` seeks paths for them that need no server.

mod arrivals;
mod board;
mod book;
mod client;
mod config;
mod connect;
mod direct;
mod doors;
mod feed;
mod floor;
mod meetings;
mod pin_store;
mod pins;
mod relay;
mod serve;
mod transient;
mod turns;
mod uplink;
mod vouches;

pub use board::Switchboard;
pub use book::{PeerEvent, PeerEvents, PeerInfo, Pinned, Standing};
pub use client::{PeerClient, PeersError};
pub use config::PeersConfig;
pub use connect::ConnectError;
pub use direct::{Direct, DirectConfig, MappingConfig, Observer, ObserverError, PortMapping};
pub use meetings::PeerSession;
pub use pin_store::{FilePins, MemoryPins, PinKey, PinStore, PinStoreError};
pub use relay::LaneError;
pub use serve::{Attendance, PEERS_SERVICE};
pub use uplink::PeersCallError;
