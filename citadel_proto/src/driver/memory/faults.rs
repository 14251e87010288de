//! What may happen to bytes under way, and the chance by which it does.

use core::ops::RangeInclusive;
use core::time::Duration;

/// What may happen to the bytes of a pipe. Bytes are never lost, doubled or reordered alone: it is an ordered path, and when
/// it breaks it breaks for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    /// What each write waits for before it can be read; never overtakes an earlier one.
    pub delay: RangeInclusive<Duration>,
    /// After how many bytes of one direction the pipe is cut, both ways; never if `None`.
    pub cut_after: Option<RangeInclusive<u64>>,
}

impl Faults {
    /// None: bytes arrive at once and for ever.
    pub const NONE: Self = Self { delay: Duration::ZERO..=Duration::ZERO, cut_after: None };
    /// Delays of up to 20 ms, no cut.
    pub const DELAYS: Self = Self { delay: Duration::ZERO..=Duration::from_millis(20), cut_after: None };
}

impl Default for Faults {
    fn default() -> Self {
        Self::DELAYS
    }
}

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Chance for tests, nothing
/// secret.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of `range`, which is its start when it is empty.
    pub(super) fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        match range.end().checked_sub(*range.start()).and_then(|span| span.checked_add(1)) {
            Some(count) => range.start() + self.next() % count,
            None if range.is_empty() => *range.start(),
            None => self.next(),
        }
    }

    pub(super) fn duration(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.within(&(nanos(range.start())..=nanos(range.end()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // From the reference implementation (Vigna, splitmix64.c) with the seed 1234567.
    #[test]
    fn the_chance_is_that_of_the_reference() {
        let mut chance = Chance::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(expected.map(|_| chance.next()), expected);
    }

    #[test]
    fn what_is_drawn_is_within_its_range() {
        let mut chance = Chance::new(1);
        for _ in 0..1_000 {
            assert!((5..=7).contains(&chance.within(&(5..=7))));
        }
        assert_eq!(chance.within(&(9..=9)), 9);
        #[expect(clippy::reversed_empty_ranges, reason = "a user may write one")]
        let empty = 9..=3;
        assert_eq!(chance.within(&empty), 9);
        let _any = chance.within(&(0..=u64::MAX));
    }
}
