//! Ends, packets and networks as small numbers, and each step of a real machine run once.
//!
//! Two machines with the same key behave alike (that is what [`crate::rekey::View`] promises), so a step is
//! looked up by (end, act) and the joint search moves numbers. [`Table::audit`] checks the promise: of every end
//! that was reached in more than one way a second machine is kept and must take every step alike.

use super::end::{End, EndKey, Picture};
use super::hash::FastMap;
use super::packet::Packet;
use super::scenario::Scenario;
use super::step::{Act, Breach, Outcome, breach, perform};
use crate::rekey::{Side, Version};

/// Numbers of the acts that are not deliveries; delivery of packet `n` is `FIRST_PACKET + n`.
pub(super) const TRIGGER: u16 = 0;
pub(super) const WITHDRAW: u16 = 1;
pub(super) const HALT: u16 = 2;
pub(super) const TIMEOUT: u16 = 3;
pub(super) const DRAIN: u16 = 4;
pub(super) const SEND_DATA: u16 = 5;
pub(super) const FIRST_PACKET: u16 = 6;

/// Result of an act, as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Not yet run.
    Unknown,
    /// Cannot happen at this end.
    Impossible,
    /// Leads to `end` and sends the packets of list `sent`.
    To { end: u32, sent: u32 },
}

/// Short lists of packet numbers, each kept once.
#[derive(Default)]
pub(super) struct Lists {
    all: Vec<Box<[u16]>>,
    index: FastMap<Box<[u16]>, u32>,
}

impl Lists {
    /// List 0 is the empty one.
    pub(super) fn new() -> Self {
        let mut lists = Self::default();
        lists.number(Vec::new());
        lists
    }

    pub(super) fn number(&mut self, list: Vec<u16>) -> u32 {
        if let Some(number) = self.index.get(list.as_slice()) {
            return *number;
        }
        let number = self.all.len() as u32;
        let list = list.into_boxed_slice();
        self.all.push(list.clone());
        self.index.insert(list, number);
        number
    }

    pub(super) fn get(&self, number: u32) -> &[u16] {
        &self.all[number as usize]
    }
}

/// All that is known of one side.
struct SideTable {
    ends: Vec<Entry>,
    index: FastMap<EndKey, u32>,
    /// Packets that this side sent.
    packets: Vec<Packet>,
    packet_index: FastMap<Packet, u16>,
}

struct Entry {
    end: End,
    /// A machine with the same key and another past.
    twin: Option<End>,
    picture: Picture,
    steps: Vec<Step>,
}

/// Everything that was numbered.
pub(super) struct Table {
    sides: [SideTable; 2],
    pub(super) lists: Lists,
}

impl Table {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let side = |side| {
            let mut table = SideTable {
                ends: Vec::new(),
                index: FastMap::default(),
                packets: Vec::new(),
                packet_index: FastMap::default(),
            };
            table.number(End::new(scenario, side));
            table
        };
        Self { sides: [side(Side::Initiator), side(Side::Responder)], lists: Lists::new() }
    }

    pub(super) fn picture(&self, side: usize, end: u32) -> &Picture {
        &self.sides[side].ends[end as usize].picture
    }

    pub(super) fn earliest(&self, side: usize, end: u32) -> Version {
        self.picture(side, end).earliest
    }

    pub(super) fn packet(&self, sender: usize, packet: u16) -> &Packet {
        &self.sides[sender].packets[packet as usize]
    }

    /// How many ends and packets there are, for the report.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let ends = self.sides.iter().map(|side| side.ends.len()).sum();
        (ends, self.sides.iter().map(|side| side.packets.len()).sum())
    }

    /// What `act` does to `end` of `side`; runs the machine the first time.
    pub(super) fn step(&mut self, side: usize, end: u32, act: u16) -> Result<Step, Breach> {
        let known = self.sides[side].ends[end as usize].steps.get(usize::from(act));
        match known {
            Some(Step::Unknown) | None => self.run(side, end, act),
            Some(step) => Ok(*step),
        }
    }

    fn run(&mut self, side: usize, end: u32, act: u16) -> Result<Step, Breach> {
        let input = self.act(side, act);
        let outcome = perform(&self.sides[side].ends[end as usize].end, input)?;
        let step = self.number(side, outcome)?;
        let steps = &mut self.sides[side].ends[end as usize].steps;
        if steps.len() <= usize::from(act) {
            steps.resize(usize::from(act) + 1, Step::Unknown);
        }
        steps[usize::from(act)] = step;
        Ok(step)
    }

    pub(super) fn act(&self, side: usize, act: u16) -> Act {
        match act {
            TRIGGER => Act::Trigger,
            WITHDRAW => Act::Withdraw,
            HALT => Act::Halt,
            TIMEOUT => Act::Timeout,
            DRAIN => Act::Drain,
            SEND_DATA => Act::SendData,
            packet => Act::Deliver(*self.packet(1 - side, packet - FIRST_PACKET)),
        }
    }

    fn number(&mut self, side: usize, outcome: Option<Outcome>) -> Result<Step, Breach> {
        let Some(Outcome { end, sent }) = outcome else {
            return Ok(Step::Impossible);
        };
        let table = &mut self.sides[side];
        let sent = sent.into_iter().map(|packet| table.packet(packet)).collect::<Option<Vec<u16>>>();
        let Some(sent) = sent else {
            return breach("more than 65,000 different messages");
        };
        let end = table.number(end);
        Ok(Step::To { end, sent: self.lists.number(sent) })
    }

    /// Runs every step again from the second machine of each end; returns how many.
    pub(super) fn audit(&mut self) -> Result<u64, Breach> {
        let mut steps = 0;
        for side in 0..2 {
            for end in 0..self.sides[side].ends.len() {
                let Some(twin) = self.sides[side].ends[end].twin.take() else { continue };
                for act in 0..self.sides[side].ends[end].steps.len() {
                    let known = self.sides[side].ends[end].steps[act];
                    if known == Step::Unknown {
                        continue;
                    }
                    let outcome = perform(&twin, self.act(side, act as u16))?;
                    if self.number(side, outcome)? != known {
                        let key = twin.key();
                        return breach(format!("two machines with this view behave differently: {key:?}"));
                    }
                    steps += 1;
                }
            }
        }
        Ok(steps)
    }
}

impl SideTable {
    fn number(&mut self, mut end: End) -> u32 {
        let key = end.key();
        if let Some(number) = self.index.get(&key) {
            self.ends[*number as usize].twin = Some(end);
            return *number;
        }
        let number = self.ends.len() as u32;
        self.index.insert(key, number);
        let picture = end.picture();
        self.ends.push(Entry { end, twin: None, picture, steps: Vec::new() });
        number
    }

    fn packet(&mut self, packet: Packet) -> Option<u16> {
        if let Some(number) = self.packet_index.get(&packet) {
            return Some(*number);
        }
        let number = u16::try_from(self.packets.len()).ok().filter(|n| *n < u16::MAX - FIRST_PACKET)?;
        self.packets.push(packet);
        self.packet_index.insert(packet, number);
        Some(number)
    }
}
