//! The clock of accounts, injected.

use crate::backend::UnixTime;
use citadel_crypt::Timestamp;
use core::fmt;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Says what time it is.
pub trait AccountsClock: Send + Sync + fmt::Debug + 'static {
    /// Time since a fixed origin; never goes back. Rate limits count in it.
    fn now(&self) -> Timestamp;

    /// The calendar's time, for what users are shown.
    fn unix(&self) -> UnixTime;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Starts at zero.
    pub fn new() -> Self {
        Self { origin: instant() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl AccountsClock for SystemClock {
    fn now(&self) -> Timestamp {
        let nanos = instant().saturating_duration_since(self.origin).as_nanos();
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    #[expect(clippy::disallowed_methods, reason = "a driver reads the clock")]
    fn unix(&self) -> UnixTime {
        UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock")]
fn instant() -> Instant {
    Instant::now()
}
