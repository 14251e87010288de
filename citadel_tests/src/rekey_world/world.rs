//! The world: two ends, one clock each, one network, and the loop that lets time pass.

use super::{Call, CallError, CallId, End, EndKeys, Link, Network, Packet};
use citadel_crypt::ratchets::rekey::{Input, Reauth, RekeyConfig, Side, TimerReason, Verdict, Version};
use citadel_crypt::{SecrecyMode, Timestamp};
use core::time::Duration;
use std::collections::VecDeque;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Both links.
    pub link: Link,
    /// Seed of the network.
    pub seed: u64,
    /// W at both ends.
    pub window: u8,
    /// Secrecy mode of the records.
    pub mode: SecrecyMode,
    /// A side that has all keys but not its identity.
    pub impostor: Option<Side>,
    /// When rounds are signed.
    pub reauth: Option<Reauth>,
    /// How long a caller waits.
    pub patience: Duration,
}

impl Setup {
    /// A reliable path, W = 4, no signed rounds.
    pub const RELIABLE: Self = Self {
        link: Link::RELIABLE,
        seed: 1,
        window: 4,
        mode: SecrecyMode::BestEffort,
        impostor: None,
        reauth: None,
        patience: Duration::from_secs(10),
    };
    /// An unordered path that loses packets, W = 4, no signed rounds.
    pub const LOSSY: Self = Self { link: Link::LOSSY, ..Self::RELIABLE };
}

/// Two ends of one session.
#[derive(Debug)]
pub struct World {
    setup: Setup,
    clock: Timestamp,
    ends: [End; 2],
    /// What each end's clock shows beyond the world's.
    ahead: [Duration; 2],
    /// Packets that wait for a suspended end.
    suspended: [Option<VecDeque<Packet>>; 2],
    /// The network.
    pub network: Network,
}

impl World {
    /// Two ends right after their handshake.
    pub fn new(setup: Setup) -> Self {
        let ends = EndKeys::pair(setup.mode, setup.reauth.is_some(), setup.impostor);
        let sides = [Side::Initiator, Side::Responder];
        let mut sides = sides.into_iter();
        let ends = ends.map(|(keys, agreement)| {
            let side = sides.next().unwrap_or(Side::Responder);
            let config = RekeyConfig {
                window: setup.window,
                reliable_path: setup.link.ordered && setup.link.loss == 0,
                reauth: setup.reauth,
                ..RekeyConfig::new(side, EndKeys::suite())
            };
            End::new(config, keys, agreement)
        });
        Self {
            setup,
            clock: Timestamp::ZERO,
            ends,
            ahead: [Duration::ZERO; 2],
            suspended: [None, None],
            network: Network::new(setup.link, setup.seed),
        }
    }

    /// What it was made of.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The world's time.
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// One end.
    pub fn end(&self, side: Side) -> &End {
        &self.ends[usize::from(side.number())]
    }

    /// One end.
    pub fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[usize::from(side.number())]
    }

    fn now(&self, side: Side) -> Timestamp {
        self.clock + self.ahead[usize::from(side.number())]
    }

    /// One input at `side`, and what it owes then goes out.
    pub fn input(&mut self, side: Side, input: Input<super::Counted<super::Agreement>>) -> Verdict {
        let now = self.now(side);
        let verdict = self.end_mut(side).input(now, input);
        self.flush(side);
        verdict
    }

    /// Someone at `side` asks for a newer version and waits.
    pub fn call(&mut self, side: Side) -> CallId {
        let (clock, now, patience) = (self.clock, self.now(side), self.setup.patience);
        let call = self.end_mut(side).call(clock, now, patience);
        self.flush(side);
        call
    }

    /// Someone at `side` waits for `version`.
    pub fn wait_for(&mut self, side: Side, version: Version) -> CallId {
        let (clock, patience) = (self.clock, self.setup.patience);
        self.end_mut(side).wait_for(version, clock, patience)
    }

    /// The callers at `side` give up together.
    pub fn withdraw(&mut self, side: Side) -> Verdict {
        let verdict = self.input(side, Input::Withdraw);
        if verdict == Verdict::Done {
            self.end_mut(side).end_calls(|_| Some(Err(CallError::Withdrawn)));
        }
        verdict
    }

    /// `side` starts no round any more.
    pub fn halt(&mut self, side: Side) -> Verdict {
        let verdict = self.input(side, Input::Halt);
        self.end_mut(side).end_calls(|_| Some(Err(CallError::Halted)));
        verdict
    }

    /// The application at `side` sends `items` items of data.
    pub fn send(&mut self, side: Side, items: u64) {
        self.end_mut(side).offer_data(items);
        self.flush(side);
    }

    /// The path is replaced: what was in flight is gone, and both ends know.
    pub fn replace_path(&mut self, reauthenticate: bool) {
        self.network.in_flight_mut().clear();
        for side in [Side::Initiator, Side::Responder] {
            self.input(side, Input::PathReplaced { reauthenticate });
        }
    }

    /// As if only `side` had resumed: it asks for a signed round.
    pub fn demand_signatures(&mut self, side: Side) {
        self.input(side, Input::PathReplaced { reauthenticate: true });
    }

    /// The clock of `side` jumps ahead.
    pub fn jump(&mut self, side: Side, by: Duration) {
        self.ahead[usize::from(side.number())] += by;
    }

    /// The clock of `side` jumps back to the world's.
    pub fn jump_back(&mut self, side: Side) {
        self.ahead[usize::from(side.number())] = Duration::ZERO;
    }

    /// `side` stops to run; packets for it wait.
    pub fn suspend(&mut self, side: Side) {
        self.suspended[usize::from(side.number())].get_or_insert_default();
    }

    /// `side` runs again and finds what waited.
    pub fn resume(&mut self, side: Side) {
        for packet in self.suspended[usize::from(side.number())].take().into_iter().flatten() {
            self.receive(side, &packet);
        }
    }

    fn is_suspended(&self, side: Side) -> bool {
        self.suspended[usize::from(side.number())].is_some()
    }

    fn flush(&mut self, side: Side) {
        let clock = self.clock;
        let index = usize::from(side.number());
        self.ends[index].flush(clock, &mut self.network);
        self.check_step();
    }

    fn receive(&mut self, side: Side, packet: &Packet) {
        let now = self.now(side);
        self.end_mut(side).receive(now, packet);
        self.flush(side);
    }

    /// A packet reaches the other end now.
    pub fn deliver(&mut self, packet: Packet) {
        let to = packet.from.peer();
        match &mut self.suspended[usize::from(to.number())] {
            Some(waiting) => waiting.push_back(packet),
            None => self.receive(to, &packet),
        }
    }

    /// Time of the next thing that happens by itself. At rest a signed round that is due some day does not count.
    fn next_event(&self, at_rest: bool) -> Option<Timestamp> {
        let is_far = |why| matches!(why, TimerReason::ReauthDue | TimerReason::ReauthOverdue);
        let timers = [Side::Initiator, Side::Responder].into_iter().filter_map(|side| self.timer(side));
        let timers = timers.filter(|(at, why)| !(at_rest && is_far(*why) && *at > self.clock));
        let deadlines =
            self.ends.iter().flat_map(|e| &e.calls).filter(|c| c.result.is_none()).map(|c| c.deadline);
        let times = timers.map(|(at, _)| at).chain(deadlines).chain(self.network.next_arrival());
        times.min().map(|at| at.max(self.clock))
    }

    /// When the timer of `side` fires by the world's clock, and why.
    fn timer(&self, side: Side) -> Option<(Timestamp, TimerReason)> {
        let (at, reason) = self.end(side).machine().poll_timeout()?;
        (!self.is_suspended(side)).then(|| (self.clock + at.since(self.now(side)), reason))
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.clock + time;
        while let Some(at) = self.next_event(false).filter(|at| *at <= until) {
            self.clock = at;
            self.happen();
        }
        self.clock = until;
    }

    /// Lets time pass until nothing happens by itself any more.
    pub fn settle(&mut self) {
        let limit = self.clock + Duration::from_secs(3600);
        while let Some(at) = self.next_event(true) {
            assert!(at <= limit, "does not come to rest: {self:#?}");
            self.clock = at;
            self.happen();
        }
    }

    /// Lets time pass until `is_over` or nothing happens any more.
    pub fn run_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            let Some(at) = self.next_event(true) else { return };
            self.clock = at;
            self.happen();
        }
    }

    /// One thing that is due now.
    fn happen(&mut self) {
        if let Some(packet) = self.network.arrive(self.clock) {
            self.deliver(packet);
            return;
        }
        for side in [Side::Initiator, Side::Responder] {
            if self.timer(side).is_some_and(|(at, _)| at <= self.clock) {
                self.input(side, Input::Timeout);
                return;
            }
        }
        let clock = self.clock;
        let is_due = |call: &Call| (call.deadline <= clock).then_some(Err(CallError::TimedOut));
        for end in &mut self.ends {
            end.end_calls(is_due);
        }
    }
}
