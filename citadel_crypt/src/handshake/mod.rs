//! The establishment handshake: from two strangers with identity keys to the secrets of version 0.
//!
//! Owns: the four flights and `Retry`, negotiation, the transcript chain, flight and MAC keys, the policy on who the
//! peer may be, cookies, the handshake deadline. Never: framing and sockets (a flight is one byte string; its length
//! prefix is the caller's), accounts (what a request asks for is the application's to decide), record keys (they start from [`Established`]).
//!
//! Construction: SIGMA-I with MACs (Krawczyk, "SIGMA: the 'SIGn-and-MAc' approach to authenticated Diffie-Hellman",
//! CRYPTO 2003) over a hybrid key agreement. Each side signs the transcript and MACs its identity; the initiator's
//! identity is sent last and encrypted, so only a server that proved itself *and* passed the client's policy sees it.
//! The hybrid secret is `Extract(early, ss_mlkem ‖ ss_x25519)`: a dual-PRF combiner with both shares, the KEM key and
//! the ciphertext in the transcript, so that it stands while either half does (R-CRY-1). The bytes, the rules and what
//! an attacker sees are in `docs/protocol/handshake.md`.
//!
//! Invariants: one contract for both ends ([`ClientHandshake`], [`ServerHandshake`]: `handle`, `poll_output`,
//! `poll_timeout`, R-CORE-2). Every failure is final and typed: a flight that does not hold ends the attempt, because on
//! an ordered path nothing after it could be right and a new attempt costs a new connection only. The one exception is
//! a repeat, byte for byte, of the flight that was accepted last: it is ignored and changes nothing. An answer from
//! before keys exist (`Retry`, `Refusal`) is believed only so far as it can end this attempt or cost it one round trip;
//! nothing falls back because of it. Bytes from before authentication are parsed by hand, every length capped, no byte
//! left over.

mod client;
mod codec;
mod config;
mod error;
mod established;
mod grant;
mod guard;
mod hello;
mod io;
mod keys;
mod names;
mod password;
mod proof;
mod psk;
mod reply;
mod request;
mod resume;
mod server;
mod verdict;

pub use client::ClientHandshake;
pub use codec::Malformed;
pub use config::{
    AppProtocol, AppProtocolError, ClientConfig, ConfigError, HandshakeConfig, Limits, ServerConfig,
    SessionKind, Trust,
};
pub use error::{HandshakeError, RefusalCode};
pub use established::{Established, Instance};
pub use grant::{Grant, Refused};
pub use guard::{Admission, Admitted, HelloGuard};
pub use hello::{Hello, HelloError, MAX_HELLO_LEN, PskOffer};
pub use io::{FlightKind, Handled, HandshakeTimer, Ignored, Input, Output};
pub use names::{Cid, DeviceName, DisplayName, NameError, UserName};
pub use password::{Password, PasswordLength};
pub use proof::{ClientProof, MAX_PROOF_LEN, ServerProof};
pub use psk::{Psk, PskHint, PskTooShort};
pub use reply::{HelloReply, MAX_REFUSAL_LEN, MAX_REPLY_LEN, MAX_RETRY_LEN, Refusal, Retry};
pub use request::{ClientRequest, Request, RequestError};
pub use resume::{ResumeBinding, ResumeRequest, ResumptionKey};
pub use server::ServerHandshake;
pub use verdict::{MAX_VERDICT_LEN, VerdictBody};

/// Longest flight that a server reads from a client.
pub const MAX_CLIENT_FLIGHT_LEN: usize =
    if MAX_HELLO_LEN > MAX_PROOF_LEN { MAX_HELLO_LEN } else { MAX_PROOF_LEN };
/// Longest flight that a client reads from a server.
pub const MAX_SERVER_FLIGHT_LEN: usize = MAX_REPLY_LEN;
