//! One end: machine, keys, outbox, and whoever waits there for a version. Drives the machine as a driver must.

use super::counted::recast;
use super::keys::Frame;
use super::network::Network;
use super::{Agreement, Counted, EndKeys, Fate, Packet, SecretsAlive};
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::{
    Event, Fatal, Input, Output, Owed, RekeyConfig, RekeyMachine, RekeyOutcome, Side, Verdict, Version,
};
use core::time::Duration;
use std::collections::BTreeMap;

/// Machine type of the world.
pub type Machine = RekeyMachine<Counted<Agreement>>;

/// Names a caller at one end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CallId(pub usize);

/// How a wait ended without a version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallError {
    /// The deadline came first; the round may go on.
    TimedOut,
    /// The round was withdrawn.
    Withdrawn,
    /// The machine was halted.
    Halted,
    /// The machine was closed.
    Closed(Fatal),
}

/// One who asked for a newer version.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The version asked for.
    pub version: Version,
    /// Latest version when it asked.
    pub from: Version,
    pub(super) deadline: Timestamp,
    /// How it ended.
    pub result: Option<Result<RekeyOutcome, CallError>>,
}

/// One end of the session.
#[derive(Debug)]
pub struct End {
    side: Side,
    machine: Machine,
    keys: EndKeys,
    secrets: SecretsAlive,
    owed: Owed<Counted<Agreement>>,
    /// Whether the writer takes data; rekey messages are always taken.
    pub data_blocked: bool,
    next_data: u64,
    waiting_data: u64,
    /// Data received, in order of arrival.
    pub delivered: Vec<u64>,
    /// Every committed round.
    pub history: Vec<RekeyOutcome>,
    /// Fingerprints by version.
    pub fingerprints: BTreeMap<Version, [u8; 16]>,
    /// Milestones.
    pub events: Vec<Event>,
    /// Records that named a live version and did not open under it.
    pub unopened: u64,
    /// Records that came after the keys of their version had gone.
    pub expired: u64,
    /// How often the halt was reported as over.
    pub halted: u32,
    /// Why the machine closed.
    pub closed: Option<Fatal>,
    /// Those who wait or waited.
    pub calls: Vec<Call>,
}

impl End {
    pub(super) fn new(config: RekeyConfig, keys: EndKeys, agreement: Agreement) -> Self {
        let side = config.side;
        let (provider, secrets) = Counted::new(agreement, u64::from(side.number()));
        let fingerprints = [(Version(0), keys.fingerprint())].into();
        Self {
            side,
            machine: RekeyMachine::new(config, provider, Timestamp::ZERO),
            keys,
            secrets,
            owed: Owed::new(),
            data_blocked: false,
            next_data: 0,
            waiting_data: 0,
            delivered: Vec::new(),
            history: Vec::new(),
            fingerprints,
            events: Vec::new(),
            unopened: 0,
            expired: 0,
            halted: 0,
            closed: None,
            calls: Vec::new(),
        }
    }

    /// The machine, to look at.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The keys, to look at.
    pub fn keys(&self) -> &EndKeys {
        &self.keys
    }

    /// Round secrets, counted by their drops.
    pub fn secrets(&self) -> &SecretsAlive {
        &self.secrets
    }

    /// Data that the application gave and that is not sealed yet.
    pub fn waiting_data(&self) -> u64 {
        self.waiting_data
    }

    /// How many items of data were sealed.
    pub fn sent_data(&self) -> u64 {
        self.next_data
    }

    /// Whether nothing is owed to the peer.
    pub fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    /// One input and all that follows from it, up to the outbox.
    pub(super) fn input(&mut self, now: Timestamp, input: Input<Counted<Agreement>>) -> Verdict {
        let verdict = self.machine.handle(now, input);
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { under, message } => self.owed.push(under, message),
                Output::Committed { outcome, ratchet, earliest } => {
                    self.keys.commit(ratchet, earliest);
                    self.owed.drop_stale(outcome.version);
                    self.fingerprints.insert(outcome.version, self.keys.fingerprint());
                    self.history.push(outcome);
                    self.end_calls(|call| (call.version <= outcome.version).then_some(Ok(outcome)));
                }
                Output::Evict { earliest } => self.keys.evict(earliest),
                Output::Event(event) => self.events.push(event),
                Output::Halted => {
                    self.halted += 1;
                    self.end_calls(|_| Some(Err(CallError::Halted)));
                }
                Output::Close(fatal) => {
                    self.closed = Some(fatal);
                    self.end_calls(|_| Some(Err(CallError::Closed(fatal))));
                }
            }
        }
        verdict
    }

    /// Asks for a newer version; waits on the state, so a version that is there already ends the wait at once.
    pub(super) fn call(&mut self, clock: Timestamp, now: Timestamp, patience: Duration) -> CallId {
        let from = self.machine.latest();
        let (version, result) = match self.input(now, Input::Trigger) {
            Verdict::Waiting(version) => (version, None),
            Verdict::Closed(fatal) => (from, Some(Err(CallError::Closed(fatal)))),
            _ => (from, Some(Err(CallError::Halted))),
        };
        self.calls.push(Call { version, from, deadline: clock + patience, result });
        CallId(self.calls.len() - 1)
    }

    /// Waits for `version` without asking for it.
    pub(super) fn wait_for(&mut self, version: Version, clock: Timestamp, patience: Duration) -> CallId {
        let from = self.machine.latest();
        let done = self.machine.view().outcomes.into_iter().find(|o| o.version >= version);
        self.calls.push(Call { version, from, deadline: clock + patience, result: done.map(Ok) });
        CallId(self.calls.len() - 1)
    }

    /// Ends the waits that `how` gives an end.
    pub(super) fn end_calls(&mut self, how: impl Fn(&Call) -> Option<Result<RekeyOutcome, CallError>>) {
        for call in self.calls.iter_mut().filter(|call| call.result.is_none()) {
            call.result = how(call);
        }
    }

    /// How a call ended.
    pub fn result(&self, call: CallId) -> Option<Result<RekeyOutcome, CallError>> {
        self.calls.get(call.0).and_then(|call| call.result)
    }

    /// Hands the writer what is owed, then data: no data is sealed before a message that is owed.
    pub(super) fn flush(&mut self, clock: Timestamp, network: &mut Network) {
        while let Some((under, message)) = self.owed.pop() {
            if under != self.machine.latest() {
                continue;
            }
            let fate = network.fate(self.side, Some((message.kind(), message.header.round)));
            let frame = Frame::Rekey(recast(message)).encode();
            self.put(clock, network, fate, &frame);
        }
        while self.waiting_data > 0 && !self.data_blocked && self.closed.is_none() {
            self.waiting_data -= 1;
            let fate = network.fate(self.side, None);
            let frame = Frame::Data(self.next_data).encode();
            self.next_data += 1;
            self.put(clock, network, fate, &frame);
        }
    }

    fn put(&mut self, clock: Timestamp, network: &mut Network, fate: Fate, frame: &[u8]) {
        let times: &[Duration] = match fate {
            Fate::Deliver => &[Duration::ZERO],
            Fate::Drop => &[],
            Fate::Delay(extra) => &[extra],
            Fate::Twice(extra) => &[Duration::ZERO, extra],
        };
        if times.is_empty() {
            self.keys.seal(frame);
        }
        for extra in times {
            let record = self.keys.seal(frame);
            network.send(clock, *extra, self.side, record);
        }
    }

    /// Gives the writer data.
    pub(super) fn offer_data(&mut self, items: u64) {
        self.waiting_data += items;
    }

    /// A packet arrived: names its version, opens it, tells the machine, delivers. None if it did not open.
    pub(super) fn receive(&mut self, now: Timestamp, packet: &Packet) -> Option<Verdict> {
        let Some(under) = self.machine.resolve(packet.version_bits) else {
            self.expired += 1;
            return None;
        };
        let Some(frame) = self.open(under, packet) else {
            self.unopened += 1;
            return None;
        };
        Some(match frame {
            Frame::Rekey(message) => self.input(now, Input::Message { under, message: recast(message) }),
            Frame::Data(item) => {
                let verdict = match self.machine.awaits_record(under) {
                    true => self.input(now, Input::Record { under }),
                    false => Verdict::Done,
                };
                self.delivered.push(item);
                verdict
            }
        })
    }

    fn open(&mut self, under: Version, packet: &Packet) -> Option<Frame> {
        let plain = if self.machine.candidate_version() == Some(under) {
            let (_, candidate) = self.machine.candidate_mut()?;
            EndKeys::open_candidate(candidate, packet)
        } else {
            self.keys.open(under, packet)
        }?;
        Frame::decode(&plain)
    }
}
