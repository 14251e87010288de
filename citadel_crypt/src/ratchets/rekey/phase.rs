//! One struct per state of the round; what a state owns lives and dies with it.

use super::timers::Retry;
use super::{Attempt, Body, CancelReason, KeyAgreement, RoundId, Version};

/// State of the round at hand. Arrows are functions of the machine:
///
/// ```text
///            trigger, settle: start_round               on_answer: commit
///      Idle ------------------------------> Offered ----------------------> Confirming
///      |  ^                                  |    |                              |
///      |  |                     hold_offer   |    | withdraw, halt               | acknowledged
///      |  | <-------- (peer is winner) ------+    v                              v
///      |  | <------------------------------- Withdrawing                        Idle
///      |  |        on_cancel_ack
///      |  |
///      |  +---- drop_candidate (Cancel, floor), commit (finish, record under the candidate)
///      v                |
///     Answered ---------+
///   settle: answer_held
/// ```
pub(super) enum State<P: KeyAgreement> {
    /// No round.
    Idle(Idle<P>),
    /// Own offer is out, waiting for the answer.
    Offered(Offered<P>),
    /// Committed as Leader, waiting for a record under the new version.
    Confirming(Confirming<P>),
    /// Answered as Loser, waiting for the finish.
    Answered(Answered<P>),
    /// Own round is dead, waiting until the peer knows.
    Withdrawing(Withdrawing<P>),
}

/// No round, no secret.
pub(super) struct Idle<P: KeyAgreement> {
    /// The newest offer that is not answered yet; outlives a step only while it waits for a token.
    pub(super) held: Option<HeldOffer<P>>,
}

/// Own offer is out. The only place of a round's key agreement secrets (I9).
pub(super) struct Offered<P: KeyAgreement> {
    pub(super) round: RoundId,
    pub(super) signed: bool,
    pub(super) secret: P::Secret,
    pub(super) offer: P::Offer,
    /// The newest offer of the peer that wins against this one but waits for a token. Until it comes the own
    /// round stays: else a peer could have us make a new one with every offer that it cancels again.
    pub(super) held: Option<HeldOffer<P>>,
    pub(super) retry: Retry,
}

/// Own round is committed here, maybe not yet there.
pub(super) struct Confirming<P: KeyAgreement> {
    pub(super) round: RoundId,
    pub(super) tag: P::Tag,
    /// The new earliest version where the commit found the window full.
    pub(super) truncate: Option<Version>,
    pub(super) retry: Retry,
}

/// The peer's round is answered; the candidate may open records but does not seal.
pub(super) struct Answered<P: KeyAgreement> {
    pub(super) round: RoundId,
    pub(super) signed: bool,
    pub(super) candidate: P::Candidate,
    pub(super) answer: P::Answer,
    pub(super) retry: Retry,
}

/// Own round is withdrawn, its secrets are gone.
pub(super) struct Withdrawing<P: KeyAgreement> {
    pub(super) round: RoundId,
    pub(super) reason: CancelReason,
    pub(super) held: Option<HeldOffer<P>>,
    pub(super) retry: Retry,
}

/// An offer of the peer that passed every check and waits to be answered.
pub(super) struct HeldOffer<P: KeyAgreement> {
    pub(super) round: RoundId,
    pub(super) signed: bool,
    pub(super) offer: P::Offer,
}

impl<P: KeyAgreement> State<P> {
    /// Idle without anything.
    pub(super) const IDLE: Self = Self::Idle(Idle { held: None });

    /// Whether no round is at hand.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Self::Idle(_))
    }

    /// The own round that may still be committed or is (Offered, Confirming).
    pub(super) fn live_round(&self) -> Option<RoundId> {
        match self {
            Self::Offered(o) => Some(o.round),
            Self::Confirming(c) => Some(c.round),
            Self::Idle(_) | Self::Answered(_) | Self::Withdrawing(_) => None,
        }
    }

    /// The timer of the state; only Idle has none (I10).
    pub(super) fn retry(&self) -> Option<&Retry> {
        match self {
            Self::Idle(_) => None,
            Self::Offered(o) => Some(&o.retry),
            Self::Confirming(c) => Some(&c.retry),
            Self::Answered(a) => Some(&a.retry),
            Self::Withdrawing(w) => Some(&w.retry),
        }
    }

    /// As [`retry`](Self::retry).
    pub(super) fn retry_mut(&mut self) -> Option<&mut Retry> {
        match self {
            Self::Idle(_) => None,
            Self::Offered(o) => Some(&mut o.retry),
            Self::Confirming(c) => Some(&mut c.retry),
            Self::Answered(a) => Some(&mut a.retry),
            Self::Withdrawing(w) => Some(&mut w.retry),
        }
    }

    /// The message that this state owes the peer until it is left: the same body each time.
    pub(super) fn message(&self, suite: u16) -> Option<(RoundId, Body<P>)> {
        match self {
            Self::Idle(_) => None,
            Self::Offered(o) => {
                Some((o.round, Body::AliceToBob { suite, signed: o.signed, offer: o.offer.clone() }))
            }
            Self::Confirming(c) => {
                let tag = c.tag.clone();
                let body = match c.truncate {
                    Some(earliest) => Body::Truncate { tag, earliest },
                    None => Body::LoserCanFinish { tag },
                };
                Some((c.round, body))
            }
            Self::Answered(a) => Some((a.round, Body::BobToAlice { answer: a.answer.clone() })),
            Self::Withdrawing(w) => Some((w.round, Body::Cancel { reason: w.reason })),
        }
    }

    /// The round at hand, whoever owns it.
    pub(super) fn round(&self) -> Option<RoundId> {
        match self {
            Self::Idle(_) => None,
            Self::Offered(o) => Some(o.round),
            Self::Confirming(c) => Some(c.round),
            Self::Answered(a) => Some(a.round),
            Self::Withdrawing(w) => Some(w.round),
        }
    }

    /// The place for an offer that cannot be answered in this step.
    pub(super) fn held_mut(&mut self) -> Option<&mut Option<HeldOffer<P>>> {
        match self {
            Self::Idle(idle) => Some(&mut idle.held),
            Self::Offered(o) => Some(&mut o.held),
            Self::Withdrawing(w) => Some(&mut w.held),
            Self::Confirming(_) | Self::Answered(_) => None,
        }
    }

    /// Drops a held offer that the peer's floor passed.
    pub(super) fn drop_held_up_to(&mut self, floor: Attempt) {
        if let Some(held) = self.held_mut()
            && held.as_ref().is_some_and(|h| h.round.attempt <= floor)
        {
            *held = None;
        }
    }
}

impl<P: KeyAgreement> Clone for HeldOffer<P> {
    fn clone(&self) -> Self {
        Self { round: self.round, signed: self.signed, offer: self.offer.clone() }
    }
}

impl<P> Clone for State<P>
where
    P: KeyAgreement,
    P::Secret: Clone,
    P::Candidate: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::Idle(i) => Self::Idle(Idle { held: i.held.clone() }),
            Self::Offered(o) => Self::Offered(Offered {
                round: o.round,
                signed: o.signed,
                secret: o.secret.clone(),
                offer: o.offer.clone(),
                held: o.held.clone(),
                retry: o.retry.clone(),
            }),
            Self::Confirming(c) => Self::Confirming(Confirming {
                round: c.round,
                tag: c.tag.clone(),
                truncate: c.truncate,
                retry: c.retry.clone(),
            }),
            Self::Answered(a) => Self::Answered(Answered {
                round: a.round,
                signed: a.signed,
                candidate: a.candidate.clone(),
                answer: a.answer.clone(),
                retry: a.retry.clone(),
            }),
            Self::Withdrawing(w) => Self::Withdrawing(Withdrawing {
                round: w.round,
                reason: w.reason,
                held: w.held.clone(),
                retry: w.retry.clone(),
            }),
        }
    }
}
