//! One attempt at one end: which addresses of the peer are heard, which are proven, which is taken.
//!
//! A stream within the network is proven by its own greeting (`greeting.rs`); here stands when it is taken: after every address that
//! is proven, and once packets have had their time.
//!
//! ```text
//!            the candidates of both are known
//!                        │
//!                        ▼   chosen                       taken, or none left
//!  initiator: Probing ─────────────▶ Connecting ────────────────────────────▶ Over
//!                │                     │    ▲                                  ▲
//!                │                     └────┘ not taken: the next proven one   │
//!                └── nothing proven by the deadline ───────────────────────────┘
//!  responder: Probing ── let in what was heard, until taken or the deadline ──▶ Over
//! ```

use super::address::{Candidates, Locality, canonical};
use super::packet::{Packet, Probe, ProbeKeys};
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::Side;
use core::time::Duration;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

/// Pings to a told candidate that nothing prompts (R-P2P-3), and prompted ones to any address.
pub const PINGS: u8 = 3;
/// Prompted pings for each ping that came: with the pong they are three times its bytes (R-P2P-3).
const PROMPTED: u8 = 2;
/// When the second of them goes.
const REPEAT: Duration = Duration::from_millis(200);
/// Most addresses that were not told and are answered.
pub const MAX_REFLEXIVE: usize = 8;
/// Numbers of pings of one end in an attempt: 16 told candidates with six pings each, 8 others with three, and a margin.
pub const MAX_NUMBERS: u64 = 128;
/// When the unprompted pings go: the second covers a loss, the third an end that begins late.
const ROUNDS: [Duration; PINGS as usize] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_millis(800)];
/// Between the addresses of a round.
const SPACING: Duration = Duration::from_millis(5);
/// Shortest and longest wait for a better address once one is proven.
pub const GRACE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Wait for an address once a stream is proven: all rounds of pings, and an answer to the last.
pub const GRACE_OF_STREAM: Duration = Duration::from_secs(1);

/// How long an attempt may take.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ProbeTimes {
    /// Of the initiator: until an address is proven. 5 s: five round trips through a slow server and all pings.
    pub proof: Duration,
    /// Of the initiator: one connection. 5 s.
    pub connect: Duration,
    /// Of the responder: all of it. 15 s: the proof and two connections.
    pub whole: Duration,
}

impl Default for ProbeTimes {
    fn default() -> Self {
        Self {
            proof: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            whole: Duration::from_secs(15),
        }
    }
}

/// An input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProbeInput<'a> {
    /// What came to the socket with the tag of this attempt. Anything may stand in it.
    Packet {
        /// From where.
        from: SocketAddr,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// The connection that the last [`ProbeOutput::Connect`] asked for carries the session. On the responder: one that came does.
    Taken,
    /// It does not.
    NotTaken,
    /// Of the initiator: a stream to the peer is proven, and held until [`ProbeOutput::TakeStream`] or the end. One counts.
    Stream,
    /// The time of `poll_timeout` has come. Early or spurious ones do nothing.
    Timeout,
}

/// An output, in the order in which it must be acted on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProbeOutput {
    /// Send this. It may get lost.
    Send {
        /// Where.
        to: SocketAddr,
        /// What.
        packet: Packet,
    },
    /// Connections from there may be looked at, until the attempt is over.
    LetIn(SocketAddr),
    /// Connect there; answered with `Taken` or `NotTaken`.
    Connect {
        /// Where.
        to: SocketAddr,
        /// How long a probe took there and back.
        round_trip: Duration,
    },
    /// Move to the stream that is held; answered with `Taken` or `NotTaken`.
    TakeStream,
    /// The attempt is over. Nothing follows.
    Over(ProbeResult),
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ProbeResult {
    /// The session is on a direct path.
    Direct,
    /// No address was proven, or none of them was of use.
    Nothing,
}

/// An address of the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Remote {
    address: SocketAddr,
    /// Pings that nothing prompts, which are still to go. They go also when the address is proven here: the other end may
    /// have heard none of its answers, and each prompts it.
    rounds: &'static [Duration],
    /// Pings of the peer that came from there.
    heard: u8,
    prompted: u8,
    /// When the next prompted one goes, unless the address is proven before.
    repeat_at: Option<Timestamp>,
    /// The first pong's round trip.
    round_trip: Option<Duration>,
    /// A connection to it was tried.
    is_tried: bool,
}

/// A ping of ours that was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Awaited {
    number: u64,
    remote: usize,
    sent: Timestamp,
}

/// What is known of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stream {
    /// None is proven.
    Absent,
    /// One is held since then.
    Held(Timestamp),
    /// Moving to it was tried.
    Tried,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Pings go and come. `grace` is set once an address is proven.
    Probing {
        grace: Option<Timestamp>,
    },
    /// The initiator tries this one.
    Connecting {
        until: Timestamp,
    },
    Over,
}

/// An attempt, at one end.
#[derive(Debug)]
pub struct Probing {
    side: Side,
    keys: Arc<ProbeKeys>,
    times: ProbeTimes,
    locality: Locality,
    begun: Timestamp,
    remotes: Vec<Remote>,
    told: usize,
    next_number: u64,
    awaited: Vec<Awaited>,
    /// Numbers of the peer's pings that counted.
    used: u128,
    stream: Stream,
    phase: Phase,
    outputs: VecDeque<ProbeOutput>,
}

impl Probing {
    /// An attempt of the end `side`, whose peer may be reached at `candidates`, as it says.
    pub fn new(
        side: Side,
        keys: Arc<ProbeKeys>,
        candidates: &Candidates,
        locality: Locality,
        times: ProbeTimes,
        now: Timestamp,
    ) -> Self {
        let remotes: Vec<_> =
            candidates.addresses().iter().map(|address| Remote::new(*address, &ROUNDS)).collect();
        let told = remotes.len();
        let phase = Phase::Probing { grace: None };
        let mut probing = Self {
            side,
            keys,
            times,
            locality,
            begun: now,
            remotes,
            told,
            next_number: 0,
            awaited: Vec::new(),
            used: 0,
            stream: Stream::Absent,
            phase,
            outputs: VecDeque::new(),
        };
        probing.on_timeout(now);
        probing
    }

    /// Takes an input; outputs are to be drained before the next one.
    pub fn handle(&mut self, now: Timestamp, input: ProbeInput<'_>) {
        match (input, self.phase) {
            (_, Phase::Over) => {}
            (ProbeInput::Packet { from, bytes }, _) => self.on_packet(now, canonical(from), bytes),
            (ProbeInput::Taken, _) => self.end(ProbeResult::Direct),
            (ProbeInput::NotTaken, Phase::Connecting { .. }) => self.connect_next(now),
            (ProbeInput::NotTaken, Phase::Probing { .. }) => {}
            (ProbeInput::Stream, _) => self.on_stream(now),
            (ProbeInput::Timeout, _) => self.on_timeout(now),
        }
    }

    /// The next thing to do, in order.
    pub fn poll_output(&mut self) -> Option<ProbeOutput> {
        self.outputs.pop_front()
    }

    /// When to come back with [`ProbeInput::Timeout`]; none once it is over.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Probing { grace } => {
                let next =
                    self.remotes.iter().enumerate().filter_map(|(at, remote)| self.next(at, remote)).min();
                let ends = self.ends(grace);
                Some(next.map_or(ends, |next| next.min(ends)))
            }
            Phase::Connecting { until } => Some(until),
            Phase::Over => None,
        }
    }

    /// Whether nothing of it is left to do.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    fn deadline(&self) -> Timestamp {
        self.begun
            + match self.side {
                Side::Initiator => self.times.proof,
                Side::Responder => self.times.whole,
            }
    }

    /// When probing ends, of what has come until now.
    fn ends(&self, grace: Option<Timestamp>) -> Timestamp {
        let of_stream = match self.stream {
            Stream::Held(since) => Some(since + GRACE_OF_STREAM),
            Stream::Absent | Stream::Tried => None,
        };
        grace.into_iter().chain(of_stream).fold(self.deadline(), Timestamp::min)
    }

    /// When the next unprompted ping to a remote goes.
    fn due(&self, at: usize, remote: &Remote) -> Option<Timestamp> {
        let round = remote.rounds.first()?;
        Some(self.begun + *round + SPACING * u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// When anything is to be sent to a remote.
    fn next(&self, at: usize, remote: &Remote) -> Option<Timestamp> {
        let repeat = remote.repeat_at.filter(|_| remote.is_prompted());
        self.due(at, remote).into_iter().chain(repeat).min()
    }

    fn on_timeout(&mut self, now: Timestamp) {
        match self.phase {
            Phase::Probing { grace } => {
                for at in 0..self.told {
                    while self.due(at, &self.remotes[at]).is_some_and(|due| due <= now) {
                        self.remotes[at].rounds = &self.remotes[at].rounds[1..];
                        self.ping(now, at);
                    }
                }
                for at in 0..self.remotes.len() {
                    let is_due = self.remotes[at].repeat_at.is_some_and(|due| due <= now);
                    if is_due && self.remotes[at].is_prompted() {
                        self.prompt(now, at);
                    }
                }
                match self.side {
                    _ if now < self.ends(grace) => {}
                    Side::Initiator => self.connect_next(now),
                    Side::Responder => self.end(ProbeResult::Nothing),
                }
            }
            Phase::Connecting { until } if until <= now => self.connect_next(now),
            Phase::Connecting { .. } | Phase::Over => {}
        }
    }

    fn on_packet(&mut self, now: Timestamp, from: SocketAddr, bytes: &[u8]) {
        match self.keys.open(bytes) {
            Some(Probe::Ping { number }) => self.on_ping(now, from, number),
            Some(Probe::Pong { number, .. }) => self.on_pong(now, from, number),
            Some(Probe::Hello { .. } | Probe::Welcome { .. }) | None => {}
        }
    }

    fn on_ping(&mut self, now: Timestamp, from: SocketAddr, number: u64) {
        let Some(bit) = 1_u128.checked_shl(u32::try_from(number).unwrap_or(u32::MAX)) else { return };
        if self.used & bit != 0 || !self.locality.admits(from) {
            return;
        }
        let Some(at) = self.find_or_add(from) else { return };
        self.used |= bit;
        let packet = self.keys.seal(Probe::Pong { number, seen: from });
        self.outputs.push_back(ProbeOutput::Send { to: from, packet });
        let remote = &mut self.remotes[at];
        remote.heard = remote.heard.saturating_add(1);
        if remote.heard == 1 && self.side == Side::Responder {
            self.outputs.push_back(ProbeOutput::LetIn(from));
        }
        if self.remotes[at].is_prompted() {
            self.prompt(now, at);
        }
    }

    fn prompt(&mut self, now: Timestamp, at: usize) {
        let remote = &mut self.remotes[at];
        remote.prompted += 1;
        remote.repeat_at = Some(now + REPEAT);
        self.ping(now, at);
    }

    fn on_pong(&mut self, now: Timestamp, from: SocketAddr, number: u64) {
        let is_answered =
            |awaited: &Awaited| awaited.number == number && self.remotes[awaited.remote].address == from;
        let Some(place) = self.awaited.iter().position(is_answered) else { return };
        let Awaited { remote, sent, .. } = self.awaited.swap_remove(place);
        let sample = now.since(sent);
        self.remotes[remote].round_trip.get_or_insert(sample);
        if let (Side::Initiator, Phase::Probing { grace }) = (self.side, self.phase) {
            let until = grace.unwrap_or_else(|| now + sample.clamp(GRACE.0, GRACE.1));
            self.phase = Phase::Probing { grace: Some(until) };
            let is_all = self.remotes[..self.told].iter().all(|remote| remote.round_trip.is_some());
            if is_all && self.told > 0 {
                self.connect_next(now);
            }
        }
    }

    fn on_stream(&mut self, now: Timestamp) {
        if (self.side, self.stream) == (Side::Initiator, Stream::Absent) {
            self.stream = Stream::Held(now);
        }
    }

    fn find_or_add(&mut self, address: SocketAddr) -> Option<usize> {
        let known = self.remotes.iter().position(|remote| remote.address == address);
        known.or_else(|| {
            if self.remotes.len() - self.told >= MAX_REFLEXIVE {
                return None;
            }
            self.remotes.push(Remote::new(address, &[]));
            Some(self.remotes.len() - 1)
        })
    }

    fn ping(&mut self, now: Timestamp, at: usize) {
        if self.next_number >= MAX_NUMBERS {
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.awaited.push(Awaited { number, remote: at, sent: now });
        let packet = self.keys.seal(Probe::Ping { number });
        self.outputs.push_back(ProbeOutput::Send { to: self.remotes[at].address, packet });
    }

    /// The proven address with the lowest round trip that was not tried, of equal ones that which was told first; then the stream.
    fn connect_next(&mut self, now: Timestamp) {
        let proven = self.remotes.iter_mut().filter(|remote| !remote.is_tried);
        let best = proven
            .filter_map(|remote| remote.round_trip.map(|round_trip| (round_trip, remote)))
            .min_by_key(|(round_trip, _)| *round_trip);
        match best {
            Some((round_trip, remote)) => {
                remote.is_tried = true;
                let to = remote.address;
                self.phase = Phase::Connecting { until: now + self.times.connect };
                self.outputs.push_back(ProbeOutput::LetIn(to));
                self.outputs.push_back(ProbeOutput::Connect { to, round_trip });
            }
            None if matches!(self.stream, Stream::Held(_)) => {
                self.stream = Stream::Tried;
                self.phase = Phase::Connecting { until: now + self.times.connect };
                self.outputs.push_back(ProbeOutput::TakeStream);
            }
            None => self.end(ProbeResult::Nothing),
        }
    }

    fn end(&mut self, result: ProbeResult) {
        self.phase = Phase::Over;
        self.outputs.push_back(ProbeOutput::Over(result));
    }
}

impl Remote {
    const fn new(address: SocketAddr, rounds: &'static [Duration]) -> Self {
        let (heard, prompted, repeat_at) = (0, 0, None);
        Self { address, rounds, heard, prompted, repeat_at, round_trip: None, is_tried: false }
    }

    /// Whether another prompted ping may go.
    const fn is_prompted(&self) -> bool {
        let most = self.heard.saturating_mul(PROMPTED);
        self.round_trip.is_none() && self.prompted < PINGS && self.prompted < most
    }
}
