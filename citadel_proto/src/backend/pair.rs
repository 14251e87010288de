//! Pairs of accounts as they are stored.

use super::account::{Revision, UnixTime};
use crate::peers::{Half, Pair, Stance};
use citadel_crypt::wire;
use serde::{Deserialize, Serialize};

/// What two accounts have agreed about each other, with its revision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPair {
    /// The pair.
    pub pair: Pair,
    /// Rises with every change, also over a time without a record: a pair that is made again never has an old one.
    pub revision: Revision,
}

/// How much two accounts may have for a pair to be set, and when that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PairLimits {
    /// Most pairs of an account that count for it ([`Pair::counts_for`]).
    pub pairs: usize,
    /// Most requests that wait for its answer ([`Pair::waits_for`]).
    pub requests: usize,
    /// What is over by now ([`Pair::lapse`]) takes no place.
    pub now: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct HalfContent<'a> {
    stance: u8,
    at: u64,
    statement: &'a [u8],
    blocks: bool,
}

/// Most bytes of a pair's content.
const MAX_CONTENT: usize = 2 * (Half::MAX_STATEMENT + 18);

impl<'a> HalfContent<'a> {
    fn of(half: &'a Half) -> Self {
        let stance = match half.stance {
            Stance::Silent => 0,
            Stance::Asked => 1,
            Stance::Accepted => 2,
            Stance::Declined => 3,
        };
        Self { stance, at: half.at.0, statement: &half.statement, blocks: half.blocks }
    }

    /// The same without its statement.
    fn outline_of(half: &'a Half) -> Self {
        Self { statement: &[], ..Self::of(half) }
    }

    /// The half; none for a stance or a length that there is not.
    fn half(&self) -> Option<Half> {
        let stance = match self.stance {
            0 => Stance::Silent,
            1 => Stance::Asked,
            2 => Stance::Accepted,
            3 => Stance::Declined,
            _ => return None,
        };
        let is_whole = self.statement.len() <= Half::MAX_STATEMENT;
        let half = || Half {
            stance,
            at: UnixTime(self.at),
            statement: self.statement.to_vec(),
            blocks: self.blocks,
        };
        is_whole.then(half)
    }
}

/// The bytes of a pair, the lower party's half first.
pub(super) fn encode_pair(pair: &Pair) -> Vec<u8> {
    encode_halves([&pair.lower, &pair.upper].map(HalfContent::of))
}

/// The bytes of a pair without its statements.
pub(super) fn encode_outline(pair: &Pair) -> Vec<u8> {
    encode_halves([&pair.lower, &pair.upper].map(HalfContent::outline_of))
}

fn encode_halves(halves: [HalfContent<'_>; 2]) -> Vec<u8> {
    wire::encode(&halves).expect("numbers and bytes encode into memory")
}

/// The pair of these bytes, which have no other.
pub(super) fn decode_pair(content: &[u8]) -> Option<Pair> {
    let [lower, upper]: [HalfContent<'_>; 2] = wire::decode_borrowed(content, MAX_CONTENT).ok()?;
    Some(Pair { lower: lower.half()?, upper: upper.half()? })
}
