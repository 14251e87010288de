//! Direct paths between two peers, without sockets: what travels, one attempt, when to make one.
//!
//! Owns: the bytes of probes and of the service channel `\0citadel/direct`, which addresses are candidates, which of them are proven and
//! which is chosen, the pauses between attempts, tokens of a server's observation port. Never: sockets, QUIC, the session (a path
//! is carried over by a resumption).
//!
//! Invariants: an address leaves this end only to the peer of a session that both ends want direct paths for. What does not verify
//! changes nothing and costs one MAC at most. No address that was not told gets more than three times what came from it. Contract:
//! `docs/protocol/direct.md`.

mod address;
mod greeting;
mod lease;
mod message;
mod observe;
mod packet;
mod probe;
mod pursuit;

pub(in crate::peers) use address::LOWEST_TCP;
pub use address::{ADDRESS_LEN, Candidates, Link, Locality, MAX_CANDIDATES, MAX_STREAMS, canonical};
pub use greeting::Greeting;
pub use lease::{Grant, LEASE_CHANGES, LEASE_PAUSES, LEASES, Lease, LeaseConfig, LeaseInput, LeaseOutput};
pub use message::{DirectMessage, MAX_DIRECT_LEN, NotDirect};
pub use observe::{Observation, ObserverSecret, TOKEN_LIFE, Throttle, Token};
pub use packet::{DIRECT_LABEL, Direction, KeyMaterial, PACKET_LEN, Packet, Probe, ProbeKeys, Tag};
pub use probe::{
    GRACE, GRACE_OF_STREAM, MAX_NUMBERS, MAX_REFLEXIVE, PINGS, ProbeInput, ProbeOutput, ProbeResult,
    ProbeTimes, Probing,
};
pub use pursuit::{PAUSES, Pursuit, PursuitInput, PursuitOutput, Standing};
