//! The joint state of both ends and of the lanes between them, its moves, and what must hold at rest.

use super::Scenario;
use super::lane::{Answerer, Attempt, BACKWARD, Dialler, FORWARD};
use crate::explorer::hash::FastMap;
use crate::meeting::{Meeting, MeetingConfig};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Instance;
use std::time::Duration;

/// Own attempts for one wait.
const TRIES: u8 = 4;

/// Side 0 has the smaller id.
const IDS: [PeerId; 2] = [PeerId([1; 32]), PeerId([2; 32])];

/// Something that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Move {
    Dial(usize),
    Withdraw(usize),
    /// The next message of an attempt, in a direction, arrives.
    Deliver(usize, usize),
    /// The end of an attempt arrives before what was said before it.
    Overtake(usize, usize),
    /// The task of an attempt that was given up ends.
    Cancelled(usize),
    /// A side hears once more that a session is over.
    Linger(usize, usize),
    /// The lane of an attempt breaks.
    Break(usize),
    /// An attempt comes to nothing at the end that dials.
    DiallerFails(usize),
    /// An attempt comes to nothing at the end that answers.
    AnswererFails(usize),
    /// An application ends a session at a side.
    End(usize, usize),
    Timeout(usize),
}

/// What does not hold.
pub(super) struct Breach(pub(super) String);

pub(super) fn breach<T>(text: String) -> Result<T, Breach> {
    Err(Breach(text))
}

/// Machines, each state once; a joint state has their numbers.
#[derive(Default)]
pub(super) struct Machines {
    numbers: FastMap<Meeting, u32>,
    states: Vec<Meeting>,
}

impl Machines {
    pub(super) fn of(&self, world: &World, side: usize) -> &Meeting {
        &self.states[world.ends[side].machine as usize]
    }

    /// Puts a machine in the place of a side's.
    pub(super) fn set(&mut self, world: &mut World, side: usize, machine: Meeting) {
        world.ends[side].machine = self.number(machine);
    }

    fn number(&mut self, machine: Meeting) -> u32 {
        let states = &mut self.states;
        *self.numbers.entry(machine).or_insert_with_key(|machine| {
            states.push(machine.clone());
            u32::try_from(states.len() - 1).expect("few machines")
        })
    }
}

/// Callers of a side, and what may still happen there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct End {
    machine: u32,
    /// Callers without an answer.
    pub(super) waiting: u8,
    pub(super) dials: u8,
    pub(super) withdrawals: u8,
    pub(super) ends: u8,
    /// Last number given to an attempt of the other side, where that is late.
    pub(super) numbered: u8,
}

/// A joint state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct World {
    pub(super) ends: [End; 2],
    pub(super) attempts: Vec<Attempt>,
    pub(super) losses: u8,
    /// Where nothing is lost and no session ended: the first that there was.
    pub(super) only: Option<u8>,
}

/// The session that an attempt makes.
pub(super) fn instance(attempt: usize) -> Instance {
    Instance([u8::try_from(attempt).expect("few attempts"); 16])
}

pub(super) const fn index(session: Instance) -> usize {
    session.0[0] as usize
}

impl World {
    pub(super) fn new(scenario: &Scenario, machines: &mut Machines) -> Self {
        let Scenario { dials, withdrawals, ends, losses, .. } = *scenario;
        let config = MeetingConfig { patience: Duration::ZERO, tries: TRIES };
        let end = |side: usize| {
            let (own, peer) = (IDS[side], IDS[1 - side]);
            let (own, peer) = if scenario.driver.mixes_up_ids(side) { (peer, own) } else { (own, peer) };
            let machine = machines.number(Meeting::new(own, peer, config));
            End { machine, waiting: 0, dials, withdrawals, ends, numbered: 0 }
        };
        Self { ends: [0, 1].map(end), attempts: Vec::new(), losses, only: None }
    }

    pub(super) fn attempts(&self) -> usize {
        self.attempts.len()
    }

    /// Everything that can happen.
    pub(super) fn moves(&self, machines: &Machines) -> Vec<Move> {
        let mut moves = Vec::new();
        for (side, end) in self.ends.iter().enumerate() {
            moves.extend((end.dials > 0).then_some(Move::Dial(side)));
            moves.extend((end.withdrawals > 0 && end.waiting > 0).then_some(Move::Withdraw(side)));
            let has_timer = self.losses > 0 && machines.of(self, side).poll_timeout().is_some();
            moves.extend(has_timer.then_some(Move::Timeout(side)));
        }
        for (number, attempt) in self.attempts.iter().enumerate() {
            for direction in [FORWARD, BACKWARD] {
                let queue = attempt.queues[direction];
                moves.extend(queue.first().map(|_| Move::Deliver(number, direction)));
                moves.extend(queue.has_late_end().then_some(Move::Overtake(number, direction)));
            }
            moves.extend((attempt.dialler == Dialler::GivenUp).then_some(Move::Cancelled(number)));
            for (side, end) in self.ends.iter().enumerate() {
                moves.extend(attempt.lingers[side].then_some(Move::Linger(side, number)));
                moves.extend((end.ends > 0 && attempt.is_up(side)).then_some(Move::End(side, number)));
            }
            if self.losses > 0 {
                moves.extend((!attempt.is_cut && !attempt.is_gone()).then_some(Move::Break(number)));
                let is_tried = attempt.dialler == Dialler::Trying;
                moves.extend(is_tried.then_some(Move::DiallerFails(number)));
                let is_asked = matches!(attempt.answerer, Answerer::Asked | Answerer::Pending);
                moves.extend(is_asked.then_some(Move::AnswererFails(number)));
            }
        }
        moves
    }

    /// What must hold where nothing is on its way.
    pub(super) fn check_rest(&self, machines: &Machines) -> Result<(), Breach> {
        for (side, end) in self.ends.iter().enumerate() {
            if end.waiting > 0 {
                return breach(format!("at rest, and {} callers of side {side} wait", end.waiting));
            }
            let machine = machines.of(self, side);
            if machine.poll_timeout().is_some() {
                return breach(format!("at rest, and side {side} waits: {machine:?}"));
            }
        }
        let [smaller, larger] = [0, 1].map(|side| machines.of(self, side).session());
        if smaller != larger {
            return breach(format!("at rest, and one names {smaller:?}, the other {larger:?}"));
        }
        if self.only.is_some_and(|only| smaller != Some(instance(only.into()))) {
            return breach("at rest, and nothing is left of what callers got".into());
        }
        let is_left = |attempt: &&Attempt| !(attempt.is_gone() || attempt.is_up(0) && attempt.is_up(1));
        match self.attempts.iter().find(is_left) {
            Some(left) => breach(format!("at rest, and something is left of {left:?}")),
            None => Ok(()),
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.attempts.iter().all(Attempt::is_quiet)
    }

    /// For a trace.
    pub(super) fn picture(&self, machines: &Machines) -> String {
        let ends = [0, 1].map(|side| {
            let machine = format!("{:?}", machines.of(self, side));
            let phase = machine.split_once("phase: ").map_or(machine.as_str(), |(_, phase)| phase);
            let phase = phase.split(", outputs").next().unwrap_or(phase);
            format!("{} wait, {phase}", self.ends[side].waiting)
        });
        let lane = |(number, attempt): (usize, &Attempt)| {
            format!("{number} of {}: {:?}/{:?}", attempt.by(), attempt.dialler, attempt.answerer)
        };
        let lanes: Vec<String> = self.attempts.iter().enumerate().map(lane).collect();
        format!("| {} | {} | {}", ends[0], ends[1], lanes.join(", "))
    }
}
