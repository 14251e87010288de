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
    let at = |own: Party, device: &Identity, other: Party| {
        let (device, siblings) = (device.peer_id(), BTreeSet::new());
        Standpoint { server: SERVER, own, device, siblings, other }
    };
    let (here, there) = (at(own_party, own, PARTY), at(PARTY, other, own_party));
    let number = StatementNumber(1);
    let request = PeerRequest::new(&Native, &here, number, named).unwrap();
    let request = Statement::from(request).sign(own).unwrap();
    let checked = check_request(&request, &there, None).unwrap();
    let acceptance = Statement::from(checked.acceptance(number)).sign(other).unwrap();
    check_agreement(&request, &acceptance, &here, None).unwrap()
}

fn vouch_bytes(signer: &Identity, device: PeerId, number: u64) -> Vec<u8> {
    let number = StatementNumber(number);
    Statement::from(Vouch { server: SERVER, account: OTHER, device, number }).sign(signer).unwrap()
}

fn disown_bytes(signer: &Identity, device: PeerId, number: u64) -> Vec<u8> {
    let number = StatementNumber(number);
    Statement::from(Disown { server: SERVER, account: OTHER, device, number }).sign(signer).unwrap()
}

fn vouch(signer: &Identity, device: PeerId, number: u64) -> DeviceStatement {
    DeviceStatement::verify(&vouch_bytes(signer, device, number)).unwrap()
}

fn disown(signer: &Identity, device: PeerId, number: u64) -> DeviceStatement {
    DeviceStatement::verify(&disown_bytes(signer, device, number)).unwrap()
}

fn claims(bytes: &[&Vec<u8>]) -> Vec<Claimed> {
    bytes.iter().map(|bytes| Claimed::parse(bytes).unwrap()).collect()
}

/// All orders of `items`.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    let Some((first, rest)) = items.split_first() else { return vec![vec![]] };
    let of_rest = orders(rest);
    let with_first = of_rest.iter().flat_map(|order| {
        (0..=order.len()).map(|at| {
            let mut order = order.clone();
            order.insert(at, first.clone());
            order
        })
    });
    with_first.collect()
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
    assert_eq!(pin.allows(other.peer_id()), Ok(PeerTrust::Verified));
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
    pin.hear(SERVER, PARTY, &vouch(&other, second.peer_id(), 7));
    assert!(pin.is_disowned(second.peer_id()), "for ever");
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

#[test]
fn fix_0038_a_device_is_disowned_by_a_pin_that_is_full_and_does_not_come_back() {
    let (own, other) = (Identity::generate(), Identity::generate());
    let mut pin = Pin::new(&introduced(&own, &other, None));
    let phone = Identity::generate().peer_id();
    assert!(pin.hear(SERVER, PARTY, &vouch(&other, phone, 1)));
    for number in 0..100 {
        pin.hear(SERVER, PARTY, &disown(&other, Identity::generate().peer_id(), 2 + number));
    }
    pin.hear(SERVER, PARTY, &disown(&other, phone, 200));
    assert!(pin.allows(phone).is_err());
    pin.hear(SERVER, PARTY, &vouch(&other, phone, 201));
    assert!(pin.allows(phone).is_err());
}

#[test]
fn fix_0037_a_number_counts_whether_or_not_its_statement_changes_anything() {
    let (own, other) = (Identity::generate(), Identity::generate());
    let (phone, third) = (Identity::generate().peer_id(), Identity::generate().peer_id());
    let mut pin = Pin::new(&introduced(&own, &other, None));
    assert!(pin.hear(SERVER, PARTY, &vouch(&other, phone, 1)));
    pin.hear(SERVER, PARTY, &vouch(&other, phone, 9));
    assert!(!pin.hear(SERVER, PARTY, &vouch(&other, third, 8)), "older than one that counted");
    assert!(pin.allows(third).is_err());
}

#[test]
fn fix_0037_what_devices_say_is_taken_in_as_it_was_said_in_whatever_order_it_comes() {
    let [own, one, two, three] = [(); 4].map(|()| Identity::generate());
    let [late, out] = [(); 2].map(|()| Identity::generate().peer_id());
    // The clock of `two` is behind: what it says has lower numbers than what brought it in.
    let said = [
        vouch_bytes(&one, two.peer_id(), 100),
        vouch_bytes(&two, three.peer_id(), 50),
        vouch_bytes(&two, late, 150),
        vouch_bytes(&three, out, 10),
        disown_bytes(&two, out, 160),
    ];
    let mut forged = vouch_bytes(&one, Identity::generate().peer_id(), 101);
    *forged.last_mut().unwrap() ^= 1;
    let first = introduced(&own, &one, None);
    for order in orders(&[&said[0], &said[1], &said[2], &said[3], &said[4], &forged]) {
        let mut pin = Pin::new(&first);
        assert!(pin.hear_all(SERVER, PARTY, claims(&order)));
        let pinned = [one.peer_id(), two.peer_id(), three.peer_id(), late];
        assert_eq!(pin.devices().into_keys().collect::<BTreeSet<_>>(), BTreeSet::from(pinned));
        assert!(pin.is_disowned(out));
        assert!(!pin.hear_all(SERVER, PARTY, claims(&order)), "nothing of it is new");
    }
}

#[test]
fn a_disown_counts_whatever_its_number() {
    let [own, one] = [(); 2].map(|()| Identity::generate());
    let phone = Identity::generate().peer_id();
    let mut pin = Pin::new(&introduced(&own, &one, None));
    assert!(pin.hear(SERVER, PARTY, &vouch(&one, phone, 7)));
    assert!(pin.hear(SERVER, PARTY, &disown(&one, phone, 3)), "the server held it back");
    assert_eq!(pin.allows(phone), Err(PinError::Disowned(phone)));
    assert!(!pin.hear(SERVER, PARTY, &disown(&one, phone, 3)));
}

#[test]
fn fix_0039_a_compared_code_verifies_the_device_and_those_it_vouches_for_and_no_other() {
    let [own, one, two] = [(); 3].map(|()| Identity::generate());
    let [of_one, of_two, later] = [(); 3].map(|()| Identity::generate().peer_id());
    let mut pin = Pin::new(&introduced(&own, &one, None));
    pin.hear(SERVER, PARTY, &vouch(&one, two.peer_id(), 1));
    pin.hear(SERVER, PARTY, &vouch(&one, of_one, 2));
    pin.hear(SERVER, PARTY, &vouch(&two, of_two, 1));
    assert!(pin.devices().values().all(|trust| *trust == PeerTrust::FirstUse));
    // The user has met `two`. Whoever brought it in may be anybody.
    assert_eq!(pin.verify(two.peer_id()), Ok(true));
    assert_eq!(pin.verify(two.peer_id()), Ok(false));
    let trust = |pin: &Pin, device| pin.allows(device).unwrap();
    for (device, expected) in [
        (one.peer_id(), PeerTrust::FirstUse),
        (of_one, PeerTrust::FirstUse),
        (two.peer_id(), PeerTrust::Verified),
        (of_two, PeerTrust::Verified),
    ] {
        assert_eq!(trust(&pin, device), expected);
    }
    pin.hear(SERVER, PARTY, &vouch(&two, later, 2));
    assert_eq!(trust(&pin, later), PeerTrust::Verified);
    // It has vouched for whoever brought it in, too.
    pin.hear(SERVER, PARTY, &vouch(&two, one.peer_id(), 3));
    assert_eq!((trust(&pin, one.peer_id()), trust(&pin, of_one)), (PeerTrust::Verified, PeerTrust::Verified));
    let stranger = Identity::generate().peer_id();
    assert!(matches!(pin.verify(stranger), Err(PinError::IdentityChanged { .. })));
    pin.hear(SERVER, PARTY, &disown(&two, of_one, 4));
    assert_eq!(pin.verify(of_one), Err(PinError::Disowned(of_one)));
}

#[test]
fn a_name_verifies_whom_it_names_and_a_device_that_was_disowned_introduces_nobody() {
    let [own, one, two] = [(); 3].map(|()| Identity::generate());
    let mut pin = Pin::new(&introduced(&own, &one, None));
    pin.hear(SERVER, PARTY, &vouch(&one, two.peer_id(), 1));
    assert_eq!(pin.introduce(&introduced(&own, &two, Some(two.peer_id()))), Ok(true));
    assert_eq!(pin.allows(one.peer_id()), Ok(PeerTrust::FirstUse));
    pin.hear(SERVER, PARTY, &disown(&two, one.peer_id(), 1));
    assert_eq!(pin.introduce(&introduced(&own, &one, Some(one.peer_id()))), Ok(false));
    assert!(pin.is_disowned(one.peer_id()));
    assert_eq!(pin.devices(), BTreeMap::from([(two.peer_id(), PeerTrust::Verified)]));
}

#[test]
fn a_device_numbers_what_it_says_and_says_nothing_that_does_not_count() {
    let (device, other) = (Identity::generate().peer_id(), Identity::generate().peer_id());
    let mut pin = Pin::of_own(device);
    let vouch =
        |number| -> Statement { Vouch { server: SERVER, account: OTHER, device: other, number }.into() };
    let disown =
        |number| -> Statement { Disown { server: SERVER, account: OTHER, device: other, number }.into() };
    let numbers = [(5, 5), (5, 6), (3, 7), (9, 9)];
    for (now, number) in numbers {
        let said = pin.say(device, StatementNumber(now), vouch).unwrap();
        assert_eq!((said.number(), pin.last_number(device)), (StatementNumber(number), Some(said.number())));
    }
    assert_eq!(pin.allows(other), Ok(PeerTrust::Verified));
    pin.say(device, StatementNumber(0), disown).unwrap();
    let before = pin.clone();
    assert_eq!(pin.say(device, StatementNumber(0), vouch), Err(PinError::Disowned(other)));
    assert!(matches!(pin.say(other, StatementNumber(0), vouch), Err(PinError::Disowned(_))));
    let stranger = Identity::generate().peer_id();
    assert!(matches!(pin.say(stranger, StatementNumber(0), disown), Err(PinError::IdentityChanged { .. })));
    assert_eq!(pin, before);
    let fill = |pin: &mut Pin| {
        let another = PeerId([u8::try_from(pin.0.len()).unwrap(); 32]);
        let said = |number| Vouch { server: SERVER, account: OTHER, device: another, number }.into();
        pin.say(device, StatementNumber(0), said)
    };
    while fill(&mut pin).is_ok() {}
    assert_eq!(pin.0.len(), 64);
    assert_eq!(fill(&mut pin), Err(PinError::Full));
}

#[test]
fn what_is_kept_is_a_pin_or_nothing() {
    use citadel_crypt::wire::{decode, encode};
    let [own, one, two] = [(); 3].map(|()| Identity::generate());
    let mut pin = Pin::new(&introduced(&own, &one, None));
    pin.hear(SERVER, PARTY, &vouch(&one, two.peer_id(), 1));
    pin.hear(SERVER, PARTY, &disown(&one, Identity::generate().peer_id(), 2));
    assert_eq!(decode::<Pin>(&encode(&pin).unwrap(), 1 << 20), Ok(pin.clone()));
    let peer = |number: u8| PeerId([number; 32]);
    let first_use = |by: &[u8]| State::FirstUse { by: by.iter().map(|number| peer(*number)).collect() };
    let of = |states: &[(u8, State)]| -> BTreeMap<PeerId, Device> {
        states.iter().map(|(number, state)| (peer(*number), Device::new(state.clone()))).collect()
    };
    let many: Vec<(u8, State)> = (0..65).map(|number| (number, State::Verified)).collect();
    let vouchers: Vec<u8> = (1..10).collect();
    let by_many = [&many[1..10], &[(0, first_use(&vouchers))]].concat();
    for (bad, what) in [
        (of(&[]), "nobody"),
        (of(&many), "too many"),
        (of(&[(1, first_use(&[2]))]), "by a stranger"),
        (of(&[(1, first_use(&[1]))]), "by itself"),
        (of(&by_many), "by too many"),
    ] {
        assert!(decode::<Pin>(&encode(&bad).unwrap(), 1 << 20).is_err(), "{what}");
    }
    assert!(decode::<Pin>(&encode(&of(&many[..64])).unwrap(), 1 << 20).is_ok());
}

#[test]
fn whatever_is_said_a_pin_stays_one_and_forgets_nobody() {
    use citadel_crypt::wire::{decode, encode};
    let own = Identity::generate();
    let signers: [Identity; 5] = [(); 5].map(|()| Identity::generate());
    let mut devices: Vec<PeerId> = signers.iter().map(Identity::peer_id).collect();
    devices.extend((0..70).map(|number| PeerId([number; 32])));
    let first = introduced(&own, &signers[0], None);
    for seed in 0..4_u64 {
        let (mut pin, mut state) = (Pin::new(&first), seed);
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        for _ in 0..200 {
            // Half of what is said is about who says something.
            let about = if random(2) == 0 { signers.len() } else { devices.len() };
            let (signer, device) = (&signers[random(signers.len())], devices[random(about)]);
            let number = u64::try_from(random(300)).unwrap();
            let said = match random(8) {
                0 if device != signers[0].peer_id() => disown(signer, device, number),
                1 => {
                    // Whoever is pinned may be compared.
                    assert_eq!(pin.verify(device).is_ok(), pin.allows(device).is_ok());
                    continue;
                }
                _ => vouch(signer, device, number),
            };
            let (before, is_pinned) = (pin.clone(), pin.allows(signer.peer_id()).is_ok());
            let has_changed = pin.hear(SERVER, PARTY, &said);
            assert_eq!(has_changed, pin != before, "{said:?}");
            assert!(is_pinned || !has_changed, "a word of one who is not pinned");
            for (device, known) in &before.0 {
                let now = &pin.0[device];
                assert!(known.number <= now.number && known.trust().is_some() >= now.trust().is_some());
                assert!(now.trust().is_none() || known.trust() <= now.trust(), "trust does not fall");
            }
            assert!(pin.0.len() <= 64);
            assert_eq!(decode::<Pin>(&encode(&pin).unwrap(), 1 << 20), Ok(pin.clone()));
        }
    }
}
