//! When rounds must be signed. Counts from the last signed round that this end completed, whoever offered it.

use super::{Reauth, Timestamp};

/// Time and rounds since the last signed round.
#[derive(Clone, Debug)]
pub(super) struct ReauthClock {
    rule: Option<Reauth>,
    signed_at: Timestamp,
    unsigned_rounds: u64,
    /// A path was resumed and no signed round was completed since.
    demanded: bool,
}

impl ReauthClock {
    /// The handshake was signed: counting starts now.
    pub(super) fn new(rule: Option<Reauth>, now: Timestamp) -> Self {
        Self { rule, signed_at: now, unsigned_rounds: 0, demanded: false }
    }

    /// The next own round must be signed, and starts by itself.
    pub(super) fn demand(&mut self) {
        self.demanded = true;
    }

    /// Takes note of a committed round.
    pub(super) fn committed(&mut self, signed: bool, now: Timestamp) {
        if signed {
            self.signed_at = now;
            self.unsigned_rounds = 0;
            self.demanded = false;
        } else {
            self.unsigned_rounds += 1;
        }
    }

    /// Whether a signed round is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.rule.is_some_and(|rule| {
            self.demanded
                || self.unsigned_rounds >= rule.rounds.max(1)
                || now >= self.signed_at + rule.interval
        })
    }

    /// Whether the peer has put it off too long.
    pub(super) fn is_overdue(&self, now: Timestamp) -> bool {
        self.rule.is_some_and(|rule| {
            self.unsigned_rounds >= rule.rounds.max(1).saturating_mul(2)
                || now >= self.signed_at + rule.interval.saturating_mul(2)
        })
    }

    /// When a signed round is due by time.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.rule.map(|rule| self.signed_at + rule.interval)
    }

    /// When it is overdue by time.
    pub(super) fn overdue_at(&self) -> Option<Timestamp> {
        self.rule.map(|rule| self.signed_at + rule.interval.saturating_mul(2))
    }

    /// Rounds since the last signed one; 0 where rounds are never signed.
    pub(super) fn unsigned_rounds(&self) -> u64 {
        if self.rule.is_some() { self.unsigned_rounds } else { 0 }
    }
}
