//! What a session's task and its handles share: the machine, who waits, and what is published.

use super::buffers::Buffers;
use super::clock::Clock;
use super::status::{Carrier, Change, End, Status};
use super::transport::BoxedIo;
use super::writer::{Desk, Errand, Hand};
use crate::channel::ChannelEvent;
use crate::frames::ChannelId;
use crate::session::{Input, Output, PathKind, PathRefused, SessionMachine};
use crate::shutdown::{CloseReason, CloseReport, Stage};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    AppProtocol, ClientConfig, Grant, Instance, RefusalCode, ResumptionKey, SessionKind,
};
use citadel_crypt::identity::IdentityPublic;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::{RekeyOutcome, Side, Version};
use citadel_crypt::suite::Suite;
use citadel_crypt::{SecrecyMode, Timestamp};
use core::time::Duration;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use tokio::sync::watch;

/// Outcomes that stay readable for callers of `rekey` who look late. More than any window, so that none is missed by a
/// caller who is polled at least once in so many rounds.
const OUTCOMES: usize = 64;

/// What does not change in a session's life.
#[derive(Debug)]
pub(super) struct About {
    pub(super) instance: Instance,
    pub(super) kind: SessionKind,
    pub(super) side: Side,
    pub(super) own: PeerId,
    pub(super) peer: IdentityPublic,
    pub(super) suite: Suite,
    pub(super) mode: SecrecyMode,
    pub(super) app_protocol: Option<AppProtocol>,
    pub(super) grant: Grant,
    /// How long it waits for a path.
    pub(super) resume: Duration,
    /// Proves that an end holds this session.
    pub(super) resumption: Arc<ResumptionKey>,
    /// How this end opened the session, if it may resume it; it asks for nothing.
    pub(super) client: Option<Box<ClientConfig>>,
}

impl About {
    /// What carries the session unless somebody says otherwise.
    pub(super) const fn usual_path(&self) -> PathKind {
        match self.kind {
            SessionKind::P2P => PathKind::Relayed,
            SessionKind::C2S => PathKind::Given,
        }
    }
}

/// A session as its task and handles see it.
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) about: About,
    core: Mutex<Core>,
    pub(super) versions: watch::Sender<Version>,
    /// Rises with every channel that the peer opened.
    pub(super) incoming: watch::Sender<u64>,
    /// Rises with every channel that the peer has room for.
    pub(super) slots: watch::Sender<u64>,
    /// Rises when datagrams came after there were none, and when the session closes.
    pub(super) datagrams: watch::Sender<u64>,
    pub(super) status: watch::Sender<Status>,
    /// Moves to another path that are under way.
    pub(super) moves: watch::Sender<usize>,
}

/// A stream at whose other end the peer has proven that it holds the session.
pub(super) struct NewPath {
    pub(super) path: PathId,
    pub(super) io: BoxedIo,
    pub(super) kind: PathKind,
}

/// The part behind the lock.
pub(super) struct Core {
    pub(super) machine: SessionMachine,
    pub(super) outcomes: VecDeque<RekeyOutcome>,
    waiting: BTreeMap<ChannelId, Waiting>,
    task: Option<Waker>,
    pub(super) desk: Desk,
    pub(super) buffers: Arc<Buffers>,
    /// When the task looks again by itself.
    pub(super) armed: Option<Timestamp>,
    /// Bytes of messages accepted since something was sealed.
    pub(super) unsent: usize,
    /// The task has looked since a handle sent by itself. What is sent then is the first of a burst, or alone: it goes at once;
    /// what follows it is gathered.
    pub(super) is_lone: bool,
    /// A proven path that waits for the task.
    offered: Option<NewPath>,
    /// The path that carries the session, or did last.
    path: PathId,
    /// What it is.
    pub(super) kind: PathKind,
    /// Where its other end is, if it goes over a network.
    pub(super) remote: Option<SocketAddr>,
    /// Highest path that a resumption was accepted for.
    reserved: PathId,
    /// Both ends keep it. A session that its handshake alone has made is an attempt, which the peer may give up without a word.
    pub(super) is_kept: bool,
}

/// Who waits on a channel; each half has one handle, so at most one of each.
#[derive(Default)]
struct Waiting {
    reader: Option<Waker>,
    sender: Option<Waker>,
    consumed: Option<Waker>,
}

/// What a handle waits for on a channel.
#[derive(Clone, Copy)]
pub(super) enum WaitFor {
    Message,
    Room,
    Consumption,
}

impl Core {
    /// Wakes `waker` when a channel's state changes in that respect, or the session ends.
    pub(super) fn wait(&mut self, id: ChannelId, what: WaitFor, waker: &Waker) {
        let waiting = self.waiting.entry(id).or_default();
        let slot = match what {
            WaitFor::Message => &mut waiting.reader,
            WaitFor::Room => &mut waiting.sender,
            WaitFor::Consumption => &mut waiting.consumed,
        };
        match slot {
            Some(old) => old.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }

    /// A handle is gone and waits no more.
    pub(super) fn forget(&mut self, id: ChannelId, what: WaitFor) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            match what {
                WaitFor::Message => waiting.reader = None,
                WaitFor::Room | WaitFor::Consumption => (waiting.sender, waiting.consumed) = (None, None),
            }
            if waiting.reader.is_none() && waiting.sender.is_none() && waiting.consumed.is_none() {
                self.waiting.remove(&id);
            }
        }
    }

    /// The task's look: the next operation of a handle wakes it.
    pub(super) fn attend(&mut self, waker: &Waker) {
        self.is_lone = true;
        match &mut self.task {
            Some(old) => old.clone_from(waker),
            None => self.task = Some(waker.clone()),
        }
    }

    /// Wakes the task; none if it was woken already.
    pub(super) fn task_waker(&self) -> Option<Waker> {
        self.task.clone()
    }

    /// What an operation gives to do, and to whom.
    fn follow(&mut self, clock: Clock, wake: Wake) -> (Option<Waker>, Option<Errand>) {
        match wake {
            Wake::Nobody => (None, None),
            Wake::Task => {
                self.desk.miss();
                (self.task.take(), None)
            }
            Wake::Timer if self.is_late() => (self.task.take(), None),
            Wake::Timer => (None, None),
            Wake::Writer { len } => {
                self.unsent += len;
                self.desk.miss();
                match self.begin_errand(clock) {
                    // Whoever has the writer looks for more, and the task sees to a path that took not all, or nothing.
                    None if self.is_running() && !self.desk.is_done() => (None, None),
                    None => (self.task.take(), None),
                    errand => (None, errand),
                }
            }
        }
    }

    /// Whether there is a deadline earlier than the task knows.
    pub(super) fn is_late(&self) -> bool {
        self.machine.poll_timeout().is_some_and(|(at, _)| self.armed.is_none_or(|armed| at < armed))
    }

    pub(super) fn is_running(&self) -> bool {
        self.machine.stage() == Stage::Running
    }

    /// Gives the machine the path that a resumption brought; its stream if the machine took it. One that comes after its
    /// last word is refused, and goes as it came.
    pub(super) fn take_path(&mut self, now: Timestamp) -> Option<BoxedIo> {
        let NewPath { path, io, kind } = self.offered.take()?;
        self.machine.handle(now, Input::PathAttached { path });
        if self.machine.path() != Some(path) {
            return None;
        }
        (self.kind, self.remote) = (kind, io.remote_addr());
        Some(io)
    }

    /// Acts on the machine's outputs; what must happen outside the lock is returned.
    fn drain(&mut self) -> Effects {
        let mut effects = Effects::default();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Channel(event) => self.on_event(event, &mut effects),
                Output::Datagram => effects.datagrams = true,
                Output::Rekeyed(outcome) => {
                    self.outcomes.push_back(outcome);
                    if self.outcomes.len() > OUTCOMES {
                        self.outcomes.pop_front();
                    }
                    effects.version = Some(outcome.version);
                }
                Output::Round(event) => {
                    log::debug!(target: "citadel::rekey", "session {}: {event:?}", self.machine.instance());
                }
                Output::Detached { loss, .. } => {
                    log::debug!(target: "citadel::session", "session {}: path {} is lost: {loss}", self.machine.instance(), self.path);
                    effects.change.carrier =
                        Some(Carrier { path: self.path, lost: Some(loss), kind: self.kind });
                }
                Output::Attached { path } => {
                    self.path = path;
                    effects.change.carrier = Some(Carrier { path, lost: None, kind: self.kind });
                }
                Output::Closing(reason) => effects.change.end = Some(End::Closing(reason)),
                Output::Closed(report) => effects.change.end = Some(End::Closed(report)),
            }
        }
        effects
    }

    fn on_event(&mut self, event: ChannelEvent, effects: &mut Effects) {
        let (id, what) = match event {
            ChannelEvent::Incoming | ChannelEvent::IncomingService => return effects.incoming = true,
            ChannelEvent::Slot => return effects.slot = true,
            ChannelEvent::Readable(id) => (id, WaitFor::Message),
            ChannelEvent::Writable(id) => (id, WaitFor::Room),
            ChannelEvent::Consumed(id) => (id, WaitFor::Consumption),
        };
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        let waker = match what {
            WaitFor::Message => waiting.reader.take(),
            WaitFor::Room => waiting.sender.take(),
            WaitFor::Consumption => waiting.consumed.take(),
        };
        match &mut effects.waker {
            Some(_) => effects.wakers.extend(waker),
            none => *none = waker,
        }
    }
}

/// What happens after the lock is released.
#[derive(Default)]
struct Effects {
    /// The first, mostly the only one, and the others.
    waker: Option<Waker>,
    wakers: Vec<Waker>,
    version: Option<Version>,
    incoming: bool,
    slot: bool,
    datagrams: bool,
    change: Change,
}

/// What an operation gives to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Something that the task has to see.
    Task,
    /// Something to send, `len` bytes of messages among it.
    Writer {
        len: usize,
    },
    /// A deadline, maybe earlier than the one that the task waits for.
    Timer,
    Nobody,
}

impl Shared {
    pub(super) fn new(
        machine: SessionMachine,
        about: About,
        clock: Clock,
        buffers: Arc<Buffers>,
        is_kept: bool,
    ) -> Self {
        let kind = about.usual_path();
        let core = Core {
            machine,
            outcomes: VecDeque::new(),
            waiting: BTreeMap::new(),
            task: None,
            desk: Desk::default(),
            buffers,
            armed: None,
            unsent: 0,
            is_lone: false,
            offered: None,
            path: PathId::FIRST,
            kind,
            remote: None,
            reserved: PathId::FIRST,
            is_kept,
        };
        Self {
            clock,
            about,
            core: Mutex::new(core),
            versions: watch::Sender::new(Version(0)),
            incoming: watch::Sender::new(0),
            slots: watch::Sender::new(0),
            datagrams: watch::Sender::new(0),
            status: watch::Sender::new(Status::new(kind)),
            moves: watch::Sender::new(0),
        }
    }

    /// Locks, acts, drains, unlocks, wakes, and writes what may go at once. The only way to the machine.
    pub(super) fn act<R>(&self, act: impl FnOnce(&mut Core, Clock) -> (R, Wake)) -> R {
        self.act_and_tell(act).0
    }

    /// The same, and says whether it woke a handle.
    pub(super) fn act_and_tell<R>(&self, act: impl FnOnce(&mut Core, Clock) -> (R, Wake)) -> (R, bool) {
        let mut core = self.core.lock();
        let (result, wake) = act(&mut core, self.clock);
        let (task, errand) = core.follow(self.clock, wake);
        // Mostly there is none.
        let effects = core.machine.has_output().then(|| core.drain());
        drop(core);
        let hand = errand.map(|errand| self.hand(errand));
        task.into_iter().for_each(Waker::wake);
        let has_woken = effects.as_ref().is_some_and(|effects| effects.waker.is_some());
        effects.into_iter().for_each(|effects| self.publish(effects));
        hand.into_iter().for_each(Hand::run);
        (result, has_woken)
    }

    /// The same for what asks only.
    pub(super) fn look<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&self.core.lock())
    }

    /// Publishes in an order that no two threads can turn round: versions rise, states of the end go forward.
    fn publish(&self, effects: Effects) {
        let Effects { waker, wakers, version, incoming, slot, datagrams, change } = effects;
        if let Some(version) = version {
            self.versions.send_if_modified(|latest| {
                let is_newer = version > *latest;
                *latest = version.max(*latest);
                is_newer
            });
        }
        if incoming {
            self.incoming.send_modify(|count| *count += 1);
        }
        if slot {
            self.slots.send_modify(|count| *count += 1);
        }
        if datagrams {
            self.datagrams.send_modify(|count| *count += 1);
        }
        if change.is_any() {
            self.status.send_if_modified(|status| status.advance(change));
        }
        waker.into_iter().chain(wakers).for_each(Waker::wake);
    }

    /// Begins to close with `reason`, unless the session is closing already: in order if both ends keep it, else at once.
    pub(super) fn close(&self, reason: CloseReason) {
        self.act(|core, clock| {
            let reason = if core.is_kept { reason } else { CloseReason::Aborted };
            core.machine.close(clock.now(), reason);
            ((), Wake::Task)
        });
    }

    /// Hands a proven path to the task, which drops the one it has. Of two, the higher counts.
    pub(super) fn hand_over(&self, new: NewPath) {
        self.act(|core, _| {
            let is_higher = core.offered.as_ref().is_none_or(|waiting| waiting.path < new.path);
            // The stream of the other one is dropped when the lock is released.
            let dropped = if is_higher { core.offered.replace(new) } else { Some(new) };
            (dropped, Wake::Task)
        });
    }

    /// Keeps `path` for one resumption: no other gets it or a lower one. Refused once the session takes no path.
    pub(super) fn reserve_path(&self, path: PathId) -> Result<(), RefusalCode> {
        self.act(|core, _| {
            let reserved = match core.machine.accepts_path(path) {
                Ok(()) if path > core.reserved => {
                    core.reserved = path;
                    Ok(())
                }
                Ok(()) | Err(PathRefused::Reused) => Err(RefusalCode::RESUME_SUPERSEDED),
                Err(PathRefused::NotResumable) => Err(RefusalCode::RESUME_UNKNOWN),
                Err(_) => Err(RefusalCode::RESUME_CLOSING),
            };
            (reserved, Wake::Nobody)
        })
    }

    /// Whether no higher path than `path` was accepted since it was reserved.
    pub(super) fn holds_path(&self, path: PathId) -> bool {
        self.look(|core| core.reserved == path)
    }

    /// Waits for the beginning of the end; none where the end itself is there before.
    pub(super) async fn closing(&self) -> Option<CloseReason> {
        let mut status = self.status.subscribe();
        loop {
            match &status.borrow_and_update().end {
                End::Open => {}
                End::Closing(reason) => return Some(reason.clone()),
                End::Closed(_) => return None,
            }
            // The sender lives in `self`: it cannot be gone.
            if status.changed().await.is_err() {
                core::future::pending::<()>().await;
            }
        }
    }

    /// Waits for the end.
    pub(super) async fn closed(&self) -> CloseReport {
        let mut status = self.status.subscribe();
        loop {
            if let End::Closed(report) = &status.borrow_and_update().end {
                return report.clone();
            }
            // The sender lives in `self`: it cannot be gone.
            if status.changed().await.is_err() {
                core::future::pending::<()>().await;
            }
        }
    }
}

/// One of these is in every handle: when the last goes, an open session is aborted (R-SHUT-7).
pub(super) struct Lease {
    pub(super) shared: std::sync::Arc<Shared>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.act(|core, clock| {
            if core.machine.stage() == Stage::Running {
                core.machine.close(clock.now(), CloseReason::Aborted);
            }
            ((), Wake::Task)
        });
    }
}
