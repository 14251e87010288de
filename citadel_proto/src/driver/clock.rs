//! The one clock of an endpoint.

use citadel_crypt::Timestamp;
use core::time::Duration;
use tokio::time::Instant;

/// Readings since a fixed origin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { origin: now() }
    }

    pub(super) fn now(self) -> Timestamp {
        let nanos = now().saturating_duration_since(self.origin).as_nanos();
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The instant of a reading; a far one if it cannot be said.
    pub(super) fn instant(self, at: Timestamp) -> Instant {
        let since = Duration::from_nanos(at.as_nanos());
        self.origin.checked_add(since).unwrap_or_else(|| self.origin + Duration::from_secs(86_400 * 365))
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock, here and nowhere else")]
fn now() -> Instant {
    Instant::now()
}
