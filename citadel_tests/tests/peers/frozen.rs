//! Frozen statements, made with the seeded provider: if this fails, peers of another build refuse ours, and pins that rest
//! on earlier ones are not understood.

use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::Identity;
use citadel_crypt::secret::Secret;
use citadel_proto::peers::{
    Acceptance, Claimed, Disown, Party, PeerRequest, RequestHash, Statement, StatementNumber, Vouch,
};
use citadel_tests::seeded::SeededProvider;
use sha3::{Digest, Sha3_256};
use std::fmt::Write;

const FROZEN: &str = include_str!("../data/peer_statements.txt");
const PUBLIC_LEN: usize = 32 + 1952;
const SIGNATURE_LEN: usize = 64 + 3309;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn identity() -> Identity {
    Identity::from_seed(&SeededProvider::new(1), Secret::copy_from(&[7; 64])).unwrap()
}

/// Each with its name and the length of its clear head.
fn statements(identity: &Identity) -> Vec<(&'static str, usize, Statement)> {
    let server = PeerId([0xA0; 32]);
    let (account, transient) =
        (Party::Account(Cid(0x0102_0304_0506_0708)), Party::Transient(identity.peer_id()));
    let (device, number) = (PeerId([0xD0; 32]), StatementNumber(0x1112_1314));
    let (nonce, expected) = ([0x77; 16], None);
    let request = PeerRequest { server, from: transient, to: account, nonce, number, expected };
    let named = PeerRequest { from: account, to: transient, expected: Some(device), ..request.clone() };
    let hash = RequestHash::of(b"a request");
    let (Party::Account(cid), requester) = (account, device) else { unreachable!("it is an account") };
    vec![
        ("request", 33 + 33 + 9, request.into()),
        ("request of a named device", 33 + 9 + 33, named.into()),
        (
            "acceptance",
            33 + 9 + 9,
            Acceptance { server, from: account, to: account, request: hash, requester, number }.into(),
        ),
        ("vouch", 33 + 9 + 9, Vouch { server, account: cid, device, number }.into()),
        ("disown", 33 + 9 + 9, Disown { server, account: cid, device, number }.into()),
    ]
}

#[test]
fn seeded_identities_make_the_frozen_statements_and_the_native_provider_takes_them() {
    let identity = identity();
    let mut text = format!("signer = {}\n", identity.peer_id());
    for (name, head, statement) in statements(&identity) {
        let bytes = statement.sign(&identity).unwrap();
        let fields = &bytes[head + PUBLIC_LEN..bytes.len() - SIGNATURE_LEN];
        writeln!(text, "{name}: head = {}", hex(&bytes[..head])).unwrap();
        writeln!(text, "{name}: fields = {}", hex(fields)).unwrap();
        writeln!(text, "{name}: SHA3-256 = {}", hex(&Sha3_256::digest(&bytes))).unwrap();
        if let Statement::Request(_) = statement {
            writeln!(text, "{name}: its hash = {}", hex(&RequestHash::of(&bytes).0)).unwrap();
        }
        let verified = Claimed::parse(&bytes).unwrap().verify().unwrap();
        assert_eq!((verified.said(), verified.signer()), (&statement, identity.peer_id()));
    }
    for (made, frozen) in text.lines().zip(FROZEN.lines()) {
        assert_eq!(made, frozen);
    }
    assert_eq!(text.lines().count(), FROZEN.lines().count(), "{text}");
}
