//! When to repeat: round trip estimation, pace, backoff and jitter. Never decides what is repeated.

use super::{Timestamp, Timing};
use core::time::Duration;

/// Past any round trip and any sensible pace; keeps arithmetic on a careless configuration from overflowing.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Round trip time, smoothed as in RFC 6298.
#[derive(Clone, Default, Debug)]
pub(super) struct RttEstimate {
    /// SRTT and RTTVAR; none before the first sample.
    smoothed: Option<(Duration, Duration)>,
}

impl RttEstimate {
    /// Takes a sample. One above the longest pace is cut there: a suspended host is no round trip.
    pub(super) fn sample(&mut self, rtt: Duration, timing: &Timing) {
        let rtt = rtt.min(timing.max_backoff).min(LONGEST);
        self.smoothed = Some(match self.smoothed {
            None => (rtt, rtt / 2),
            Some((srtt, var)) => ((srtt * 7 + rtt) / 8, (var * 3 + srtt.abs_diff(rtt)) / 4),
        });
    }

    /// SRTT, or the timer before samples.
    pub(super) fn round_trip(&self, timing: &Timing) -> Duration {
        self.smoothed.map_or(timing.initial, |(srtt, _)| srtt)
    }

    /// The retransmission timer: clamp(2·SRTT + 4·RTTVAR, min, max).
    pub(super) fn fast(&self, timing: &Timing) -> Duration {
        self.smoothed
            .map_or(timing.initial, |(srtt, var)| (srtt * 2 + var * 4).max(timing.min).min(timing.max))
    }

    /// The timer of one who only answers, and of everyone on a path that is reliable while it lives.
    pub(super) fn slow(&self, timing: &Timing) -> Duration {
        self.fast(timing).saturating_mul(4).max(timing.slow_min)
    }

    /// How long receive keys of the version before stay after the first record under the new one.
    pub(super) fn drain(&self, timing: &Timing) -> Duration {
        self.fast(timing).saturating_mul(3).max(timing.min_drain).min(timing.max_drain)
    }
}

/// The timer of one state; there from the moment the state is made (I10).
#[derive(Clone, Debug)]
pub(super) struct Retry {
    deadline: Timestamp,
    pace: Duration,
    sent_at: Timestamp,
    repeated: bool,
}

impl Retry {
    /// Armed for the first time, the message going out now.
    pub(super) fn new(now: Timestamp, pace: Duration, jitter: u32) -> Self {
        Self { deadline: now + stretched(pace, jitter), pace, sent_at: now, repeated: false }
    }

    /// When the message goes out again.
    pub(super) fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The timer fired and the message goes out again: the pace doubles. True when it thereby reached the longest.
    pub(super) fn back_off(&mut self, now: Timestamp, longest: Duration, jitter: u32) -> bool {
        let pace = self.pace.saturating_mul(2).min(longest).max(self.pace);
        let stalled = self.pace < longest && pace >= longest;
        *self = Self { deadline: now + stretched(pace, jitter), pace, sent_at: now, repeated: true };
        stalled
    }

    /// The message went out again for another reason than the timer.
    pub(super) fn repeated_at(&mut self, now: Timestamp) {
        self.sent_at = now;
        self.repeated = true;
    }

    /// Time since the last sending.
    pub(super) fn since_sent(&self, now: Timestamp) -> Duration {
        now.since(self.sent_at)
    }

    /// The round trip that a reply shows; none when the message was repeated (Karn: which copy was answered?).
    pub(super) fn sample(&self, now: Timestamp) -> Option<Duration> {
        (!self.repeated).then(|| now.since(self.sent_at))
    }
}

/// `pace` and up to a quarter more, so that two ends never repeat in step.
fn stretched(pace: Duration, jitter: u32) -> Duration {
    let quarter = pace.min(LONGEST) / 4;
    pace.saturating_add(quarter.mul_f64(f64::from(jitter) / f64::from(u32::MAX)))
}
