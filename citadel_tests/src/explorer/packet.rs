//! What travels: one rekey message or one data record, with the key it was sealed under.

use super::agreement::{Answer, Offer, StandIn, Tag};
use crate::rekey::{Attempt, Body, CancelReason, Header, Input, Message, RoundId, Version};
use std::fmt;

/// A sealed record with one frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Packet {
    pub(super) under: Version,
    /// Fingerprint of the sealing version: another key of the same version does not open it.
    pub(super) fingerprint: u64,
    pub(super) content: Content,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Data,
    Rekey { round: RoundId, floor: Attempt, body: BodyFacts },
}

/// [`Body`] with the stand-in's types: copied, compared and hashed as words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum BodyFacts {
    AliceToBob { suite: u16, signed: bool, offer: Offer },
    BobToAlice { answer: Answer },
    LoserCanFinish { tag: Tag },
    Truncate { tag: Tag, earliest: Version },
    LeaderCanFinish,
    Cancel { reason: CancelReason },
    CancelAck,
}

impl Packet {
    /// `latest` and `earliest` of the header are left out: they are for logs, never for decisions, and a machine
    /// that used them would get zeros here.
    pub(super) fn sealed(under: Version, fingerprint: u64, message: &Message<StandIn>) -> Self {
        let Header { round, floor, .. } = message.header;
        let content = Content::Rekey { round, floor, body: BodyFacts::of(&message.body) };
        Self { under, fingerprint, content }
    }

    /// The input that the opened record is.
    pub(super) fn input(&self) -> Input<StandIn> {
        let under = self.under;
        match self.content {
            Content::Data => Input::Record { under },
            Content::Rekey { round, floor, body } => {
                let header = Header { round, floor, latest: Version(0), earliest: Version(0) };
                Input::Message { under, message: Message { header, body: body.body() } }
            }
        }
    }

    /// Its round, if it is the answer to it.
    pub(super) fn answers(&self) -> Option<RoundId> {
        match self.content {
            Content::Rekey { round, body: BodyFacts::BobToAlice { .. }, .. } => Some(round),
            _ => None,
        }
    }
}

impl BodyFacts {
    fn of(body: &Body<StandIn>) -> Self {
        match *body {
            Body::AliceToBob { suite, signed, offer } => Self::AliceToBob { suite, signed, offer },
            Body::BobToAlice { answer } => Self::BobToAlice { answer },
            Body::LoserCanFinish { tag } => Self::LoserCanFinish { tag },
            Body::Truncate { tag, earliest } => Self::Truncate { tag, earliest },
            Body::LeaderCanFinish => Self::LeaderCanFinish,
            Body::Cancel { reason } => Self::Cancel { reason },
            Body::CancelAck => Self::CancelAck,
        }
    }

    fn body(self) -> Body<StandIn> {
        match self {
            Self::AliceToBob { suite, signed, offer } => Body::AliceToBob { suite, signed, offer },
            Self::BobToAlice { answer } => Body::BobToAlice { answer },
            Self::LoserCanFinish { tag } => Body::LoserCanFinish { tag },
            Self::Truncate { tag, earliest } => Body::Truncate { tag, earliest },
            Self::LeaderCanFinish => Body::LeaderCanFinish,
            Self::Cancel { reason } => Body::Cancel { reason },
            Self::CancelAck => Body::CancelAck,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AliceToBob { .. } => "AliceToBob",
            Self::BobToAlice { .. } => "BobToAlice",
            Self::LoserCanFinish { .. } => "LoserCanFinish",
            Self::Truncate { .. } => "Truncate",
            Self::LeaderCanFinish => "LeaderCanFinish",
            Self::Cancel { .. } => "Cancel",
            Self::CancelAck => "CancelAck",
        }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Data => write!(f, "data under {:?}", self.under),
            Content::Rekey { round, floor, body } => {
                write!(f, "{}({round:?}, floor {floor:?}) under {:?}", body.name(), self.under)
            }
        }
    }
}
