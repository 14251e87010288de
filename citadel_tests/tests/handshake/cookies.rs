//! The stateless door: `Retry` and its cookie.

use crate::setup::{NOW, SOURCE, Setup};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    Admission, FlightKind, Handled, HandshakeError, Hello, HelloGuard, Input, Output, RefusalCode, Retry,
    ServerHandshake,
};
use citadel_crypt::suite::{Native, Suite};
use citadel_tests::tamper::Pair;
use core::time::Duration;
use rstest::rstest;
use std::sync::Arc;

const LIFETIME: Duration = Duration::from_secs(30);

/// A first `Hello` and the one that answers the guard's `Retry`, with the time at which the cookie was made.
struct Visit {
    guard: HelloGuard,
    second: Vec<u8>,
    made: Timestamp,
}

fn hello() -> Vec<u8> {
    let ends = Setup::default().run();
    ends.flights[0].1.clone()
}

fn check(guard: &HelloGuard, now: Timestamp, source: &[u8], hello: &[u8], load: bool) -> Admission {
    guard.check(now, source, hello, &[Suite::DEFAULT], load)
}

impl Visit {
    fn new(made: Timestamp) -> Self {
        let guard = HelloGuard::with_lifetime(&Native, LIFETIME).unwrap();
        let first = hello();
        let Admission::Retry(retry) = check(&guard, made, SOURCE, &first, true) else {
            unreachable!("a hello without a cookie under load")
        };
        let mut second = Hello::parse(&first).unwrap();
        second.suites = vec![Suite::DEFAULT.id()];
        second.cookie = Retry::parse(&retry).unwrap().cookie;
        Self { guard, second: second.encode(), made }
    }

    fn passes(&self, later: Duration, source: &[u8]) -> bool {
        match check(&self.guard, self.made + later, source, &self.second, true) {
            Admission::Pass(_) => true,
            Admission::Reject(RefusalCode::COOKIE) => false,
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn a_quiet_server_asks_for_no_cookie() {
    let guard = HelloGuard::new(&Native).unwrap();
    assert!(matches!(check(&guard, NOW, SOURCE, &hello(), false), Admission::Pass(_)));
}

#[test]
fn a_cookie_counts_in_its_epoch_and_the_next() {
    let start = Visit::new(Timestamp::ZERO + LIFETIME * 7);
    assert!(start.passes(Duration::ZERO, SOURCE));
    assert!(start.passes(LIFETIME * 2 - Duration::from_nanos(1), SOURCE));
    assert!(!start.passes(LIFETIME * 2, SOURCE));
    let end = Visit::new(Timestamp::ZERO + (LIFETIME * 8 - Duration::from_nanos(1)));
    assert!(end.passes(LIFETIME, SOURCE));
    assert!(!end.passes(LIFETIME + Duration::from_nanos(1), SOURCE));
}

#[test]
fn a_cookie_does_not_come_back_when_the_epoch_number_wraps() {
    let visit = Visit::new(Timestamp::ZERO + LIFETIME * 7);
    assert!(!visit.passes(LIFETIME * 256, SOURCE));
    assert!(!visit.passes(LIFETIME * 257, SOURCE));
}

#[test]
fn a_cookie_is_of_one_address() {
    let visit = Visit::new(NOW);
    for source in [&b""[..], b"192.0.2.1:443", b"192.0.2.1:44333", b"192.0.2.2:4433"] {
        assert!(!visit.passes(Duration::ZERO, source));
    }
}

#[test]
fn a_cookie_of_another_server_does_not_count() {
    let mut visit = Visit::new(NOW);
    visit.guard = HelloGuard::with_lifetime(&Native, LIFETIME).unwrap();
    assert!(!visit.passes(Duration::ZERO, SOURCE));
}

#[test]
fn every_bit_of_a_cookie_counts() {
    let visit = Visit::new(NOW);
    let hello = Hello::parse(&visit.second).unwrap();
    for bit in 0..hello.cookie.len() * 8 {
        let mut spoilt = hello.clone();
        spoilt.cookie[bit / 8] ^= 1 << (bit % 8);
        let admission = check(&visit.guard, NOW, SOURCE, &spoilt.encode(), true);
        assert!(matches!(admission, Admission::Reject(RefusalCode::COOKIE)), "bit {bit}: {admission:?}");
    }
    for len in 1..hello.cookie.len() {
        let mut cut = hello.clone();
        cut.cookie.truncate(len);
        let admission = check(&visit.guard, NOW, SOURCE, &cut.encode(), true);
        assert!(matches!(admission, Admission::Reject(RefusalCode::COOKIE)), "length {len}: {admission:?}");
    }
}

#[test]
fn a_cookie_with_another_first_suite_does_not_count() {
    let visit = Visit::new(NOW);
    let mut hello = Hello::parse(&visit.second).unwrap();
    hello.suites.insert(0, 0x7777);
    let admission = check(&visit.guard, NOW, SOURCE, &hello.encode(), true);
    assert!(matches!(admission, Admission::Reject(RefusalCode::COOKIE)));
}

#[test]
fn a_retry_is_stateless() {
    // Another server machine with the same guard takes the second Hello, as after a load balancer or a datagram.
    let mut setup = Setup { under_load: true, ..Setup::default() };
    let guard = Arc::new(HelloGuard::new(&Native).unwrap());
    setup.server.guard = Arc::clone(&guard);
    let server = Arc::new(setup.server);
    let ends = Pair::new(setup.client, &server, SOURCE, true, NOW).unwrap().run();
    let second = ends.flights[2].1.clone();
    let mut other = ServerHandshake::new(server, SOURCE, true, NOW).unwrap();
    let handled = other.handle(NOW, Input::Flight(&second));
    assert_eq!(handled, Handled::Done);
    let Some(Output::Send(reply)) = other.poll_output() else { unreachable!("no reply") };
    assert_eq!(FlightKind::of(&reply), FlightKind::HelloReply);
}

#[rstest]
fn a_second_retry_is_refused_by_the_client(#[values(false, true)] same: bool) {
    let mut first = Vec::new();
    let setup = Setup { under_load: true, ..Setup::default() };
    let ends = setup.pair().run_over(&mut |number, _, flight| match number {
        1 => {
            first.clone_from(&flight);
            vec![flight]
        }
        3 if same => vec![first.clone(), flight],
        3 => vec![Retry { suite: Suite::DEFAULT.id(), cookie: vec![1] }.encode()],
        _ => vec![flight],
    });
    if same {
        assert!(ends.both_established());
    } else {
        assert_eq!(ends.client_error(), Some(HandshakeError::Unexpected(FlightKind::Retry)));
        assert!(!ends.both_established());
    }
}

#[test]
fn a_second_hello_without_the_cookie_is_refused_by_the_server() {
    let setup = Setup { under_load: true, ..Setup::default() };
    let ends = setup.pair().run_over(&mut |number, _, flight| match number {
        2 => {
            let mut hello = Hello::parse(&flight).unwrap();
            hello.cookie.clear();
            hello.random[0] ^= 1;
            vec![hello.encode()]
        }
        _ => vec![flight],
    });
    assert_eq!(ends.server_error(), Some(HandshakeError::Unexpected(FlightKind::Hello)));
    assert!(!ends.both_established());
}

#[test]
fn a_retry_to_a_suite_that_was_not_offered_is_refused() {
    for suite in [0, 0x7777, Suite::all().last().unwrap().id()] {
        let ends = Setup::default().pair().run_over(&mut |number, _, flight| match number {
            1 => vec![Retry { suite, cookie: vec![1] }.encode()],
            _ => vec![flight],
        });
        assert_eq!(ends.client_error(), Some(HandshakeError::NotOffered));
    }
}

#[test]
fn a_forged_retry_costs_the_attempt_and_nothing_else() {
    // The client does as it is told, and no server ever gave that cookie.
    let forged = Retry { suite: Suite::DEFAULT.id(), cookie: vec![1; 67] }.encode();
    let ends = Setup::default().pair().run_over(&mut |number, _, flight| match number {
        0 => vec![flight],
        1 => vec![forged.clone()],
        _ => vec![flight],
    });
    assert!(ends.client_error().is_some() && ends.server_error().is_some());
}
