//! The messages of a round.

use super::{Attempt, KeyAgreement, RoundId, Version};
use core::fmt;

/// One rekey message. The header is written anew at each sending; the body is cached and repeated as it was.
pub struct Message<P: KeyAgreement> {
    /// Round and facts about the sender.
    pub header: Header,
    /// The message proper.
    pub body: Body<P>,
}

/// Header of every message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// The round that the message belongs to.
    pub round: RoundId,
    /// Every attempt of the sender up to this one is dead.
    pub floor: Attempt,
    /// The sender's latest version: for logs, never for decisions.
    pub latest: Version,
    /// The sender's earliest version: for logs, never for decisions.
    pub earliest: Version,
}

/// Body of a message.
pub enum Body<P: KeyAgreement> {
    /// Offer, from the offerer, sealed under `round.version − 1`.
    AliceToBob {
        /// Number of the session's suite.
        suite: u16,
        /// Flag S: both bodies carry a signature by the identity.
        signed: bool,
        /// Share and KEM key.
        offer: P::Offer,
    },
    /// Answer, sealed under `round.version − 1`.
    BobToAlice {
        /// Share, ciphertext and `confirm_b`.
        answer: P::Answer,
    },
    /// Finish, from the Leader, sealed under `round.version`.
    LoserCanFinish {
        /// `confirm_a`.
        tag: P::Tag,
    },
    /// Finish of a Leader whose window was full, sealed under `round.version`.
    Truncate {
        /// `confirm_a`.
        tag: P::Tag,
        /// The Leader's new earliest version.
        earliest: Version,
    },
    /// Acknowledgement of the finish, from the Loser, sealed under `round.version`.
    LeaderCanFinish,
    /// The round is dead, says its owner: by withdrawal, halt, or as the NACK of an answer to it. Sealed under
    /// the sender's latest.
    Cancel {
        /// Why.
        reason: CancelReason,
    },
    /// The cancel was taken note of. Sealed under the sender's latest.
    CancelAck,
}

/// Why a round was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CancelReason {
    /// Its owner withdrew it.
    Withdrawn,
    /// Its owner is halting.
    Halting,
    /// Answer to a message of a round that its owner does not know as live (NACK).
    Unknown,
}

/// Kind of a message: an endpoint owes at most one of each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageKind {
    /// [`Body::AliceToBob`].
    AliceToBob,
    /// [`Body::BobToAlice`].
    BobToAlice,
    /// [`Body::LoserCanFinish`] or [`Body::Truncate`].
    Finish,
    /// [`Body::LeaderCanFinish`].
    LeaderCanFinish,
    /// [`Body::Cancel`].
    Cancel,
    /// [`Body::CancelAck`].
    CancelAck,
}

impl<P: KeyAgreement> Message<P> {
    /// Kind of the message.
    pub fn kind(&self) -> MessageKind {
        match self.body {
            Body::AliceToBob { .. } => MessageKind::AliceToBob,
            Body::BobToAlice { .. } => MessageKind::BobToAlice,
            Body::LoserCanFinish { .. } | Body::Truncate { .. } => MessageKind::Finish,
            Body::LeaderCanFinish => MessageKind::LeaderCanFinish,
            Body::Cancel { .. } => MessageKind::Cancel,
            Body::CancelAck => MessageKind::CancelAck,
        }
    }

    /// Whether it is a finish (`LoserCanFinish` or `Truncate`).
    pub fn is_finish(&self) -> bool {
        self.kind() == MessageKind::Finish
    }
}

impl<P: KeyAgreement> Clone for Message<P> {
    fn clone(&self) -> Self {
        Self { header: self.header, body: self.body.clone() }
    }
}

impl<P: KeyAgreement> PartialEq for Message<P> {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.body == other.body
    }
}

impl<P: KeyAgreement> Eq for Message<P> {}

impl<P: KeyAgreement> fmt::Debug for Message<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?}, floor {:?})", self.kind(), self.header.round, self.header.floor)
    }
}

impl<P: KeyAgreement> Clone for Body<P> {
    fn clone(&self) -> Self {
        match self {
            Self::AliceToBob { suite, signed, offer } => {
                Self::AliceToBob { suite: *suite, signed: *signed, offer: offer.clone() }
            }
            Self::BobToAlice { answer } => Self::BobToAlice { answer: answer.clone() },
            Self::LoserCanFinish { tag } => Self::LoserCanFinish { tag: tag.clone() },
            Self::Truncate { tag, earliest } => Self::Truncate { tag: tag.clone(), earliest: *earliest },
            Self::LeaderCanFinish => Self::LeaderCanFinish,
            Self::Cancel { reason } => Self::Cancel { reason: *reason },
            Self::CancelAck => Self::CancelAck,
        }
    }
}

impl<P: KeyAgreement> PartialEq for Body<P> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::AliceToBob { suite, signed, offer },
                Self::AliceToBob { suite: s, signed: g, offer: o },
            ) => suite == s && signed == g && offer == o,
            (Self::BobToAlice { answer }, Self::BobToAlice { answer: a }) => answer == a,
            (Self::LoserCanFinish { tag }, Self::LoserCanFinish { tag: t }) => tag == t,
            (Self::Truncate { tag, earliest }, Self::Truncate { tag: t, earliest: e }) => {
                tag == t && earliest == e
            }
            (Self::Cancel { reason }, Self::Cancel { reason: r }) => reason == r,
            (Self::LeaderCanFinish, Self::LeaderCanFinish) | (Self::CancelAck, Self::CancelAck) => true,
            _ => false,
        }
    }
}

impl<P: KeyAgreement> Eq for Body<P> {}
