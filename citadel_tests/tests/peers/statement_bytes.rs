//! Bytes of statements: one form each, and not one bit of it without the signature.

use super::people::{ALICE, BOB, BOBS_PHONE, MALLORY, acceptance, at_alice, disown, request, vouch};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;
use citadel_crypt::suite::Native;
use citadel_proto::peers::{
    Acceptance, Claimed, Disown, MAX_STATEMENT_LEN, Party, PeerRequest, RequestHash, Statement,
    StatementError, StatementNumber, Vouch,
};
use proptest::prelude::*;
use rstest::rstest;

const PUBLIC_LEN: usize = 32 + 1952;
const SIGNATURE_LEN: usize = 64 + 3309;
const LABELS: [&str; 4] =
    ["citadel/1 peer request", "citadel/1 peer acceptance", "citadel/1 peer vouch", "citadel/1 peer disown"];

/// One of each kind, in the order of their numbers.
fn one_of_each() -> [Statement; 4] {
    let asked = ALICE.signs(request(None));
    [
        request(Some(BOB.peer())).into(),
        acceptance(&asked).into(),
        vouch(BOBS_PHONE, 1).into(),
        disown(BOBS_PHONE, 2).into(),
    ]
}

fn verify(bytes: &[u8]) -> Result<(), StatementError> {
    Claimed::parse(bytes)?.verify().map(|_| ())
}

/// The layout, written again from the design.
fn by_hand(statement: &Statement, public: &[u8]) -> Vec<u8> {
    let party = |party: Party| match party {
        Party::Account(Cid(cid)) => [&[0], &cid.to_le_bytes()[..]].concat(),
        Party::Transient(PeerId(peer)) => [&[1], &peer[..]].concat(),
    };
    let device = |device: PeerId, number: StatementNumber| [&device.0[..], &number.0.to_le_bytes()].concat();
    let (kind, server, from, to, fields) = match statement.clone() {
        Statement::Request(PeerRequest { server, from, to, nonce, number, expected }) => {
            let expected = expected.map_or(vec![0], |peer| [&[1], &peer.0[..]].concat());
            (1, server, from, to, [&nonce[..], &number.0.to_le_bytes(), &expected].concat())
        }
        Statement::Acceptance(Acceptance { server, from, to, request, requester, number }) => {
            (2, server, from, to, [&request.0[..], &requester.0, &number.0.to_le_bytes()].concat())
        }
        Statement::Vouch(Vouch { server, account, device: of, number }) => {
            (3, server, Party::Account(account), Party::Account(account), device(of, number))
        }
        Statement::Disown(Disown { server, account, device: of, number }) => {
            (4, server, Party::Account(account), Party::Account(account), device(of, number))
        }
    };
    [&[kind], &server.0[..], &party(from), &party(to), public, &fields].concat()
}

#[test]
fn the_bytes_are_those_of_the_design_and_the_signature_is_over_them() {
    let identity = BOB.identity();
    for (statement, label) in one_of_each().iter().zip(LABELS) {
        let bytes = BOB.signs(statement.clone());
        let (body, signature) = bytes.split_at(bytes.len() - SIGNATURE_LEN);
        assert_eq!(body, by_hand(statement, identity.public().as_bytes()));
        let signature = citadel_crypt::identity::HybridSignature::from_bytes(signature).unwrap();
        assert_eq!(identity.public().verify(label, &[body], &signature), Ok(()));
        let claimed = Claimed::parse(&bytes).unwrap();
        assert_eq!((claimed.statement(), claimed.signer()), (statement, BOB.peer()));
        assert_eq!(claimed.encode(), bytes);
        let verified = claimed.verify().unwrap();
        assert_eq!((verified.said(), verified.signer()), (statement, BOB.peer()));
    }
}

#[rstest]
#[case::request(0)]
#[case::acceptance(1)]
#[case::vouch(2)]
#[case::disown(3)]
fn no_bit_can_be_changed(#[case] kind: usize) {
    let mut bytes = BOB.signs(one_of_each()[kind].clone());
    assert_eq!(verify(&bytes), Ok(()));
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let refused = verify(&bytes);
        assert!(
            matches!(refused, Err(StatementError::Signature | StatementError::Malformed)),
            "bit {bit}: {refused:?}"
        );
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn no_field_of_another_valid_statement_fits() {
    let of_bob = one_of_each().map(|statement| BOB.signs(statement));
    let other = PeerRequest { nonce: [9; 16], ..request(Some(ALICE.peer())) };
    let others = [
        other.into(),
        Statement::from(Acceptance { requester: MALLORY.peer(), ..acceptance(b"another") }),
        vouch(MALLORY, 7).into(),
        disown(MALLORY, 7).into(),
    ];
    let of_mallory = others.map(|statement| MALLORY.signs(statement));
    // Both accounts have numbers of 8 bytes, so that each field stands at one place.
    let (public, fields) = (1 + 32 + 2 * 9, 1 + 32 + 2 * 9 + PUBLIC_LEN);
    for (good, donor) in of_bob.iter().zip(&of_mallory) {
        assert_eq!(good.len(), donor.len());
        let signature = good.len() - SIGNATURE_LEN;
        let ranges = [public..fields, fields..signature, signature..good.len(), signature..signature + 64];
        for range in ranges {
            let mut bytes = good.clone();
            bytes[range.clone()].copy_from_slice(&donor[range.clone()]);
            assert_eq!(verify(&bytes), Err(StatementError::Signature), "{range:?}");
        }
    }
}

#[test]
fn no_kind_verifies_as_another() {
    for (kind, statement) in one_of_each().into_iter().enumerate() {
        let bytes = BOB.signs(statement);
        let body = &bytes[..bytes.len() - SIGNATURE_LEN];
        for (other, label) in LABELS.iter().enumerate() {
            let signature = BOB.identity().sign(label, &[body]).unwrap();
            let expected = if kind == other { Ok(()) } else { Err(StatementError::Signature) };
            assert_eq!(verify(&[body, signature.as_bytes()].concat()), expected, "{kind} as {other}");
            let mut renamed = bytes.clone();
            renamed[0] = other as u8 + 1;
            assert_eq!(verify(&renamed).is_ok(), kind == other, "{kind} called {other}");
        }
    }
}

#[test]
fn neither_more_nor_less_is_a_statement() {
    for statement in one_of_each() {
        let bytes = BOB.signs(statement);
        for len in 0..bytes.len() {
            assert_eq!(Claimed::parse(&bytes[..len]), Err(StatementError::Malformed), "{len} bytes");
        }
        assert_eq!(Claimed::parse(&[&bytes[..], &[0]].concat()), Err(StatementError::Malformed));
        assert_eq!(Claimed::parse(&vec![1; 5529]), Err(StatementError::TooLong));
        assert_eq!(Claimed::parse(&vec![1; 5528]), Err(StatementError::Malformed));
    }
    let parties = (Party::Transient(ALICE.peer()), Party::Transient(BOB.peer()));
    let longest = Acceptance { from: parties.0, to: parties.1, ..acceptance(b"a request") };
    let bytes = ALICE.signs(longest);
    assert_eq!((bytes.len(), MAX_STATEMENT_LEN), (5528, 5528));
    assert_eq!(verify(&bytes), Ok(()));
}

#[test]
fn what_is_said_of_a_device_is_said_by_an_account_to_itself() {
    let bytes = BOB.signs(vouch(BOBS_PHONE, 1));
    let mut to_another = bytes.clone();
    to_another[1 + 32 + 9 + 1] ^= 1;
    assert_eq!(Claimed::parse(&to_another), Err(StatementError::Malformed));
    let (head, rest) = (&bytes[..33], &bytes[33 + 18..]);
    let transient = [&[1], &BOB.peer().0[..]].concat();
    let by_nobody = [head, &transient, &transient, rest].concat();
    assert_eq!(Claimed::parse(&by_nobody), Err(StatementError::Malformed));
}

#[test]
fn a_party_without_an_account_speaks_for_itself() {
    let party = Party::Transient(ALICE.peer());
    let own = PeerRequest { from: party, ..request(None) };
    assert_eq!(verify(&ALICE.signs(own.clone())), Ok(()));
    let refused = StatementError::NotTheParty { party: ALICE.peer(), signer: MALLORY.peer() };
    assert_eq!(verify(&MALLORY.signs(own)), Err(refused));
    let accepts = Acceptance { from: party, ..acceptance(b"a request") };
    assert_eq!(verify(&ALICE.signs(accepts.clone())), Ok(()));
    assert_eq!(verify(&MALLORY.signs(accepts)), Err(refused));
}

#[test]
fn two_requests_are_never_the_same() {
    let new = || PeerRequest::new(&Native, &at_alice(), StatementNumber(3), None).unwrap();
    assert_ne!(new(), new());
    assert_eq!(PeerRequest { nonce: [7; 16], ..new() }, request(None));
}

fn peers() -> impl Strategy<Value = PeerId> {
    any::<[u8; 32]>().prop_map(PeerId)
}

fn parties() -> impl Strategy<Value = Party> {
    let account = any::<u64>().prop_map(|cid| Party::Account(Cid(cid)));
    prop_oneof![account, peers().prop_map(Party::Transient)]
}

fn statements() -> impl Strategy<Value = Statement> {
    let head = || (peers(), parties(), parties());
    let number = || any::<u64>().prop_map(StatementNumber);
    let request = (head(), any::<[u8; 16]>(), number(), proptest::option::of(peers())).prop_map(
        |((server, from, to), nonce, number, expected)| {
            PeerRequest { server, from, to, nonce, number, expected }.into()
        },
    );
    let acceptance = (head(), any::<[u8; 32]>(), peers(), number()).prop_map(
        |((server, from, to), hash, requester, number)| {
            Acceptance { server, from, to, request: RequestHash(hash), requester, number }.into()
        },
    );
    let device = || (peers(), any::<u64>(), peers(), any::<u64>());
    let vouch = device().prop_map(|(server, account, device, number)| {
        Vouch { server, account: Cid(account), device, number: StatementNumber(number) }.into()
    });
    let disown = device().prop_map(|(server, account, device, number)| {
        Disown { server, account: Cid(account), device, number: StatementNumber(number) }.into()
    });
    prop_oneof![request, acceptance, vouch, disown]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_statement_comes_back_as_it_was_said(statement in statements()) {
        let bytes = ALICE.signs(statement.clone());
        prop_assert!(bytes.len() <= MAX_STATEMENT_LEN);
        let claimed = Claimed::parse(&bytes).unwrap();
        prop_assert_eq!(claimed.statement(), &statement);
        prop_assert_eq!(claimed.encode(), bytes);
    }
}
