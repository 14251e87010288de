//! One round frozen before each of its messages, with the real machine and real keys from a seed: a receiver can be
//! made anew, as it was, for every change to the message it waits for.

use citadel_crypt::SecrecyMode;
use citadel_crypt::Timestamp;
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::{
    Body, Input, Message, MessageKind, Output, RekeyConfig, RekeyMachine, Side, Verdict, Version, View,
};
use citadel_crypt::ratchets::{HybridAgreement, InitialSecrets};
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::Suite;
use citadel_crypt::wire;
use citadel_tests::seeded::SeededProvider;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) type Machine = RekeyMachine<HybridAgreement>;

const NOW: Timestamp = Timestamp::ZERO;

/// One end: the machine, and what it said.
pub(crate) struct End {
    pub(crate) machine: Machine,
    pub(crate) sent: Vec<(Version, Message<HybridAgreement>)>,
    /// Fingerprints of what it committed.
    pub(crate) committed: Vec<[u8; 16]>,
}

fn identity(side: Side) -> Arc<Identity> {
    static BOTH: OnceLock<[Arc<Identity>; 2]> = OnceLock::new();
    let both = BOTH.get_or_init(|| [(); 2].map(|()| Arc::new(Identity::generate())));
    Arc::clone(&both[usize::from(side.number())])
}

impl End {
    pub(crate) fn new(side: Side) -> Self {
        let hs = Secret::copy_from(&[2; 32]);
        let initial = InitialSecrets { session_id: [1; 32], suite: Suite::DEFAULT, hs, th0: [3; 32] };
        let identities = Some((identity(side), identity(side.peer()).public().clone()));
        let provider = Arc::new(SeededProvider::new(u64::from(side.number())));
        let (_, agreement) = initial.into_parts(provider, side, SecrecyMode::BestEffort, identities);
        let config = RekeyConfig::new(side, Suite::DEFAULT.id());
        Self { machine: Machine::new(config, agreement, NOW), sent: Vec::new(), committed: Vec::new() }
    }

    pub(crate) fn input(&mut self, input: Input<HybridAgreement>) -> Verdict {
        let verdict = self.machine.handle(NOW + Duration::from_secs(1), input);
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send { under, message } => self.sent.push((under, message)),
                Output::Committed { ratchet, .. } => self.committed.push(ratchet.fingerprint()),
                _ => {}
            }
        }
        verdict
    }

    /// What it makes of these bytes in a record under `under`; `None` if they are no message at all.
    pub(crate) fn receive(&mut self, under: Version, bytes: &[u8]) -> Option<Verdict> {
        let message = wire::rekey::decode_message(Suite::DEFAULT, bytes).ok()?;
        assert_eq!(wire::rekey::encode_message(&message), bytes, "a message has one encoding");
        Some(self.input(Input::Message { under, message }))
    }

    pub(crate) fn view(&self) -> View {
        self.machine.view()
    }

    pub(crate) fn last_sent(&self, kind: MessageKind) -> (Version, Vec<u8>) {
        let of_kind = self.sent.iter().rev().find(|(_, message)| message.kind() == kind);
        let (under, message) = of_kind.unwrap();
        (*under, wire::rekey::encode_message(message))
    }
}

/// A message about to arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Offer,
    Answer,
    Finish,
    Truncate,
    Acknowledge,
    Cancel,
    CancelAck,
}

pub(crate) const STEPS: [Step; 7] = [
    Step::Offer,
    Step::Answer,
    Step::Finish,
    Step::Truncate,
    Step::Acknowledge,
    Step::Cancel,
    Step::CancelAck,
];

/// Every message of one round as it was sent, with the version it was sealed under.
pub(crate) struct Stage {
    signed: bool,
    messages: Vec<(Step, Version, Vec<u8>)>,
}

impl Stage {
    /// Plays an honest round, led by the responder (the winner of version 1), and one that is withdrawn.
    pub(crate) fn new(signed: bool) -> Self {
        let mut stage = Self { signed, messages: Vec::new() };
        let (mut leader, mut loser) = (stage.leader(), stage.loser());
        stage.keep(Step::Offer, leader.last_sent(MessageKind::AliceToBob));
        stage.give(Step::Offer, &mut loser);
        stage.keep(Step::Answer, loser.last_sent(MessageKind::BobToAlice));
        stage.give(Step::Answer, &mut leader);
        let (under, finish) = leader.last_sent(MessageKind::Finish);
        let (_, mut message) = leader.sent.pop().unwrap();
        if let Body::LoserCanFinish { tag } = message.body {
            message.body = Body::Truncate { tag, earliest: Version(0) };
        }
        stage.keep(Step::Truncate, (under, wire::rekey::encode_message(&message)));
        stage.keep(Step::Finish, (under, finish));
        stage.give(Step::Finish, &mut loser);
        stage.keep(Step::Acknowledge, loser.last_sent(MessageKind::LeaderCanFinish));
        assert_eq!(leader.committed, loser.committed);
        assert_eq!(leader.committed.len(), 1);

        let mut owner = stage.leader();
        owner.input(Input::Withdraw);
        stage.keep(Step::Cancel, owner.last_sent(MessageKind::Cancel));
        let mut other = stage.loser();
        stage.give(Step::Offer, &mut other);
        stage.give(Step::Cancel, &mut other);
        stage.keep(Step::CancelAck, other.last_sent(MessageKind::CancelAck));
        stage
    }

    pub(crate) fn message(&self, step: Step) -> (Version, &[u8]) {
        let (_, under, bytes) = self.messages.iter().find(|(kept, ..)| *kept == step).unwrap();
        (*under, bytes)
    }

    /// The end that waits for the message of `step`.
    pub(crate) fn receiver(&self, step: Step) -> End {
        let (mut end, before): (End, &[Step]) = match step {
            Step::Offer => (self.loser(), &[]),
            Step::Answer => (self.leader(), &[]),
            Step::Finish | Step::Truncate | Step::Cancel => (self.loser(), &[Step::Offer]),
            Step::Acknowledge => (self.leader(), &[Step::Answer]),
            Step::CancelAck => (self.leader(), &[]),
        };
        for step in before {
            self.give(*step, &mut end);
        }
        if step == Step::CancelAck {
            end.input(Input::Withdraw);
        }
        end
    }

    /// The end that offered, waiting for an answer.
    pub(crate) fn leader(&self) -> End {
        let mut end = End::new(Side::Responder);
        if self.signed {
            end.input(Input::PathReplaced { reauthenticate: true });
        }
        end.input(Input::Trigger);
        end
    }

    fn loser(&self) -> End {
        End::new(Side::Initiator)
    }

    fn keep(&mut self, step: Step, (under, bytes): (Version, Vec<u8>)) {
        self.messages.push((step, under, bytes));
    }

    pub(crate) fn give(&self, step: Step, end: &mut End) {
        let (under, bytes) = self.message(step);
        assert_eq!(end.receive(under, bytes), Some(Verdict::Done), "{step:?}");
    }
}
