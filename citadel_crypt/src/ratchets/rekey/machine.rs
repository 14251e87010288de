//! The machine itself: its numbers, its dispatch and its questions. The rules stand in its topics' files.

use super::phase::State;
use super::reauth::ReauthClock;
use super::rising::Rising;
use super::timers::RttEstimate;
use super::tokens::Tokens;
use super::window::Drain;
use super::{
    Attempt, Body, Fatal, Header, Input, KeyAgreement, Lifecycle, Message, Output, RekeyConfig, RekeyOutcome,
    RekeyStats, RoundId, Timestamp, Verdict, Version,
};
use std::collections::VecDeque;

/// One end's rekey protocol (R-CORE-2): [`handle`](Self::handle) an input, drain
/// [`poll_output`](Self::poll_output), arm one timer for [`poll_timeout`](Self::poll_timeout).
///
/// A message that is ignored changes nothing that [`view`](Self::view) shows. What a peer can cause is a
/// verdict or a typed close, never a panic.
pub struct RekeyMachine<P: KeyAgreement> {
    pub(super) config: RekeyConfig,
    pub(super) provider: P,
    /// The latest time seen: an earlier one given later counts as this.
    pub(super) now: Timestamp,
    pub(super) lifecycle: Lifecycle,
    pub(super) state: State<P>,
    pub(super) latest: Rising<Version>,
    pub(super) earliest: Rising<Version>,
    /// The last attempt used; 0 before the first.
    pub(super) last_attempt: Rising<Attempt>,
    pub(super) peer_floor: Rising<Attempt>,
    pub(super) want: Option<Version>,
    /// The last round finished as Loser, whose finish is acknowledged again.
    pub(super) last_finished: Option<RoundId>,
    pub(super) outcomes: VecDeque<RekeyOutcome>,
    pub(super) drains: Vec<Drain>,
    /// The version last answered and not committed: answering it once more costs a token.
    pub(super) answered: Option<Version>,
    pub(super) tokens: Tokens,
    pub(super) signed_tokens: Tokens,
    pub(super) rtt: RttEstimate,
    pub(super) reauth: ReauthClock,
    pub(super) outputs: VecDeque<Output<P>>,
    pub(super) stats: RekeyStats,
}

impl<P: KeyAgreement> RekeyMachine<P> {
    /// A machine at version 0, right after a handshake that was signed at `now`.
    pub fn new(config: RekeyConfig, provider: P, now: Timestamp) -> Self {
        Self {
            provider,
            now,
            lifecycle: Lifecycle::Running,
            state: State::IDLE,
            latest: Rising::new(Version(0)),
            earliest: Rising::new(Version(0)),
            last_attempt: Rising::new(Attempt(0)),
            peer_floor: Rising::new(Attempt(0)),
            want: None,
            last_finished: None,
            outcomes: VecDeque::new(),
            drains: Vec::new(),
            answered: None,
            tokens: Tokens::new(config.replacement, now),
            signed_tokens: Tokens::new(config.signed_replacement, now),
            rtt: RttEstimate::default(),
            reauth: ReauthClock::new(config.reauth, now),
            outputs: VecDeque::new(),
            stats: RekeyStats::default(),
            config,
        }
    }

    /// Takes one input at `now`. The caller drains [`poll_output`](Self::poll_output) before the next one.
    pub fn handle(&mut self, now: Timestamp, input: Input<P>) -> Verdict {
        self.now = self.now.max(now);
        if let Lifecycle::Closed(fatal) = self.lifecycle {
            return Verdict::Closed(fatal);
        }
        let verdict = match input {
            Input::Trigger => self.on_trigger(),
            Input::Withdraw => self.on_withdraw(),
            Input::Halt => self.on_halt(),
            Input::Record { under } => self.on_record(under),
            Input::Message { under, message } => self.on_message(under, message),
            Input::Timeout => self.on_timeout(),
            Input::PathReplaced { reauthenticate } => self.on_path_replaced(reauthenticate),
            Input::RttSample(rtt) => {
                self.rtt.sample(rtt, &self.config.timing);
                Verdict::Done
            }
        };
        self.settle();
        if let Verdict::Ignored(why) = verdict {
            self.stats.count_ignored(why);
        }
        match self.lifecycle {
            Lifecycle::Closed(fatal) => Verdict::Closed(fatal),
            _ => verdict,
        }
    }

    /// The next effect, in the order in which they must happen.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// Latest committed version: what the own side seals under.
    pub fn latest(&self) -> Version {
        self.latest.get()
    }

    /// Earliest version with live receive keys.
    pub fn earliest(&self) -> Version {
        self.earliest.get()
    }

    /// Version of the candidate, if there is one (Answered only).
    pub fn candidate_version(&self) -> Option<Version> {
        match &self.state {
            State::Answered(answered) => Some(answered.round.version),
            _ => None,
        }
    }

    /// The candidate and its version, to open a record with (Answered only). A record that opened is told to
    /// the machine before the next one is opened.
    pub fn candidate_mut(&mut self) -> Option<(Version, &mut P::Candidate)> {
        match &mut self.state {
            State::Answered(answered) => Some((answered.round.version, &mut answered.candidate)),
            _ => None,
        }
    }

    /// Whether [`Input::Record`] under `version` would do anything now.
    pub fn awaits_record(&self, version: Version) -> bool {
        match &self.state {
            State::Answered(answered) => answered.round.version == version,
            State::Confirming(confirming) => confirming.round.version == version,
            _ => false,
        }
    }

    /// The injected key agreement.
    pub fn provider(&self) -> &P {
        &self.provider
    }

    /// The injected key agreement.
    pub fn provider_mut(&mut self) -> &mut P {
        &mut self.provider
    }

    /// Counters.
    pub fn stats(&self) -> RekeyStats {
        self.stats
    }

    /// Every own attempt up to this one is dead.
    pub(super) fn floor(&self) -> Attempt {
        match self.state.live_round() {
            Some(round) => round.attempt.previous(),
            None => self.last_attempt.get(),
        }
    }

    /// Leaves the state for Idle and gives its data to the caller, who puts the next state.
    pub(super) fn take_state(&mut self) -> State<P> {
        std::mem::replace(&mut self.state, State::IDLE)
    }

    /// Queues a message under the latest version, with a header of this moment.
    pub(super) fn send(&mut self, round: RoundId, body: Body<P>) {
        let header =
            Header { round, floor: self.floor(), latest: self.latest.get(), earliest: self.earliest.get() };
        let message = Message { header, body };
        self.outputs.push_back(Output::Send { under: self.latest.get(), message });
    }

    /// Ends the session: every secret of a round goes, no timer stays.
    pub(super) fn close(&mut self, fatal: Fatal) -> Verdict {
        self.state = State::IDLE;
        self.want = None;
        self.drains.clear();
        self.lifecycle = Lifecycle::Closed(fatal);
        self.outputs.push_back(Output::Close(fatal));
        Verdict::Closed(fatal)
    }
}

impl<P> Clone for RekeyMachine<P>
where
    P: KeyAgreement + Clone,
    P::Secret: Clone,
    P::Candidate: Clone,
    P::Ratchet: Clone,
{
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            provider: self.provider.clone(),
            now: self.now,
            lifecycle: self.lifecycle,
            state: self.state.clone(),
            latest: self.latest,
            earliest: self.earliest,
            last_attempt: self.last_attempt,
            peer_floor: self.peer_floor,
            want: self.want,
            last_finished: self.last_finished,
            outcomes: self.outcomes.clone(),
            drains: self.drains.clone(),
            answered: self.answered,
            tokens: self.tokens.clone(),
            signed_tokens: self.signed_tokens.clone(),
            rtt: self.rtt.clone(),
            reauth: self.reauth.clone(),
            outputs: self.outputs.clone(),
            stats: self.stats,
        }
    }
}
