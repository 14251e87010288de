//! The only ways to a commit (I8): each consumes the state that waited for the peer's confirmation and the
//! confirmation itself, and yields a value that nothing else can make.

use super::phase::{Answered, Offered};
use super::{AgreementError, KeyAgreement, Role, RoundId};

/// A candidate that the peer has confirmed, ready to be committed.
pub(super) struct Confirmed<P: KeyAgreement> {
    round: RoundId,
    signed: bool,
    role: Role,
    candidate: P::Candidate,
}

/// Proof that a record which opened under the candidate's keys was received: the Leader holds those keys.
pub(super) struct OpenedUnderCandidate(());

impl<P: KeyAgreement> Confirmed<P> {
    /// Leader: the answer carries `confirm_b`; the provider checks signature and tag.
    pub(super) fn by_answer(
        provider: &mut P,
        offered: Offered<P>,
        answer: &P::Answer,
    ) -> Result<(Self, P::Tag), AgreementError> {
        let Offered { round, signed, secret, offer, .. } = offered;
        let (candidate, tag) = provider.complete(secret, round, signed, &offer, answer)?;
        Ok((Self { round, signed, role: Role::Leader, candidate }, tag))
    }

    /// Loser: the finish carries `confirm_a`.
    pub(super) fn by_tag(provider: &P, answered: Answered<P>, tag: &P::Tag) -> Result<Self, AgreementError> {
        if provider.verify_finish(&answered.candidate, tag) {
            Ok(Self::of(answered))
        } else {
            Err(AgreementError::KeyMismatch)
        }
    }

    /// Loser: a record opened under the candidate.
    pub(super) fn by_record(answered: Answered<P>, _: OpenedUnderCandidate) -> Self {
        Self::of(answered)
    }

    fn of(answered: Answered<P>) -> Self {
        let Answered { round, signed, candidate, .. } = answered;
        Self { round, signed, role: Role::Loser, candidate }
    }

    /// Round, flag S, own role, candidate.
    pub(super) fn into_parts(self) -> (RoundId, bool, Role, P::Candidate) {
        (self.round, self.signed, self.role, self.candidate)
    }
}

impl OpenedUnderCandidate {
    /// The driver says that a record opened under `under`: proof if that is the candidate's version.
    pub(super) fn check<P: KeyAgreement>(under: super::Version, answered: &Answered<P>) -> Option<Self> {
        (under == answered.round.version).then_some(Self(()))
    }
}
