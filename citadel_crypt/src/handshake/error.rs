//! Why a handshake ended, split by whose fault it is, and the numbers that travel.

use super::codec::Malformed;
use super::config::ConfigError;
use super::io::FlightKind;
use super::reply::Refusal;
use crate::addr::PeerId;
use crate::suite::CryptoError;
use core::fmt;
use core::time::Duration;

/// Why a refusal was sent. The numbers are stable; from [`APPLICATION`](Self::APPLICATION) on they are the
/// application's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefusalCode(pub u16);

impl RefusalCode {
    /// The flight cannot be read.
    pub const MALFORMED: Self = Self(1);
    /// Another protocol version.
    pub const VERSION: Self = Self(2);
    /// Another kind of session is served here.
    pub const KIND: Self = Self(3);
    /// No suite in common.
    pub const SUITE: Self = Self(4);
    /// No application protocol in common.
    pub const APP_PROTOCOL: Self = Self(5);
    /// A pre-shared key is needed here.
    pub const PSK_REQUIRED: Self = Self(6);
    /// The pre-shared key is unknown or its binder is wrong; which of the two is not said.
    pub const PSK: Self = Self(7);
    /// The cookie is forged, expired, or of another address.
    pub const COOKIE: Self = Self(8);
    /// A share or KEM key fails its checks.
    pub const KEY_SHARE: Self = Self(9);
    /// A proof does not hold.
    pub const AUTHENTICATION: Self = Self(10);
    /// The request is not known here.
    pub const REQUEST: Self = Self(11);
    /// The other end gave up; it does not say why.
    pub const ABORTED: Self = Self(12);
    /// The handshake took too long.
    pub const DEADLINE: Self = Self(13);
    /// No room now.
    pub const BUSY: Self = Self(14);
    /// The application does not want this peer.
    pub const DENIED: Self = Self(15);
    /// A primitive failed at the other end.
    pub const INTERNAL: Self = Self(16);
    /// A flight that cannot come now.
    pub const UNEXPECTED: Self = Self(17);
    /// Wrong password, unknown user, blocked account or unknown device; which of them is not said.
    pub const CREDENTIALS: Self = Self(18);
    /// The user name belongs to someone.
    pub const USER_TAKEN: Self = Self(19);
    /// Too many attempts; the refusal may say when to come back.
    pub const RATE_LIMITED: Self = Self(20);
    /// There is no such session here, its proof does not hold, or it is someone else's; which of them is not said.
    pub const RESUME_UNKNOWN: Self = Self(21);
    /// The session ended while it waited for a path.
    pub const RESUME_EXPIRED: Self = Self(22);
    /// A path with this number or a higher one was there first.
    pub const RESUME_SUPERSEDED: Self = Self(23);
    /// The session is closing and takes no path any more.
    pub const RESUME_CLOSING: Self = Self(24);
    /// Sessions without an account are not served here.
    pub const TRANSIENT: Self = Self(25);
    /// The server's policy does not allow the request, for example a closed registration.
    pub const POLICY: Self = Self(26);
    /// Another attempt between the same two devices counts: the other end's own, or a later one.
    pub const PEER_SIMULTANEOUS: Self = Self(27);
    /// The peer's device is none of those that are pinned here.
    pub const PEER_NOT_PINNED: Self = Self(28);
    /// First number of the application's own codes.
    pub const APPLICATION: Self = Self(0x100);

    const fn name(self) -> &'static str {
        match self {
            Self::MALFORMED => "malformed flight",
            Self::VERSION => "protocol version not spoken",
            Self::KIND => "another kind of session",
            Self::SUITE => "no common suite",
            Self::APP_PROTOCOL => "no common application protocol",
            Self::PSK_REQUIRED => "pre-shared key required",
            Self::PSK => "pre-shared key not accepted",
            Self::COOKIE => "cookie not accepted",
            Self::KEY_SHARE => "key share not accepted",
            Self::AUTHENTICATION => "proof not accepted",
            Self::REQUEST => "request not known",
            Self::ABORTED => "aborted",
            Self::DEADLINE => "too slow",
            Self::BUSY => "busy",
            Self::DENIED => "denied",
            Self::INTERNAL => "internal failure",
            Self::UNEXPECTED => "unexpected flight",
            Self::CREDENTIALS => "credentials not accepted",
            Self::USER_TAKEN => "user name taken",
            Self::RATE_LIMITED => "too many attempts",
            Self::RESUME_UNKNOWN => "no such session",
            Self::RESUME_EXPIRED => "session expired",
            Self::RESUME_SUPERSEDED => "another path came first",
            Self::RESUME_CLOSING => "session closing",
            Self::TRANSIENT => "an account is needed",
            Self::POLICY => "not allowed by policy",
            Self::PEER_SIMULTANEOUS => "another attempt counts",
            Self::PEER_NOT_PINNED => "device not pinned",
            Self(0x100..) => "application code",
            Self(_) => "unknown code",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefusalCode({self})")
    }
}

/// Why a handshake failed. Final: a new attempt is a new machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent bytes that are no flight.
    #[error("malformed {0}")]
    Malformed(FlightKind),
    /// The peer sent a flight that cannot come now.
    #[error("unexpected {0}")]
    Unexpected(FlightKind),
    /// The peer chose what was not offered.
    #[error("the server chose what was not offered")]
    NotOffered,
    /// A share, KEM key or ciphertext of the peer fails its checks.
    #[error("the peer's key share fails its checks")]
    KeyShare,
    /// The seal, signature or MAC of a flight does not hold: someone else wrote or changed it, or the pre-shared keys
    /// differ.
    #[error("{0} is not authentic")]
    NotAuthentic(FlightKind),
    /// The server proved to be another one than was dialled.
    #[error("expected peer {expected}, found {actual}")]
    WrongPeer {
        /// Who was dialled.
        expected: PeerId,
        /// Who answered, proven.
        actual: PeerId,
    },
    /// The application did not want this server.
    #[error("the application does not trust {0}")]
    Untrusted(PeerId),
    /// The other end refused. If not `authenticated`, anyone on the way may have said so.
    #[error("refused by the other end: {code}")]
    Refused {
        /// What it said.
        code: RefusalCode,
        /// Whether it came sealed from the proven other end.
        authenticated: bool,
        /// When it is worth asking again, if it said so.
        retry_after: Option<Duration>,
    },
    /// This end refused the other.
    #[error("refused the other end: {0}")]
    Rejected(RefusalCode),
    /// The deadline passed.
    #[error("the handshake took too long")]
    DeadlineExceeded,
    /// No handshake can run with this configuration.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// Our own randomness or key generation failed.
    #[error("a cryptographic primitive is unavailable")]
    Unavailable,
}

impl HandshakeError {
    /// Stable number for logs and metrics.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 1,
            Self::Unexpected(_) => 2,
            Self::NotOffered => 3,
            Self::KeyShare => 4,
            Self::NotAuthentic(_) => 5,
            Self::WrongPeer { .. } => 6,
            Self::Untrusted(_) => 7,
            Self::DeadlineExceeded => 8,
            Self::Config(_) => 9,
            Self::Unavailable => 10,
            Self::Refused { .. } => 11,
            Self::Rejected(_) => 12,
        }
    }

    /// Whether the same attempt, made again later, may succeed without anyone changing a configuration.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::DeadlineExceeded | Self::Unavailable | Self::Malformed(_) | Self::NotAuthentic(_) => true,
            Self::Refused { code, .. } => matches!(
                *code,
                RefusalCode::COOKIE
                    | RefusalCode::BUSY
                    | RefusalCode::DEADLINE
                    | RefusalCode::ABORTED
                    | RefusalCode::INTERNAL
                    | RefusalCode::RATE_LIMITED
                    | RefusalCode::PEER_SIMULTANEOUS
            ),
            _ => false,
        }
    }

    /// What the other end is told in the clear; `None` where it spoke last.
    pub(super) const fn refusal(&self) -> Option<RefusalCode> {
        match self {
            Self::Malformed(_) => Some(RefusalCode::MALFORMED),
            Self::Unexpected(_) => Some(RefusalCode::UNEXPECTED),
            Self::KeyShare => Some(RefusalCode::KEY_SHARE),
            Self::NotAuthentic(_) => Some(RefusalCode::AUTHENTICATION),
            Self::Rejected(code) => Some(*code),
            Self::DeadlineExceeded => Some(RefusalCode::DEADLINE),
            Self::Unavailable => Some(RefusalCode::INTERNAL),
            Self::NotOffered | Self::WrongPeer { .. } | Self::Untrusted(_) => Some(RefusalCode::ABORTED),
            Self::Refused { .. } | Self::Config(_) => None,
        }
    }

    /// A refusal that anyone on the way may have written.
    pub(super) const fn unproven_refusal(code: RefusalCode) -> Self {
        Self::Refused { code, authenticated: false, retry_after: None }
    }

    /// The failure of a primitive on a value of the peer or on our own.
    pub(super) const fn from_share(error: CryptoError) -> Self {
        match error {
            CryptoError::PeerValue | CryptoError::Open => Self::KeyShare,
            CryptoError::Unavailable => Self::Unavailable,
        }
    }

    /// The failure of a seal, signature or MAC of `flight`.
    pub(super) const fn from_proof(flight: FlightKind, error: CryptoError) -> Self {
        match error {
            CryptoError::PeerValue | CryptoError::Open => Self::NotAuthentic(flight),
            CryptoError::Unavailable => Self::Unavailable,
        }
    }

    pub(super) const fn malformed(flight: FlightKind) -> impl FnOnce(Malformed) -> Self {
        move |Malformed| Self::Malformed(flight)
    }
}

/// A failure on its way out of a transition: the reason, and the flight that tells the other end, if it is told.
pub(super) struct Failure {
    pub(super) error: HandshakeError,
    pub(super) tell: Option<Vec<u8>>,
}

impl Failure {
    /// The other end is not told.
    pub(super) const fn silent(error: HandshakeError) -> Self {
        Self { error, tell: None }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        Self { error, tell: error.refusal().map(|code| Refusal { code }.encode()) }
    }
}
