//! One seeded bit of every byte of every message.

use super::stage::{End, STEPS, Stage, Step};
use citadel_crypt::ratchets::rekey::{
    Attempt, Fatal, Input, Lifecycle, MessageKind, Side, Verdict, Version, View,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rstest::rstest;

/// Where the tag of an answer stands, written again.
const CONFIRM_B: std::ops::Range<usize> = 45 + 32 + 8 + 1088..45 + 32 + 8 + 1088 + 32;

/// What a byte of a message belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    /// Version and attempt of the round.
    Round,
    Side,
    Floor,
    /// Latest and earliest version of the sender: for logs.
    Log,
    Kind,
    /// Last field of a `Truncate`.
    Earliest,
    /// Reason of a `Cancel`: for logs.
    Reason,
    /// Everything that key agreement looks at.
    Body,
}

/// The wire layout, written again.
fn field_of(step: Step, byte: usize) -> Field {
    match byte {
        0..8 | 9..17 => Field::Round,
        8 => Field::Side,
        17..25 => Field::Floor,
        25..41 => Field::Log,
        41..45 => Field::Kind,
        _ => match step {
            Step::Truncate if byte >= 45 + 32 => Field::Earliest,
            Step::Cancel => Field::Reason,
            _ => Field::Body,
        },
    }
}

/// The view with what a floor may say blanked.
fn without_floor(mut view: View) -> View {
    view.peer_floor = Attempt(0);
    view
}

#[rstest]
#[case::unsigned(false)]
#[case::signed(true)]
fn a_changed_bit_moves_nothing_or_closes(#[case] signed: bool) {
    let stage = Stage::new(signed);
    let mut random = ChaCha20Rng::seed_from_u64(11);
    for step in STEPS {
        if signed && !matches!(step, Step::Offer | Step::Answer) {
            continue;
        }
        let (under, honest) = stage.message(step);
        let mut bytes = honest.to_vec();
        for byte in 0..bytes.len() {
            let bit = 1 << (random.next_u32() % 8);
            bytes[byte] ^= bit;
            Changed { stage: &stage, signed, step, byte, under, bytes: &bytes }.check();
            bytes[byte] ^= bit;
        }
        for len in 0..honest.len() {
            assert_eq!(
                End::new(step_side(step)).receive(under, &honest[..len]),
                None,
                "{step:?} cut to {len}"
            );
        }
        assert_eq!(End::new(step_side(step)).receive(under, &[honest, &[0]].concat()), None);
    }
}

fn step_side(step: Step) -> Side {
    match step {
        Step::Answer | Step::Acknowledge | Step::CancelAck => Side::Responder,
        Step::Offer | Step::Finish | Step::Truncate | Step::Cancel => Side::Initiator,
    }
}

/// One changed message.
struct Changed<'a> {
    stage: &'a Stage,
    signed: bool,
    step: Step,
    byte: usize,
    under: Version,
    bytes: &'a [u8],
}

impl Changed<'_> {
    fn check(&self) {
        let field = field_of(self.step, self.byte);
        let mut end = self.stage.receiver(self.step);
        let before = end.view();
        let verdict = end.receive(self.under, self.bytes);
        let name = format!("{:?} byte {} ({field:?}): {verdict:?}", self.step, self.byte);
        match verdict {
            None => assert_eq!(end.view(), before, "{name}"),
            Some(Verdict::Closed(fatal)) => {
                assert_eq!(end.view().lifecycle, Lifecycle::Closed(fatal), "{name}");
                assert!(end.committed.is_empty() || self.step == Step::Acknowledge, "{name}");
                self.check_fatal(field, fatal, &name);
            }
            Some(_) if end.view() == before => self.check_unmoved(field, &name),
            Some(_) => self.check_moved(field, &mut end, &before, &name),
        }
    }

    /// Closed: with a reason that belongs to the field.
    fn check_fatal(&self, field: Field, fatal: Fatal, name: &str) {
        let is_expected = match (field, fatal) {
            (Field::Log | Field::Reason | Field::Earliest, _) => false,
            (_, Fatal::ProtocolViolation(_)) => true,
            (Field::Round | Field::Body, Fatal::AuthFailed) => true,
            // In a signed round only the tag is not under the signature.
            (Field::Body, Fatal::KeyMismatch) => !self.signed || CONFIRM_B.contains(&self.byte),
            (_, Fatal::KeyMismatch) => !self.signed,
            _ => false,
        };
        assert!(is_expected, "{name}");
    }

    /// Not moved: fine unless the field is one that says nothing.
    fn check_unmoved(&self, field: Field, name: &str) {
        assert!(!matches!(field, Field::Log | Field::Reason | Field::Earliest), "{name}");
    }

    /// Moved: only by what a message does whatever this field says.
    fn check_moved(&self, field: Field, end: &mut End, before: &View, name: &str) {
        let mut honest = self.stage.receiver(self.step);
        self.stage.give(self.step, &mut honest);
        let after = end.view();
        match (self.step, field) {
            (_, Field::Log | Field::Reason) => assert_eq!(after, honest.view(), "{name}"),
            (Step::Truncate, Field::Earliest) => {
                assert_eq!(end.committed, honest.committed, "{name}");
                assert!(after.earliest < after.latest, "{name}");
            }
            // An unsigned offer is what its sender says: another one gets another answer, which its sender refuses.
            (Step::Offer, Field::Round | Field::Floor | Field::Body)
                if !self.signed || field == Field::Floor =>
            {
                assert!(end.committed.is_empty(), "{name}");
                self.check_refused_by_the_offerer(field, end, name);
            }
            // The record itself is the proof, so the commit is the same one.
            (Step::Finish | Step::Truncate, Field::Round | Field::Floor | Field::Kind) => {
                assert_eq!(end.committed, honest.committed, "{name}");
                assert_eq!(after.phase, honest.view().phase, "{name}");
            }
            (Step::Acknowledge, _) => {
                let mut plain = self.stage.receiver(self.step);
                plain.input(Input::Record { under: self.under });
                assert_eq!(without_floor(after), without_floor(plain.view()), "{name}");
            }
            // A floor, and the attempt of a cancelled round, are statements of their own: they end rounds and commit
            // nothing that is not the same on both ends.
            (Step::Answer, Field::Floor) => assert_eq!(end.committed, honest.committed, "{name}"),
            (Step::Cancel | Step::CancelAck | Step::Answer, Field::Floor | Field::Round) => {
                assert!(end.committed.is_empty(), "{name}");
                assert_eq!((after.latest, after.earliest), (before.latest, before.earliest), "{name}");
            }
            _ => assert_eq!(after, *before, "{name}"),
        }
    }

    fn check_refused_by_the_offerer(&self, field: Field, end: &End, name: &str) {
        if !end.sent.iter().any(|(_, message)| message.kind() == MessageKind::BobToAlice) {
            return;
        }
        let (under, answer) = end.last_sent(MessageKind::BobToAlice);
        let mut offerer = self.stage.leader();
        let before = offerer.view();
        let verdict = offerer.receive(under, &answer);
        match field {
            Field::Floor => assert_eq!(offerer.committed.len(), 1, "{name}"),
            Field::Round => assert_eq!(offerer.view(), before, "{name}: {verdict:?}"),
            _ => assert!(
                matches!(verdict, Some(Verdict::Closed(Fatal::KeyMismatch | Fatal::AuthFailed))),
                "{name}: {verdict:?}"
            ),
        }
        assert!(field == Field::Floor || offerer.committed.is_empty(), "{name}");
    }
}
