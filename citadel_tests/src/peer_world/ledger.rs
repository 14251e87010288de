//! What the users of a world were promised and what they got, in one place, and the log of it.

use super::flow::{Flow, FlowId, Plan, ReadEnd, WriteEnd};
use citadel_crypt::handshake::{Instance, SessionKind};
use citadel_proto::{CloseReason, CloseReport};
use core::fmt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

/// An end of a session: the session by its number, and the client.
pub(super) type EndId = (usize, usize);

/// What is known of an end that was shown to its application.
#[derive(Default)]
pub(super) struct EndNote {
    pub(super) report: Option<CloseReport>,
    /// Its client was killed: what its session had, nobody reads.
    pub(super) is_killed: bool,
}

/// Everything. Locked for one note at a time.
pub(super) struct Ledger {
    /// When the world began.
    pub(super) origin: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    lines: Vec<String>,
    fault: Option<String>,
    numbers: HashMap<Instance, usize>,
    plans: BTreeMap<u64, [Plan; 2]>,
    pub(super) flows: BTreeMap<FlowId, Flow>,
    prints: HashMap<(Instance, u64), Vec<u8>>,
    pub(super) ends: BTreeMap<EndId, EndNote>,
    pub(super) met: usize,
    pub(super) not_met: usize,
    pub(super) delivered: u64,
    pub(super) resumed: usize,
    pub(super) rounds: usize,
    pub(super) direct: usize,
    pub(super) fallen: usize,
}

#[expect(clippy::disallowed_methods, reason = "the clock is paused: time is the script's")]
fn now() -> Instant {
    Instant::now()
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { origin: now(), state: Mutex::default() }
    }

    pub(super) fn say(&self, text: fmt::Arguments<'_>) {
        let micros = now().saturating_duration_since(self.origin).as_micros();
        let line = format!("{:>4}.{:06} {text}", micros / 1_000_000, micros % 1_000_000);
        self.state.lock().lines.push(line);
    }

    /// Notes that something does not hold. The first one counts: a task cannot fail the world by itself.
    pub(super) fn fail(&self, text: fmt::Arguments<'_>) {
        self.say(format_args!("DOES NOT HOLD: {text}"));
        self.state.lock().fault.get_or_insert_with(|| text.to_string());
    }

    pub(super) fn check(&self, holds: bool, text: fmt::Arguments<'_>) {
        if !holds {
            self.fail(text);
        }
    }

    pub(super) fn fault(&self) -> Option<String> {
        self.state.lock().fault.clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.state.lock().lines.clone()
    }

    /// Looks at what is known, or changes a counter.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock())
    }

    /// The number of a session, in the order in which they were first seen.
    pub(super) fn number(&self, session: Instance) -> usize {
        let numbers = &mut self.state.lock().numbers;
        let next = numbers.len();
        *numbers.entry(session).or_insert(next)
    }

    /// An end has keys of that version.
    pub(super) fn print(&self, session: Instance, version: u64, print: &[u8]) {
        let agrees = {
            let prints = &mut self.state.lock().prints;
            prints.entry((session, version)).or_insert_with(|| print.to_vec()) == print
        };
        let number = self.number(session);
        self.check(
            agrees,
            format_args!("the ends of session {number} have different keys of version {version}"),
        );
    }

    /// An end is shown to its application.
    pub(super) fn shown(&self, end: EndId) {
        self.state.lock().ends.entry(end).or_default();
    }

    /// An end is over.
    pub(super) fn closed(&self, end: EndId, report: CloseReport) {
        let (session, client) = end;
        self.say(format_args!(
            "client {client}: session {session} is closed: {}; clean {}",
            report.reason(),
            report.clean
        ));
        let is_fatal = |reason: &CloseReason| matches!(reason, CloseReason::Fatal(_));
        let is_faultless = !is_fatal(&report.local) && !report.peer.as_ref().is_some_and(is_fatal);
        self.check(
            is_faultless,
            format_args!("session {session} ends with a fault between two correct ends"),
        );
        let is_sound = !report.clean || report.unconfirmed.is_empty();
        self.check(
            is_sound,
            format_args!("session {session} is clean and has unconfirmed messages at client {client}"),
        );
        let before = self.state.lock().ends.entry(end).or_default().report.replace(report);
        self.check(before.is_none(), format_args!("session {session} closed twice at client {client}"));
    }

    /// A client is gone without a word: what its sessions had is nobody's.
    pub(super) fn killed(&self, client: usize) {
        let mut state = self.state.lock();
        let open = state.ends.iter_mut().filter(|((_, of), note)| *of == client && note.report.is_none());
        open.for_each(|(_, note)| note.is_killed = true);
        let flows = state.flows.values_mut().filter(|flow| flow.reader == client && flow.read_end.is_none());
        flows.for_each(|flow| flow.read_end = Some(ReadEnd::Stopped));
    }

    /// A channel that is going to be opened.
    pub(super) fn plan(&self, plans: [Plan; 2]) -> u64 {
        let known = &mut self.state.lock().plans;
        let lane = known.len() as u64;
        known.insert(lane, plans);
        lane
    }

    /// What the users of a direction do.
    pub(super) fn plan_of(&self, id: FlowId) -> Option<Plan> {
        self.state.lock().plans.get(&id.lane).map(|plans| plans[usize::from(id.is_back)])
    }

    /// A direction has a channel now.
    pub(super) fn opened(&self, id: FlowId, flow: Flow) {
        self.state.lock().flows.entry(id).or_insert(flow);
    }

    fn flow<T>(&self, id: FlowId, change: impl FnOnce(&mut Flow) -> T) -> T {
        change(self.state.lock().flows.get_mut(&id).expect("it was opened"))
    }

    pub(super) fn offered(&self, id: FlowId) {
        self.flow(id, |flow| flow.offered += 1);
    }

    pub(super) fn accepted(&self, id: FlowId) {
        self.flow(id, |flow| flow.accepted += 1);
    }

    pub(super) fn written(&self, id: FlowId, end: WriteEnd) {
        self.flow(id, |flow| {
            flow.offered = flow.accepted;
            if flow.write_end != Some(WriteEnd::Refused) {
                flow.write_end = Some(end);
            }
        });
    }

    /// The writer was told that everything was taken.
    pub(super) fn acknowledged(&self, id: FlowId) {
        let flow = self.flow(id, |flow| flow.clone());
        let was_killed = flow.read_end == Some(ReadEnd::Stopped);
        self.check(
            was_killed || flow.missing() == 0,
            format_args!("{id:?}: {} of {} taken, all acknowledged", flow.taken, flow.accepted),
        );
    }

    /// A message was taken.
    pub(super) fn taken(&self, id: FlowId, session: Instance, message: &[u8]) {
        let flow = self.flow(id, |flow| flow.clone());
        let expected = id.message(flow.taken, flow.plan.len);
        self.check(session == flow.session, format_args!("{id:?}: a message came in another session"));
        self.check(message == expected, format_args!("{id:?}: not the message {} was taken", flow.taken));
        self.check(flow.taken < flow.offered, format_args!("{id:?}: a message that nobody sent was taken"));
        self.flow(id, |flow| flow.taken += 1);
        self.with(|state| state.delivered += 1);
    }

    pub(super) fn read(&self, id: FlowId, end: ReadEnd) {
        self.flow(id, |flow| flow.read_end = flow.read_end.or(Some(end)));
    }

    /// Holds every direction to what was promised, once every end has closed.
    pub(super) fn audit(&self) {
        let faults: Vec<String> = self.with(|state| {
            let (flows, ends, numbers) = (&state.flows, &state.ends, &state.numbers);
            let unclosed = ends.iter().filter(|(_, note)| note.report.is_none() && !note.is_killed);
            let unclosed = unclosed
                .map(|((session, client), _)| format!("session {session} never closed at client {client}"));
            let flows = flows.iter().filter_map(|(id, flow)| {
                let number = numbers.get(&flow.session)?;
                judge(flow, ends.get(&(*number, flow.writer)), ends.get(&(*number, flow.reader)))
                    .map(|what| format!("{id:?} of session {number}: {what}; {flow:?}"))
            });
            unclosed.chain(flows).collect()
        });
        faults.iter().for_each(|fault| self.fail(format_args!("{fault}")));
    }
}

/// What does not hold of a direction whose session is over.
fn judge(flow: &Flow, writer: Option<&EndNote>, reader: Option<&EndNote>) -> Option<&'static str> {
    if flow.read_end == Some(ReadEnd::Finished) && flow.missing() > 0 {
        return Some("the reader was told that this is all, and it is not");
    }
    // Who was killed, who never got the session, and who read no more was promised nothing.
    let is_read = reader.is_some_and(|end| !end.is_killed) && flow.read_end != Some(ReadEnd::Stopped);
    if !is_read
        || matches!(flow.write_end, Some(WriteEnd::GivenUp | WriteEnd::Refused))
        || flow.missing() == 0
    {
        return None;
    }
    let report = writer?.report.as_ref()?;
    let named = report.unconfirmed.iter().find(|one| one.channel == flow.channel);
    let named = named.map_or(0, |one| one.messages);
    if report.clean {
        return Some("a clean close, and messages are missing");
    }
    (flow.missing() > named).then_some("messages are missing and not reported")
}

/// How sessions of a kind are called.
pub(super) const fn name_of(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::P2P => "a peer's",
        SessionKind::C2S => "the server's",
    }
}
