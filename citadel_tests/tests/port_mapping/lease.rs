//! When a router is asked, and what is held meanwhile.

use citadel_crypt::Timestamp;
use citadel_proto::peers::direct::LeaseInput::{self, Changed, End, Granted, Refused, Timeout};
use citadel_proto::peers::direct::LeaseOutput::{self, Ask, Remove, Renew};
use citadel_proto::peers::direct::{Grant, Lease, LeaseConfig, Locality};
use core::time::Duration;
use std::net::SocketAddr;

const MIN: u64 = 60;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn lease() -> Lease {
    lease_of(Locality::Reachable)
}

fn lease_of(locality: Locality) -> Lease {
    let (leases, pauses) = ((secs(60), secs(1_200)), (secs(60), secs(3_600)));
    Lease::new(at(0), LeaseConfig { locality, leases, pauses })
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn granted(external: &str, seconds: u64) -> LeaseInput {
    Granted(Grant { external: external.parse().unwrap(), lifetime: secs(seconds) })
}

fn after(lease: &mut Lease, seconds: u64, input: LeaseInput) -> Option<LeaseOutput> {
    lease.handle(at(seconds), input);
    lease.poll_output()
}

fn external(lease: &Lease, seconds: u64) -> Option<SocketAddr> {
    lease.external(at(seconds)).map(|(external, _)| external)
}

const HERE: &str = "203.0.113.7:4000";

/// One that holds `HERE` since 0, for 20 minutes.
fn held() -> Lease {
    let mut lease = lease();
    assert_eq!(lease.poll_output(), Some(Ask));
    assert_eq!(after(&mut lease, 0, granted(HERE, 1_200)), None);
    lease
}

#[test]
fn a_port_is_asked_for_at_once_and_again_at_half_of_each_lease() {
    let mut lease = lease();
    assert_eq!(lease.poll_output(), Some(Ask));
    assert!(lease.is_asking());
    assert_eq!(lease.poll_timeout(), None);
    let mut now = 1;
    assert_eq!(after(&mut lease, now, granted(HERE, 1_000)), None);
    for _ in 0..3 {
        assert!(!lease.is_asking());
        assert_eq!(external(&lease, now), Some(HERE.parse().unwrap()));
        assert_eq!(lease.poll_timeout(), Some(at(now + 500)));
        assert_eq!(after(&mut lease, now + 499, Timeout), None);
        now += 500;
        assert_eq!(after(&mut lease, now, Timeout), Some(Renew));
        assert_eq!(external(&lease, now), Some(HERE.parse().unwrap()), "it is held while it is renewed");
        assert_eq!(after(&mut lease, now, granted(HERE, 1_000)), None);
    }
    assert_eq!(external(&lease, now + 999), Some(HERE.parse().unwrap()));
    assert_eq!(external(&lease, now + 1_000), None, "the router's word does not go further");
}

#[test]
fn a_router_chooses_neither_how_often_it_is_asked_nor_for_how_long_it_is_believed() {
    for (told, held) in [(1, 60), (59, 60), (60, 60), (61, 61), (1_200, 1_200), (u64::from(u32::MAX), 1_200)]
    {
        let mut lease = lease();
        lease.poll_output();
        after(&mut lease, 0, granted(HERE, told));
        assert_eq!(lease.poll_timeout(), Some(Timestamp::ZERO + secs(held) / 2), "{told} s");
        assert_eq!(lease.external(at(0)).unwrap().1, at(held), "{told} s");
    }
}

#[test]
fn refusals_are_followed_by_pauses_that_double_to_an_hour() {
    let mut lease = lease();
    assert_eq!(lease.poll_output(), Some(Ask));
    let (mut now, mut pauses) = (0, Vec::new());
    for _ in 0..8 {
        now += 3;
        assert_eq!(after(&mut lease, now, Refused), None);
        assert!(!lease.is_asking(), "no attempt waits for it");
        assert_eq!(external(&lease, now), None);
        let pause = lease.poll_timeout().unwrap().since(at(now)).as_secs();
        pauses.push(pause / MIN);
        now += pause;
        assert_eq!(after(&mut lease, now, Timeout), Some(Ask));
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    // What is granted once makes the next pause short again.
    after(&mut lease, now, granted(HERE, 120));
    after(&mut lease, now + 60, Timeout);
    after(&mut lease, now + 60, Refused);
    assert_eq!(after(&mut lease, now + 120, Timeout), Some(Ask));
    after(&mut lease, now + 120, Refused);
    assert_eq!(lease.poll_timeout(), Some(at(now + 120 + MIN)));
}

#[test]
fn a_renewal_that_fails_is_tried_at_half_of_the_rest_until_the_lease_is_over() {
    let mut lease = held();
    let mut tries = Vec::new();
    loop {
        let next = lease.poll_timeout().unwrap();
        tries.push(next.since(at(0)).as_millis());
        lease.handle(next, Timeout);
        match lease.poll_output() {
            Some(Renew) => assert_eq!(lease.external(next), Some((HERE.parse().unwrap(), at(1_200)))),
            other => {
                assert_eq!(other, Some(Ask), "everybody is asked anew");
                break;
            }
        }
        lease.handle(next, Refused);
        assert_eq!(lease.poll_output(), None);
    }
    assert_eq!(tries, [600_000, 900_000, 1_050_000, 1_125_000, 1_162_500, 1_192_500, 1_200_000]);
    assert!(lease.is_asking());
    assert_eq!(external(&lease, 1_200), None);
}

#[test]
fn another_address_that_a_renewal_brings_takes_the_place_of_the_first() {
    let mut lease = held();
    after(&mut lease, 600, Timeout);
    after(&mut lease, 601, granted("203.0.113.8:4001", 1_200));
    assert_eq!(external(&lease, 601), Some("203.0.113.8:4001".parse().unwrap()));
}

#[test]
fn what_nobody_may_be_told_is_given_back() {
    for (external_address, seconds) in [
        ("127.0.0.1:4000", 1_200),
        ("0.0.0.0:4000", 1_200),
        ("224.0.0.1:4000", 1_200),
        ("169.254.1.1:4000", 1_200),
        ("203.0.113.7:0", 1_200),
        (HERE, 0),
    ] {
        let mut lease = lease();
        lease.poll_output();
        assert_eq!(after(&mut lease, 0, granted(external_address, seconds)), Some(Remove));
        assert_eq!(external(&lease, 0), None, "{external_address}");
        assert_eq!(lease.poll_timeout(), Some(at(MIN)), "and not asked for at once");
    }
}

#[test]
fn what_a_router_behind_another_one_forwards_is_given_back_unless_both_ends_are_behind_it() {
    for (external_address, is_inside) in [
        ("10.0.0.1:4000", true),
        ("172.16.0.1:4000", true),
        ("172.32.0.1:4000", false),
        ("192.168.1.1:4000", true),
        ("100.63.255.255:4000", false),
        ("100.64.0.1:4000", true),
        ("100.127.255.255:4000", true),
        ("100.128.0.1:4000", false),
        ("239.0.0.1:4000", true),
        ("240.0.0.1:4000", true),
        ("[fc00::1]:4000", true),
        ("[fdff::1]:4000", true),
        ("[2001:db8::1]:4000", false),
        (HERE, false),
    ] {
        let mut lease = lease();
        lease.poll_output();
        let expected = is_inside.then_some(Remove);
        assert_eq!(after(&mut lease, 0, granted(external_address, 1_200)), expected, "{external_address}");
        assert_eq!(external(&lease, 0).is_none(), is_inside, "{external_address}");
    }
    for external_address in ["10.0.0.1:4000", "127.0.0.1:4000", "[fc00::1]:4000"] {
        let mut lease = lease_of(Locality::Local);
        lease.poll_output();
        assert_eq!(after(&mut lease, 0, granted(external_address, 1_200)), None, "{external_address}");
    }
}

#[test]
fn another_network_is_asked_at_once_but_not_oftener_than_in_five_seconds() {
    let mut lease = held();
    assert_eq!(after(&mut lease, 100, Changed), Some(Ask));
    assert_eq!(external(&lease, 100), None, "it was of the network before");
    // A change while an answer is awaited: the answer may be of the network before.
    assert_eq!(after(&mut lease, 101, Changed), None);
    assert_eq!(after(&mut lease, 101, granted(HERE, 1_200)), None);
    assert_eq!((external(&lease, 101), lease.poll_timeout()), (None, Some(at(105))));
    assert_eq!(after(&mut lease, 105, Timeout), Some(Ask));
    assert_eq!(after(&mut lease, 106, granted(HERE, 1_200)), None);
    // A moment after an answer: the address stays until it may be asked for again.
    assert_eq!(after(&mut lease, 107, Changed), None);
    assert_eq!(external(&lease, 107), Some(HERE.parse().unwrap()));
    assert_eq!(after(&mut lease, 110, Timeout), Some(Ask), "a new one, not a renewal");
    // After refusals, too, and the pauses are short again.
    for now in [111, 111 + MIN, 111 + 3 * MIN] {
        after(&mut lease, now, Refused);
        let next = lease.poll_timeout().unwrap().since(Timestamp::ZERO).as_secs();
        assert_eq!(after(&mut lease, next, Timeout), Some(Ask));
    }
    after(&mut lease, 600, Refused);
    assert_eq!(after(&mut lease, 601, Changed), Some(Ask));
    after(&mut lease, 602, Refused);
    assert_eq!(lease.poll_timeout(), Some(at(602 + MIN)));
}

#[test]
fn the_end_gives_back_whatever_there_is_and_nothing_is_asked_after_it() {
    let mut lease = held();
    assert_eq!(after(&mut lease, 1, End), Some(Remove));
    for input in [Changed, Timeout, Refused, granted(HERE, 1_200)] {
        assert_eq!(after(&mut lease, 5_000, input), None, "{input:?}");
        assert_eq!((external(&lease, 1), lease.poll_timeout()), (None, None));
    }
    let mut asking = self::lease();
    asking.poll_output();
    assert_eq!(after(&mut asking, 1, End), Some(Remove), "what is under way may be granted yet");
}
