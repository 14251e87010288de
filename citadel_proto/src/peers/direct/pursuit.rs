//! When an end of a session makes an attempt: at once, after pauses that grow, or because the network changed.
//!
//! ```text
//!             t comes, or the network changed                    it came up
//!  Relayed(t) ───────────────────────────────▶ Trying(attempt) ─────────────▶ Direct(since)
//!   ▲  ▲  ▲                                      │                             │
//!   │  │  └────────── it failed: longer pause ───┘                             │
//!   │  └──────────── lost after it lived: at once; after a moment: longer pause┤
//!   └── a lane carries ── Nothing ◀── lost, no path ───────────────────────────┘
//! ```

use citadel_crypt::Timestamp;
use core::time::Duration;

/// Shortest and longest pause between attempts. 5 s: an attempt that fails takes as long. 5 min: a laptop that stays where it
/// is costs two packets a minute.
pub const PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// A direct path that lived for so long was one; another is worth an attempt at once.
const LIVED: Duration = Duration::from_secs(60);

/// What carries the session, as far as this is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// A lane.
    Relayed,
    /// A direct path.
    Direct,
    /// Nothing now.
    Nothing,
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PursuitInput {
    /// What carries the session now. May be said again.
    Path(Standing),
    /// The attempt is over, and the session is not on a direct path by it.
    Failed(u32),
    /// The machine's addresses are not those of before, or the peer asks.
    Changed,
    /// The time of `poll_timeout` has come.
    Timeout,
}

/// An output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PursuitOutput {
    /// Make this attempt.
    Begin(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Relayed { next: Timestamp },
    Trying { attempt: u32 },
    Direct { since: Timestamp },
    Nothing { next: Timestamp },
}

/// The attempts of one session, at the end that makes them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Pursuit {
    phase: Phase,
    pauses: (Duration, Duration),
    pause: Duration,
    attempts: u32,
    /// When the last attempt began.
    last: Option<Timestamp>,
    output: Option<PursuitOutput>,
}

impl Pursuit {
    /// Of a session that a lane carries, with these shortest and longest pauses.
    pub const fn new(now: Timestamp, pauses: (Duration, Duration)) -> Self {
        Self {
            phase: Phase::Relayed { next: now },
            pauses,
            pause: pauses.0,
            attempts: 0,
            last: None,
            output: None,
        }
    }

    /// Takes an input; the output is to be taken before the next one.
    pub fn handle(&mut self, now: Timestamp, input: PursuitInput) {
        match input {
            PursuitInput::Path(standing) => self.on_path(now, standing),
            PursuitInput::Failed(attempt) => {
                if self.phase == (Phase::Trying { attempt }) {
                    self.phase = Phase::Relayed { next: now + self.grow() };
                }
            }
            PursuitInput::Changed => self.on_changed(now),
            PursuitInput::Timeout => {
                if let Phase::Relayed { next } = self.phase
                    && next <= now
                {
                    self.begin(now);
                }
            }
        }
    }

    /// What to do.
    pub const fn poll_output(&mut self) -> Option<PursuitOutput> {
        self.output.take()
    }

    /// When to come back with [`PursuitInput::Timeout`].
    pub const fn poll_timeout(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Relayed { next } => Some(next),
            Phase::Trying { .. } | Phase::Direct { .. } | Phase::Nothing { .. } => None,
        }
    }

    fn on_path(&mut self, now: Timestamp, standing: Standing) {
        self.phase = match (self.phase, standing) {
            (Phase::Direct { since }, Standing::Direct) => Phase::Direct { since },
            (_, Standing::Direct) => Phase::Direct { since: now },
            (Phase::Direct { since }, standing) => {
                let next = if now.since(since) >= LIVED {
                    self.pause = self.pauses.0;
                    now
                } else {
                    now + self.grow()
                };
                match standing {
                    Standing::Nothing => Phase::Nothing { next },
                    _ => Phase::Relayed { next },
                }
            }
            (Phase::Nothing { next }, Standing::Relayed) => Phase::Relayed { next },
            (Phase::Relayed { next }, Standing::Nothing) => Phase::Nothing { next },
            // Whoever takes the new path drops the lane, and this end may see that first: an attempt outlives its lane.
            (same, _) => same,
        };
    }

    fn on_changed(&mut self, now: Timestamp) {
        self.pause = self.pauses.0;
        let soon = self.last.map_or(now, |last| now.max(last + self.pauses.0));
        match &mut self.phase {
            Phase::Relayed { next } | Phase::Nothing { next } => *next = (*next).min(soon),
            Phase::Trying { .. } | Phase::Direct { .. } => {}
        }
        self.handle(now, PursuitInput::Timeout);
    }

    fn begin(&mut self, now: Timestamp) {
        self.attempts = self.attempts.saturating_add(1);
        self.last = Some(now);
        self.phase = Phase::Trying { attempt: self.attempts };
        self.output = Some(PursuitOutput::Begin(self.attempts));
    }

    /// The pause that is due; the next one is longer.
    fn grow(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (self.pause * 2).min(self.pauses.1);
        pause
    }
}
