//! Messages over a manager's path, while its keys are renewed.
//!
//! Owns: two halves that live and die independently, bounded queues between them and the manager's driver,
//! back-pressure from the peer's reader to the own `send`. Never: retransmission, fragments, sockets.
//!
//! On a path that delivers in order everything sent is received once, in order, until an end whose reason both
//! halves report. On one that does not, a record is one datagram: it arrives once or not at all.
//! The secrecy mode is the session's ([`SecrecyMode`](crate::SecrecyMode)); how often rounds run is the
//! [`RoundPolicy`](super::manager_config::RoundPolicy), up to one completed round per message.

mod halves;
pub(crate) mod lane;

pub use halves::{MessageReceiver, MessageSender, Messenger};
