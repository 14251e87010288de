//! Answers, finishes, acknowledgements: how a round ends well.

use super::confirm::Confirmed;
use super::phase::{Confirming, State};
use super::{
    Body, CancelReason, Event, Fatal, Ignored, KeyAgreement, Lifecycle, Output, RekeyMachine, RekeyOutcome,
    RoundId, Verdict, Version,
};
use core::time::Duration;

impl<P: KeyAgreement> RekeyMachine<P> {
    /// `BobToAlice(r)` under the latest version.
    pub(super) fn on_answer(&mut self, round: RoundId, answer: &P::Answer) -> Verdict {
        match self.take_state() {
            State::Offered(offered) if offered.round == round => {
                let sample = offered.retry.sample(self.now);
                match Confirmed::by_answer(&mut self.provider, offered, answer) {
                    Ok((confirmed, tag)) => {
                        self.sample(sample);
                        self.commit_as_leader(confirmed, tag);
                        Verdict::Done
                    }
                    Err(error) => self.close(error.into()),
                }
            }
            other => {
                self.state = other;
                self.on_unexpected_answer(round)
            }
        }
    }

    /// `LoserCanFinish(r)` or `Truncate(r, x)`: of the round at hand, or a repetition of the last one.
    pub(super) fn on_finish(&mut self, round: RoundId, finish: Body<P>) -> Verdict {
        let (tag, full) = match finish {
            Body::LoserCanFinish { tag } => (tag, None),
            Body::Truncate { tag, earliest } => (tag, Some(earliest)),
            _ => return Verdict::Ignored(Ignored::NotExpected),
        };
        match self.take_state() {
            State::Answered(answered) if answered.round == round => {
                self.sample(answered.retry.sample(self.now));
                match Confirmed::by_tag(&self.provider, answered, &tag) {
                    Ok(confirmed) => {
                        self.commit_as_loser(confirmed, full);
                        Verdict::Done
                    }
                    Err(error) => self.close(error.into()),
                }
            }
            other => {
                self.state = other;
                if self.last_finished == Some(round) && round.version == self.latest.get() {
                    self.send(round, Body::LeaderCanFinish);
                    Verdict::Done
                } else {
                    Verdict::Ignored(Ignored::Stale)
                }
            }
        }
    }

    /// Commits the own round and waits until the peer shows that it did.
    fn commit_as_leader(&mut self, confirmed: Confirmed<P>, tag: P::Tag) {
        let (outcome, is_full) = self.install(confirmed, None);
        let truncate = is_full.then_some(self.earliest.get());
        let retry = self.owner_retry();
        self.state = State::Confirming(Confirming { round: outcome.round, tag, truncate, retry });
        self.send_state();
        self.stats.led += 1;
        self.after_commit(outcome);
    }

    /// Commits the peer's round, keeps its name for repetitions of the finish, and is idle again.
    pub(super) fn commit_as_loser(&mut self, confirmed: Confirmed<P>, truncate: Option<Version>) {
        let (outcome, _) = self.install(confirmed, truncate);
        self.last_finished = Some(outcome.round);
        self.send(outcome.round, Body::LeaderCanFinish);
        self.start_drain(outcome.version);
        self.stats.followed += 1;
        self.after_commit(outcome);
    }

    /// Makes a confirmed candidate the latest version; the state is Idle meanwhile. The only place that moves
    /// the versions. Also tells whether the window was full, so that a version fell out of it.
    fn install(&mut self, confirmed: Confirmed<P>, truncate: Option<Version>) -> (RekeyOutcome, bool) {
        let (round, signed, role, candidate) = confirmed.into_parts();
        let version = round.version;
        debug_assert_eq!(version, self.latest.get().next(), "a round does not outlive a commit");
        let ratchet = self.provider.commit(candidate, self.config.side);
        let outcome = RekeyOutcome { version, role, round, signed };
        let is_full = self.earliest.raise(self.earliest_after(version));
        self.latest.raise(version);
        if let Some(x) = truncate {
            self.earliest.raise(x.min(version.previous()));
        }
        self.forget_passed_drains();
        self.outputs.push_back(Output::Committed { outcome, ratchet, earliest: self.earliest.get() });
        (outcome, is_full)
    }

    /// What a commit changes beside keys: wants, outcomes, tokens, signatures.
    fn after_commit(&mut self, outcome: RekeyOutcome) {
        self.satisfy_want(outcome.version);
        self.answered = None;
        self.tokens.refund();
        self.signed_tokens.refund();
        self.stats.signed += u64::from(outcome.signed);
        while self.outcomes.len() >= usize::from(self.config.window.clamp(2, 16)) {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
        self.outputs.push_back(Output::Event(Event::Committed(outcome)));
        self.reauth.committed(outcome.signed, self.now);
        if self.lifecycle == Lifecycle::Running && self.reauth.is_overdue(self.now) {
            self.close(Fatal::ReauthOverdue);
        }
    }

    /// The peer commits too: the round is over.
    pub(super) fn acknowledged(&mut self, confirming: Confirming<P>) {
        self.sample(confirming.retry.sample(self.now));
        self.state = State::IDLE;
        self.start_drain(confirming.round.version);
    }

    fn sample(&mut self, rtt: Option<Duration>) {
        if let Some(rtt) = rtt {
            self.rtt.sample(rtt, &self.config.timing);
        }
    }

    /// The peer answers `round`, which is past the latest version and no live round of ours: it is told so.
    fn on_unexpected_answer(&mut self, round: RoundId) -> Verdict {
        self.stats.nacks += 1;
        match &self.state {
            State::Withdrawing(withdrawing) if withdrawing.round == round => self.repeat_state(),
            _ => self.send(round, Body::Cancel { reason: CancelReason::Unknown }),
        }
        Verdict::Done
    }
}
