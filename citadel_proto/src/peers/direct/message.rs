//! What the two ends say on the service channel `\0citadel/direct` of their session.

use super::address::{self, ADDRESS_LEN, Candidates, Locality, MAX_CANDIDATES};
use core::num::NonZeroU16;

/// Longest message, bytes.
pub const MAX_DIRECT_LEN: usize = 512;

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectMessage {
    /// The initiator begins an attempt.
    Begin {
        /// Its number, above every one before.
        attempt: u32,
    },
    /// The responder takes part.
    Offer {
        /// Which attempt.
        attempt: u32,
        /// Where the responder may be reached.
        candidates: Candidates,
    },
    /// The initiator's addresses; both probe from now on.
    Answer {
        /// Which attempt.
        attempt: u32,
        /// Where the initiator may be reached.
        candidates: Candidates,
    },
    /// The responder's network changed, or it wants another attempt for another reason.
    Renew,
}

/// The bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a message about direct paths")]
pub struct NotDirect;

impl DirectMessage {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Begin { attempt } => head(1, *attempt),
            Self::Offer { attempt, candidates } => with_candidates(2, *attempt, candidates),
            Self::Answer { attempt, candidates } => with_candidates(3, *attempt, candidates),
            Self::Renew => vec![4],
        }
    }

    /// The message that `bytes` are, all of them. Addresses that `locality` does not admit make it none.
    ///
    /// # Errors
    /// [`NotDirect`].
    pub fn decode(bytes: &[u8], locality: Locality) -> Result<Self, NotDirect> {
        let (kind, rest) = bytes.split_first().ok_or(NotDirect)?;
        if let (4, []) = (kind, rest) {
            return Ok(Self::Renew);
        }
        let (attempt, rest) = rest.split_first_chunk().ok_or(NotDirect)?;
        let attempt = u32::from_be_bytes(*attempt);
        match (kind, rest) {
            (1, []) => Ok(Self::Begin { attempt }),
            (2, rest) => Ok(Self::Offer { attempt, candidates: candidates(rest, locality)? }),
            (3, rest) => Ok(Self::Answer { attempt, candidates: candidates(rest, locality)? }),
            _ => Err(NotDirect),
        }
    }
}

fn head(kind: u8, attempt: u32) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&attempt.to_be_bytes());
    bytes
}

fn with_candidates(kind: u8, attempt: u32, candidates: &Candidates) -> Vec<u8> {
    let mut bytes = head(kind, attempt);
    let addresses = candidates.addresses();
    bytes.push(u8::try_from(addresses.len()).unwrap_or(u8::MAX));
    addresses.iter().for_each(|address| bytes.extend_from_slice(&address::encode(*address)));
    bytes.extend_from_slice(&candidates.tcp().map_or(0, NonZeroU16::get).to_be_bytes());
    bytes
}

fn candidates(bytes: &[u8], locality: Locality) -> Result<Candidates, NotDirect> {
    let (count, rest) = bytes.split_first().ok_or(NotDirect)?;
    let (rest, tcp) = rest.split_last_chunk().ok_or(NotDirect)?;
    let tcp = NonZeroU16::new(u16::from_be_bytes(*tcp));
    let (addresses, leftover) = rest.as_chunks::<ADDRESS_LEN>();
    let count = usize::from(*count);
    if !leftover.is_empty() || addresses.len() != count || count > MAX_CANDIDATES {
        return Err(NotDirect);
    }
    let addresses: Option<Vec<_>> = addresses.iter().map(address::decode).collect();
    Candidates::told(&addresses.ok_or(NotDirect)?, tcp, locality).ok_or(NotDirect)
}
