//! Bytes of rekey messages. Every length is the one that the session's suite gives, or the message is refused.

use super::{WireError, decode_borrowed, encode};
use crate::identity::HybridSignature;
use crate::ratchets::rekey::{Attempt, Body, CancelReason, Header, Message, RoundId, Side, Version};
use crate::ratchets::{ConfirmTag, HybridAgreement, HybridAnswer, HybridOffer};
use crate::suite::Suite;
use serde::{Deserialize, Serialize};

/// The longest message of any suite, bytes: a signed offer of ML-KEM-1024 is the longest.
pub const MAX_MESSAGE_LEN: usize = 64 + 1568 + 32 + 32 + HybridSignature::LEN + 64;

#[derive(Serialize, Deserialize)]
struct WireMessage<'a> {
    version: u64,
    side: u8,
    attempt: u64,
    floor: u64,
    latest: u64,
    earliest: u64,
    #[serde(borrow)]
    body: WireBody<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireBody<'a> {
    AliceToBob { suite: u16, signed: bool, share: [u8; 32], kem_key: &'a [u8], signature: Option<&'a [u8]> },
    BobToAlice { share: [u8; 32], ciphertext: &'a [u8], confirm: [u8; 32], signature: Option<&'a [u8]> },
    LoserCanFinish { confirm: [u8; 32] },
    Truncate { confirm: [u8; 32], earliest: u64 },
    LeaderCanFinish,
    Cancel { reason: u8 },
    CancelAck,
}

/// The bytes of `message`.
pub fn encode_message(message: &Message<HybridAgreement>) -> Vec<u8> {
    let Header { round, floor, latest, earliest } = message.header;
    let wire = WireMessage {
        version: round.version.0,
        side: round.side.number(),
        attempt: round.attempt.0,
        floor: floor.0,
        latest: latest.0,
        earliest: earliest.0,
        body: WireBody::from(&message.body),
    };
    encode(&wire).expect("integers, arrays and byte slices always encode into memory")
}

impl<'a> From<&'a Body<HybridAgreement>> for WireBody<'a> {
    fn from(body: &'a Body<HybridAgreement>) -> Self {
        match body {
            Body::AliceToBob { suite, signed, offer } => Self::AliceToBob {
                suite: *suite,
                signed: *signed,
                share: offer.share,
                kem_key: &offer.kem_key,
                signature: offer.signature.as_ref().map(HybridSignature::as_bytes),
            },
            Body::BobToAlice { answer } => Self::BobToAlice {
                share: answer.share,
                ciphertext: &answer.ciphertext,
                confirm: answer.confirm.0,
                signature: answer.signature.as_ref().map(HybridSignature::as_bytes),
            },
            Body::LoserCanFinish { tag } => Self::LoserCanFinish { confirm: tag.0 },
            Body::Truncate { tag, earliest } => Self::Truncate { confirm: tag.0, earliest: earliest.0 },
            Body::LeaderCanFinish => Self::LeaderCanFinish,
            Body::Cancel { reason } => Self::Cancel { reason: reason_number(*reason) },
            Body::CancelAck => Self::CancelAck,
        }
    }
}

/// The message that `bytes` are, all of them, in a session of `suite`. The suite that an offer names is not judged
/// here: the machine does that.
///
/// # Errors
/// [`WireError`].
pub fn decode_message(suite: Suite, bytes: &[u8]) -> Result<Message<HybridAgreement>, WireError> {
    let wire: WireMessage<'_> = decode_borrowed(bytes, MAX_MESSAGE_LEN)?;
    let round = RoundId {
        version: Version(wire.version),
        side: Side::from_number(wire.side).ok_or(WireError::Malformed)?,
        attempt: Attempt(wire.attempt),
    };
    // Version 0 comes from the handshake and attempt 0 means "none yet"; the highest of each have no successor.
    let counted = |number: u64| number != 0 && number != u64::MAX;
    if !counted(wire.version) || !counted(wire.attempt) || wire.floor == u64::MAX {
        return Err(WireError::Malformed);
    }
    let header = Header {
        round,
        floor: Attempt(wire.floor),
        latest: Version(wire.latest),
        earliest: Version(wire.earliest),
    };
    Ok(Message { header, body: decode_body(suite, wire.body)? })
}

fn decode_body(suite: Suite, body: WireBody<'_>) -> Result<Body<HybridAgreement>, WireError> {
    Ok(match body {
        WireBody::AliceToBob { suite: named, signed, share, kem_key, signature } => {
            let kem_key = exactly(kem_key, suite.kem.encapsulation_key_len())?;
            let offer = HybridOffer { share, kem_key, signature: decode_signature(signature)? };
            Body::AliceToBob { suite: named, signed, offer }
        }
        WireBody::BobToAlice { share, ciphertext, confirm, signature } => {
            let ciphertext = exactly(ciphertext, suite.kem.ciphertext_len())?;
            let (confirm, signature) = (ConfirmTag(confirm), decode_signature(signature)?);
            Body::BobToAlice { answer: HybridAnswer { share, ciphertext, confirm, signature } }
        }
        WireBody::LoserCanFinish { confirm } => Body::LoserCanFinish { tag: ConfirmTag(confirm) },
        WireBody::Truncate { confirm, earliest } => {
            Body::Truncate { tag: ConfirmTag(confirm), earliest: Version(earliest) }
        }
        WireBody::LeaderCanFinish => Body::LeaderCanFinish,
        WireBody::Cancel { reason } => Body::Cancel { reason: reason_of(reason)? },
        WireBody::CancelAck => Body::CancelAck,
    })
}

fn exactly(bytes: &[u8], len: usize) -> Result<Box<[u8]>, WireError> {
    if bytes.len() == len { Ok(bytes.into()) } else { Err(WireError::Malformed) }
}

fn decode_signature(bytes: Option<&[u8]>) -> Result<Option<HybridSignature>, WireError> {
    bytes.map(HybridSignature::from_bytes).transpose().map_err(|_| WireError::Malformed)
}

fn reason_number(reason: CancelReason) -> u8 {
    match reason {
        CancelReason::Withdrawn => 1,
        CancelReason::Halting => 2,
        CancelReason::Unknown => 3,
    }
}

fn reason_of(number: u8) -> Result<CancelReason, WireError> {
    match number {
        1 => Ok(CancelReason::Withdrawn),
        2 => Ok(CancelReason::Halting),
        3 => Ok(CancelReason::Unknown),
        _ => Err(WireError::Malformed),
    }
}
