//! Is anyone there? Pings when it is quiet, round trip times, the verdict of death (R-SES-8).

use super::TimerReason;
use citadel_crypt::Timestamp;
use core::time::Duration;

/// Signs of life of the peer, and the messages' of both.
#[derive(Debug)]
pub(super) struct Liveness {
    ping_after: Duration,
    dead_after: Duration,
    idle_after: Option<Duration>,
    heard: Timestamp,
    asked: Timestamp,
    message: Timestamp,
    /// The ping in flight.
    flying: Option<(u64, Timestamp)>,
    next: u64,
    is_ping_owed: bool,
    /// The newest ping that was not answered: older ones need no answer.
    pong_owed: Option<u64>,
    round_trip: Option<Duration>,
}

/// What time alone brings about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Go on.
    Alive,
    /// Silent for too long.
    Dead,
    /// No messages for too long.
    Idle,
}

impl Liveness {
    pub(super) fn new(config: &super::SessionConfig, now: Timestamp) -> Self {
        Self {
            ping_after: config.ping_after,
            dead_after: config.dead_after,
            idle_after: config.idle_after,
            heard: now,
            asked: now,
            message: now,
            flying: None,
            next: 0,
            is_ping_owed: false,
            pong_owed: None,
            round_trip: None,
        }
    }

    /// A record opened.
    pub(super) fn on_heard(&mut self, now: Timestamp) {
        self.heard = self.heard.max(now);
    }

    /// A message went out or came in.
    pub(super) fn on_message(&mut self, now: Timestamp) {
        self.message = self.message.max(now);
    }

    pub(super) fn on_ping(&mut self, number: u64) {
        self.pong_owed = Some(number);
    }

    /// Returns the round trip if this answers the ping in flight.
    pub(super) fn on_pong(&mut self, number: u64, now: Timestamp) -> Option<Duration> {
        let (_, at) = self.flying.take_if(|(flying, _)| *flying == number)?;
        let sample = now.since(at);
        self.round_trip = Some(self.round_trip.map_or(sample, |old| (old * 7 + sample) / 8));
        Some(sample)
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(super) fn take_pong(&mut self) -> Option<u64> {
        self.pong_owed.take()
    }

    /// The number of the ping that is owed; it flies from now on.
    pub(super) fn take_ping(&mut self, now: Timestamp) -> Option<u64> {
        if !core::mem::take(&mut self.is_ping_owed) {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.flying = Some((number, now));
        Some(number)
    }

    /// Another path carries the session: nothing is known of it, and nothing of the one before is awaited.
    pub(super) fn on_path(&mut self, now: Timestamp) {
        self.heard = self.heard.max(now);
        self.asked = self.heard;
        self.flying = None;
        self.is_ping_owed = false;
        self.pong_owed = None;
        self.round_trip = None;
    }

    /// Without a path nobody is asked and nobody is found dead; what closes already does not become idle.
    pub(super) fn on_timeout(&mut self, now: Timestamp, has_path: bool, is_running: bool) -> Verdict {
        if has_path && now >= self.heard + self.dead_after {
            return Verdict::Dead;
        }
        if is_running && self.idle_at().is_some_and(|at| now >= at) {
            return Verdict::Idle;
        }
        if has_path && now >= self.ping_at() {
            self.asked = now;
            self.is_ping_owed = true;
        }
        Verdict::Alive
    }

    pub(super) fn poll_timeout(
        &self,
        has_path: bool,
        is_running: bool,
    ) -> [Option<(Timestamp, TimerReason)>; 3] {
        [
            has_path.then(|| (self.heard + self.dead_after, TimerReason::Dead)),
            has_path.then(|| (self.ping_at(), TimerReason::Ping)),
            self.idle_at().filter(|_| is_running).map(|at| (at, TimerReason::Idle)),
        ]
    }

    fn ping_at(&self) -> Timestamp {
        self.heard.max(self.asked) + self.ping_after
    }

    fn idle_at(&self) -> Option<Timestamp> {
        self.idle_after.map(|after| self.message + after)
    }
}
