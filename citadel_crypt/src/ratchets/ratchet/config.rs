//! What both ends agreed on about record keys, and how long one key may serve.

use core::fmt;

/// How record keys come to be (R-CRY-6). The larger one is chosen when the ends ask for different ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SecrecyMode {
    /// One key per version, direction and path: an attacker who takes an endpoint's memory reads what was sent
    /// since the last round.
    #[default]
    BestEffort,
    /// A key of its own for every record, wiped after use.
    Perfect,
}

/// What carries records: rising, never used again within a session (R-SES-6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PathId(pub u64);

impl PathId {
    /// The path that the session was established on.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path {}", self.0)
    }
}

/// How much one key, or one chain, may carry (R-CRY-5). The defaults keep AES-GCM with 64 KiB records far below
/// the bounds of NIST SP 800-38D and RFC 8446, 5.5, with room for records in flight between soft and hard limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyLimits {
    /// From this many records on a round is due.
    pub soft_records: u64,
    /// From this many bytes on a round is due.
    pub soft_bytes: u64,
    /// No more records than this, on both ends.
    pub hard_records: u64,
    /// No more bytes than this, on both ends.
    pub hard_bytes: u64,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self { soft_records: 1 << 22, soft_bytes: 64 << 30, hard_records: 1 << 23, hard_bytes: 128 << 30 }
    }
}

/// How a session makes its record keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RatchetConfig {
    /// One key, or one for each record.
    pub mode: SecrecyMode,
    /// How much a key may carry.
    pub limits: KeyLimits,
}

impl From<SecrecyMode> for RatchetConfig {
    fn from(mode: SecrecyMode) -> Self {
        Self { mode, limits: KeyLimits::default() }
    }
}
