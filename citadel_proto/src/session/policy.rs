//! When a round is due without anyone asking (R-CRY-5, -6), and how long acknowledgements wait for company.

use super::TimerReason;
use super::config::Background;
use citadel_crypt::Timestamp;
use core::time::Duration;

/// Traffic and time since the last commit.
#[derive(Debug)]
pub(super) struct RoundClock {
    background: Option<Background>,
    age: Duration,
    committed: Timestamp,
    records: u64,
    bytes: u64,
    /// A round was asked for by this clock since the last commit: the rekey machine remembers the wish.
    is_asked: bool,
}

impl RoundClock {
    pub(super) const fn new(background: Option<Background>, age: Duration, now: Timestamp) -> Self {
        Self { background, age, committed: now, records: 0, bytes: 0, is_asked: false }
    }

    /// A record with messages went out or came in.
    pub(super) const fn on_record(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes as u64;
    }

    pub(super) const fn on_commit(&mut self, now: Timestamp) {
        self.committed = now;
        self.records = 0;
        self.bytes = 0;
        self.is_asked = false;
    }

    /// Whether a round is to be asked for; true once for each commit.
    pub(super) fn take_due(&mut self, now: Timestamp, is_worn: bool) -> bool {
        let is_due = !self.is_asked && (is_worn || self.due_at().is_some_and(|at| now >= at));
        self.is_asked |= is_due;
        is_due
    }

    /// Whether the version is older than any may be.
    pub(super) fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.committed + self.age
    }

    pub(super) fn poll_timeout(&self) -> [Option<(Timestamp, TimerReason)>; 2] {
        let due = self.due_at().filter(|_| !self.is_asked);
        [
            due.map(|at| (at, TimerReason::RoundDue)),
            Some((self.committed + self.age, TimerReason::VersionExpired)),
        ]
    }

    fn due_at(&self) -> Option<Timestamp> {
        let ahead = Duration::from_secs(3600).min(self.age / 2);
        let by_age = self.committed + (self.age - ahead);
        let by_traffic = self
            .background
            .filter(|round| self.records >= round.records || self.bytes >= round.bytes)
            .map(|round| self.committed + round.interval);
        Some(by_traffic.map_or(by_age, |at| at.min(by_age)))
    }
}

/// The wait of acknowledgements for data to travel with.
///
/// ```text
/// None ── arm ──▶ Until ── on_timeout ──▶ Due      each ── written ──▶ None
/// ```
/// `Due` has no timer: it waits for the writer, who may be blocked for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AckDelay {
    /// Nothing to acknowledge.
    None,
    /// They go with data, or alone at this time.
    Until(Timestamp),
    /// They go with the next record.
    Due,
}

impl AckDelay {
    pub(super) fn on_timeout(&mut self, now: Timestamp) {
        if self.is_over(now) {
            *self = Self::Due;
        }
    }

    /// Whether they wait no longer.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        match self {
            Self::None => false,
            Self::Until(at) => now >= at,
            Self::Due => true,
        }
    }

    pub(super) const fn poll_timeout(self) -> Option<(Timestamp, TimerReason)> {
        match self {
            Self::Until(at) => Some((at, TimerReason::Acknowledge)),
            Self::None | Self::Due => None,
        }
    }
}
