//! Peers: who has agreed to be reached by whom, what is known of their devices, and the lanes that carry their sessions.
//!
//! Owns: the consent of two parties as a table, signed statements and pins, the service channel of peers on both ends,
//! relay lanes, which of two crossing attempts becomes the session. Never: the session itself (it is one of the hub's, over a
//! lane), storage (the backend's), accounts.
//!
//! `consent.rs`, `pins.rs`, `statement.rs` and `meeting.rs` decide and do nothing else; `driver/` carries out.
//!
//! Invariants: nothing of a party is told and no handshake is forwarded before both agreed (R-P2P-2). A device is a peer's by a
//! signed statement, never by a server's word (R-P2P-1, R-P2P-6). What a server tells is the state of a pair, whole, never an
//! event. Contract: `docs/protocol/peers.md`.

mod codec;
mod consent;
pub mod direct;
pub mod driver;
pub mod meeting;
mod message;
mod pair;
mod party;
mod pins;
mod statement;
pub mod wire;

pub use consent::{Act, ConsentError, OVER_AFTER, Shown};
pub use driver::{
    Attendance, ConnectError, Direct, DirectConfig, FilePins, LaneError, MappingConfig, MemoryPins, Observer,
    ObserverError, PEERS_SERVICE, PeerClient, PeerEvent, PeerEvents, PeerInfo, PeerSession, PeersCallError,
    PeersConfig, PeersError, PinKey, PinStore, PinStoreError, Pinned, PortMapping, Standing, Switchboard,
};
pub use message::{Offered, PeerAnswer, PeerAsk, PeerAskError, View, Who};
pub use pair::{Half, Pair, Stance};
pub use party::Party;
pub use pins::{MAX_PINNED, Pin, PinError, PinRecord};
pub use statement::{
    Acceptance, CheckedAcceptance, CheckedRequest, Claimed, ConsentFault, DeviceStatement, Disown,
    Introduced, MAX_STATEMENT_LEN, PeerRequest, PeerTrust, RequestHash, Standpoint, Statement,
    StatementError, StatementNumber, Verified, Vouch, check_acceptance, check_agreement, check_request,
};
