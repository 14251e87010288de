//! Deadlines: derived from the state, each with its reason, and what is done when they come.

use super::phase::State;
use super::timers::Retry;
use super::{Event, Fatal, KeyAgreement, Lifecycle, Output, RekeyMachine, Timestamp, Verdict};

/// What [`poll_timeout`](RekeyMachine::poll_timeout)'s deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum TimerReason {
    /// The message of the state goes out again.
    Repeat,
    /// A held offer gets a token.
    Token,
    /// Receive keys of older versions are wiped.
    Drain,
    /// A signed round is due.
    ReauthDue,
    /// A signed round is overdue: the session closes.
    ReauthOverdue,
}

impl<P: KeyAgreement> RekeyMachine<P> {
    /// The earliest deadline and its reason; none in Idle with nothing to wait for, in Halted and when closed.
    ///
    /// One [`Input::Timeout`](super::Input::Timeout) does everything that is due by then, each thing once.
    pub fn poll_timeout(&self) -> Option<(Timestamp, TimerReason)> {
        let is_running = self.lifecycle == Lifecycle::Running;
        let repeat = self.state.retry().map(Retry::deadline);
        let token = self.token_at();
        let drain = self.drains.iter().map(|d| d.until).min();
        let due = self.reauth.due_at().filter(|_| is_running && self.state.is_idle() && token.is_none());
        let overdue = self.reauth.overdue_at().filter(|_| is_running);
        [
            (repeat, TimerReason::Repeat),
            (token, TimerReason::Token),
            (drain, TimerReason::Drain),
            (due, TimerReason::ReauthDue),
            (overdue, TimerReason::ReauthOverdue),
        ]
        .into_iter()
        .filter_map(|(at, reason)| at.map(|at| (at, reason)))
        .min()
    }

    /// A deadline may have come. What is due but waits for Idle (tokens, signed rounds) is seen to by `settle`.
    pub(super) fn on_timeout(&mut self) -> Verdict {
        if self.lifecycle == Lifecycle::Running && self.reauth.is_overdue(self.now) {
            return self.close(Fatal::ReauthOverdue);
        }
        self.evict_drained();
        let longest = self.config.timing.max_backoff;
        let now = self.now;
        let jitter = self.provider.jitter();
        let round = self.state.round();
        if let Some(retry) = self.state.retry_mut().filter(|r| r.deadline() <= now) {
            let stalls = retry.back_off(now, longest, jitter);
            self.repeat_state();
            if let Some(round) = round.filter(|_| stalls) {
                self.outputs.push_back(Output::Event(Event::Stalled { round }));
            }
        }
        Verdict::Done
    }

    /// Another path carries the session: its round trips are another matter, and what is owed goes out at once.
    pub(super) fn on_path_replaced(&mut self, reauthenticate: bool) -> Verdict {
        self.rtt = Default::default();
        if reauthenticate {
            self.reauth.demand();
        }
        let fresh = match &self.state {
            State::Answered(_) => self.answerer_retry(),
            _ => self.owner_retry(),
        };
        if let Some(retry) = self.state.retry_mut() {
            *retry = fresh;
        }
        self.repeat_state();
        Verdict::Done
    }

    /// Sends the message of the state, if there is one.
    pub(super) fn send_state(&mut self) {
        if let Some((round, body)) = self.state.message(self.config.suite) {
            self.send(round, body);
        }
    }

    /// Sends it again; the timer goes on as it was.
    pub(super) fn repeat_state(&mut self) {
        let now = self.now;
        if let Some(retry) = self.state.retry_mut() {
            retry.repeated_at(now);
            self.stats.repeated += 1;
        }
        self.send_state();
    }

    /// A timer for the owner of a round: fast where a path may lose messages.
    pub(super) fn owner_retry(&mut self) -> Retry {
        let timing = &self.config.timing;
        let pace = if self.config.reliable_path { self.rtt.slow(timing) } else { self.rtt.fast(timing) };
        Retry::new(self.now, pace, self.provider.jitter())
    }

    /// A timer for one who answers: the owner repeats faster.
    pub(super) fn answerer_retry(&mut self) -> Retry {
        Retry::new(self.now, self.rtt.slow(&self.config.timing), self.provider.jitter())
    }
}
