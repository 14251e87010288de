//! Key agreement by arithmetic: shows which round and which root a key came from, hides nothing.

use crate::ratchets::rekey::{AgreementError, KeyAgreement, RoundId, Side};

/// A signature is the share again, or missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    pub(super) share: u64,
    pub(super) signature: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) share: u64,
    pub(super) confirm: u64,
    pub(super) signature: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Arithmetic {
    pub(super) root: u64,
    pub(super) next: u64,
    pub(super) jitter: u32,
}

impl Arithmetic {
    pub(super) fn new(seed: u64) -> Self {
        Self { root: 7, next: seed, jitter: 0 }
    }

    pub(super) fn key(root: u64, round: RoundId, offer: u64, answer: u64) -> u64 {
        [round.version.0, u64::from(round.side.number()), round.attempt.0, offer, answer]
            .into_iter()
            .fold(root, |hash, part| (hash ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29))
    }

    fn draw(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn check(signed: bool, share: u64, signature: Option<u64>) -> Result<(), AgreementError> {
    if signed == signature.is_some_and(|s| s == share) { Ok(()) } else { Err(AgreementError::AuthFailed) }
}

impl KeyAgreement for Arithmetic {
    type Secret = u64;
    type Offer = Offer;
    type Answer = Answer;
    type Tag = u64;
    type Candidate = u64;
    type Ratchet = u64;

    fn offer(&mut self, _: RoundId, signed: bool) -> Result<(u64, Offer), AgreementError> {
        let share = self.draw();
        Ok((share, Offer { share, signature: signed.then_some(share) }))
    }

    fn answer(
        &mut self,
        round: RoundId,
        signed: bool,
        offer: &Offer,
    ) -> Result<(u64, Answer), AgreementError> {
        check(signed, offer.share, offer.signature)?;
        let share = self.draw();
        let key = Self::key(self.root, round, offer.share, share);
        Ok((key, Answer { share, confirm: key ^ 0xB, signature: signed.then_some(share) }))
    }

    fn complete(
        &mut self,
        secret: u64,
        round: RoundId,
        signed: bool,
        _: &Offer,
        answer: &Answer,
    ) -> Result<(u64, u64), AgreementError> {
        check(signed, answer.share, answer.signature)?;
        let key = Self::key(self.root, round, secret, answer.share);
        if answer.confirm == key ^ 0xB { Ok((key, key ^ 0xA)) } else { Err(AgreementError::KeyMismatch) }
    }

    fn verify_finish(&self, candidate: &u64, tag: &u64) -> bool {
        *tag == candidate ^ 0xA
    }

    fn commit(&mut self, candidate: u64, _: Side) -> u64 {
        self.root = candidate;
        candidate
    }

    fn jitter(&mut self) -> u32 {
        self.jitter
    }
}
