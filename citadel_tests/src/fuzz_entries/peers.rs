//! What peers say of each other, and what a client and a server say of peers.

use crate::seeded::SeededProvider;
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_proto::peers::wire::{
    LaneFrom, LaneOpen, decode_answer, decode_ask, decode_lane, encode_answer, encode_ask, encode_lane,
};
use citadel_proto::peers::{Claimed, StatementError};
use std::sync::LazyLock;

/// A device that never said anything of what it is said to have said.
struct Signer {
    public: Vec<u8>,
    signature: Vec<u8>,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let provider = SeededProvider::new(7);
    let identity = Identity::from_seed(&provider, Secret::copy_from(&[7; 64])).expect("a seed makes one");
    let signature = identity.sign("citadel/1 something else", &[]).expect("a seeded provider signs");
    Signer { public: identity.public().as_bytes().to_vec(), signature: signature.as_bytes().to_vec() }
});

/// A statement: as it is, and with the key and the signature of a device that did not sign it. Then the first byte says how long
/// the head is that stands before the key.
pub fn peer_statements(data: &[u8]) {
    if let Ok(claimed) = Claimed::parse(data) {
        assert_eq!(claimed.encode(), data, "a statement has one form");
    }
    let Some((len, rest)) = data.split_first() else { return };
    let Some((head, fields)) = rest.split_at_checked(usize::from(*len)) else { return };
    let Signer { public, signature } = &*SIGNER;
    let bytes = [head, public, fields, signature].concat();
    let Ok(claimed) = Claimed::parse(&bytes) else { return };
    assert_eq!(claimed.encode(), bytes, "a statement has one form");
    assert!(Claimed::parse(&bytes[..bytes.len() - 1]).is_err(), "a statement is all of its bytes");
    assert_eq!(claimed.verify(), Err(StatementError::Signature), "nobody said that");
}

/// A request about peers or what a server says of them, and the first message of a lane, into their parsers.
pub fn peer_messages(data: &[u8]) {
    if let Ok((id, ask)) = decode_ask(data) {
        assert_eq!(encode_ask(id, &ask).expect("what was short enough is"), data, "a request has one form");
    }
    if let Ok((id, answer)) = decode_answer(data) {
        let again = encode_answer(id, &answer).expect("what was short enough is");
        assert_eq!(again, data, "an answer has one form");
    }
    if let Ok(open) = decode_lane::<LaneOpen>(data) {
        assert_eq!(encode_lane(&open).expect("it is short"), data);
    }
    if let Ok(from) = decode_lane::<LaneFrom>(data) {
        assert_eq!(encode_lane(&from).expect("it is short"), data);
    }
}
