//! What goes into the machines and what comes out of them; the same for both ends.

use super::codec::tag;
use super::error::HandshakeError;
use super::established::Established;
use super::grant::{Grant, Refused};
use super::request::Request;
use super::resume::ResumeBinding;
use crate::identity::IdentityPublic;
use core::fmt;

/// An input.
#[derive(Debug)]
pub enum Input<'a> {
    /// One whole flight from the other end. A length over [`MAX_CLIENT_FLIGHT_LEN`](super::MAX_CLIENT_FLIGHT_LEN) or
    /// [`MAX_SERVER_FLIGHT_LEN`](super::MAX_SERVER_FLIGHT_LEN) is refused by the driver before it reads the bytes.
    Flight(&'a [u8]),
    /// Yes to the last [`Output::Ask`] or [`Output::Request`]. Granting is the server's: what a client says with its yes
    /// counts for nothing.
    Accept(Grant),
    /// No to it. A client tells nobody the code.
    Refuse(Refused),
    /// The time that `poll_timeout` named has come. Early or spurious ones do nothing.
    Timeout,
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Handled {
    /// It was acted on, or had nothing to do.
    Done,
    /// Nothing changed.
    Ignored(Ignored),
    /// It ended the handshake, or the handshake had failed before.
    Failed(HandshakeError),
}

/// Why an input was ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ignored {
    /// The flight that was accepted last, once more.
    Repeat,
    /// An answer without a question.
    NotAsked,
    /// The handshake is over; what comes now belongs to the session.
    Over,
}

/// An output, in the order in which the driver must act on it.
#[derive(Debug)]
pub enum Output {
    /// Send this flight.
    Send(Vec<u8>),
    /// Client with [`Trust::Ask`](super::Trust::Ask): this server proved itself. Is it the right one? Answer with
    /// [`Input::Accept`] or [`Input::Refuse`]; nothing about the client is told before.
    Ask {
        /// The proven server.
        peer: IdentityPublic,
    },
    /// Server: this client proved itself and asks for this. Answer with [`Input::Accept`] or [`Input::Refuse`].
    Request {
        /// The proven client.
        peer: IdentityPublic,
        /// What it asks for.
        request: Request,
        /// What the proof of a [`Request::Resume`] must be bound to.
        binding: ResumeBinding,
    },
    /// Success. Last output.
    Established(Box<Established>),
    /// Failure; a flight that says so to the other end stands before it. Last output.
    Failed(HandshakeError),
}

/// Why a timer is armed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum HandshakeTimer {
    /// The handshake's deadline.
    Deadline,
}

/// Kind of a flight, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FlightKind {
    /// Flight 1.
    Hello,
    /// Instead of flight 2.
    Retry,
    /// Flight 2.
    HelloReply,
    /// Flight 3.
    Proof,
    /// Flight 4.
    Verdict,
    /// Instead of any.
    Refusal,
    /// No flight at all.
    Unknown,
}

impl FlightKind {
    /// What `flight` claims to be.
    pub const fn of(flight: &[u8]) -> Self {
        match flight.first() {
            Some(&tag::HELLO) => Self::Hello,
            Some(&tag::RETRY) => Self::Retry,
            Some(&tag::REPLY) => Self::HelloReply,
            Some(&tag::PROOF) => Self::Proof,
            Some(&tag::VERDICT) => Self::Verdict,
            Some(&tag::REFUSAL) => Self::Refusal,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for FlightKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hello => "hello",
            Self::Retry => "retry",
            Self::HelloReply => "hello reply",
            Self::Proof => "client proof",
            Self::Verdict => "verdict",
            Self::Refusal => "refusal",
            Self::Unknown => "flight",
        })
    }
}
