//! The meetings of a client: one machine for each device of a peer, driven here.
//!
//! Whoever has something to say locks, says it, drains the outputs, unlocks and only then acts, as with a session's machine. What a
//! session must have had done to it before anybody has it is done under the lock: it takes the session's own lock within, never the
//! other way round. An own attempt is a task; the peer's attempt is a task that waits for its answer.

use super::super::meeting::{Failure, Input, Meeting, NotMet, Output, OwnAttempt, TheirAttempt};
use super::super::{Party, PeerTrust};
use super::arrivals::Arrivals;
use super::client::Inner;
use super::connect::{self, ConnectError};
use super::direct;
use crate::driver::{EstablishError, Hub, Session, SessionEvent, SessionEvents, WeakSession};
use crate::shutdown::CloseReason;
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Instance, Psk, RefusalCode};
use citadel_crypt::ratchets::rekey::Side;
use core::time::Duration;
use parking_lot::{Mutex, MutexGuard};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// The answer to a peer's attempt: yes, until the token says that it is no more; or no.
pub(super) type Answer = Result<CancellationToken, RefusalCode>;

/// A session with a peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerSession {
    /// The session, from end to end.
    pub session: Session,
    /// With whom.
    pub party: Party,
    /// What the trust in the device rests on.
    pub trust: PeerTrust,
}

/// All of them.
pub(super) struct Meetings {
    all: Mutex<All>,
    /// Rises whenever a meeting has an outcome, or a session arrived.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct All {
    meets: BTreeMap<PeerId, Meet>,
    arrivals: Arrivals,
    next_attempt: u64,
}

/// One meeting, and what belongs to it.
struct Meet {
    machine: Meeting,
    party: Party,
    trust: PeerTrust,
    psk: Option<Arc<Psk>>,
    /// The attempt of this end, while it runs.
    own: Option<(OwnAttempt, CancellationToken)>,
    /// Attempts of the peer that wait for their answer.
    theirs: HashMap<TheirAttempt, oneshot::Sender<Answer>>,
    /// Those that were accepted and are not heard yet.
    accepted: HashMap<TheirAttempt, CancellationToken>,
    /// Sessions that live.
    sessions: BTreeMap<Instance, WeakSession>,
    callers: usize,
    outcome: Outcome,
    /// What the last own attempt failed with.
    error: Option<Arc<EstablishError>>,
    timer: CancellationToken,
}

/// What those who wait get.
enum Outcome {
    Pending,
    /// Held for them. `is_owed` if this end opened it and none of them has taken it yet.
    Met {
        session: Session,
        is_owed: bool,
    },
    Failed(NotMet),
}

/// What is to be done once the lock is released.
enum Effect {
    Begin(OwnAttempt, CancellationToken, Party, Option<Arc<Psk>>),
    Answer(oneshot::Sender<Answer>, Answer),
    Supersede(WeakSession),
    /// Both have that session now: ways to carry it without the server are sought.
    Seek(Session, Party),
    Timer(Timestamp, CancellationToken),
    Watch(SessionEvents, Instance),
}

impl Meetings {
    pub(super) fn new() -> Self {
        Self { all: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// The next session that a peer opened without anyone here waiting for it.
    pub(super) async fn arrival(&self, is_wanted: impl Fn(&PeerSession) -> bool) -> PeerSession {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(arrived) = self.all.lock().arrivals.take(&is_wanted) {
                return arrived;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`: it cannot be gone.
                core::future::pending::<()>().await;
            }
        }
    }

    /// Whether another session that a device of `party` opens may wait for somebody to take it.
    pub(super) fn has_room(&self, party: Party) -> bool {
        self.all.lock().arrivals.has_room(party)
    }

    /// What `party` opened and nobody took is not given out any more.
    pub(super) fn forget_untaken(&self, party: Party) {
        let gone = self.all.lock().arrivals.forget(party);
        // Sessions end outside the lock.
        drop(gone);
    }

    /// The session with a device of `party` that counts, if it is open.
    pub(super) fn present(&self, party: Party) -> Option<PeerSession> {
        let all = self.all.lock();
        let of_party = all.meets.values().filter(|meet| meet.party == party);
        let mut open = of_party.filter_map(|meet| {
            let session = meet.sessions.get(&meet.machine.session()?)?.upgrade()?;
            session.closing().is_none().then_some(PeerSession { session, party, trust: meet.trust })
        });
        open.next_back()
    }

    /// Every session with these devices that lives.
    pub(super) fn sessions_of(&self, party: Party) -> Vec<Session> {
        let all = self.all.lock();
        let meets = all.meets.values().filter(|meet| meet.party == party);
        meets.flat_map(|meet| meet.sessions.values()).filter_map(WeakSession::upgrade).collect()
    }
}

/// Who asks for a session, until it has one or gives up.
pub(super) struct Caller {
    inner: Arc<Inner>,
    device: PeerId,
}

impl Caller {
    /// Asks.
    pub(super) fn enter(
        inner: &Arc<Inner>,
        device: PeerId,
        party: Party,
        trust: PeerTrust,
        psk: Option<Arc<Psk>>,
    ) -> Self {
        let mut all = inner.meetings.all.lock();
        let meet = all.meet(inner, device, party, trust);
        meet.callers += 1;
        meet.psk = psk;
        if !matches!(meet.outcome, Outcome::Met { .. }) {
            meet.outcome = Outcome::Pending;
        }
        step(inner, all, device, Input::Dial, None);
        Self { inner: Arc::clone(inner), device }
    }

    /// Waits for the outcome, on state.
    pub(super) async fn outcome(&self) -> Result<PeerSession, ConnectError> {
        let meetings = &self.inner.meetings;
        let patience = self.inner.config.meeting().patience;
        let mut changes = meetings.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(result) = meetings.all.lock().outcome(self.device, patience) {
                return result;
            }
            if changes.changed().await.is_err() {
                core::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut all = self.inner.meetings.all.lock();
        if all.leave(self.device) {
            step(&self.inner, all, self.device, Input::Withdraw, None);
        }
    }
}

impl All {
    fn meet(&mut self, inner: &Inner, device: PeerId, party: Party, trust: PeerTrust) -> &mut Meet {
        let meet = self.meets.entry(device).or_insert_with(|| Meet {
            machine: Meeting::new(inner.identity.peer_id(), device, inner.config.meeting()),
            party,
            trust,
            psk: None,
            own: None,
            theirs: HashMap::new(),
            accepted: HashMap::new(),
            sessions: BTreeMap::new(),
            callers: 0,
            outcome: Outcome::Pending,
            error: None,
            timer: CancellationToken::new(),
        });
        (meet.party, meet.trust) = (party, trust);
        meet
    }

    /// A caller leaves; true if nobody who asks for that device is left. What the peer opened and none of them took is anybody's
    /// then.
    fn leave(&mut self, device: PeerId) -> bool {
        let Some(meet) = self.meets.get_mut(&device) else { return false };
        meet.callers -= 1;
        if meet.callers > 0 {
            return false;
        }
        meet.set(Outcome::Pending, &mut self.arrivals);
        self.arrivals.leave(device);
        true
    }

    fn outcome(&mut self, device: PeerId, patience: Duration) -> Option<Result<PeerSession, ConnectError>> {
        let meet = self.meets.get_mut(&device)?;
        match &mut meet.outcome {
            Outcome::Pending => None,
            Outcome::Met { session, is_owed } => {
                *is_owed = false;
                self.arrivals.taken(session);
                let (session, party, trust) = (session.clone(), meet.party, meet.trust);
                Some(Ok(PeerSession { session, party, trust }))
            }
            Outcome::Failed(why) => Some(Err(connect::failure(*why, meet.error.clone(), patience))),
        }
    }
}

/// Gives a meeting an input and does what comes of it.
pub(super) fn say(inner: &Arc<Inner>, device: PeerId, input: Input) {
    step(inner, inner.meetings.all.lock(), device, input, None);
}

/// The same under a lock that is held; `session` is the one that the input speaks of.
fn step(
    inner: &Arc<Inner>,
    mut all: MutexGuard<'_, All>,
    device: PeerId,
    input: Input,
    session: Option<&Session>,
) {
    let mut effects = Vec::new();
    let All { meets, arrivals, .. } = &mut *all;
    let Some(meet) = meets.get_mut(&device) else { return };
    meet.look_at_sessions(inner.hub.now());
    meet.machine.handle(inner.hub.now(), input);
    while let Some(output) = meet.machine.poll_output() {
        log::debug!(target: "citadel::peers", "{device}: {input:?} leads to {output:?}");
        effects.extend(meet.act(&inner.hub, output, session, arrivals));
    }
    if let Input::TheirEstablished(id, _) | Input::TheirFailed(id) = input {
        meet.accepted.remove(&id);
    }
    if let Some(session) = session {
        // It may be over: then the machine hears so at once, after it has heard of the session.
        meet.sessions.insert(session.instance(), session.downgrade());
        effects.push(Effect::Watch(session.events(), session.instance()));
        meet.look_at_sessions(inner.hub.now());
    }
    meet.timer.cancel();
    if let Some((at, _)) = meet.machine.poll_timeout() {
        meet.timer = CancellationToken::new();
        effects.push(Effect::Timer(at, meet.timer.clone()));
    }
    let is_idle = meet.machine.session().is_none() && meet.machine.poll_timeout().is_none();
    if meet.callers == 0 && is_idle {
        meets.remove(&device);
    }
    drop(all);
    inner.meetings.changes.send_modify(|count| *count += 1);
    effects.into_iter().for_each(|effect| perform(inner, device, effect));
}

impl Meet {
    /// Tells the machine of sessions that are closing: what has happened counts, whether or not a task has seen it.
    fn look_at_sessions(&mut self, now: Timestamp) {
        let is_over = |session: &WeakSession| session.upgrade().is_none_or(|open| open.closing().is_some());
        let over: Vec<Instance> = self
            .sessions
            .iter()
            .filter(|(_, session)| is_over(session))
            .map(|(instance, _)| *instance)
            .collect();
        for instance in over {
            self.sessions.remove(&instance);
            self.machine.handle(now, Input::Ended(instance));
        }
    }

    fn given(&self, session: &Session) -> PeerSession {
        PeerSession { session: session.clone(), party: self.party, trust: self.trust }
    }

    /// Another outcome for callers. What the one before owed them, and nobody took, is given up.
    fn set(&mut self, outcome: Outcome, arrivals: &mut Arrivals) {
        let before = core::mem::replace(&mut self.outcome, outcome);
        let Outcome::Met { session, is_owed: true } = before else { return };
        match &mut self.outcome {
            Outcome::Met { session: same, is_owed } if same.instance() == session.instance() => {
                *is_owed = true;
            }
            _ => self.give_up(&session, CloseReason::Aborted, arrivals),
        }
    }

    /// Nobody here will have that session: it ends, unless its peer has closed it in order. Then what was said is in it, for
    /// whoever takes what peers opened.
    fn give_up(&self, session: &Session, reason: CloseReason, arrivals: &mut Arrivals) {
        if session.end_unless_in_order(reason) {
            arrivals.push(self.given(session), false);
        }
    }

    fn act(
        &mut self,
        hub: &Hub,
        output: Output,
        session: Option<&Session>,
        arrivals: &mut Arrivals,
    ) -> Option<Effect> {
        match output {
            Output::Begin(id) => {
                let token = CancellationToken::new();
                self.own = Some((id, token.clone()));
                Some(Effect::Begin(id, token, self.party, self.psk.clone()))
            }
            Output::GiveUp(id) => {
                let own = self.own.take_if(|(own, _)| *own == id);
                own.into_iter().for_each(|(_, token)| token.cancel());
                None
            }
            Output::Accept(id) => {
                let token = CancellationToken::new();
                self.accepted.insert(id, token.clone());
                self.theirs.remove(&id).map(|waits| Effect::Answer(waits, Ok(token)))
            }
            Output::Refuse(id, code) => self.theirs.remove(&id).map(|waits| Effect::Answer(waits, Err(code))),
            Output::Abandon(id) => {
                self.accepted.remove(&id).into_iter().for_each(|token| token.cancel());
                None
            }
            Output::Supersede(instance) => {
                let Some(new) = session.filter(|session| session.instance() == instance) else {
                    return self.sessions.get(&instance).map(|session| Effect::Supersede(session.clone()));
                };
                if new.side() == Side::Responder {
                    // It was abandoned a moment before it was heard: the peer has it.
                    hub.keep(new);
                }
                self.give_up(new, CloseReason::Superseded, arrivals);
                None
            }
            Output::Met(instance) => {
                let new = session.filter(|session| session.instance() == instance);
                if let Some(new) = new {
                    // Before anyone has it. One that ends already is met and over, as any may be.
                    hub.keep(new);
                    match new.side() {
                        // The peer keeps what it hears. Whoever has the session may close it at once.
                        Side::Initiator => connect::greet(new),
                        Side::Responder => arrivals.push(self.given(new), self.callers > 0),
                    }
                }
                let live =
                    new.cloned().or_else(|| self.sessions.get(&instance).and_then(WeakSession::upgrade));
                let Some(live) = live else {
                    // Its last handle has gone since the look at all of them.
                    self.machine.handle(hub.now(), Input::Ended(instance));
                    if self.callers > 0 {
                        self.machine.handle(hub.now(), Input::Dial);
                    }
                    return None;
                };
                if self.callers > 0 {
                    let is_owed = new.is_some_and(|new| new.side() == Side::Initiator);
                    self.set(Outcome::Met { session: live.clone(), is_owed }, arrivals);
                }
                new.map(|_| Effect::Seek(live, self.party))
            }
            Output::NotMet(why) => {
                self.set(Outcome::Failed(why), arrivals);
                None
            }
        }
    }
}

fn perform(inner: &Arc<Inner>, device: PeerId, effect: Effect) {
    match effect {
        Effect::Begin(id, token, party, psk) => {
            inner.tasks.spawn(connect::attempt(Arc::clone(inner), device, party, psk, id, token));
        }
        Effect::Answer(waits, answer) => {
            // Whoever waited for it may be gone: its handshake's deadline passed.
            let _gone = waits.send(answer);
        }
        Effect::Supersede(session) => {
            session.upgrade().into_iter().for_each(|session| session.begin_shutdown(CloseReason::Superseded));
        }
        Effect::Seek(session, party) => direct::start(inner, &session, party),
        Effect::Timer(at, token) => {
            let (inner, at) = (Arc::clone(inner), inner.hub.instant(at));
            inner.tasks.clone().spawn(async move {
                let timer = tokio::time::sleep_until(at);
                if token.run_until_cancelled(timer).await.is_some() {
                    say(&inner, device, Input::Timeout);
                }
            });
        }
        Effect::Watch(events, instance) => {
            inner.tasks.spawn(watch(Arc::clone(inner), device, events, instance));
        }
    }
}

/// Tells the meeting when a session is over.
async fn watch(inner: Arc<Inner>, device: PeerId, mut events: SessionEvents, instance: Instance) {
    while let Some(event) = events.next().await {
        if matches!(event, SessionEvent::Closing(_) | SessionEvent::Closed(_)) {
            break;
        }
    }
    say(&inner, device, Input::Ended(instance));
}

/// The peer's attempt waits for its answer; none if nobody will answer it.
pub(super) fn proven(
    inner: &Arc<Inner>,
    device: PeerId,
    party: Party,
    trust: PeerTrust,
) -> (TheirAttempt, oneshot::Receiver<Answer>) {
    let (sender, receiver) = oneshot::channel();
    let mut all = inner.meetings.all.lock();
    all.next_attempt += 1;
    let id = TheirAttempt(all.next_attempt);
    all.meet(inner, device, party, trust).theirs.insert(id, sender);
    step(inner, all, device, Input::Proven(id), None);
    (id, receiver)
}

/// The peer's attempt is a session now, and the peer was heard on it. Its meeting may be over by then, and is held anew: the
/// session is somebody's in any case.
pub(super) fn heard(
    inner: &Arc<Inner>,
    device: PeerId,
    party: Party,
    trust: PeerTrust,
    id: TheirAttempt,
    session: &Session,
) {
    let mut all = inner.meetings.all.lock();
    all.meet(inner, device, party, trust);
    step(inner, all, device, Input::TheirEstablished(id, session.instance()), Some(session));
}

/// The own attempt made that session. Nobody at the other end has it before it is met here.
pub(super) fn made(inner: &Arc<Inner>, device: PeerId, id: OwnAttempt, session: &Session) {
    let input = Input::OwnEstablished(id, session.instance());
    step(inner, inner.meetings.all.lock(), device, input, Some(session));
}

/// The own attempt came to nothing.
pub(super) fn failed(inner: &Arc<Inner>, device: PeerId, id: OwnAttempt, error: EstablishError) {
    let failure = match &error {
        EstablishError::Handshake(error) => Failure::of(error),
        error if error.is_retryable() => Failure::MayPass,
        _ => Failure::Final,
    };
    let mut all = inner.meetings.all.lock();
    if let Some(meet) = all.meets.get_mut(&device) {
        meet.error = Some(Arc::new(error));
    }
    step(inner, all, device, Input::OwnFailed(id, failure), None);
}
