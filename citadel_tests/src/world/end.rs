//! One end of a session: the machine, what its task knows, and the application.

use super::app::{App, Context};
use super::book::Book;
use super::forge::Copies;
use super::tap::Tape;
use super::{Dice, Log, Side};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::ResumptionKey;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::Version;
use citadel_proto::ChannelId;
use citadel_proto::session::{SessionConfig, SessionMachine};
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, CloseReport, PathLoss};
use std::sync::Arc;

/// One end.
pub(super) struct End {
    pub(super) machine: SessionMachine,
    /// What it seals and opens.
    pub(super) tape: Arc<Tape>,
    pub(super) resumption: Arc<ResumptionKey>,
    /// The path that its task reads and writes.
    pub(super) path: Option<usize>,
    /// Something was written since the last flush.
    pub(super) is_dirty: bool,
    /// The timer that its task has armed; the machine's own may be another one until the task runs.
    pub(super) armed: Option<Timestamp>,
    pub(super) app: App,
    /// The version that the last `rekey` waits for.
    pub(super) wish: Version,
    /// It waits for another path until then.
    pub(super) until: Option<Timestamp>,
    pub(super) closing: Option<CloseReason>,
    pub(super) closed: Option<CloseReport>,
    /// Timers that fired at one moment without anything else between them.
    pub(super) firings: (Timestamp, u32),
}

/// What both ends of a session have in common, and what the world knows of it.
pub(super) struct Session {
    pub(super) line: usize,
    pub(super) ends: [Option<End>; 2],
    pub(super) book: Book,
    /// Attempts of the client in a row that came to nothing.
    pub(super) failures: u32,
    /// By the end that sealed them.
    pub(super) copies: [Copies; 2],
    names: [String; 2],
}

impl End {
    pub(super) fn new(
        machine: SessionMachine,
        tape: Arc<Tape>,
        resumption: ResumptionKey,
        path: usize,
    ) -> Self {
        Self {
            machine,
            tape,
            resumption: Arc::new(resumption),
            path: Some(path),
            is_dirty: false,
            armed: None,
            app: App::default(),
            wish: Version(0),
            until: None,
            closing: None,
            closed: None,
            firings: (Timestamp::ZERO, 0),
        }
    }

    /// The path that the session began with carries messages at once.
    pub(super) fn is_on_first_path(&self) -> bool {
        self.machine.path().is_none_or(|path| path == PathId::FIRST)
    }

    /// Whether it waited for another path shorter than it should have, with nobody who said that none will come.
    pub(super) fn is_early(&self, reason: &CloseReason, now: Timestamp) -> bool {
        use PathLoss::{ResumeClosing, ResumeExpired, ResumeRefused, ResumeUnknown};
        let is_told = |loss| matches!(loss, ResumeClosing | ResumeExpired | ResumeRefused | ResumeUnknown);
        let is_lost = matches!(reason, CloseReason::PathLost(loss) if !is_told(*loss));
        is_lost && self.until.is_some_and(|until| now < until)
    }

    pub(super) fn is_running(&self) -> bool {
        self.machine.stage() == Stage::Running
    }

    /// What the closed end has left behind.
    pub(super) fn assert_nothing_left(&mut self) {
        assert_eq!(self.machine.stage(), Stage::Closed);
        assert_eq!(self.machine.poll_timeout(), None, "a timer is left");
        let latest = self.machine.version();
        for version in 0..=latest.0 {
            assert_eq!(
                self.machine.fingerprint(Version(version)),
                None,
                "a key of version {version} is left"
            );
        }
        assert_eq!(self.machine.path(), None, "a path is left");
        assert!(self.machine.rekey_view().is_none(), "a rekey machine is left");
        let mut more = bytes::BytesMut::new();
        let wrote = self.machine.poll_transmit(Timestamp::from_nanos(u64::MAX / 2), &mut more, 1);
        assert!(!wrote && more.is_empty(), "something is left to send");
        if let Some(output) = self.machine.poll_output() {
            unreachable!("an output after Closed: {output:?}");
        }
    }
}

impl Session {
    pub(super) fn new(number: usize, line: usize, config: &SessionConfig) -> Self {
        let names = [format!("s{number} client:"), format!("s{number} server:")];
        Self {
            line,
            ends: [None, None],
            book: Book::new(config),
            failures: 0,
            copies: [Copies::default(), Copies::default()],
            names,
        }
    }

    pub(super) fn name(&self, side: Side) -> &str {
        &self.names[side.index()]
    }

    pub(super) fn end(&mut self, side: Side) -> Option<&mut End> {
        self.ends[side.index()].as_mut()
    }

    /// Lets the application of one end act; returns whether its task has something to do, and when readers come back.
    pub(super) fn with_app(
        &mut self,
        now: Timestamp,
        side: Side,
        log: &Log,
        dice: &mut Dice,
        act: impl FnOnce(&mut App, &mut Context<'_>),
    ) -> (bool, Vec<(Timestamp, ChannelId)>) {
        let (mut is_woken, mut reads) = (false, Vec::new());
        let Some(End { machine, app, .. }) = &mut self.ends[side.index()] else { return (false, reads) };
        let mut context = Context {
            now,
            side,
            name: &self.names[side.index()],
            machine,
            book: &mut self.book,
            log,
            dice,
            reads: &mut reads,
            is_woken: &mut is_woken,
        };
        act(app, &mut context);
        (is_woken, reads)
    }

    /// Both ends are there and neither has begun to close.
    pub(super) fn is_running(&self) -> bool {
        self.ends.iter().all(|end| end.as_ref().is_some_and(End::is_running))
    }

    /// No end is left that is not closed.
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().flatten().all(|end| end.closed.is_some())
    }
}
