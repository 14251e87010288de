//! The world itself: nodes, sessions, paths, the clock and what happens next.

use super::crypto::{WorldProvider, identity};
use super::end::{End, Session};
use super::path::Path;
use super::{Dice, Log, Setup, Side};
use crate::canary;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{HandshakeConfig, Instance, ServerConfig, SessionKind};
use citadel_crypt::identity::Identity;
use citadel_proto::{ChannelId, PathLoss};
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// Everything: what the script acts on.
pub struct World {
    pub(super) now: Timestamp,
    pub(super) setup: Setup,
    pub(super) log: Log,
    /// Chance of the network.
    pub(super) dice: Dice,
    /// Chance of the applications.
    pub(super) whim: Dice,
    pub(super) provider: Arc<WorldProvider>,
    pub(super) clients: Vec<Client>,
    /// The session that each line of a client has now.
    pub(super) lines: Vec<Line>,
    pub(super) server: Arc<ServerConfig>,
    /// The server's live sessions.
    pub(super) hub: BTreeMap<Instance, usize>,
    pub(super) sessions: Vec<Session>,
    pub(super) paths: Vec<Path>,
    events: BinaryHeap<Reverse<(Timestamp, u64, Event)>>,
    next_event: u64,
    /// Events so far, and those of the moment at hand.
    pub(super) handled: u64,
    at_once: (Timestamp, u64),
}

/// A client node.
pub(super) struct Client {
    pub(super) identity: Arc<Identity>,
    pub(super) is_up: bool,
}

/// A place for one session of a client at a time.
pub(super) struct Line {
    pub(super) client: usize,
    pub(super) session: Option<usize>,
}

/// What happens at a time. Numbers are indices of paths and sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Event {
    /// A piece arrives at that end of a path.
    Arrive(usize, Side),
    /// That end of a path learns that the path is gone.
    Lost(usize, Side, Loss),
    /// A connection of a client is there.
    Connected(usize),
    /// The deadline of a handshake.
    HandshakeDue(usize, Side),
    /// The timer of an end's task.
    Timer(usize, Side),
    /// A reader with a pace comes back.
    Read(usize, Side, ChannelId),
    /// The client tries to get a path, the second one if that is meant.
    Dial(usize, bool),
}

/// How a path ends for the one who is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Loss {
    Ended,
    Broken,
}

impl From<Loss> for PathLoss {
    fn from(loss: Loss) -> Self {
        match loss {
            Loss::Ended => Self::Ended,
            Loss::Broken => Self::Io,
        }
    }
}

/// Events of one moment: more mean that something turns in a circle.
const MAX_AT_ONCE: u64 = 200_000;

impl World {
    /// Nodes that know each other, and no session.
    pub fn new(setup: Setup, log: Log) -> Self {
        canary::watch();
        let provider = WorldProvider::new(setup.seed, setup.is_real);
        let own = identity(0);
        let common = Self::handshake(&setup, &provider, &own);
        let server = Arc::new(ServerConfig::new(common).expect("randomness is there"));
        let clients =
            (0..setup.clients).map(|n| Client { identity: identity(1 + n % 3), is_up: true }).collect();
        let line = |client| (0..setup.lines).map(move |_| Line { client, session: None });
        let lines = (0..setup.clients).flat_map(line).collect();
        Self {
            now: Timestamp::ZERO,
            log,
            dice: Dice::new(setup.seed, 2),
            whim: Dice::new(setup.seed, 3),
            provider,
            clients,
            lines,
            server,
            hub: BTreeMap::new(),
            sessions: Vec::new(),
            paths: Vec::new(),
            events: BinaryHeap::new(),
            next_event: 0,
            handled: 0,
            at_once: (Timestamp::ZERO, 0),
            setup,
        }
    }

    pub(super) fn handshake(
        setup: &Setup,
        provider: &Arc<WorldProvider>,
        own: &Arc<Identity>,
    ) -> HandshakeConfig {
        let (provider, own) = (Arc::clone(provider), Arc::clone(own));
        let config = HandshakeConfig::new(provider, own, SessionKind::C2S);
        HandshakeConfig { mode: setup.mode, limits: setup.config.limits, ..config }
    }

    pub(super) fn say(&self, text: core::fmt::Arguments<'_>) {
        self.log.line(self.now, text);
    }

    pub(super) fn schedule(&mut self, at: Timestamp, event: Event) {
        let number = self.next_event;
        self.next_event += 1;
        self.events.push(Reverse((at.max(self.now), number, event)));
    }

    /// Lets `time` pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(Reverse((at, _, _))) = self.events.peek()
            && *at <= until
        {
            let Some(Reverse((at, _, event))) = self.events.pop() else { break };
            if at > self.at_once.0 {
                self.at_once = (at, 0);
            }
            self.at_once.1 += 1;
            assert!(self.at_once.1 < MAX_AT_ONCE, "time stands still: {event:?}");
            self.handled += 1;
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    /// Whether anything but time is left: for a world that should be silent.
    pub(super) fn next_event(&self) -> Option<Timestamp> {
        self.events.peek().map(|Reverse((at, _, _))| *at)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive(path, side) => self.on_arrival(path, side),
            Event::Lost(path, side, loss) => self.on_lost(path, side, loss),
            Event::Connected(path) => self.on_connected(path),
            Event::HandshakeDue(path, side) => self.on_handshake_due(path, side),
            Event::Timer(session, side) => self.on_timer(session, side),
            Event::Read(session, side, id) => {
                self.with_app(session, side, |app, cx| app.on_read_due(cx, id));
            }
            Event::Dial(session, is_second) => self.on_dial(session, is_second),
        }
    }

    pub(super) fn end(&mut self, session: usize, side: Side) -> Option<&mut End> {
        self.sessions.get_mut(session)?.end(side)
    }

    /// The application of an end acts; then its task does, if it was given something to do.
    pub(super) fn with_app(
        &mut self,
        session: usize,
        side: Side,
        act: impl FnOnce(&mut super::app::App, &mut super::app::Context<'_>),
    ) {
        let (is_woken, reads) =
            self.sessions[session].with_app(self.now, side, &self.log, &mut self.whim, act);
        for (at, id) in reads {
            self.schedule(at, Event::Read(session, side, id));
        }
        let (_, is_woken_again) = self.drain(session, side);
        if is_woken || is_woken_again {
            self.attend(session, side);
        }
    }

    fn on_timer(&mut self, session: usize, side: Side) {
        let now = self.now;
        let Some(end) = self.end(session, side).filter(|end| end.armed.is_some_and(|at| at <= now)) else {
            return;
        };
        end.armed = None;
        end.firings = if end.firings.0 == now { (now, end.firings.1 + 1) } else { (now, 1) };
        let reason = end.machine.poll_timeout();
        assert!(end.firings.1 < 50, "a timer that does not move on: {reason:?}");
        end.machine.handle(now, citadel_proto::session::Input::Timeout);
        self.attend(session, side);
    }
}
