//! How a round or the machine ends without a commit: withdraw, `Cancel`, `CancelAck`, halt.

use super::phase::{Idle, State, Withdrawing};
use super::{
    Body, CancelCause, CancelReason, Event, Ignored, KeyAgreement, Lifecycle, Output, Refusal, RekeyMachine,
    RoundId, Verdict,
};

impl<P: KeyAgreement> RekeyMachine<P> {
    /// Nobody wants the own round any more.
    pub(super) fn on_withdraw(&mut self) -> Verdict {
        match &self.state {
            State::Offered(_) => {
                self.want = None;
                self.withdraw_offered(CancelReason::Withdrawn);
                Verdict::Done
            }
            State::Confirming(_) => Verdict::Refused(Refusal::AlreadyCommitted),
            State::Answered(_) => Verdict::Refused(Refusal::NotOwner),
            // Only what is wanted next can be taken back: no own round is live.
            State::Idle(_) | State::Withdrawing(_) => match self.want.take() {
                Some(_) => Verdict::Done,
                None => Verdict::Refused(Refusal::NoRound),
            },
        }
    }

    /// No new round from here on; the one at hand may end. A candidate stays until its round is decided: the
    /// peer may have committed it.
    pub(super) fn on_halt(&mut self) -> Verdict {
        if self.lifecycle != Lifecycle::Running {
            return Verdict::Done;
        }
        self.lifecycle = Lifecycle::Halting;
        self.want = None;
        match &mut self.state {
            State::Offered(_) => self.withdraw_offered(CancelReason::Halting),
            State::Idle(Idle { held }) | State::Withdrawing(Withdrawing { held, .. }) => *held = None,
            State::Confirming(_) | State::Answered(_) => {}
        }
        Verdict::Done
    }

    /// Wipes the own round's secrets and tells the peer until it knows.
    fn withdraw_offered(&mut self, reason: CancelReason) {
        if let State::Offered(offered) = self.take_state() {
            let round = offered.round;
            let retry = self.owner_retry();
            let held = offered.held.filter(|_| self.lifecycle == Lifecycle::Running);
            self.state = State::Withdrawing(Withdrawing { round, reason, held, retry });
            self.send_state();
            self.stats.cancelled += 1;
            self.outputs
                .push_back(Output::Event(Event::Cancelled { round, reason: CancelCause::Own(reason) }));
        }
    }

    /// `Cancel(r)`: floor and candidate were seen to before.
    pub(super) fn on_cancel(&mut self, round: RoundId) -> Verdict {
        self.send(round, Body::CancelAck);
        Verdict::Done
    }

    /// `CancelAck(r)`.
    pub(super) fn on_cancel_ack(&mut self, round: RoundId) -> Verdict {
        match self.take_state() {
            State::Withdrawing(withdrawing) if withdrawing.round == round => {
                self.state = State::Idle(Idle { held: withdrawing.held });
                Verdict::Done
            }
            other => {
                self.state = other;
                Verdict::Ignored(Ignored::Stale)
            }
        }
    }
}
