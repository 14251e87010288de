//! A pin changes by what its own devices say, and by nothing else.

use super::*;
use crate::peers::{Disown, PeerRequest, Standpoint, Statement, Vouch, check_agreement, check_request};
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;

const SERVER: PeerId = PeerId([7; 32]);
const OTHER: Cid = Cid(2);
const PARTY: Party = Party::Account(OTHER);

/// What the party's device `other` introduces itself with to `own`.
fn introduced(own: &Identity, other: &Identity, named: Option<PeerId>) -> Introduced {
    let own_party = Party::Account(Cid(1));
    let here = Standpoint { server: SERVER, own: own_party, device: own.peer_id(), other: PARTY };
    let there = Standpoint { server: SERVER, own: PARTY, device: other.peer_id(), other: own_party };
    let request = Statement::from(PeerRequest::new(&Native, &here, named).unwrap()).sign(own).unwrap();
    let checked = check_request(&request, &there, None).unwrap();
    let acceptance = Statement::from(checked.acceptance()).sign(other).unwrap();
    check_agreement(&request, &acceptance, &here, None).unwrap()
}

fn vouch(signer: &Identity, device: PeerId, number: u64) -> DeviceStatement {
    let number = StatementNumber(number);
    let said = Statement::from(Vouch { server: SERVER, account: OTHER, device, number });
    DeviceStatement::verify(&said.sign(signer).unwrap()).unwrap()
}

fn disown(signer: &Identity, device: PeerId, number: u64) -> DeviceStatement {
    let number = StatementNumber(number);
    let said = Statement::from(Disown { server: SERVER, account: OTHER, device, number });
    DeviceStatement::verify(&said.sign(signer).unwrap()).unwrap()
}

#[test]
fn a_pin_has_whom_statements_introduce_and_no_registration_replaces_it() {
    let (own, other, stranger) = (Identity::generate(), Identity::generate(), Identity::generate());
    let mut pin = Pin::new(&introduced(&own, &other, None));
    assert_eq!(pin.allows(other.peer_id()), Ok(PeerTrust::FirstUse));
    let changed = PinError::IdentityChanged { pinned: vec![other.peer_id()], found: stranger.peer_id() };
    assert_eq!(pin.allows(stranger.peer_id()), Err(changed.clone()));
    assert_eq!(pin.introduce(&introduced(&own, &stranger, None)), Err(changed));
    assert_eq!(pin.introduce(&introduced(&own, &other, None)), Ok(false));
    assert_eq!(pin.introduce(&introduced(&own, &other, Some(other.peer_id()))), Ok(true));
    assert_eq!(pin.trust(), PeerTrust::Verified);
}

#[test]
fn devices_come_by_a_vouch_of_one_that_is_pinned_and_go_for_ever_by_a_disown() {
    let (own, other, second) = (Identity::generate(), Identity::generate(), Identity::generate());
    let third = Identity::generate().peer_id();
    let mut pin = Pin::new(&introduced(&own, &other, None));
    assert!(!pin.hear(SERVER, PARTY, &vouch(&second, third, 1)), "a stranger's word");
    assert!(pin.hear(SERVER, PARTY, &vouch(&other, second.peer_id(), 5)));
    assert!(!pin.hear(SERVER, PARTY, &vouch(&other, third, 5)), "not newer");
    assert!(pin.hear(SERVER, PARTY, &vouch(&second, third, 1)));
    assert!(pin.hear(SERVER, PARTY, &disown(&other, second.peer_id(), 6)));
    assert_eq!(pin.allows(second.peer_id()), Err(PinError::Disowned(second.peer_id())));
    assert!(!pin.hear(SERVER, PARTY, &disown(&second, other.peer_id(), 9)), "it is out");
    assert!(!pin.hear(SERVER, PARTY, &vouch(&other, second.peer_id(), 7)), "for ever");
    assert_eq!(pin.allows(third), Ok(PeerTrust::FirstUse));
}

#[test]
fn what_was_said_of_another_account_or_at_another_server_counts_for_nothing() {
    let (own, other) = (Identity::generate(), Identity::generate());
    let device = Identity::generate().peer_id();
    let mut pin = Pin::new(&introduced(&own, &other, None));
    let said = vouch(&other, device, 1);
    assert!(!pin.hear(PeerId([8; 32]), PARTY, &said));
    assert!(!pin.hear(SERVER, Party::Account(Cid(3)), &said));
    assert!(!pin.hear(SERVER, Party::Transient(other.peer_id()), &said));
    assert!(pin.hear(SERVER, PARTY, &said));
}
