//! Stand-in key agreement: secrets are numbers, keys and tags are hashes over the chain of transcripts.
//!
//! It keeps what matters here: two ends agree on a fingerprint exactly if they agree on every round so far and on
//! both bodies of each; a body made twice for one round differs, as fresh randomness would make it; a wrong
//! secret, answer or tag is noticed. It counts the round secrets that are alive.

use super::hash::digest;
use crate::rekey::{AgreementError, Attempt, KeyAgreement, RoundId, Side, Version};
use std::cell::Cell;

thread_local! {
    /// Round secrets alive on this thread, over all machines; a step is measured by the difference it makes.
    static ALIVE: Cell<i64> = const { Cell::new(0) };
}

/// Round secrets alive on this thread.
pub(super) fn secrets_alive() -> i64 {
    ALIVE.with(Cell::get)
}

/// Counts the secret that it stands in.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Self {
        ALIVE.with(|alive| alive.set(alive.get() + 1));
        Self
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.with(|alive| alive.set(alive.get() - 1));
    }
}

/// The offerer's secret: knows the offer that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Secret {
    offer: Offer,
    _alive: Counted,
}

/// Public body of an offer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Offer(u64);

/// Public body of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Answer {
    share: u64,
    confirm_b: u64,
}

/// `confirm_a`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Tag(u64);

/// Derived, not committed.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    keys: Keys,
    _alive: Counted,
}

impl Candidate {
    pub(super) fn fingerprint(&self) -> u64 {
        self.keys.fingerprint()
    }
}

/// What a round leads to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Keys {
    round: RoundId,
    root: u64,
    transcript: u64,
}

impl Keys {
    fn fingerprint(self) -> u64 {
        digest(("fingerprint", self.root, self.transcript))
    }

    fn confirm(self, label: &str) -> u64 {
        digest((label, self.root, self.transcript))
    }
}

/// One committed version, as both ends must see it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Committed {
    pub(super) round: RoundId,
    pub(super) fingerprint: u64,
}

/// The provider of one end.
#[derive(Clone, Debug)]
pub(super) struct StandIn {
    root: u64,
    transcript: u64,
    /// Committed versions from 1 upward.
    chain: Vec<Committed>,
    /// How often an offer, or an answer, was made for a round of a version that is not committed.
    offers: Vec<(RoundId, u32)>,
    answers: Vec<(RoundId, u32)>,
}

/// What the stand-in's behaviour depends on beyond the machine's view.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Facts {
    transcript: u64,
    remade: Vec<(RoundId, u32)>,
}

impl StandIn {
    pub(super) fn new() -> Self {
        Self { root: 1, transcript: 1, chain: Vec::new(), offers: Vec::new(), answers: Vec::new() }
    }

    /// Fingerprint of version 0.
    pub(super) fn genesis() -> u64 {
        digest(("fingerprint", 1_u64, 1_u64))
    }

    pub(super) fn chain(&self) -> &[Committed] {
        &self.chain
    }

    /// Rounds that a correct machine never offers or answers again are left out, so that they do not split states.
    pub(super) fn facts(&self, next_attempt: Attempt, peer_floor: Attempt) -> Facts {
        let offers = self.offers.iter().filter(|(round, _)| round.attempt >= next_attempt);
        let answers = self.answers.iter().filter(|(round, _)| round.attempt > peer_floor);
        let mut remade: Vec<_> = offers.chain(answers).copied().collect();
        remade.sort_unstable();
        Facts { transcript: self.transcript, remade }
    }

    fn derive(&self, round: RoundId, signed: bool, offer: Offer, own_offer: Offer, share: u64) -> Keys {
        let shared = digest(("shared", own_offer, share));
        Keys {
            round,
            root: digest(("root", self.root, shared, offer)),
            transcript: digest(("transcript", self.transcript, round, signed, offer, share)),
        }
    }
}

/// Counts one more body for `round`; returns how many there were.
fn count(made: &mut Vec<(RoundId, u32)>, round: RoundId) -> u32 {
    if let Some((_, times)) = made.iter_mut().find(|(known, _)| *known == round) {
        *times += 1;
        return *times - 1;
    }
    made.push((round, 1));
    0
}

impl KeyAgreement for StandIn {
    type Secret = Secret;
    type Offer = Offer;
    type Answer = Answer;
    type Tag = Tag;
    type Candidate = Candidate;
    type Ratchet = Committed;

    fn offer(&mut self, round: RoundId, signed: bool) -> Result<(Secret, Offer), AgreementError> {
        let offer = Offer(digest(("offer", round, signed, count(&mut self.offers, round))));
        Ok((Secret { offer, _alive: Counted::new() }, offer))
    }

    fn answer(
        &mut self,
        round: RoundId,
        signed: bool,
        offer: &Offer,
    ) -> Result<(Candidate, Answer), AgreementError> {
        let share = digest(("share", round, offer, count(&mut self.answers, round)));
        let keys = self.derive(round, signed, *offer, *offer, share);
        let answer = Answer { share, confirm_b: keys.confirm("confirm b") };
        Ok((Candidate { keys, _alive: Counted::new() }, answer))
    }

    fn complete(
        &mut self,
        secret: Secret,
        round: RoundId,
        signed: bool,
        offer: &Offer,
        answer: &Answer,
    ) -> Result<(Candidate, Tag), AgreementError> {
        let keys = self.derive(round, signed, *offer, secret.offer, answer.share);
        if answer.confirm_b != keys.confirm("confirm b") {
            return Err(AgreementError::KeyMismatch);
        }
        Ok((Candidate { keys, _alive: Counted::new() }, Tag(keys.confirm("confirm a"))))
    }

    fn verify_finish(&self, candidate: &Candidate, tag: &Tag) -> bool {
        tag.0 == candidate.keys.confirm("confirm a")
    }

    fn commit(&mut self, candidate: Candidate, _side: Side) -> Committed {
        let keys = candidate.keys;
        self.root = keys.root;
        self.transcript = keys.transcript;
        let committed = Committed { round: keys.round, fingerprint: keys.fingerprint() };
        self.chain.push(committed);
        let latest = Version(self.chain.len() as u64);
        self.offers.retain(|(round, _)| round.version > latest);
        self.answers.retain(|(round, _)| round.version > latest);
        committed
    }

    fn jitter(&mut self) -> u32 {
        0
    }
}
