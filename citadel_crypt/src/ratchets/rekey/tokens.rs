//! What a peer may spend of our key agreement on rounds that come to nothing.

use super::{Timestamp, TokenBucket};

/// A token bucket on the machine's clock.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    bucket: TokenBucket,
    left: u32,
    /// Since when the next token is being earned; meaningless while full.
    since: Timestamp,
}

impl Tokens {
    /// A full bucket.
    pub(super) fn new(bucket: TokenBucket, now: Timestamp) -> Self {
        Self { bucket, left: bucket.burst, since: now }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        self.earn(now);
        let has_token = self.left > 0;
        if has_token {
            if self.left == self.bucket.burst {
                self.since = now;
            }
            self.left -= 1;
        }
        has_token
    }

    /// When there is a token.
    pub(super) fn ready_at(&self, now: Timestamp) -> Timestamp {
        if self.left > 0 { now } else { self.since + self.bucket.refill }
    }

    /// Fills the bucket: a round came to something.
    pub(super) fn refund(&mut self) {
        self.left = self.bucket.burst;
    }

    fn earn(&mut self, now: Timestamp) {
        let refill = self.bucket.refill.as_nanos().max(1);
        let earned = now.since(self.since).as_nanos() / refill;
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned == 0 {
            return;
        }
        self.left = self.left.saturating_add(earned).min(self.bucket.burst);
        self.since = self.since + self.bucket.refill.saturating_mul(earned);
    }
}
