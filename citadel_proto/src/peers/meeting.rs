//! Which of two crossing attempts becomes the one session of a pair of devices (R-P2P-4): pure, one machine for each peer
//! device. `docs/protocol/peers.md`, "One session for a pair of devices", is its contract with the driver.

use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{HandshakeError, Instance, RefusalCode};
use core::time::Duration;
use std::collections::VecDeque;

/// Names an own attempt; the machine gives it out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnAttempt(pub u64);

/// Names an attempt of the peer; the driver numbers them in the order in which their lanes came. The peer makes one at a
/// time, so an older one is over there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TheirAttempt(pub u64);

/// How long, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MeetingConfig {
    /// Longest wait for an attempt of either end, from its beginning or its acceptance. 10 s: a handshake's deadline.
    pub patience: Duration,
    /// Own attempts for one wait of callers: one, and one more whenever the peer's took its place and came to nothing. 4:
    /// a peer that changes its mind as often will do it again.
    pub tries: u8,
}

impl Default for MeetingConfig {
    fn default() -> Self {
        Self { patience: Duration::from_secs(10), tries: 4 }
    }
}

/// Why an own attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// The peer refused it with [`RefusalCode::PEER_SIMULTANEOUS`].
    Simultaneous,
    /// The same may succeed later.
    MayPass,
    /// It will fail until somebody changes something.
    Final,
}

impl Failure {
    /// The kind of a handshake's failure. A refusal that anyone on the way may have written is believed no further than
    /// that this attempt is over (R-HS-3).
    pub const fn of(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Refused { authenticated: false, .. } => Self::MayPass,
            HandshakeError::Refused { code: RefusalCode::PEER_SIMULTANEOUS, .. } => Self::Simultaneous,
            error if error.is_retryable() => Self::MayPass,
            _ => Self::Final,
        }
    }
}

/// Why callers get no session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotMet {
    /// The own attempt failed; the same may succeed later.
    MayPass,
    /// The own attempt failed, and will until somebody changes something.
    Final,
    /// The own attempt took too long.
    TimedOut,
    /// The peer's attempts took the place of the own ones and came to nothing, as often as there are tries.
    Unsettled,
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Somebody here wants a session. Answered by [`Output::Met`] or [`Output::NotMet`], with everybody who waits then.
    Dial,
    /// Nobody who wanted one is left. What the peer wants stays.
    Withdraw,
    /// An attempt of the peer, who is proven and in the pin, waits for an answer.
    Proven(TheirAttempt),
    /// The own attempt made this session. Whether it is kept is the output; until [`Output::Met`] nothing is said on it.
    OwnEstablished(OwnAttempt, Instance),
    /// The own attempt came to nothing.
    OwnFailed(OwnAttempt, Failure),
    /// An accepted attempt made this session and the peer has kept it: it was heard there. Not before: the peer may have
    /// given up what is accepted here.
    TheirEstablished(TheirAttempt, Instance),
    /// An attempt of the peer came to nothing, answered or not: its lane is gone, or what was accepted was never heard.
    TheirFailed(TheirAttempt),
    /// That session takes nothing new any more, for whatever reason.
    Ended(Instance),
    /// The time of `poll_timeout` has come. Early or spurious ones do nothing.
    Timeout,
}

/// An output, in the order in which it must be acted on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Begin an own attempt. There is never more than one.
    Begin(OwnAttempt),
    /// End the own attempt without waiting. If it made a session meanwhile, say so all the same.
    GiveUp(OwnAttempt),
    /// Answer with yes.
    Accept(TheirAttempt),
    /// Answer with no.
    Refuse(TheirAttempt, RefusalCode),
    /// End an accepted attempt that was not heard, with what it made.
    Abandon(TheirAttempt),
    /// Close that session with [`CloseReason::Superseded`](crate::CloseReason::Superseded), or abort it if it was never heard, and forget it.
    Supersede(Instance),
    /// This is the session of the pair: for everybody who waits, and for whoever takes what the peer opens. If an own
    /// attempt made it, the first thing is to be heard on it. May be said again.
    Met(Instance),
    /// Everybody who waits gets this.
    NotMet(NotMet),
}

/// What [`Meeting::poll_timeout`] is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MeetingTimer {
    /// The own attempt has had its time.
    Own,
    /// The peer's has.
    Theirs,
}

/// Two devices on their way to one session, at one of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Meeting {
    config: MeetingConfig,
    /// Whether the own attempt counts where two cross: the own id is the smaller one.
    keeps: bool,
    begun: OwnAttempt,
    newest: Option<TheirAttempt>,
    phase: Phase,
    outputs: VecDeque<Output>,
}

/// ```text
///              dial                          own attempt established
///  Idle ──────────────────▶ Dialling ─────────────────────────────────────▶ Met ◀──┐
///   ▲ │                       │   ▲                                         ▲ │     │ they are proven anew,
///   │ │                       │   │ it failed,                              │ │     │ and established:
///   │ │     they are proven,  │   │ callers wait                            │ │     │ the old one is superseded
///   │ │  own id is larger; or │   │                                         │ ├─────┘
///   │ │  own attempt failed,  ▼   │                                         │ │
///   │ └───────────────────▶ Answering ── their attempt established ─────────┘ │
///   │   they are proven      │    ▲                                           │
///   └────────────────────────┘    └──── session over, they were accepted ─────┤
///   ▲    it failed                      anew before                           │
///   └──────────────────────────────────────────────────── session over ───────┘
///
///  Dialling, they are proven, own id is smaller: they wait for the answer until the own attempt is over.
///  Dialling ── own attempt failed, nobody waits for an answer ──▶ Idle
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    /// No session and nothing on its way.
    Idle,
    /// Callers wait for the own attempt.
    Dialling {
        own: OwnAttempt,
        /// Own attempts that may follow.
        tries: u8,
        until: Timestamp,
        /// The peer's, proven, that waits for the answer.
        held: Option<TheirAttempt>,
    },
    /// An attempt of the peer was accepted.
    Answering(Answered),
    /// There is a session.
    Met {
        session: Instance,
        /// The peer has proven itself anew and was accepted; the session stays until that one is heard.
        renewal: Option<Answered>,
    },
}

/// An attempt of the peer that was accepted and not heard yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Answered {
    attempt: TheirAttempt,
    callers: Callers,
    until: Timestamp,
}

/// Who wants a session here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Callers {
    Nobody,
    /// Somebody, and so many own attempts may follow.
    Waiting {
        tries: u8,
    },
}

impl Meeting {
    /// The device `own` and the device `peer`, another one, without a session.
    pub fn new(own: PeerId, peer: PeerId, config: MeetingConfig) -> Self {
        Self {
            config,
            keeps: own < peer,
            begun: OwnAttempt(0),
            newest: None,
            phase: Phase::Idle,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input; outputs are to be drained before the next one. What concerns an attempt or a session that is over
    /// changes nothing.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Dial => self.on_dial(now),
            Input::Withdraw => self.on_withdraw(now),
            Input::Proven(attempt) => self.on_proven(now, attempt),
            Input::OwnEstablished(attempt, session) => self.on_own_established(attempt, session),
            Input::OwnFailed(attempt, failure) => self.on_own_failed(now, attempt, failure),
            Input::TheirEstablished(attempt, session) => self.on_their_established(attempt, session),
            Input::TheirFailed(attempt) => self.on_their_failed(now, attempt),
            Input::Ended(session) => self.on_ended(session),
            Input::Timeout => self.on_timeout(now),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`], and whose attempt has had its time then.
    pub const fn poll_timeout(&self) -> Option<(Timestamp, MeetingTimer)> {
        match &self.phase {
            Phase::Dialling { until, .. } => Some((*until, MeetingTimer::Own)),
            Phase::Answering(answered) | Phase::Met { renewal: Some(answered), .. } => {
                Some((answered.until, MeetingTimer::Theirs))
            }
            Phase::Idle | Phase::Met { renewal: None, .. } => None,
        }
    }

    /// The session of the pair, if there is one.
    pub const fn session(&self) -> Option<Instance> {
        match &self.phase {
            Phase::Met { session, .. } => Some(*session),
            _ => None,
        }
    }

    fn on_dial(&mut self, now: Timestamp) {
        let tries = self.config.tries;
        match &mut self.phase {
            Phase::Idle => self.begin(now, tries),
            Phase::Dialling { .. } => {}
            // The peer makes an attempt because it has no session: the new one is worth the wait.
            Phase::Answering(answered) | Phase::Met { renewal: Some(answered), .. } => {
                answered.callers.join(tries);
            }
            Phase::Met { session, renewal: None } => self.outputs.push_back(Output::Met(*session)),
        }
    }

    fn on_withdraw(&mut self, now: Timestamp) {
        match &mut self.phase {
            Phase::Dialling { own, held, .. } => {
                let (own, held) = (*own, *held);
                self.outputs.push_back(Output::GiveUp(own));
                self.phase = match held {
                    Some(attempt) => Phase::Answering(self.accept(now, attempt, Callers::Nobody)),
                    None => Phase::Idle,
                };
            }
            Phase::Answering(answered) | Phase::Met { renewal: Some(answered), .. } => {
                answered.callers = Callers::Nobody;
            }
            Phase::Idle | Phase::Met { renewal: None, .. } => {}
        }
    }

    fn on_proven(&mut self, now: Timestamp, attempt: TheirAttempt) {
        if self.newest >= Some(attempt) {
            return self.refuse(attempt);
        }
        self.newest = Some(attempt);
        self.phase = match self.phase {
            Phase::Idle => Phase::Answering(self.accept(now, attempt, Callers::Nobody)),
            Phase::Dialling { own, tries, until, held } if self.keeps => {
                held.into_iter().for_each(|older| self.refuse(older));
                Phase::Dialling { own, tries, until, held: Some(attempt) }
            }
            Phase::Dialling { own, tries, .. } => {
                self.outputs.push_back(Output::GiveUp(own));
                Phase::Answering(self.accept(now, attempt, Callers::Waiting { tries }))
            }
            Phase::Answering(older) => Phase::Answering(self.replace(now, older, attempt)),
            Phase::Met { session, renewal } => {
                let renewal = match renewal {
                    Some(older) => self.replace(now, older, attempt),
                    None => self.accept(now, attempt, Callers::Nobody),
                };
                Phase::Met { session, renewal: Some(renewal) }
            }
        };
    }

    fn on_own_established(&mut self, attempt: OwnAttempt, session: Instance) {
        match self.phase {
            Phase::Dialling { own, held, .. } if own == attempt => {
                // They accepted this one and gave up theirs. If theirs is a later one, this is lost there: they begin again.
                held.into_iter().for_each(|older| self.refuse(older));
                self.meet(session);
            }
            // It was given up, and the peer has not heard it.
            _ => self.outputs.push_back(Output::Supersede(session)),
        }
    }

    fn on_own_failed(&mut self, now: Timestamp, attempt: OwnAttempt, failure: Failure) {
        let Phase::Dialling { own, tries, held, .. } = self.phase else { return };
        if own != attempt {
            return;
        }
        match (held, failure) {
            (Some(theirs), _) => self.answer_instead(now, theirs, tries),
            // Theirs counted, was established there and is lost here; or they refuse without waiting.
            (None, Failure::Simultaneous) => self.try_again(now, tries),
            (None, Failure::MayPass) => self.fail(NotMet::MayPass),
            (None, Failure::Final) => self.fail(NotMet::Final),
        }
    }

    fn on_their_established(&mut self, attempt: TheirAttempt, session: Instance) {
        match self.phase {
            Phase::Answering(answered) if answered.attempt == attempt => self.meet(session),
            Phase::Met { session: older, renewal: Some(renewal) } if renewal.attempt == attempt => {
                self.outputs.push_back(Output::Supersede(older));
                self.meet(session);
            }
            // It was abandoned.
            _ => self.outputs.push_back(Output::Supersede(session)),
        }
    }

    fn on_their_failed(&mut self, now: Timestamp, attempt: TheirAttempt) {
        match &mut self.phase {
            Phase::Dialling { held, .. } if *held == Some(attempt) => *held = None,
            Phase::Answering(answered) if answered.attempt == attempt => {
                let callers = answered.callers;
                self.without_theirs(now, callers);
            }
            Phase::Met { session, renewal: Some(renewal) } if renewal.attempt == attempt => {
                let (session, callers) = (*session, renewal.callers);
                self.without_renewal(session, callers);
            }
            _ => {}
        }
    }

    fn on_ended(&mut self, ended: Instance) {
        match self.phase {
            Phase::Met { session, renewal } if session == ended => {
                self.phase = renewal.map_or(Phase::Idle, Phase::Answering);
            }
            _ => {}
        }
    }

    fn on_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|(until, _)| until > now) {
            return;
        }
        match self.phase {
            Phase::Idle | Phase::Met { renewal: None, .. } => {}
            Phase::Dialling { own, tries, held, .. } => {
                self.outputs.push_back(Output::GiveUp(own));
                match held {
                    Some(theirs) => self.answer_instead(now, theirs, tries),
                    None => self.fail(NotMet::TimedOut),
                }
            }
            Phase::Answering(answered) => {
                self.outputs.push_back(Output::Abandon(answered.attempt));
                self.without_theirs(now, answered.callers);
            }
            Phase::Met { session, renewal: Some(renewal) } => {
                self.outputs.push_back(Output::Abandon(renewal.attempt));
                self.without_renewal(session, renewal.callers);
            }
        }
    }

    /// Begins an own attempt, one of `tries`.
    fn begin(&mut self, now: Timestamp, tries: u8) {
        self.begun.0 += 1;
        self.outputs.push_back(Output::Begin(self.begun));
        let (tries, until) = (tries.saturating_sub(1), now + self.config.patience);
        self.phase = Phase::Dialling { own: self.begun, tries, until, held: None };
    }

    fn try_again(&mut self, now: Timestamp, tries: u8) {
        if tries == 0 { self.fail(NotMet::Unsettled) } else { self.begin(now, tries) }
    }

    /// The own attempt is over and the peer's waits for an answer: callers wait for that one now.
    fn answer_instead(&mut self, now: Timestamp, theirs: TheirAttempt, tries: u8) {
        self.phase = Phase::Answering(self.accept(now, theirs, Callers::Waiting { tries }));
    }

    fn accept(&mut self, now: Timestamp, attempt: TheirAttempt, callers: Callers) -> Answered {
        self.outputs.push_back(Output::Accept(attempt));
        Answered { attempt, callers, until: now + self.config.patience }
    }

    /// Accepts a later attempt. What the peer does makes no wait of callers longer.
    fn replace(&mut self, now: Timestamp, older: Answered, attempt: TheirAttempt) -> Answered {
        self.outputs.push_back(Output::Abandon(older.attempt));
        let answered = self.accept(now, attempt, older.callers);
        match older.callers {
            Callers::Nobody => answered,
            Callers::Waiting { .. } => Answered { until: older.until, ..answered },
        }
    }

    fn refuse(&mut self, attempt: TheirAttempt) {
        self.outputs.push_back(Output::Refuse(attempt, RefusalCode::PEER_SIMULTANEOUS));
    }

    fn meet(&mut self, session: Instance) {
        self.outputs.push_back(Output::Met(session));
        self.phase = Phase::Met { session, renewal: None };
    }

    fn fail(&mut self, reason: NotMet) {
        self.outputs.push_back(Output::NotMet(reason));
        self.phase = Phase::Idle;
    }

    /// The accepted attempt is over; who waits for a session still does.
    fn without_theirs(&mut self, now: Timestamp, callers: Callers) {
        match callers {
            Callers::Nobody => self.phase = Phase::Idle,
            Callers::Waiting { tries } => self.try_again(now, tries),
        }
    }

    /// The attempt that was to renew the session is over; who waited for it gets the session that there is.
    fn without_renewal(&mut self, session: Instance, callers: Callers) {
        match callers {
            Callers::Nobody => self.phase = Phase::Met { session, renewal: None },
            Callers::Waiting { .. } => self.meet(session),
        }
    }
}

impl Callers {
    const fn join(&mut self, tries: u8) {
        if let Self::Nobody = self {
            *self = Self::Waiting { tries };
        }
    }
}
