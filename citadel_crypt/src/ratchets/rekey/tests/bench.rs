//! Two machines on one table: what one sends is put into the other's hand by the test.

use super::stand_in::Arithmetic;
use crate::ratchets::rekey::{
    Attempt, Body, Event, Header, Input, Lifecycle, Message, Output, Phase, RekeyConfig, RekeyMachine,
    RoundId, Side, Timestamp, Verdict, Version,
};
use core::time::Duration;

pub(super) type Machine = RekeyMachine<Arithmetic>;
pub(super) type Letter = (Version, Message<Arithmetic>);

pub(super) const SUITE: u16 = 9;

/// A machine and what it did in its last step.
pub(super) struct End {
    pub(super) machine: Machine,
    side: Side,
    pub(super) now: Timestamp,
    pub(super) sent: Vec<Letter>,
    pub(super) log: Vec<String>,
}

impl End {
    pub(super) fn new(config: RekeyConfig) -> Self {
        let seed = 1000 * (1 + u64::from(config.side.number()));
        Self::with(config, Arithmetic::new(seed))
    }

    pub(super) fn with(config: RekeyConfig, provider: Arithmetic) -> Self {
        let side = config.side;
        let machine = RekeyMachine::new(config, provider, Timestamp::ZERO);
        Self { machine, side, now: Timestamp::ZERO, sent: Vec::new(), log: Vec::new() }
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// One input; outputs are kept, and what holds in every state is checked.
    pub(super) fn step(&mut self, input: Input<Arithmetic>) -> Verdict {
        let before = self.machine.view();
        self.sent.clear();
        self.log.clear();
        let verdict = self.machine.handle(self.now, input);
        let after = self.machine.view();
        if let Verdict::Ignored(why) = verdict {
            assert_eq!(before, after, "ignored ({why:?}) but changed");
        }
        assert!(after.latest >= before.latest && after.earliest >= before.earliest);
        assert!(after.next_attempt >= before.next_attempt && after.peer_floor >= before.peer_floor);
        assert_eq!(
            after.round_secrets,
            u8::from(matches!(after.phase, Phase::Offered { .. } | Phase::Answered { .. }))
        );
        let is_idle = matches!(after.phase, Phase::Idle { held: None });
        assert!(is_idle || self.machine.poll_timeout().is_some(), "no timer in {:?}", after.phase);
        while let Some(output) = self.machine.poll_output() {
            self.log.push(word(&output));
            if let Output::Send { under, message } = output {
                assert_eq!(under, after.latest);
                self.sent.push((under, message));
            }
        }
        verdict
    }

    pub(super) fn take(&mut self, (under, message): Letter) -> Verdict {
        self.step(Input::Message { under, message })
    }

    /// The one message that the last step sent.
    pub(super) fn letter(&self) -> Letter {
        assert_eq!(self.sent.len(), 1, "{:?}", self.log);
        self.sent[0].clone()
    }
}

fn word(output: &Output<Arithmetic>) -> String {
    match output {
        Output::Send { message, .. } => match message.body {
            Body::Truncate { .. } => "Truncate".into(),
            _ => format!("{:?}", message.kind()),
        },
        Output::Committed { .. } => "Committed".into(),
        Output::Evict { earliest } => format!("Evict<{}", earliest.0),
        Output::Event(Event::Started { .. }) => "+started".into(),
        Output::Event(Event::Committed(_)) => "+committed".into(),
        Output::Event(Event::Cancelled { reason, .. }) => format!("+cancelled:{reason:?}"),
        Output::Event(event) => format!("+{event:?}"),
        Output::Halted => "HALTED".into(),
        Output::Close(_) => "CLOSE".into(),
    }
}

/// Verdict, place and outputs in one line.
pub(super) fn line(verdict: Verdict, end: &End) -> String {
    let verdict = match verdict {
        Verdict::Done => "done".into(),
        Verdict::Waiting(version) => format!("wait {}", version.0),
        Verdict::Refused(why) => format!("refused {why:?}"),
        Verdict::Ignored(why) => format!("ignored {why:?}"),
        Verdict::Closed(why) => format!("closed {why:?}"),
    };
    let outputs: Vec<&str> = end.log.iter().map(String::as_str).collect();
    format!("{verdict} > {} {}", place(&end.machine), outputs.join(" ")).trim_end().into()
}

/// Name of phase and life cycle.
pub(super) fn place(machine: &Machine) -> String {
    let view = machine.view();
    let phase = match view.phase {
        Phase::Idle { held: None } => "Idle",
        Phase::Idle { held: Some(_) } => "Idle+held",
        Phase::Offered { .. } => "Offered",
        Phase::Confirming { .. } => "Confirming",
        Phase::Answered { .. } => "Answered",
        Phase::Withdrawing { held: None, .. } => "Withdrawing",
        Phase::Withdrawing { held: Some(_), .. } => "Withdrawing+held",
    };
    match view.lifecycle {
        Lifecycle::Running => phase.into(),
        Lifecycle::Halting => format!("{phase}/Halting"),
        Lifecycle::Halted => format!("{phase}/Halted"),
        Lifecycle::Closed(_) => format!("{phase}/Closed"),
    }
}

pub(super) fn config(side: Side) -> RekeyConfig {
    RekeyConfig { reauth: None, ..RekeyConfig::new(side, SUITE) }
}

/// Two ends at version 0.
pub(super) fn pair(me: Side) -> (End, End) {
    (End::new(config(me)), End::new(config(me.peer())))
}

/// A whole round that `leader` starts.
pub(super) fn round(leader: &mut End, loser: &mut End) {
    leader.step(Input::Trigger);
    loser.take(leader.letter());
    leader.take(loser.letter());
    loser.take(leader.letter());
    leader.take(loser.letter());
    assert_eq!(leader.machine.view().phase, Phase::Idle { held: None });
    assert_eq!(leader.machine.latest(), loser.machine.latest());
    assert_eq!(leader.machine.provider().root, loser.machine.provider().root);
}

/// `end` offers a round and withdraws it.
pub(super) fn dead_round(end: &mut End, peer: &mut End) {
    end.step(Input::Trigger);
    end.step(Input::Withdraw);
    peer.take(end.letter());
    end.take(peer.letter());
}

pub(super) fn id(version: u64, side: Side, attempt: u64) -> RoundId {
    RoundId { version: Version(version), side, attempt: Attempt(attempt) }
}

/// A message made by hand.
pub(super) fn letter(under: u64, round: RoundId, floor: u64, body: Body<Arithmetic>) -> Letter {
    let header = Header { round, floor: Attempt(floor), latest: Version(under), earliest: Version(under) };
    (Version(under), Message { header, body })
}
