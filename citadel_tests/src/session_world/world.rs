//! The world: who sends what when, and what must never be seen.

use super::Pair;
use bytes::{Bytes, BytesMut};
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::suite::Native;
use citadel_crypt::{SecrecyMode, Timestamp};
use citadel_proto::record;
use citadel_proto::session::{Input, Output, SessionConfig, SessionMachine};
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelId, CloseReason, CloseReport, PathLoss, Taken};
use std::sync::Arc;
use std::time::Duration;

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The initiator.
    A,
    /// The responder.
    B,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Seeded sizes of what arrives at once.
pub struct Chunks(u64);

impl Chunks {
    /// Sizes that `seed` gives.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64 (Marsaglia, 2003)
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap_or(0) % bound.max(1)
    }
}

/// One end of the session.
pub struct End {
    /// The machine.
    pub machine: SessionMachine,
    /// Sealed, not arrived at the other end.
    pub out: BytesMut,
    /// Arrived, no whole record yet.
    inbox: BytesMut,
    /// Rounds committed.
    pub rounds: u64,
    /// Times that the path was lost and another could follow.
    pub losses: u64,
    /// Paths that followed.
    pub paths: u64,
    /// The reason that the application was told.
    pub closing: Option<CloseReason>,
    /// The report.
    pub closed: Option<CloseReport>,
}

impl End {
    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            assert!(self.closed.is_none(), "an output after Closed: {output:?}");
            match output {
                Output::Channel(_) | Output::Datagram | Output::Round(_) => {}
                Output::Detached { .. } => self.losses += 1,
                Output::Attached { .. } => self.paths += 1,
                Output::Rekeyed(_) => self.rounds += 1,
                Output::Closing(reason) => {
                    assert!(self.closing.is_none(), "told twice");
                    self.closing = Some(reason);
                }
                Output::Closed(report) => self.closed = Some(report),
            }
        }
    }
}

/// Two ends, what is between them, and the time.
pub struct World {
    /// Both clocks.
    pub now: Timestamp,
    /// The initiator.
    pub a: End,
    /// The responder.
    pub b: End,
    /// Nothing arrives in this direction while it is set (named by the sender).
    pub stalled: Option<Side>,
    /// Records that arrived, in both directions together.
    pub records: u64,
    /// The path is cut once so many have arrived, in front of the next one.
    pub cut_at: Option<u64>,
    chunks: Chunks,
}

impl World {
    /// A session right after its handshake.
    pub fn new(seed: u64, mode: SecrecyMode, config: &SessionConfig) -> Self {
        Self::with_configs(seed, mode, config, config)
    }

    /// The same with a configuration for each end; the limits are those of the first.
    pub fn with_configs(seed: u64, mode: SecrecyMode, a: &SessionConfig, b: &SessionConfig) -> Self {
        let pair = Pair::new(mode, a.limits);
        let now = Timestamp::ZERO;
        let end = |(established, identity), config| End {
            machine: SessionMachine::new(established, Arc::new(Native), identity, config, now),
            out: BytesMut::new(),
            inbox: BytesMut::new(),
            rounds: 0,
            losses: 0,
            paths: 0,
            closing: None,
            closed: None,
        };
        let (a, b) = (end(pair.initiator, a), end(pair.responder, b));
        Self { now, a, b, stalled: None, records: 0, cut_at: None, chunks: Chunks::new(seed) }
    }

    /// Defaults, in `BestEffort`.
    pub fn simple(seed: u64) -> Self {
        Self::new(seed, SecrecyMode::BestEffort, &SessionConfig::default())
    }

    /// Small credit, so that flow control is met early.
    pub fn tight(seed: u64) -> Self {
        let limits = Limits {
            max_message: 1 << 20,
            session_credit: 64 << 10,
            channel_credit: 16 << 10,
            max_channels: 16,
        };
        let config = SessionConfig { limits, ..SessionConfig::default() };
        Self::new(seed, SecrecyMode::BestEffort, &config)
    }

    /// One end.
    pub fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    /// Moves bytes until nothing more happens at this moment.
    pub fn run(&mut self) {
        while self.turn() {}
    }

    /// One piece of work for each end. False if there was none.
    pub fn turn(&mut self) -> bool {
        let (a, b) = (self.turn_of(Side::A), self.turn_of(Side::B));
        a || b
    }

    fn turn_of(&mut self, side: Side) -> bool {
        let now = self.now;
        let fill = 1 + self.chunks.below(100_000);
        let chunk = 1 + self.chunks.below(40_000);
        let stalled = self.stalled == Some(side);
        let sender = self.end(side);
        sender.drain();
        let mut any = false;
        if sender.out.is_empty() {
            any = sender.machine.poll_transmit(now, &mut sender.out, fill);
            sender.drain();
            if any {
                assert!(sender.closed.is_none() || !sender.out.is_empty());
            }
        }
        if sender.out.is_empty() || stalled {
            return any;
        }
        let take = chunk.min(sender.out.len());
        let bytes = sender.out.split_to(take);
        if sender.out.is_empty() {
            sender.machine.handle(now, Input::PathFlushed);
            sender.drain();
        }
        let receiver = self.end(side.other());
        receiver.inbox.extend_from_slice(&bytes);
        self.arrive(side.other());
        true
    }

    /// Gives an end the whole records that it has.
    fn arrive(&mut self, side: Side) {
        let now = self.now;
        loop {
            let receiver = self.end(side);
            match record::split(&mut receiver.inbox) {
                Ok(Some(raw)) => receiver.machine.handle(now, Input::Record(raw)),
                Ok(None) => return,
                Err(_) => {
                    receiver.machine.handle(now, Input::PathLost(PathLoss::Malformed));
                    receiver.inbox.clear();
                }
            }
            receiver.drain();
            self.records += 1;
            if self.cut_at.take_if(|at| *at <= self.records).is_some() {
                return self.cut();
            }
        }
    }

    /// Lets `time` pass, firing every timer at its moment and moving bytes in between.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.run();
        while let Some(at) = self.next_timer().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.fire();
            self.run();
        }
        self.now = until;
        self.run();
    }

    fn next_timer(&self) -> Option<Timestamp> {
        let of = |end: &End| end.machine.poll_timeout().map(|(at, _)| at);
        [of(&self.a), of(&self.b)].into_iter().flatten().min()
    }

    fn fire(&mut self) {
        let now = self.now;
        for end in [&mut self.a, &mut self.b] {
            if end.machine.poll_timeout().is_some_and(|(at, _)| at <= now) {
                end.machine.handle(now, Input::Timeout);
                end.drain();
                let next = end.machine.poll_timeout().map(|(at, _)| at);
                assert!(
                    next.is_none_or(|at| at > now) || self_drains(end, now),
                    "a timer that does not move on"
                );
            }
        }
    }

    /// Sends, or panics.
    pub fn send(&mut self, side: Side, channel: ChannelId, message: impl Into<Bytes>) {
        self.end(side).machine.try_send(channel, message.into()).expect("there is credit");
    }

    /// What the reader gets now.
    pub fn take(&mut self, side: Side, channel: ChannelId) -> Taken {
        let now = self.now;
        let taken = self.end(side).machine.take(|| now, channel).0;
        self.end(side).drain();
        taken
    }

    /// The next message, or panics.
    pub fn message(&mut self, side: Side, channel: ChannelId) -> Bytes {
        match self.take(side, channel) {
            Taken::Message(message) => message,
            other => panic!("no message but {other:?}"),
        }
    }

    /// Asks for a round.
    pub fn trigger(&mut self, side: Side) {
        let now = self.now;
        self.end(side).machine.trigger_rekey(now).expect("the session is open");
        self.end(side).drain();
    }

    /// Closes.
    pub fn close(&mut self, side: Side, reason: CloseReason) {
        let now = self.now;
        self.end(side).machine.close(now, reason);
        self.end(side).drain();
    }

    /// The path is gone, with what is on it, and both ends know.
    pub fn cut(&mut self) {
        self.lose(Side::A, PathLoss::Ended);
        self.lose(Side::B, PathLoss::Ended);
    }

    /// The path is gone, with what is on it, and this end knows. The other one is told by [`lose`](Self::lose) of its
    /// own, by silence, or by the next path.
    pub fn lose(&mut self, side: Side, loss: PathLoss) {
        let now = self.now;
        for end in [&mut self.a, &mut self.b] {
            end.out.clear();
            end.inbox.clear();
        }
        self.give(side, now, Input::PathLost(loss));
    }

    /// Another path, as if a resumption had been proven: both ends get it, the one that was dialled first.
    pub fn attach(&mut self) -> PathId {
        let path = self.a.machine.next_path_id().expect("the session may be resumed");
        assert_eq!(self.b.machine.accepts_path(path), Ok(()));
        self.attach_at(Side::B, path);
        self.attach_at(Side::A, path);
        path
    }

    /// The same for one end.
    pub fn attach_at(&mut self, side: Side, path: PathId) {
        let now = self.now;
        let end = self.end(side);
        end.out.clear();
        end.inbox.clear();
        self.give(side, now, Input::PathAttached { path });
    }

    /// No path will come any more, and this end is told.
    pub fn abandon(&mut self, side: Side, loss: PathLoss) {
        let now = self.now;
        self.give(side, now, Input::Abandoned(loss));
    }

    fn give(&mut self, side: Side, now: Timestamp, input: Input) {
        let end = self.end(side);
        end.machine.handle(now, input);
        end.drain();
    }

    /// Both ends have lost their path, and both may get another.
    pub fn is_detached(&self) -> bool {
        self.a.machine.is_detached() && self.b.machine.is_detached()
    }

    /// Lets the close run to its end and checks that nothing is left. Returns both reports.
    pub fn finish(self) -> (CloseReport, CloseReport) {
        self.finish_after(Duration::from_secs(20))
    }

    /// The same for a close that takes that long to begin and to end.
    pub fn finish_after(mut self, time: Duration) -> (CloseReport, CloseReport) {
        self.pass(time);
        for end in [&mut self.a, &mut self.b] {
            assert_eq!(end.machine.stage(), Stage::Closed);
            assert_eq!(end.machine.poll_timeout(), None, "a timer is left");
            assert_eq!(end.machine.fingerprint(end.machine.version()), None, "a key is left");
            let mut more = BytesMut::new();
            assert!(!end.machine.poll_transmit(self.now, &mut more, 1 << 20), "something is left to send");
        }
        let reports = (self.a.closed.take(), self.b.closed.take());
        match reports {
            (Some(a), Some(b)) => (a, b),
            other => panic!("not closed: {other:?}"),
        }
    }
}

/// Timers that ask for a transmit move on with it.
fn self_drains(end: &mut End, now: Timestamp) -> bool {
    let before = end.out.len();
    end.machine.poll_transmit(now, &mut end.out, before + 1)
        || end.machine.poll_timeout().is_none_or(|(at, _)| at > now)
}
