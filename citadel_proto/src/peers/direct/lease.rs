//! The port that a router forwards for one socket: when to ask for it, what it is now, when it is over.
//!
//! ```text
//!                    it is granted                half of it is over, or a change
//!  Asking ──────────────────────▶ Held(until, next) ─────────────────────▶ Renewing(until) or Asking
//!   ▲  │                            ▲  │                                        │
//!   │  │ refused, or no answer      │  └── until ──▶ Asking                     │
//!   │  ▼                            ├──────────────── granted again ────────────┤
//!   └─ Failed(next)                 └── refused: half of the rest, until ───────┘
//!  next comes, or a change                       End, from any: Over, and what is held is removed
//! ```
//!
//! A change while an answer is awaited makes that answer one of the network before: it is asked again.

use super::Locality;
use citadel_crypt::Timestamp;
use core::time::Duration;
use std::net::SocketAddr;

/// Shortest and longest lease. 20 min is asked for: what a crash leaves behind is gone by then, and a router that has restarted
/// is noticed in half of it. 1 min: what is granted for less is held for as long, so no router has this end ask oftener.
pub const LEASES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20 * 60));
/// Shortest and longest pause after a refusal, or no answer. 1 min: some small packets on the own link. 1 h: most routers that
/// do not answer never will.
pub const LEASE_PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));
/// Changes of the network bring no more requests than one in this time, or in the shortest pause if that is shorter.
pub const LEASE_CHANGES: Duration = Duration::from_secs(5);

/// How a lease is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaseConfig {
    /// Which addresses are told.
    pub locality: Locality,
    /// [`LEASES`].
    pub leases: (Duration, Duration),
    /// [`LEASE_PAUSES`].
    pub pauses: (Duration, Duration),
}

/// What a router says that it forwards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Grant {
    /// From where.
    pub external: SocketAddr,
    /// For how long.
    pub lifetime: Duration,
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LeaseInput {
    /// The answer to the last request.
    Granted(Grant),
    /// The last request was refused, or not answered.
    Refused,
    /// The network is another one, or may be.
    Changed,
    /// The time of `poll_timeout` has come.
    Timeout,
    /// No port is needed any more.
    End,
}

/// An output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LeaseOutput {
    /// Look for a router and ask it.
    Ask,
    /// Ask the router that granted it.
    Renew,
    /// Give back what was granted.
    Remove,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Asking,
    Held { external: SocketAddr, until: Timestamp, next: Timestamp },
    Renewing { external: SocketAddr, until: Timestamp },
    Failed { next: Timestamp },
    Over,
}

/// The lease of one socket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lease {
    phase: Phase,
    config: LeaseConfig,
    /// The next pause after a failure.
    pause: Duration,
    /// When the last request began.
    last: Timestamp,
    /// The network may have changed since then.
    has_changed: bool,
    output: Option<LeaseOutput>,
}

impl Lease {
    /// Of a socket that was bound now: it is asked for at once.
    pub const fn new(now: Timestamp, config: LeaseConfig) -> Self {
        Self {
            phase: Phase::Asking,
            config,
            pause: config.pauses.0,
            last: now,
            has_changed: false,
            output: Some(LeaseOutput::Ask),
        }
    }

    /// Takes an input; the output is to be taken before the next one.
    pub fn handle(&mut self, now: Timestamp, input: LeaseInput) {
        match input {
            LeaseInput::Granted(grant) => self.on_granted(now, grant),
            LeaseInput::Refused => self.on_refused(now),
            LeaseInput::Changed => self.on_changed(now),
            LeaseInput::Timeout => self.on_timeout(now),
            LeaseInput::End => {
                self.phase = Phase::Over;
                self.output = Some(LeaseOutput::Remove);
            }
        }
    }

    /// What to do.
    pub const fn poll_output(&mut self) -> Option<LeaseOutput> {
        self.output.take()
    }

    /// When to come back with [`LeaseInput::Timeout`].
    pub const fn poll_timeout(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Held { next, .. } | Phase::Failed { next } => Some(next),
            Phase::Asking | Phase::Renewing { .. } | Phase::Over => None,
        }
    }

    /// The address that leads to the socket, as far as the router's word goes, and until when.
    pub fn external(&self, now: Timestamp) -> Option<(SocketAddr, Timestamp)> {
        match self.phase {
            Phase::Held { external, until, .. } | Phase::Renewing { external, until } => {
                (now < until).then_some((external, until))
            }
            Phase::Asking | Phase::Failed { .. } | Phase::Over => None,
        }
    }

    /// Whether there is none yet, and an answer is awaited.
    pub const fn is_asking(&self) -> bool {
        matches!(self.phase, Phase::Asking)
    }

    const fn is_awaiting(&self) -> bool {
        matches!(self.phase, Phase::Asking | Phase::Renewing { .. })
    }

    fn on_granted(&mut self, now: Timestamp, grant: Grant) {
        if !self.is_awaiting() || self.is_outdated(now) {
            return;
        }
        if grant.lifetime.is_zero() || !self.config.locality.admits_outside(grant.external) {
            // A port that nobody can be told of is an open door and nothing else.
            self.output = Some(LeaseOutput::Remove);
            self.phase = Phase::Failed { next: now + self.grow() };
            return;
        }
        let (shortest, longest) = self.config.leases;
        let lifetime = grant.lifetime.min(longest).max(shortest);
        self.pause = self.config.pauses.0;
        self.phase =
            Phase::Held { external: grant.external, until: now + lifetime, next: now + lifetime / 2 };
    }

    fn on_refused(&mut self, now: Timestamp) {
        if !self.is_awaiting() || self.is_outdated(now) {
            return;
        }
        self.phase = match self.phase {
            Phase::Renewing { external, until } => {
                // RFC 6886, 3.3: half of what is left, and so on; not oftener than any other lease.
                let pause = (until.since(now) / 2).max(self.config.leases.0 / 2);
                Phase::Held { external, until, next: until.min(now + pause) }
            }
            _ => Phase::Failed { next: now + self.grow() },
        };
        self.on_timeout(now);
    }

    fn on_changed(&mut self, now: Timestamp) {
        self.has_changed = true;
        self.pause = self.config.pauses.0;
        let soon = self.soon(now);
        if let Phase::Held { next, .. } | Phase::Failed { next } = &mut self.phase {
            *next = (*next).min(soon);
        }
        self.on_timeout(now);
    }

    fn on_timeout(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Held { external, until, next } if next <= now && now < until && !self.has_changed => {
                self.phase = Phase::Renewing { external, until };
                self.begin(now, LeaseOutput::Renew);
            }
            Phase::Held { next, .. } | Phase::Failed { next } if next <= now => {
                self.phase = Phase::Asking;
                self.begin(now, LeaseOutput::Ask);
            }
            _ => {}
        }
    }

    fn begin(&mut self, now: Timestamp, output: LeaseOutput) {
        self.last = now;
        self.has_changed = false;
        self.output = Some(output);
    }

    /// Whether the answer is one of the network before; then it is asked again.
    fn is_outdated(&mut self, now: Timestamp) -> bool {
        if self.has_changed {
            self.phase = Phase::Failed { next: self.soon(now) };
            self.on_timeout(now);
            return true;
        }
        false
    }

    /// When a change may bring a request.
    fn soon(&self, now: Timestamp) -> Timestamp {
        now.max(self.last + LEASE_CHANGES.min(self.config.pauses.0))
    }

    /// The pause that is due; the next one is longer.
    fn grow(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(self.config.pauses.1);
        pause
    }
}
