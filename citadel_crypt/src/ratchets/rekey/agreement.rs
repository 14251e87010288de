//! What the machine needs from cryptography, injected: it depends on no crypto crate itself.

use super::{RoundId, Side};
use core::fmt;

/// Key agreement for rekey rounds, with the chain of roots and transcripts behind it.
///
/// The provider keeps root and transcript hash of the latest *committed* version; [`commit`](Self::commit)
/// moves them forward and wipes the old root. Every method is deterministic given the provider's own
/// randomness. None may block.
pub trait KeyAgreement {
    /// The offering side's KEM and X25519 secrets (its *constructor*); wiped on drop.
    type Secret;
    /// Public body of `AliceToBob`, signature included where the round is signed; repeated byte for byte.
    type Offer: Clone + Eq + fmt::Debug;
    /// Public body of `BobToAlice`: share, ciphertext, `confirm_b`, signature included where signed.
    type Answer: Clone + Eq + fmt::Debug;
    /// `confirm_a`, the tag of a finish.
    type Tag: Clone + Eq + fmt::Debug;
    /// A ratchet that is derived but not committed; its receive keys may open records. Wiped on drop.
    type Candidate;
    /// A committed ratchet, handed to the driver.
    type Ratchet;

    /// Makes a fresh offer for `round`, signed if `signed`.
    ///
    /// # Errors
    /// [`AgreementError::Unavailable`] when randomness or key generation failed.
    fn offer(&mut self, round: RoundId, signed: bool) -> Result<(Self::Secret, Self::Offer), AgreementError>;

    /// Answers `offer`: checks its signature first if `signed`, then derives the candidate.
    ///
    /// # Errors
    /// [`AgreementError::AuthFailed`] for a missing or wrong signature, [`AgreementError::KeyMismatch`] for a
    /// share or KEM key that fails its checks.
    fn answer(
        &mut self,
        round: RoundId,
        signed: bool,
        offer: &Self::Offer,
    ) -> Result<(Self::Candidate, Self::Answer), AgreementError>;

    /// Completes the own round: checks the answer's signature if `signed`, decapsulates, checks `confirm_b`.
    /// Consumes the secret; returns the candidate and the tag of the finish.
    ///
    /// # Errors
    /// As [`answer`](Self::answer); a wrong `confirm_b` is [`AgreementError::KeyMismatch`].
    fn complete(
        &mut self,
        secret: Self::Secret,
        round: RoundId,
        signed: bool,
        offer: &Self::Offer,
        answer: &Self::Answer,
    ) -> Result<(Self::Candidate, Self::Tag), AgreementError>;

    /// Whether `tag` is `confirm_a` of the candidate; constant time.
    fn verify_finish(&self, candidate: &Self::Candidate, tag: &Self::Tag) -> bool;

    /// Makes the candidate the committed version: its root and transcript replace the old ones, which are
    /// wiped. `side` is the own side, so that the ratchet knows which keys send.
    fn commit(&mut self, candidate: Self::Candidate, side: Side) -> Self::Ratchet;

    /// A uniform number for timer jitter; not secret.
    fn jitter(&mut self) -> u32;
}

/// Why a key agreement step failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AgreementError {
    /// The peer's signature is missing or wrong.
    AuthFailed,
    /// The peer's share, KEM key, ciphertext or confirmation tag fails its check.
    KeyMismatch,
    /// Our own randomness or key generation failed.
    Unavailable,
}
