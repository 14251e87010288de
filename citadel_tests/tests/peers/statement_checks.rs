//! What a device checks before it takes the signer of a statement for a peer: each thing that a statement names, exchanged
//! for another valid one and signed again, is refused for what it is.

use super::people::{
    ALICE, ALICES, BOB, BOBS_PARTY, BOBS_PHONE, Device, MALLORY, OTHER_SERVER, acceptance, acceptance_back,
    at_alice, at_bob, disown, request, request_back, vouch,
};
use citadel_crypt::handshake::Cid;
use citadel_proto::peers::{
    Acceptance, ConsentFault, DeviceStatement, Introduced, Party, PeerRequest, PeerTrust, RequestHash,
    Standpoint, Statement, StatementError, StatementNumber, check_acceptance, check_agreement, check_request,
};
use rstest::rstest;

const ELSEWHERE: Party = Party::Account(Cid(0xE15E));
const WRONG_KIND: ConsentFault = ConsentFault::Statement(StatementError::WrongKind);
const FORGED: ConsentFault = ConsentFault::Statement(StatementError::Signature);

fn introduced(introduced: &Introduced) -> (Party, citadel_crypt::addr::PeerId, PeerTrust) {
    (introduced.party(), introduced.device(), introduced.trust())
}

fn spoiled(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() ^= 1;
    bytes
}

#[test]
fn a_request_for_anybody_is_first_use() {
    let bytes = ALICE.signs(request(None));
    let checked = check_request(&bytes, &at_bob(), None).unwrap();
    assert_eq!(introduced(checked.introduced()), (ALICES, ALICE.peer(), PeerTrust::FirstUse));
    assert_eq!(checked.introduced().server(), at_bob().server);
    assert_eq!(checked.request(), &request(None));
    assert_eq!(checked.acceptance(StatementNumber(5)), acceptance(&bytes));
}

#[test]
fn a_request_of_a_named_device_is_verified_and_of_another_refused() {
    let bytes = ALICE.signs(request(Some(BOB.peer())));
    let checked = check_request(&bytes, &at_bob(), Some(ALICE.peer())).unwrap();
    assert_eq!(checked.introduced().trust(), PeerTrust::Verified);
    let refused = check_request(&MALLORY.signs(request(None)), &at_bob(), Some(ALICE.peer()));
    let fault = ConsentFault::WrongSigner { expected: ALICE.peer(), found: MALLORY.peer() };
    assert_eq!(refused, Err(fault));
    let text = fault.to_string();
    assert!(text.contains(&ALICE.peer().to_string()) && text.contains(&MALLORY.peer().to_string()));
}

/// A request as Bob should get it, changed in one thing, and why he refuses it.
fn changed_requests() -> Vec<(PeerRequest, ConsentFault)> {
    let good = || request(Some(BOB.peer()));
    let at = at_bob();
    let wrong_sender = |found| ConsentFault::WrongSender { expected: ALICES, found };
    let wrong_recipient = |found| ConsentFault::WrongRecipient { expected: BOBS_PARTY, found };
    let as_itself = Party::Transient(ALICE.peer());
    vec![
        (
            PeerRequest { server: OTHER_SERVER, ..good() },
            ConsentFault::WrongServer { expected: at.server, found: OTHER_SERVER },
        ),
        (PeerRequest { from: ELSEWHERE, ..good() }, wrong_sender(ELSEWHERE)),
        (PeerRequest { from: as_itself, ..good() }, wrong_sender(as_itself)),
        (PeerRequest { to: ELSEWHERE, ..good() }, wrong_recipient(ELSEWHERE)),
        (
            PeerRequest { to: Party::Transient(BOB.peer()), ..good() },
            wrong_recipient(Party::Transient(BOB.peer())),
        ),
        (
            request(Some(BOBS_PHONE.peer())),
            ConsentFault::NotMeant { expected: BOBS_PHONE.peer(), found: BOB.peer() },
        ),
    ]
}

#[test]
fn a_request_that_names_something_else_is_refused() {
    let good = ALICE.signs(request(Some(BOB.peer())));
    assert!(check_request(&good, &at_bob(), None).is_ok());
    assert_eq!(check_request(&spoiled(good), &at_bob(), None), Err(FORGED));
    for (changed, fault) in changed_requests() {
        assert_eq!(check_request(&ALICE.signs(changed.clone()), &at_bob(), None), Err(fault), "{changed:?}");
        let own = ALICE.signs(request_back(None));
        assert!(check_agreement(&own, &ALICE.signs(changed), &at_bob(), None).is_err());
    }
    let others: [Statement; 3] =
        [acceptance_back(b"a request").into(), vouch(BOBS_PHONE, 1).into(), disown(BOBS_PHONE, 1).into()];
    for other in others {
        let at = Standpoint { own: other.recipient(), other: other.sender(), ..at_bob() };
        assert_eq!(check_request(&ALICE.signs(other), &at, None), Err(WRONG_KIND));
    }
}

#[rstest]
fn an_acceptance_introduces_who_signed_it(#[values(false, true)] is_named: bool) {
    let asked = ALICE.signs(request(is_named.then(|| BOB.peer())));
    let accepted = BOB.signs(acceptance(&asked));
    let checked = check_acceptance(&accepted, &asked, &at_alice()).unwrap();
    let trust = if is_named { PeerTrust::Verified } else { PeerTrust::FirstUse };
    assert_eq!(introduced(checked.introduced()), (BOBS_PARTY, BOB.peer(), trust));
    let by_mallory = check_acceptance(&MALLORY.signs(acceptance(&asked)), &asked, &at_alice());
    match by_mallory {
        Ok(checked) => assert!(!is_named && checked.introduced().device() == MALLORY.peer()),
        Err(fault) => {
            assert!(is_named);
            assert_eq!(fault, ConsentFault::WrongSigner { expected: BOB.peer(), found: MALLORY.peer() });
        }
    }
}

/// An acceptance as Alice should get it, changed in one thing, and why she refuses it.
fn changed_acceptances(asked: &[u8]) -> Vec<(Acceptance, ConsentFault)> {
    let good = || acceptance(asked);
    let wrong_sender = |found| ConsentFault::WrongSender { expected: BOBS_PARTY, found };
    let itself = Party::Transient(BOB.peer());
    let other_request = ALICE.signs(PeerRequest { nonce: [9; 16], ..request(None) });
    vec![
        (
            Acceptance { server: OTHER_SERVER, ..good() },
            ConsentFault::WrongServer { expected: at_alice().server, found: OTHER_SERVER },
        ),
        (Acceptance { from: ELSEWHERE, ..good() }, wrong_sender(ELSEWHERE)),
        (Acceptance { from: itself, ..good() }, wrong_sender(itself)),
        (
            Acceptance { to: ELSEWHERE, ..good() },
            ConsentFault::WrongRecipient { expected: ALICES, found: ELSEWHERE },
        ),
        (acceptance(&other_request), ConsentFault::OtherRequest),
        (Acceptance { request: RequestHash([0; 32]), ..good() }, ConsentFault::OtherRequest),
        (
            Acceptance { requester: MALLORY.peer(), ..good() },
            ConsentFault::WrongRequester { expected: ALICE.peer(), found: MALLORY.peer() },
        ),
    ]
}

#[test]
fn an_acceptance_that_names_something_else_is_refused() {
    let asked = ALICE.signs(request(None));
    let good = BOB.signs(acceptance(&asked));
    assert!(check_acceptance(&good, &asked, &at_alice()).is_ok());
    assert_eq!(check_acceptance(&spoiled(good), &asked, &at_alice()), Err(FORGED));
    for (changed, fault) in changed_acceptances(&asked) {
        let bytes = BOB.signs(changed.clone());
        assert_eq!(check_acceptance(&bytes, &asked, &at_alice()), Err(fault), "{changed:?}");
        assert_eq!(check_agreement(&asked, &bytes, &at_alice(), None), Err(fault), "{changed:?}");
    }
    let request = BOB.signs(request_back(None));
    assert_eq!(check_acceptance(&request, &asked, &at_alice()), Err(WRONG_KIND));
}

/// What stands as Alice's own request, and why it is not.
#[test]
fn a_request_that_is_not_the_own_is_accepted_by_nobody() {
    let by_mallory = MALLORY.signs(request(None));
    let accepted = BOB.signs(Acceptance { requester: MALLORY.peer(), ..acceptance(&by_mallory) });
    let not_own = ConsentFault::NotOwn { expected: ALICE.peer(), found: MALLORY.peer() };
    assert_eq!(check_acceptance(&accepted, &by_mallory, &at_alice()), Err(not_own));
    assert_eq!(check_agreement(&by_mallory, &accepted, &at_alice(), None), Err(not_own));
    let cases = [
        (PeerRequest { server: OTHER_SERVER, ..request(None) }, "server"),
        (PeerRequest { from: ELSEWHERE, ..request(None) }, "sender"),
        (PeerRequest { to: ELSEWHERE, ..request(None) }, "recipient"),
    ];
    for (asked, what) in cases {
        let asked = ALICE.signs(asked);
        let accepted = BOB.signs(acceptance(&asked));
        let refused = check_acceptance(&accepted, &asked, &at_alice()).unwrap_err();
        let found = match refused {
            ConsentFault::WrongServer { .. } => "server",
            ConsentFault::WrongSender { .. } => "sender",
            ConsentFault::WrongRecipient { .. } => "recipient",
            _ => "something else",
        };
        assert_eq!(found, what);
    }
    let asked = ALICE.signs(request(None));
    let accepted = BOB.signs(acceptance(&asked));
    assert_eq!(check_acceptance(&accepted, &spoiled(asked), &at_alice()), Err(FORGED));
    let said = ALICE.signs(acceptance_back(&BOB.signs(request_back(None))));
    assert_eq!(check_acceptance(&accepted, &said, &at_alice()), Err(WRONG_KIND));
}

/// What Alice and Bob each say of the other, as it stands in the end.
#[derive(Clone, Copy, Debug)]
enum Said {
    AskedAccepted,
    AcceptedAsked,
    Crossed,
    BothAccepted,
}

/// Alice's statement and the one of Bob's party, which `bob` signs; Alice expects `expected` if she asks.
fn said(how: Said, bob: Device, expected: Option<Device>) -> (Vec<u8>, Vec<u8>) {
    let asked = ALICE.signs(request(expected.map(Device::peer)));
    let back = bob.signs(request_back(None));
    let accepted = bob.signs(acceptance(&asked));
    let accepted_back =
        ALICE.signs(Acceptance { requester: expected.unwrap_or(bob).peer(), ..acceptance_back(&back) });
    match how {
        Said::AskedAccepted => (asked, accepted),
        Said::AcceptedAsked => (accepted_back, back),
        Said::Crossed => (asked, back),
        Said::BothAccepted => (accepted_back, accepted),
    }
}

#[rstest]
fn peers_introduce_each_other_whoever_asked_and_accepted(
    #[values(Said::AskedAccepted, Said::AcceptedAsked, Said::Crossed, Said::BothAccepted)] how: Said,
) {
    let (own, theirs) = said(how, BOB, None);
    let found = check_agreement(&own, &theirs, &at_alice(), None).unwrap();
    assert_eq!(introduced(&found), (BOBS_PARTY, BOB.peer(), PeerTrust::FirstUse));
    let found = check_agreement(&theirs, &own, &at_bob(), None).unwrap();
    assert_eq!(introduced(&found), (ALICES, ALICE.peer(), PeerTrust::FirstUse));
    let named = check_agreement(&own, &theirs, &at_alice(), Some(BOB.peer())).unwrap();
    assert_eq!(named.trust(), PeerTrust::Verified);
    let wrong = ConsentFault::WrongSigner { expected: MALLORY.peer(), found: BOB.peer() };
    assert_eq!(check_agreement(&own, &theirs, &at_alice(), Some(MALLORY.peer())), Err(wrong));
    // Not a word of it forged, and not what this device has said.
    assert_eq!(check_agreement(&own, &spoiled(theirs.clone()), &at_alice(), None), Err(FORGED));
    assert_eq!(check_agreement(&spoiled(own.clone()), &theirs, &at_alice(), None), Err(FORGED));
    let elsewhere = Standpoint { device: MALLORY.peer(), ..at_alice() };
    let not_own = ConsentFault::NotOwn { expected: MALLORY.peer(), found: ALICE.peer() };
    assert_eq!(check_agreement(&own, &theirs, &elsewhere, None), Err(not_own));
}

#[rstest]
fn peers_are_who_the_own_statement_named(
    #[values(Said::AskedAccepted, Said::AcceptedAsked, Said::Crossed, Said::BothAccepted)] how: Said,
) {
    let (own, theirs) = said(how, MALLORY, Some(BOB));
    let fault = ConsentFault::WrongSigner { expected: BOB.peer(), found: MALLORY.peer() };
    assert_eq!(check_agreement(&own, &theirs, &at_alice(), None), Err(fault));
    let (own, theirs) = said(how, BOB, Some(BOB));
    let found = check_agreement(&own, &theirs, &at_alice(), None).unwrap();
    let did_ask = matches!(how, Said::AskedAccepted | Said::Crossed);
    assert_eq!(found.trust() == PeerTrust::Verified, did_ask, "an acceptance names whoever asked");
}

#[test]
fn an_accepted_request_cannot_be_exchanged_for_a_later_one() {
    let back = BOB.signs(request_back(None));
    let own = ALICE.signs(acceptance_back(&back));
    let later = BOB.signs(PeerRequest { nonce: [9; 16], ..request_back(None) });
    assert_eq!(check_agreement(&own, &later, &at_alice(), None), Err(ConsentFault::OtherRequest));
    let other_device = PeerRequest { expected: Some(MALLORY.peer()), ..request_back(None) };
    let back = BOB.signs(other_device);
    let own = ALICE.signs(acceptance_back(&back));
    let fault = ConsentFault::NotMeant { expected: MALLORY.peer(), found: ALICE.peer() };
    assert_eq!(check_agreement(&own, &back, &at_alice(), None), Err(fault));
}

#[test]
fn an_acceptance_of_somebody_else_makes_no_agreement_of_two() {
    let back = BOB.signs(request_back(None));
    let own = ALICE.signs(acceptance_back(&back));
    let asked = MALLORY.signs(request(None));
    let theirs = BOB.signs(Acceptance { requester: MALLORY.peer(), ..acceptance(&asked) });
    let fault = ConsentFault::WrongRequester { expected: ALICE.peer(), found: MALLORY.peer() };
    assert_eq!(check_agreement(&own, &theirs, &at_alice(), None), Err(fault));
}

#[test]
fn what_is_said_of_devices_is_no_consent_and_consent_says_nothing_of_devices() {
    let asked = ALICE.signs(request(None));
    let vouched = BOB.signs(vouch(BOBS_PHONE, 1));
    let disowned = BOB.signs(disown(BOBS_PHONE, 2));
    let at = Standpoint { own: BOBS_PARTY, other: BOBS_PARTY, ..at_bob() };
    for of_device in [&vouched, &disowned] {
        assert_eq!(check_agreement(of_device, of_device, &at, None), Err(WRONG_KIND));
        assert!(DeviceStatement::verify(of_device).is_ok());
        assert_eq!(DeviceStatement::verify(&spoiled(of_device.clone())), Err(StatementError::Signature));
    }
    assert_eq!(DeviceStatement::verify(&asked), Err(StatementError::WrongKind));
    let accepted = BOB.signs(acceptance(&asked));
    assert_eq!(DeviceStatement::verify(&accepted), Err(StatementError::WrongKind));
}
