//! What an agreement that a server shows comes to, by what this end has said, taken back, and knows of its own devices.

use super::*;
use crate::peers::{Disown, PeerRequest, Statement, Vouch, check_request};
use citadel_crypt::handshake::Cid;
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use std::collections::BTreeSet;

const SERVER: PeerId = PeerId([7; 32]);
const OWN: Cid = Cid(1);
const OTHER: Cid = Cid(2);
const PARTY: Party = Party::Account(OTHER);

fn at(device: &Identity, siblings: &[&Identity]) -> Standpoint {
    let siblings = siblings.iter().map(|sibling| sibling.peer_id()).collect::<BTreeSet<_>>();
    Standpoint { server: SERVER, own: Party::Account(OWN), device: device.peer_id(), siblings, other: PARTY }
}

/// `own` asks under that number and `other` accepts.
fn asked(own: &Identity, number: u64, other: &Identity) -> (Vec<u8>, Vec<u8>) {
    let here = at(own, &[]);
    let there = Standpoint { own: PARTY, other: here.own, device: other.peer_id(), ..here.clone() };
    let number = StatementNumber(number);
    let request = PeerRequest::new(&Native, &here, number, None).unwrap();
    let request = Statement::from(request).sign(own).unwrap();
    let checked = check_request(&request, &there, None).unwrap();
    let acceptance = Statement::from(checked.acceptance(StatementNumber(1))).sign(other).unwrap();
    (request, acceptance)
}

/// `other` asks, and `own` accepts under that number.
fn accepted(own: &Identity, number: u64, other: &Identity) -> (Vec<u8>, Vec<u8>) {
    let here = at(own, &[]);
    let there = Standpoint { own: PARTY, other: here.own, device: other.peer_id(), ..here.clone() };
    let request = PeerRequest::new(&Native, &there, StatementNumber(1), None).unwrap();
    let request = Statement::from(request).sign(other).unwrap();
    let checked = check_request(&request, &here, None).unwrap();
    (Statement::from(checked.acceptance(StatementNumber(number))).sign(own).unwrap(), request)
}

fn own_record(own: &Identity) -> PinRecord {
    PinRecord::of_own(Pin::of_own(own.peer_id()), None)
}

/// Whether the record changed, and what came of the agreement.
fn agree(
    record: &mut PinRecord,
    own: &PinRecord,
    at: &Standpoint,
    (mine, theirs): &(Vec<u8>, Vec<u8>),
    said: &[Vec<u8>],
) -> (bool, Result<(), PinError>) {
    let claims = said.iter().map(|bytes| Claimed::parse(bytes).unwrap()).collect();
    let Heard { has_changed, outcome } = record.agree(own, Agreed { at, mine, theirs, named: None, claims });
    (has_changed, outcome)
}

#[test]
fn fix_0043_what_was_taken_back_pins_nothing_and_what_is_said_later_does() {
    let (own, other) = (Identity::generate(), Identity::generate());
    let (here, mine) = (at(&own, &[]), own_record(&own));
    for agreed in [asked, accepted] {
        let mut record = PinRecord::default();
        let old = agreed(&own, 10, &other);
        assert_eq!(agree(&mut record, &mine, &here, &old, &[]), (true, Ok(())));
        assert!(record.allows(other.peer_id()).is_ok());
        for forgets in [false, true] {
            // Whatever else it has said until then under a lower number, seen or not.
            record.withdraw(StatementNumber(5), forgets);
            assert_eq!(record.withdrawn(), Some(StatementNumber(10)));
            let shown_again = agree(&mut record, &mine, &here, &old, &[]);
            assert_eq!(shown_again, (false, Err(PinError::Withdrawn)));
            assert!(record.allows(other.peer_id()).is_err());
        }
        record.withdraw(StatementNumber(20), true);
        assert_eq!(
            agree(&mut record, &mine, &here, &agreed(&own, 20, &other), &[]).1,
            Err(PinError::Withdrawn)
        );
        assert_eq!(record.next_number(3), StatementNumber(21));
        assert_eq!(agree(&mut record, &mine, &here, &agreed(&own, 21, &other), &[]), (true, Ok(())));
        assert!(record.allows(other.peer_id()).is_ok());
        assert_eq!(agree(&mut record, &mine, &here, &old, &[]), (false, Err(PinError::Withdrawn)));
    }
}

#[test]
fn a_blocked_party_is_held_to_its_pin_when_it_comes_again() {
    let [own, other, stranger] = [(); 3].map(|()| Identity::generate());
    let (here, mine) = (at(&own, &[]), own_record(&own));
    let mut record = PinRecord::default();
    agree(&mut record, &mine, &here, &asked(&own, 1, &other), &[]).1.unwrap();
    record.withdraw(StatementNumber(1), false);
    let changed = agree(&mut record, &mine, &here, &asked(&own, 2, &stranger), &[]);
    assert!(matches!(changed, (false, Err(PinError::IdentityChanged { .. }))));
    assert_eq!(record.allows(other.peer_id()), Err(PinError::Withdrawn));
    assert_eq!(agree(&mut record, &mine, &here, &asked(&own, 3, &other), &[]), (true, Ok(())));
    assert!(record.allows(other.peer_id()).is_ok());
}

#[test]
fn of_a_party_of_whom_nothing_is_kept_old_withdrawals_count() {
    let (own, other) = (Identity::generate(), Identity::generate());
    let here = at(&own, &[]);
    let mine = PinRecord::of_own(Pin::of_own(own.peer_id()), Some(StatementNumber(9)));
    let mut record = PinRecord::default();
    let old = asked(&own, 9, &other);
    assert_eq!(agree(&mut record, &mine, &here, &old, &[]), (false, Err(PinError::Withdrawn)));
    let mut record = PinRecord::default();
    assert_eq!(agree(&mut record, &mine, &here, &asked(&own, 10, &other), &[]), (true, Ok(())));
}

#[test]
fn fix_0044_what_another_own_device_agreed_is_agreed_if_this_one_knows_it() {
    let [laptop, phone, other] = [(); 3].map(|()| Identity::generate());
    let agreements = [asked(&laptop, 1, &other), accepted(&laptop, 1, &other)];
    for agreed in &agreements {
        let alone = agree(&mut PinRecord::default(), &own_record(&phone), &at(&phone, &[]), agreed, &[]);
        let not_own = ConsentFault::NotOwn { expected: phone.peer_id(), found: laptop.peer_id() };
        assert_eq!(alone, (false, Err(not_own.into())));
        let mut record = PinRecord::default();
        let known = agree(&mut record, &own_record(&phone), &at(&phone, &[&laptop]), agreed, &[]);
        assert_eq!(known, (true, Ok(())));
        assert!(record.allows(other.peer_id()).is_ok());
    }
}

#[test]
fn fix_0045_what_a_device_agreed_stands_after_it_was_disowned() {
    let [laptop, phone, one, two] = [(); 4].map(|()| Identity::generate());
    let own = Party::Account(OWN);
    let agreed = asked(&laptop, 1, &one);
    // Of the other party's devices the one that agreed is disowned: the others are reached.
    let said = [
        Statement::from(Vouch {
            server: SERVER,
            account: OTHER,
            device: two.peer_id(),
            number: StatementNumber(1),
        })
        .sign(&one)
        .unwrap(),
        Statement::from(Disown {
            server: SERVER,
            account: OTHER,
            device: one.peer_id(),
            number: StatementNumber(2),
        })
        .sign(&two)
        .unwrap(),
    ];
    let mut mine = own_record(&phone);
    let mut record = PinRecord::default();
    let here = at(&phone, &[&laptop]);
    assert_eq!(agree(&mut record, &mine, &here, &agreed, &[]), (true, Ok(())));
    for said in [&said[..], &[]] {
        assert_eq!(agree(&mut record, &mine, &here, &agreed, said).1, Ok(()));
        assert_eq!(record.allows(one.peer_id()), Err(PinError::Disowned(one.peer_id())));
        assert!(record.allows(two.peer_id()).is_ok());
    }
    let mut anew = PinRecord::default();
    assert_eq!(agree(&mut anew, &mine, &here, &agreed, &said), (true, Ok(())));
    assert_eq!(anew, record);
    // Of the own devices it is: what came of it when it was one of them stays, and nothing new comes of it.
    let here = at(&phone, &[]);
    let disown = |number| Disown { server: SERVER, account: OWN, device: laptop.peer_id(), number }.into();
    assert_eq!(here.own, own);
    mine.pin_mut().unwrap().say(phone.peer_id(), StatementNumber(1), disown).unwrap();
    assert_eq!(agree(&mut record, &mine, &here, &agreed, &[]), (false, Ok(())));
    let fresh = agree(&mut PinRecord::default(), &mine, &here, &agreed, &[]);
    assert!(matches!(fresh, (false, Err(PinError::Statement(ConsentFault::NotOwn { .. })))));
    record.withdraw(StatementNumber(0), false);
    assert_eq!(agree(&mut record, &mine, &here, &agreed, &[]).1, Err(PinError::Withdrawn));
}

#[test]
fn a_disown_is_kept_whatever_is_wrong_with_what_is_shown_beside_it() {
    let [own, one, stranger] = [(); 3].map(|()| Identity::generate());
    let (here, mine) = (at(&own, &[]), own_record(&own));
    let mut record = PinRecord::default();
    agree(&mut record, &mine, &here, &asked(&own, 1, &one), &[]).1.unwrap();
    let disown = Disown { server: SERVER, account: OTHER, device: one.peer_id(), number: StatementNumber(1) };
    let said = [Statement::from(disown).sign(&one).unwrap()];
    let heard = agree(&mut record, &mine, &here, &asked(&own, 2, &stranger), &said);
    assert!(matches!(heard, (true, Err(PinError::IdentityChanged { .. }))));
    assert_eq!(record.allows(one.peer_id()), Err(PinError::Disowned(one.peer_id())));
}
