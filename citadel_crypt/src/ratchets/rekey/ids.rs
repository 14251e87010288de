//! Numbers and names that travel: versions, sides, attempts, rounds.

use core::fmt;

/// Number of a ratchet: 0 comes from the handshake, each committed round adds one. 8 low bits travel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

impl Version {
    /// The version after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The version before this one, or 0.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The bits that stand in a record's header.
    pub const fn low_bits(self) -> u8 {
        self.0.to_le_bytes()[0]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

/// Which end of the session: fixed at establishment and bound into the transcript.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The end that opened the session, number 0.
    Initiator,
    /// The end that answered, number 1.
    Responder,
}

impl Side {
    /// 0 for the initiator, 1 for the responder.
    pub const fn number(self) -> u8 {
        match self {
            Self::Initiator => 0,
            Self::Responder => 1,
        }
    }

    /// The side with that number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Initiator),
            1 => Some(Self::Responder),
            _ => None,
        }
    }

    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    /// Whether this side's offer for `version` is the one that counts when both offer: known beforehand,
    /// fair over time, nothing to grind and no equality case.
    pub const fn is_winner(self, version: Version) -> bool {
        self.number() as u64 == version.0 % 2
    }
}

/// Counts one side's offers for the life of the session; the first is 1, 0 means "none yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Attempt(pub u64);

impl Attempt {
    /// The attempt after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The attempt before this one, or 0.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Name of one round. Exact equality is the only match: a round is never named by its version alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoundId {
    /// The version that the round leads to.
    pub version: Version,
    /// The side that offered.
    pub side: Side,
    /// The offerer's attempt.
    pub attempt: Attempt,
}

impl fmt::Debug for RoundId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Initiator => 'i',
            Side::Responder => 'r',
        };
        write!(f, "{:?}/{side}{:?}", self.version, self.attempt)
    }
}

/// What an endpoint is in the round at hand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// No round.
    Idle,
    /// Its `AliceToBob` is the one that counts.
    Leader,
    /// It answers the Leader's.
    Loser,
}
