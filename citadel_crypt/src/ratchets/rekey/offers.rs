//! Triggers and offers: who starts a round, whose offer counts, who answers when.

use super::phase::{Answered, HeldOffer, Idle, Offered, State};
use super::{
    CancelCause, Event, Ignored, KeyAgreement, Lifecycle, Output, Refusal, RekeyMachine, Role, RoundId,
    Timestamp, Verdict, Version,
};

impl<P: KeyAgreement> RekeyMachine<P> {
    /// Someone wants a newer version than the one that can come without them.
    pub(super) fn on_trigger(&mut self) -> Verdict {
        if self.lifecycle != Lifecycle::Running {
            return Verdict::Refused(Refusal::Halted);
        }
        let wanted = match &self.state {
            State::Answered(answered) => answered.round.version.next(),
            _ => self.latest.get().next(),
        };
        self.want = self.want.max(Some(wanted));
        Verdict::Waiting(wanted)
    }

    /// What a step leaves undone: a held offer is answered, a wanted round offered, a halt completed.
    /// Runs last in every step, so that it sees all that the input said.
    pub(super) fn settle(&mut self) {
        self.yield_to_held();
        if !self.state.is_idle() {
            return;
        }
        match self.lifecycle {
            Lifecycle::Running => self.settle_idle(),
            Lifecycle::Halting => {
                self.lifecycle = Lifecycle::Halted;
                self.drains.clear();
                self.outputs.push_back(Output::Halted);
            }
            Lifecycle::Halted | Lifecycle::Closed(_) => {}
        }
    }

    /// Gives up the own round for an offer that wins against it, once that can be answered.
    fn yield_to_held(&mut self) {
        let yields = match &self.state {
            State::Offered(Offered { round, held: Some(held), .. }) if self.is_payable(held) => Some(*round),
            _ => None,
        };
        if let Some(own) = yields {
            let held = self.state.held_mut().and_then(Option::take);
            self.state = State::Idle(Idle { held });
            self.stats.cancelled += 1;
            self.outputs
                .push_back(Output::Event(Event::Cancelled { round: own, reason: CancelCause::Yielded }));
        }
    }

    fn settle_idle(&mut self) {
        let State::Idle(Idle { held }) = self.take_state() else {
            return;
        };
        let wants_round = self.want > Some(self.latest.get()) || self.reauth.is_due(self.now);
        match held {
            Some(held) if self.pay_for(&held) => self.answer_held(held),
            // The peer's offer wins or nobody here wants a round: the token is waited for.
            Some(held) if !wants_round || !self.config.side.is_winner(held.round.version) => {
                self.state = State::Idle(Idle { held: Some(held) });
            }
            _ if wants_round => self.start_round(),
            _ => {}
        }
    }

    /// Offers a round for the next version.
    fn start_round(&mut self) {
        let attempt = self.last_attempt.get().next();
        self.last_attempt.raise(attempt);
        let round = RoundId { version: self.latest.get().next(), side: self.config.side, attempt };
        let signed = self.reauth.is_due(self.now);
        match self.provider.offer(round, signed) {
            Ok((secret, offer)) => {
                let retry = self.owner_retry();
                self.state = State::Offered(Offered { round, signed, secret, offer, held: None, retry });
                self.send_state();
                self.stats.offered += 1;
                self.outputs.push_back(Output::Event(Event::Started { round, role: Role::Leader }));
            }
            Err(error) => {
                self.close(error.into());
            }
        }
    }

    /// `AliceToBob(r)` for the next version; older ones are ignored before, later ones close.
    pub(super) fn on_offer(&mut self, round: RoundId, signed: bool, offer: P::Offer) -> Verdict {
        if round.attempt <= self.peer_floor.get() {
            return Verdict::Ignored(Ignored::Stale);
        }
        match &self.state {
            State::Answered(answered) if answered.round == round => {
                self.repeat_state();
                return Verdict::Done;
            }
            _ if self.lifecycle != Lifecycle::Running => return Verdict::Ignored(Ignored::Halting),
            State::Offered(_) if self.config.side.is_winner(round.version) => return self.insist(),
            // A record under the version being confirmed has ended Confirming, and a newer attempt Answered.
            _ => {}
        }
        self.hold_offer(HeldOffer { round, signed, offer })
    }

    /// Keeps the newest offer; [`settle`](Self::settle) answers it when it may.
    fn hold_offer(&mut self, newer: HeldOffer<P>) -> Verdict {
        match self.state.held_mut() {
            Some(Some(held)) if held.round.attempt >= newer.round.attempt => Verdict::Ignored(Ignored::Held),
            Some(held) => {
                *held = Some(newer);
                Verdict::Done
            }
            None => Verdict::Ignored(Ignored::NotExpected),
        }
    }

    /// The own offer wins: the peer gets it again in case it was lost, at most once per round trip.
    fn insist(&mut self) -> Verdict {
        let round_trip = self.rtt.round_trip(&self.config.timing);
        if self.state.retry().is_some_and(|retry| retry.since_sent(self.now) >= round_trip) {
            self.repeat_state();
        }
        Verdict::Ignored(Ignored::LostTie)
    }

    /// Answers an offer that is paid for.
    fn answer_held(&mut self, held: HeldOffer<P>) {
        let HeldOffer { round, signed, offer } = held;
        match self.provider.answer(round, signed, &offer) {
            Ok((candidate, answer)) => {
                let retry = self.answerer_retry();
                self.state = State::Answered(Answered { round, signed, candidate, answer, retry });
                self.answered = Some(round.version);
                self.send_state();
                self.stats.answered += 1;
                self.outputs.push_back(Output::Event(Event::Started { round, role: Role::Loser }));
            }
            Err(error) => {
                self.close(error.into());
            }
        }
    }

    /// The first answer for a version is free; one that replaces it costs a token, a signed one from the scarcer
    /// bucket unless a signed round is due anyway.
    fn pay_for(&mut self, held: &HeldOffer<P>) -> bool {
        if self.answered != Some(held.round.version) {
            return true;
        }
        let now = self.now;
        if held.signed && !self.reauth.is_due(now) {
            self.signed_tokens.take(now)
        } else {
            self.tokens.take(now)
        }
    }

    /// Whether [`pay_for`](Self::pay_for) would succeed.
    fn is_payable(&self, held: &HeldOffer<P>) -> bool {
        self.answered != Some(held.round.version) || self.ready_at(held) <= self.now
    }

    fn ready_at(&self, held: &HeldOffer<P>) -> Timestamp {
        if held.signed && !self.reauth.is_due(self.now) {
            self.signed_tokens.ready_at(self.now)
        } else {
            self.tokens.ready_at(self.now)
        }
    }

    /// When the held offer can be paid for.
    pub(super) fn token_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Idle(Idle { held: Some(held) }) | State::Offered(Offered { held: Some(held), .. }) => {
                Some(self.ready_at(held))
            }
            _ => None,
        }
    }

    /// Clears `want` once a version satisfies it.
    pub(super) fn satisfy_want(&mut self, committed: Version) {
        if self.want <= Some(committed) {
            self.want = None;
        }
    }
}
