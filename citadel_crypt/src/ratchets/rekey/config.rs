//! Limits and durations of the machine, each with the reason for its default; the same in debug and release.

use super::{AgreementError, Side, Version};
use core::time::Duration;

/// What the machine is told once.
#[derive(Clone, Debug)]
pub struct RekeyConfig {
    /// The own side.
    pub side: Side,
    /// Number of the session's suite; an offer that names another one ends the session.
    pub suite: u16,
    /// W, 2 ..= 16: the most committed versions with live receive keys. Agreed at establishment as the minimum
    /// of both ends; 4 lets records of two rounds overtake each other on unordered delivery.
    pub window: u8,
    /// Whether the path delivers in order whatever it accepted while it lives (TCP, a stream): then every
    /// retransmission timer runs at the slow pace.
    pub reliable_path: bool,
    /// Timers and their limits.
    pub timing: Timing,
    /// When rounds must be signed; `None` where the ends have no identities.
    pub reauth: Option<Reauth>,
    /// What a peer may spend of our key agreement on rounds that come to nothing.
    pub replacement: TokenBucket,
    /// The same for signed offers.
    pub signed_replacement: TokenBucket,
}

impl RekeyConfig {
    /// Defaults for `side` and `suite`.
    pub fn new(side: Side, suite: u16) -> Self {
        Self {
            side,
            suite,
            window: 4,
            reliable_path: true,
            timing: Timing::default(),
            reauth: Some(Reauth::default()),
            replacement: TokenBucket { burst: 16, refill: Duration::from_millis(125) },
            signed_replacement: TokenBucket { burst: 4, refill: Duration::from_secs(60) },
        }
    }
}

/// Timer limits. With every duration zero the machine never sees time pass, which is how it is explored.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Retransmission timer before a round trip was measured.
    pub initial: Duration,
    /// Its floor: below it, scheduling noise looks like loss.
    pub min: Duration,
    /// Its ceiling before doubling.
    pub max: Duration,
    /// What doubling stops at.
    pub max_backoff: Duration,
    /// Floor of the slow timer, which is otherwise four times the fast one.
    pub slow_min: Duration,
    /// Floor of a drain, which is otherwise three retransmission timers.
    pub min_drain: Duration,
    /// Its ceiling.
    pub max_drain: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(250),
            min: Duration::from_millis(50),
            max: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
            slow_min: Duration::from_secs(1),
            min_drain: Duration::from_millis(150),
            max_drain: Duration::from_secs(30),
        }
    }
}

impl Timing {
    /// Every duration zero.
    pub const ZERO: Self = Self {
        initial: Duration::ZERO,
        min: Duration::ZERO,
        max: Duration::ZERO,
        max_backoff: Duration::ZERO,
        slow_min: Duration::ZERO,
        min_drain: Duration::ZERO,
        max_drain: Duration::ZERO,
    };
}

/// When a signed round is due; at twice either number without one the session closes with
/// [`Fatal::ReauthOverdue`], so a signature can be neither stripped nor put off.
#[derive(Clone, Copy, Debug)]
pub struct Reauth {
    /// Longest time since the last signed round.
    pub interval: Duration,
    /// Most rounds since the last signed round.
    pub rounds: u64,
}

impl Default for Reauth {
    fn default() -> Self {
        Self { interval: Duration::from_secs(3600), rounds: 4096 }
    }
}

/// A token bucket: `burst` tokens at most, one more each `refill`.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    /// The most tokens it holds.
    pub burst: u32,
    /// Time for one token.
    pub refill: Duration,
}

/// Why the machine ended its session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fatal {
    /// An authenticated message that no correct peer can send.
    ProtocolViolation(Violation),
    /// Key agreement failed on authenticated bytes.
    KeyMismatch,
    /// A signature that had to be there is missing or wrong.
    AuthFailed,
    /// No signed round for twice the agreed time or number of rounds.
    ReauthOverdue,
    /// Our own randomness or key generation failed.
    Unavailable,
}

impl From<AgreementError> for Fatal {
    fn from(error: AgreementError) -> Self {
        match error {
            AgreementError::AuthFailed => Self::AuthFailed,
            AgreementError::KeyMismatch => Self::KeyMismatch,
            AgreementError::Unavailable => Self::Unavailable,
        }
    }
}

/// What the peer broke.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Violation {
    /// The round's side is not the one that may send this message.
    WrongSide,
    /// Another suite than the session's.
    WrongSuite,
    /// A floor at or above the message's own live attempt.
    FloorContradiction,
    /// An offer for more than the next version.
    VersionAhead(Version),
}
