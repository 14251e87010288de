//! The plan of one session (SHUTDOWN, "One session").

use super::reason::{CloseReason, PathLoss};
use citadel_crypt::Timestamp;
use core::time::Duration;
use std::collections::VecDeque;

/// Deadlines of the stages; their sum bounds every close (R-SHUT-5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShutdownConfig {
    /// Longest wait for what was accepted to arrive on either side. 5 s: a 1 MiB window at 2 Mbit/s.
    pub flush: Duration,
    /// Longest wait for the round at hand. 2 s: eight times the retransmission timer before samples.
    pub halt: Duration,
    /// Longest wait for the `Close` to leave. 1 s: one frame.
    pub announce: Duration,
    /// Shortest wait for the peer's `Close`; three round trips if that is longer. 250 ms: scheduling noise.
    pub await_peer: Duration,
}

impl Default for ShutdownConfig {
    fn default() -> Self {
        Self {
            flush: Duration::from_secs(5),
            halt: Duration::from_secs(2),
            announce: Duration::from_secs(1),
            await_peer: Duration::from_millis(250),
        }
    }
}

/// Stages, in the only order there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Stage {
    /// Open.
    Running,
    /// The reason is fixed, the application told; left at once.
    Refusing,
    /// What was accepted on either side goes out; no message is accepted any more, but on relay lanes, which are waited for.
    Flushing,
    /// No new round; the one at hand ends. Relay lanes are over as well.
    HaltingRekey,
    /// The `Close` goes out, then nothing.
    Announcing,
    /// Waits for the peer's `Close`.
    AwaitingPeer,
    /// Keys are wiped.
    Releasing,
    /// Over.
    Closed,
}

impl Stage {
    /// All, in order.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Refusing,
        Self::Flushing,
        Self::HaltingRekey,
        Self::Announcing,
        Self::AwaitingPeer,
        Self::Releasing,
        Self::Closed,
    ];
}

/// Whether a reason's course has an `Announcing`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announce {
    /// No `Close` is sent.
    No,
    /// One `Close` is sent as far as the path takes it; nobody depends on it.
    BestEffort,
    /// One `Close` is sent.
    Yes,
}

/// Which stages a reason passes through: the second table of SHUTDOWN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Course {
    /// Whether it passes through [`Stage::Flushing`]; then a `Closing` frame is sent before it.
    pub flushing: bool,
    /// Whether it passes through [`Stage::HaltingRekey`].
    pub halting_rekey: bool,
    /// How it passes through [`Stage::Announcing`].
    pub announcing: Announce,
    /// Whether it passes through [`Stage::AwaitingPeer`].
    pub awaiting_peer: bool,
}

impl Course {
    const ORDERLY: Self =
        Self { flushing: true, halting_rekey: true, announcing: Announce::Yes, awaiting_peer: true };
    const ABRUPT: Self = Self {
        flushing: false,
        halting_rekey: false,
        announcing: Announce::BestEffort,
        awaiting_peer: false,
    };
    const PATHLESS: Self = Self { announcing: Announce::No, ..Self::ABRUPT };
    const TAKEN_OVER: Self = Self { announcing: Announce::Yes, ..Self::ABRUPT };

    /// The course of `reason`.
    pub const fn of(reason: &CloseReason) -> Self {
        match reason {
            CloseReason::Application { .. }
            | CloseReason::PeerClosing
            | CloseReason::GoingAway
            | CloseReason::Idle => Self::ORDERLY,
            CloseReason::Aborted | CloseReason::HandlerPanicked | CloseReason::Fatal(_) => Self::ABRUPT,
            CloseReason::PathLost(_) => Self::PATHLESS,
            CloseReason::Superseded | CloseReason::Revoked => Self::TAKEN_OVER,
        }
    }

    const fn has(&self, stage: Stage) -> bool {
        match stage {
            Stage::Flushing => self.flushing,
            Stage::HaltingRekey => self.halting_rekey,
            Stage::Announcing => !matches!(self.announcing, Announce::No),
            Stage::AwaitingPeer => self.awaiting_peer,
            Stage::Running | Stage::Refusing | Stage::Releasing | Stage::Closed => true,
        }
    }
}

/// What holds at the moment; told again whenever it may have changed. Only levels, no events: a fact that came true
/// before its stage was entered counts (R-CORE-5).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Facts {
    /// Every own channel is half-closed and the peer's session has received all of it. An open channel makes it false.
    pub items_acknowledged: bool,
    /// Every channel of the peer is finished or reset.
    pub peer_finished: bool,
    /// The rekey machine was told to halt and has.
    pub rekey_stopped: bool,
    /// The `Close` and all before it left this end.
    pub close_written: bool,
    /// No path carries the session at the moment, and another may come.
    pub detached: bool,
    /// The round trip time, zero if it was never measured.
    pub round_trip: Duration,
}

/// An input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Something on this end wants the session to end. The first reason stays; a later one that knows no flushing cuts
    /// short what is left of an orderly course.
    Close(CloseReason),
    /// The peer's `Closing` came.
    PeerClosing(CloseReason),
    /// The peer's `Close` came.
    PeerClosed(CloseReason),
    /// The path is gone and will not be replaced.
    PathLost(PathLoss),
    /// What holds now.
    Facts(Facts),
    /// Keys are wiped, resources released.
    Released,
    /// The time of `poll_timeout` has come. Early or spurious ones do nothing.
    Timeout,
}

/// An output, in the order in which it must be acted on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// The application learns the reason; blocked senders resolve typed; new channels are refused.
    Tell(CloseReason),
    /// Send one `Closing` with this reason.
    SendClosing(CloseReason),
    /// Accept no message any more and half-close every channel, relay lanes excepted (R-SHUT-2).
    Flush,
    /// Half-close relay lanes, too, and tell the rekey machine to halt.
    HaltRekey,
    /// Send one `Close` with this reason, after all that is owed already and before nothing. Relay lanes are over, if they
    /// were not.
    SendClose(CloseReason),
    /// Wipe keys, release resources, then say [`Input::Released`].
    Release,
    /// The end. Last output.
    Closed(Summary),
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// The own reason.
    pub local: CloseReason,
    /// The peer's, from its `Close`, else from its `Closing`.
    pub peer: Option<CloseReason>,
    /// What cut an orderly course short.
    pub cut_short: Option<CloseReason>,
    /// All own items were acknowledged, the peer's orderly `Close` was seen, and nothing cut it short.
    pub clean: bool,
}

/// The plan of one session's end.
#[derive(Clone, Debug)]
pub struct SessionPlan {
    config: ShutdownConfig,
    phase: Phase,
    facts: Facts,
    peer: Peer,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug)]
enum Phase {
    Running,
    Ending(Ending),
}

/// Everything from Refusing on.
#[derive(Clone, Debug)]
struct Ending {
    stage: Stage,
    reason: CloseReason,
    course: Course,
    cut_short: Option<CloseReason>,
    path_lost: bool,
    deadline: Option<Timestamp>,
}

/// What the peer has said about its own end.
#[derive(Clone, Debug)]
enum Peer {
    Open,
    Closing(CloseReason),
    Closed(CloseReason),
}

impl SessionPlan {
    /// A session that is open.
    pub const fn new(config: ShutdownConfig) -> Self {
        let facts = Facts {
            items_acknowledged: false,
            peer_finished: false,
            rekey_stopped: false,
            close_written: false,
            detached: false,
            round_trip: Duration::ZERO,
        };
        Self { config, phase: Phase::Running, facts, peer: Peer::Open, outputs: VecDeque::new() }
    }

    /// Takes an input; outputs are to be drained before the next one.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        match input {
            Input::Close(reason) => self.on_close(reason),
            Input::PeerClosing(reason) => {
                if let Peer::Open = self.peer {
                    self.peer = Peer::Closing(reason);
                }
                self.begin(CloseReason::PeerClosing);
            }
            Input::PeerClosed(reason) => {
                if !matches!(self.peer, Peer::Closed(_)) {
                    self.peer = Peer::Closed(reason);
                }
                self.begin(CloseReason::PeerClosing);
            }
            Input::PathLost(loss) => {
                self.begin(CloseReason::PathLost(loss));
                if let Phase::Ending(ending) = &mut self.phase {
                    ending.path_lost = true;
                }
            }
            Input::Facts(facts) => self.facts = facts,
            Input::Released => {
                if self.stage() == Stage::Releasing {
                    self.enter(now, Stage::Closed);
                }
                return;
            }
            Input::Timeout => {}
        }
        while self.is_left(now) {
            let next = self.next_stage();
            self.enter(now, next);
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`], and the stage whose deadline it is.
    pub const fn poll_timeout(&self) -> Option<(Timestamp, Stage)> {
        match &self.phase {
            Phase::Ending(Ending { deadline: Some(deadline), stage, .. }) => Some((*deadline, *stage)),
            _ => None,
        }
    }

    /// Where the session stands.
    pub const fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Running => Stage::Running,
            Phase::Ending(ending) => ending.stage,
        }
    }

    /// The own reason, once it is fixed.
    pub const fn reason(&self) -> Option<&CloseReason> {
        match &self.phase {
            Phase::Running => None,
            Phase::Ending(ending) => Some(&ending.reason),
        }
    }

    /// The peer's reason, once it said one.
    pub const fn peer_reason(&self) -> Option<&CloseReason> {
        match &self.peer {
            Peer::Open => None,
            Peer::Closing(reason) | Peer::Closed(reason) => Some(reason),
        }
    }

    fn on_close(&mut self, reason: CloseReason) {
        match &mut self.phase {
            Phase::Running => self.begin(reason),
            Phase::Ending(ending) => {
                let course = Course::of(&reason);
                if ending.stage < Stage::Announcing && !course.flushing {
                    ending.course = course;
                    ending.cut_short.get_or_insert(reason);
                }
            }
        }
    }

    /// Running is left for good; in any other stage the reason stays.
    fn begin(&mut self, reason: CloseReason) {
        if let Phase::Running = self.phase {
            let course = Course::of(&reason);
            self.outputs.push_back(Output::Tell(reason.clone()));
            if course.flushing && !matches!(self.peer, Peer::Closed(_)) {
                self.outputs.push_back(Output::SendClosing(reason.clone()));
            }
            let stage = Stage::Refusing;
            self.phase = Phase::Ending(Ending {
                stage,
                reason,
                course,
                cut_short: None,
                path_lost: false,
                deadline: None,
            });
        }
    }

    /// Whether the stage at hand is over.
    fn is_left(&self, now: Timestamp) -> bool {
        let Phase::Ending(ending) = &self.phase else { return false };
        let peer_closed = matches!(self.peer, Peer::Closed(_));
        let due = ending.deadline.is_some_and(|deadline| deadline <= now);
        match ending.stage {
            Stage::Running | Stage::Releasing | Stage::Closed => false,
            Stage::Refusing => true,
            Stage::Flushing | Stage::HaltingRekey
                if peer_closed || ending.path_lost || !ending.course.has(ending.stage) =>
            {
                true
            }
            Stage::Flushing => due || self.facts.items_acknowledged && self.facts.peer_finished,
            // Nothing else is left to wait for but a path that takes the `Close`.
            Stage::HaltingRekey => due || self.facts.rekey_stopped && !self.facts.detached,
            Stage::Announcing => due || self.facts.close_written || ending.path_lost,
            Stage::AwaitingPeer => due || peer_closed || ending.path_lost,
        }
    }

    /// The stage after the one at hand, on this course and with what the peer and the path have done.
    fn next_stage(&self) -> Stage {
        let Phase::Ending(ending) = &self.phase else { return Stage::Running };
        let peer_closed = matches!(self.peer, Peer::Closed(_));
        let passes = |stage: &&Stage| {
            let reachable = match stage {
                Stage::Flushing | Stage::HaltingRekey => !ending.path_lost && !peer_closed,
                Stage::Announcing => !ending.path_lost,
                Stage::AwaitingPeer => !ending.path_lost && !peer_closed && ending.cut_short.is_none(),
                _ => true,
            };
            **stage > ending.stage && reachable && ending.course.has(**stage)
        };
        Stage::ALL.iter().find(passes).copied().unwrap_or(Stage::Closed)
    }

    fn enter(&mut self, now: Timestamp, stage: Stage) {
        let summary = self.summary();
        let Phase::Ending(ending) = &mut self.phase else { return };
        ending.stage = stage;
        ending.deadline = match stage {
            Stage::Flushing => Some(now + self.config.flush),
            Stage::HaltingRekey => Some(now + self.config.halt),
            Stage::Announcing => Some(now + self.config.announce),
            Stage::AwaitingPeer => Some(now + self.config.await_peer.max(self.facts.round_trip * 3)),
            _ => None,
        };
        match stage {
            Stage::Flushing => self.outputs.push_back(Output::Flush),
            Stage::HaltingRekey => self.outputs.push_back(Output::HaltRekey),
            Stage::Announcing => {
                let last = ending.cut_short.clone().unwrap_or_else(|| ending.reason.clone());
                self.outputs.push_back(Output::SendClose(last));
            }
            Stage::Releasing => self.outputs.push_back(Output::Release),
            Stage::Closed => self.outputs.extend(summary.map(Output::Closed)),
            Stage::Running | Stage::Refusing | Stage::AwaitingPeer => {}
        }
    }

    fn summary(&self) -> Option<Summary> {
        let Phase::Ending(ending) = &self.phase else { return None };
        let peer_orderly = matches!(&self.peer, Peer::Closed(reason) if reason.is_orderly());
        Some(Summary {
            local: ending.reason.clone(),
            peer: self.peer_reason().cloned(),
            cut_short: ending.cut_short.clone(),
            clean: self.facts.items_acknowledged && peer_orderly && ending.cut_short.is_none(),
        })
    }
}
