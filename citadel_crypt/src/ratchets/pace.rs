//! When a manager starts a round that nobody asked for (R-CRY-5, R-CRY-6).

use super::manager_config::RoundPolicy;
use super::rekey::{Phase, Side, Timestamp, Version};
use std::time::Duration;

/// What the policy counts. It asks the machine only; whether a round comes of it is the machine's to say.
#[derive(Debug)]
pub(crate) struct Pace {
    side: Side,
    policy: RoundPolicy,
    max_age: Duration,
    /// Version and time of the last commit.
    latest: Version,
    since: Timestamp,
    /// Data records since then, both directions.
    records: u64,
    /// The version of the last message sent.
    spoken: Version,
    /// No round starts any more.
    halted: bool,
}

impl Pace {
    pub(crate) fn new(side: Side, policy: RoundPolicy, max_age: Duration, now: Timestamp) -> Self {
        Self {
            side,
            policy,
            max_age,
            latest: Version(0),
            since: now,
            records: 0,
            spoken: Version(0),
            halted: false,
        }
    }

    pub(crate) fn on_commit(&mut self, version: Version, now: Timestamp) {
        self.latest = version;
        self.since = now;
        self.records = 0;
    }

    pub(crate) fn on_sent(&mut self) {
        self.records += 1;
        self.spoken = self.latest;
    }

    pub(crate) fn on_received(&mut self) {
        self.records += 1;
    }

    /// Whether a message may go out under the latest version.
    pub(crate) fn may_speak(&self) -> bool {
        self.policy != RoundPolicy::PerMessage || self.latest > self.spoken
    }

    /// Rounds are halted: nothing is due any more.
    pub(crate) fn halt(&mut self) {
        self.halted = true;
    }

    /// Whether a message that waits needs a round to be asked for. An ask while one is offered or answered
    /// would only ask for one more after it.
    pub(crate) fn is_awaited(&self, phase: &Phase) -> bool {
        let free = matches!(phase, Phase::Idle { .. } | Phase::Confirming { .. } | Phase::Withdrawing { .. });
        free && !self.may_speak() && !self.halted
    }

    /// When a round is due by the clock, as far as is known now. Never while one is under way.
    pub(crate) fn deadline(&self, phase: &Phase) -> Option<Timestamp> {
        if self.halted || !matches!(phase, Phase::Idle { held: None }) {
            return None;
        }
        let aged = self.since + self.max_age;
        match self.policy {
            RoundPolicy::Background { records, interval } if self.records >= self.threshold(records) => {
                Some(aged.min(self.since + self.grace(interval)))
            }
            _ => Some(aged),
        }
    }

    /// Whether the clock asks for a round now.
    pub(crate) fn is_due(&self, phase: &Phase, now: Timestamp) -> bool {
        self.deadline(phase).is_some_and(|deadline| deadline <= now)
    }

    /// Both ends see the same traffic. The one whose offer would lose the tie waits a quarter longer, so that
    /// one offer is made for one round where both keep the same pace.
    fn threshold(&self, records: u64) -> u64 {
        if self.side.is_winner(self.latest.next()) { records } else { records + records / 4 }
    }

    fn grace(&self, interval: Duration) -> Duration {
        if self.side.is_winner(self.latest.next()) { interval } else { interval + interval / 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rekey::{Attempt, RoundId};
    use super::*;

    const IDLE: Phase = Phase::Idle { held: None };
    const MODE: RoundPolicy = RoundPolicy::Background { records: 64, interval: Duration::from_millis(50) };

    fn at(millis: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_millis(millis)
    }

    fn pace(policy: RoundPolicy, side: Side) -> Pace {
        Pace::new(side, policy, Duration::from_secs(86_400), Timestamp::ZERO)
    }

    #[test]
    fn a_background_round_needs_both_the_records_and_the_time() {
        // Version 1 is the responder's to win.
        let mut pace = pace(MODE, Side::Responder);
        (0..63).for_each(|_| pace.on_received());
        assert!(!pace.is_due(&IDLE, at(1_000)));
        pace.on_sent();
        assert!(!pace.is_due(&IDLE, at(49)));
        assert!(pace.is_due(&IDLE, at(50)));
        pace.on_commit(Version(1), at(50));
        assert!(!pace.is_due(&IDLE, at(1_000)));
    }

    #[test]
    fn the_side_that_would_lose_the_tie_waits_a_quarter_longer() {
        let mut pace = pace(MODE, Side::Initiator);
        (0..79).for_each(|_| pace.on_sent());
        assert!(!pace.is_due(&IDLE, at(1_000)));
        pace.on_sent();
        assert!(!pace.is_due(&IDLE, at(62)));
        assert!(pace.is_due(&IDLE, at(63)));
    }

    #[test]
    fn a_version_of_age_is_replaced_under_every_policy() {
        for policy in [RoundPolicy::OnDemand, MODE, RoundPolicy::PerMessage] {
            let pace = pace(policy, Side::Initiator);
            assert!(!pace.is_due(&IDLE, at(86_399_999)));
            assert!(pace.is_due(&IDLE, at(86_400_000)));
        }
    }

    #[test]
    fn under_the_strict_policy_each_message_needs_a_version_of_its_own() {
        let mut pace = pace(RoundPolicy::PerMessage, Side::Initiator);
        assert!(!pace.may_speak());
        assert!(pace.is_awaited(&IDLE));
        pace.on_commit(Version(1), at(1));
        assert!(pace.may_speak() && !pace.is_awaited(&IDLE));
        pace.on_sent();
        assert!(!pace.may_speak());
        let round = RoundId { version: Version(2), side: Side::Initiator, attempt: Attempt(1) };
        assert!(!pace.is_awaited(&Phase::Offered { round, signed: false }));
        assert!(pace.is_awaited(&Phase::Confirming { round, truncate: None }));
        pace.halt();
        assert!(!pace.is_awaited(&IDLE) && !pace.may_speak());
    }

    // A deadline that has passed would be the driver's next one again and again.
    #[test]
    fn fix_0008_nothing_is_due_while_the_peers_offer_waits_for_a_token() {
        let mut pace = pace(MODE, Side::Responder);
        (0..64).for_each(|_| pace.on_sent());
        let round = RoundId { version: Version(1), side: Side::Responder, attempt: Attempt(1) };
        let waiting = Phase::Idle { held: Some(round) };
        assert_eq!(pace.deadline(&waiting), None);
        assert!(!pace.is_due(&waiting, at(1_000)));
    }

    #[test]
    fn nothing_is_due_while_a_round_is_under_way_or_after_a_halt() {
        let mut pace = pace(MODE, Side::Responder);
        (0..64).for_each(|_| pace.on_sent());
        let round = RoundId { version: Version(1), side: Side::Initiator, attempt: Attempt(1) };
        assert_eq!(pace.deadline(&Phase::Answered { round, signed: false }), None);
        assert_eq!(pace.deadline(&IDLE), Some(at(50)));
        pace.halt();
        assert_eq!(pace.deadline(&IDLE), None);
    }
}
