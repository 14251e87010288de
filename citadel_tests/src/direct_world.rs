//! Two ends of one attempt at a direct path, each behind a translator or none, on a virtual clock and a network that loses,
//! delays and reorders by a seed.

use crate::nat::{Nat, NatKind};
use crate::world::Dice;
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::secret::Secret;
use citadel_proto::peers::direct::{
    Candidates, Locality, Packet, ProbeInput, ProbeKeys, ProbeOutput, ProbeResult, ProbeTimes, Probing,
};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// Where an end is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Behind a translator of its own.
    Behind(NatKind),
    /// At a public address.
    Public,
    /// In one network with the other end, both behind one translator that leads nothing back in.
    SameNetwork,
}

/// What is wrong with the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// Probes lost of a hundred.
    pub loss: u64,
    /// Longest way of a packet; shorter ones overtake.
    pub longest: Duration,
    /// How much later the responder or the initiator begins, at most.
    pub skew: Duration,
}

/// How long a translator keeps what nobody uses: as short as any that is sold (RFC 4787 asks for two minutes).
const BINDING: Duration = Duration::from_secs(30);

enum Arrival {
    Probe(Packet),
    /// The first packet of a connection, and what answers it.
    Connect,
    Connected,
}

struct End {
    inside: SocketAddr,
    nat: Option<Nat>,
    /// When it begins, and with what.
    begins: Option<(Timestamp, ProbeKeys, Candidates)>,
    machine: Option<Probing>,
    let_in: BTreeSet<SocketAddr>,
    result: Option<ProbeResult>,
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// How it ended for the initiator.
    pub initiator: ProbeResult,
    /// How it ended for the responder.
    pub responder: ProbeResult,
    /// Probes sent by both.
    pub packets: usize,
    /// When the initiator was at its end.
    pub took: Duration,
}

/// The world of one attempt.
pub struct DirectWorld {
    dice: Dice,
    weather: Weather,
    now: Timestamp,
    ends: [End; 2],
    /// What is on its way, by when it comes.
    flying: BTreeMap<(Timestamp, u64), (usize, SocketAddr, SocketAddr, Arrival)>,
    count: u64,
    packets: usize,
    took: Duration,
}

/// The keys of both ends of an attempt; other bytes for another attempt.
pub fn keys(attempt: u8) -> [ProbeKeys; 2] {
    let mut material = Secret::<80>::zero();
    let bytes = material.expose_mut();
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = attempt.wrapping_add(u8::try_from(at / 16).unwrap_or(0)).wrapping_mul(37);
    }
    [Side::Initiator, Side::Responder].map(|side| ProbeKeys::new(side, &material))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address is written so")
}

impl DirectWorld {
    /// The initiator at `places[0]`, the responder at `places[1]`.
    pub fn new(places: [Place; 2], weather: Weather, seed: u64) -> Self {
        let observer = address("198.51.100.1:3478");
        let outside = [address("203.0.113.1:1"), address("203.0.113.2:1")];
        let inside = [address("10.0.0.2:5000"), address("10.1.0.2:6000")];
        let mut told = Vec::new();
        let ends = [0, 1].map(|at| {
            let (inside, mut nat) = match places[at] {
                Place::Public => (SocketAddr::new(outside[at].ip(), inside[at].port()), None),
                Place::Behind(kind) => (inside[at], Some(Nat::new(kind, outside[at].ip(), 40_000, BINDING))),
                Place::SameNetwork => (inside[at], None),
            };
            let observed = nat.as_mut().map(|nat| nat.outbound(Timestamp::ZERO, inside, observer));
            told.push(Candidates::gather([inside].into_iter().chain(observed), Locality::Reachable));
            End { inside, nat, begins: None, machine: None, let_in: BTreeSet::new(), result: None }
        });
        let mut world = Self {
            dice: Dice::new(seed, 0xd1),
            weather,
            now: Timestamp::ZERO,
            ends,
            flying: BTreeMap::new(),
            count: 0,
            packets: 0,
            took: Duration::ZERO,
        };
        let skew = world.dice.time(weather.skew);
        let first = world.dice.index(2);
        let [of_initiator, of_responder] = keys(1);
        for (at, keys) in [of_initiator, of_responder].into_iter().enumerate() {
            let begins = if at == first { Timestamp::ZERO } else { Timestamp::ZERO + skew };
            world.ends[at].begins = Some((begins, keys, told[1 - at].clone()));
        }
        world
    }

    /// Runs until both are at their end.
    pub fn run(mut self) -> Outcome {
        loop {
            (0..2).for_each(|at| self.begin(at));
            (0..2).for_each(|at| self.drain(at));
            let timers = self.ends.iter().filter_map(|end| match (&end.begins, &end.machine) {
                (Some((begins, ..)), _) => Some(*begins),
                (None, machine) => machine.as_ref()?.poll_timeout(),
            });
            let next = timers.chain(self.flying.keys().map(|(at, _)| *at)).min();
            let Some(next) = next.filter(|_| self.ends.iter().any(|end| end.result.is_none())) else { break };
            self.now = next.max(self.now);
            if self.flying.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
                let ((_, _), (to, from, by, arrival)) = self.flying.pop_first().expect("it is there");
                self.arrive(to, from, by, arrival);
            } else {
                let now = self.now;
                self.ends.iter_mut().filter_map(|end| end.machine.as_mut()).for_each(|machine| {
                    machine.handle(now, ProbeInput::Timeout);
                });
            }
        }
        let [initiator, responder] = self.ends.map(|end| end.result.expect("every attempt has an end"));
        Outcome { initiator, responder, packets: self.packets, took: self.took }
    }

    /// Probes that come to an end before it begins are dropped: it knows no tag of them.
    fn begin(&mut self, at: usize) {
        let now = self.now;
        let end = &mut self.ends[at];
        let Some((_, keys, candidates)) = end.begins.take_if(|(begins, ..)| *begins <= now) else { return };
        let side = [Side::Initiator, Side::Responder][at];
        let (times, locality) = (ProbeTimes::default(), Locality::Reachable);
        end.machine = Some(Probing::new(side, Arc::new(keys), &candidates, locality, times, now));
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.ends[at].machine.as_mut().and_then(Probing::poll_output) {
            match output {
                ProbeOutput::Send { to, packet } => {
                    self.packets += 1;
                    if !self.dice.percent(self.weather.loss) {
                        self.send(at, to, Arrival::Probe(packet));
                    }
                }
                ProbeOutput::LetIn(address) => {
                    self.ends[at].let_in.insert(address);
                }
                ProbeOutput::Connect { to, .. } => self.send(at, to, Arrival::Connect),
                ProbeOutput::TakeStream => unreachable!("there is no TCP in this world"),
                ProbeOutput::Over(result) => {
                    self.ends[at].result = Some(result);
                    if at == 0 {
                        self.took = self.now.since(Timestamp::ZERO);
                    }
                }
            }
        }
    }

    /// Through the own translator onto the network.
    fn send(&mut self, at: usize, to: SocketAddr, arrival: Arrival) {
        let end = &mut self.ends[at];
        let from = end.nat.as_mut().map_or(end.inside, |nat| nat.outbound(self.now, end.inside, to));
        let when = self.now + Duration::from_millis(1) + self.dice.time(self.weather.longest);
        self.count += 1;
        self.flying.insert((when, self.count), (1 - at, from, to, arrival));
    }

    /// Through the other's translator, if it lets it in.
    fn arrive(&mut self, at: usize, from: SocketAddr, to: SocketAddr, arrival: Arrival) {
        let end = &mut self.ends[at];
        let inside = end.nat.as_mut().map_or(Some(to), |nat| nat.inbound(self.now, from, to));
        if inside != Some(end.inside) {
            return;
        }
        let Some(machine) = &mut end.machine else { return };
        match arrival {
            Arrival::Probe(bytes) => machine.handle(self.now, ProbeInput::Packet { from, bytes: &bytes }),
            Arrival::Connect if end.let_in.contains(&from) => {
                machine.handle(self.now, ProbeInput::Taken);
                self.send(at, from, Arrival::Connected);
            }
            Arrival::Connected if end.let_in.contains(&from) => machine.handle(self.now, ProbeInput::Taken),
            Arrival::Connect | Arrival::Connected => {}
        }
    }
}
