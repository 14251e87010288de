//! A key agreement that counts the round secrets alive, by their drops, and draws its jitter from a seed.

use citadel_crypt::ratchets::rekey::{AgreementError, Body, KeyAgreement, Message, RoundId, Side};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Round secrets alive now and the most there ever were at once: an offer's, and a candidate.
#[derive(Clone, Default, Debug)]
pub struct SecretsAlive(Arc<Counters>);

#[derive(Default, Debug)]
struct Counters {
    alive: AtomicUsize,
    most: AtomicUsize,
}

impl SecretsAlive {
    /// How many live.
    pub fn now(&self) -> usize {
        self.0.alive.load(Ordering::SeqCst)
    }

    /// How many ever lived at once.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
}

/// Wraps a key agreement; everything but the count and the jitter is the inner one's.
#[derive(Debug)]
pub struct Counted<P> {
    inner: P,
    alive: SecretsAlive,
    random: u64,
}

/// A round secret that is counted until it is dropped.
#[derive(Debug)]
pub struct CountedSecret<S> {
    inner: S,
    _guard: Guard,
}

#[derive(Debug)]
struct Guard(SecretsAlive);

impl Guard {
    fn new(alive: &SecretsAlive) -> Self {
        let now = alive.0.alive.fetch_add(1, Ordering::SeqCst) + 1;
        alive.0.most.fetch_max(now, Ordering::SeqCst);
        Self(alive.clone())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<S> CountedSecret<S> {
    /// The secret itself.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }
}

impl<P> Counted<P> {
    /// Wraps `inner`; the counter is read through the second value.
    pub fn new(inner: P, seed: u64) -> (Self, SecretsAlive) {
        let alive = SecretsAlive::default();
        (Self { inner, alive: alive.clone(), random: seed }, alive)
    }

    fn count<S>(&self, inner: S) -> CountedSecret<S> {
        CountedSecret { inner, _guard: Guard::new(&self.alive) }
    }
}

impl<P: KeyAgreement> KeyAgreement for Counted<P> {
    type Secret = CountedSecret<P::Secret>;
    type Offer = P::Offer;
    type Answer = P::Answer;
    type Tag = P::Tag;
    type Candidate = CountedSecret<P::Candidate>;
    type Ratchet = P::Ratchet;

    fn offer(&mut self, round: RoundId, signed: bool) -> Result<(Self::Secret, P::Offer), AgreementError> {
        let (secret, offer) = self.inner.offer(round, signed)?;
        Ok((self.count(secret), offer))
    }

    fn answer(
        &mut self,
        round: RoundId,
        signed: bool,
        offer: &P::Offer,
    ) -> Result<(Self::Candidate, P::Answer), AgreementError> {
        let (candidate, answer) = self.inner.answer(round, signed, offer)?;
        Ok((self.count(candidate), answer))
    }

    fn complete(
        &mut self,
        secret: Self::Secret,
        round: RoundId,
        signed: bool,
        offer: &P::Offer,
        answer: &P::Answer,
    ) -> Result<(Self::Candidate, P::Tag), AgreementError> {
        // One secret becomes the other: its count goes over.
        let CountedSecret { inner, _guard } = secret;
        let (inner, tag) = self.inner.complete(inner, round, signed, offer, answer)?;
        Ok((CountedSecret { inner, _guard }, tag))
    }

    fn verify_finish(&self, candidate: &Self::Candidate, tag: &P::Tag) -> bool {
        self.inner.verify_finish(&candidate.inner, tag)
    }

    fn commit(&mut self, candidate: Self::Candidate, side: Side) -> P::Ratchet {
        self.inner.commit(candidate.inner, side)
    }

    fn jitter(&mut self) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::try_from(self.random >> 32).unwrap_or(0)
    }
}

/// The same message for a machine whose key agreement has the same public parts.
pub fn recast<P, Q>(message: Message<P>) -> Message<Q>
where
    P: KeyAgreement,
    Q: KeyAgreement<Offer = P::Offer, Answer = P::Answer, Tag = P::Tag>,
{
    let body = match message.body {
        Body::AliceToBob { suite, signed, offer } => Body::AliceToBob { suite, signed, offer },
        Body::BobToAlice { answer } => Body::BobToAlice { answer },
        Body::LoserCanFinish { tag } => Body::LoserCanFinish { tag },
        Body::Truncate { tag, earliest } => Body::Truncate { tag, earliest },
        Body::LeaderCanFinish => Body::LeaderCanFinish,
        Body::Cancel { reason } => Body::Cancel { reason },
        Body::CancelAck => Body::CancelAck,
    };
    Message { header: message.header, body }
}
