//! Parsers of bytes from strangers: strict, canonical, never a panic. The fuzz targets call the same functions.

use crate::setup::Setup;
use citadel_crypt::handshake::{
    AppProtocol, ClientProof, Grant, Hello, HelloError, HelloReply, Limits, MAX_CLIENT_FLIGHT_LEN,
    MAX_HELLO_LEN, MAX_PROOF_LEN, MAX_REPLY_LEN, MAX_RETRY_LEN, MAX_SERVER_FLIGHT_LEN, MAX_VERDICT_LEN,
    PskHint, PskOffer, Refusal, RefusalCode, Request, RequestError, Retry, ServerProof, VerdictBody,
};
use citadel_crypt::suite::Suite;
use proptest::prelude::*;

/// A parser after which the encoding is the input, or nothing.
type Parser = fn(&[u8]) -> Option<Vec<u8>>;

const PARSERS: [(&str, Parser); 8] = [
    ("hello", |bytes| Hello::parse(bytes).ok().map(|hello| hello.encode())),
    ("retry", |bytes| Retry::parse(bytes).ok().map(|retry| retry.encode())),
    ("hello reply", |bytes| HelloReply::parse(bytes).ok().map(|reply| reply.encode())),
    ("refusal", |bytes| Refusal::parse(bytes).ok().map(|refusal| refusal.encode())),
    ("server proof", |bytes| ServerProof::parse(bytes).ok().map(|proof| proof.encode())),
    ("client proof", |bytes| ClientProof::parse(bytes).ok().map(|proof| proof.encode().to_vec())),
    ("verdict", |bytes| VerdictBody::parse(bytes).ok().map(|body| body.encode())),
    ("request", |bytes| Request::parse(bytes).ok().map(|request| request.encode().to_vec())),
];

/// Well-formed bytes for each parser, in its order.
fn corpus() -> Vec<Vec<u8>> {
    let setup = Setup { under_load: true, ..Setup::default().with_psk(&[1; 32], &[1; 32]) };
    let identity = setup.client.common.identity.clone();
    let flights: Vec<_> = setup.run().flights.into_iter().map(|(_, flight)| flight).collect();
    let signature = identity.sign("citadel/1 test", &[]).unwrap();
    let (public, request) = (identity.public().clone(), Request::Identity.encode());
    let server = ServerProof { identity: public.clone(), signature: signature.clone(), mac: [3; 32] };
    let client = ClientProof { identity: public, signature, request: request.clone(), mac: [4; 32] };
    vec![
        flights[2].clone(),
        flights[1].clone(),
        flights[3].clone(),
        Refusal { code: RefusalCode::BUSY }.encode(),
        server.encode(),
        client.encode().to_vec(),
        VerdictBody::Accepted { limits: Limits::default(), grant: Grant::default() }.encode(),
        request.to_vec(),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    for ((name, parser), bytes) in PARSERS.iter().zip(corpus()) {
        assert_eq!(parser(&bytes).as_ref(), Some(&bytes), "{name}");
    }
}

#[test]
fn every_cut_and_every_extra_byte_is_refused() {
    for ((name, parser), bytes) in PARSERS.iter().zip(corpus()) {
        for len in 0..bytes.len() {
            assert_eq!(parser(&bytes[..len]), None, "{name} cut to {len}");
        }
        for extra in [0, 1, 255] {
            assert_eq!(parser(&[&bytes[..], &[extra]].concat()), None, "{name} with {extra} behind it");
        }
    }
}

#[test]
fn what_a_spoilt_byte_leaves_readable_has_one_encoding() {
    for ((name, parser), bytes) in PARSERS.iter().zip(corpus()) {
        for place in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff, bytes[place] ^ 1, bytes[place].wrapping_add(1)] {
                let mut spoilt = bytes.clone();
                spoilt[place] = value;
                let read = parser(&spoilt);
                assert!(read.is_none() || read.as_ref() == Some(&spoilt), "{name} at {place}");
            }
        }
    }
}

/// The largest `Hello` that the rules allow.
fn largest_hello() -> Hello {
    let mut hello = Hello::parse(&Setup::default().run().flights[0].1).unwrap();
    hello.suites = (0..16).collect();
    hello.app_protocols = (0..8).map(|n| AppProtocol::new([n; 255]).unwrap()).collect();
    hello.kem_key = vec![1; 2048];
    hello.cookie = vec![1; 256];
    hello.psk = Some(PskOffer { hint: PskHint([1; 16]), binder: [2; 32] });
    hello
}

#[test]
fn the_limits_are_what_they_say() {
    let largest = largest_hello();
    assert_eq!(largest.encode().len(), MAX_HELLO_LEN);
    assert_eq!(Hello::parse(&largest.encode()), Ok(largest));
    assert_eq!(Retry { suite: 1, cookie: vec![1; 256] }.encode().len(), MAX_RETRY_LEN);
    assert_eq!(MAX_CLIENT_FLIGHT_LEN, MAX_HELLO_LEN.max(MAX_PROOF_LEN));
    assert_eq!(
        MAX_SERVER_FLIGHT_LEN,
        [MAX_REPLY_LEN, MAX_RETRY_LEN, MAX_VERDICT_LEN].into_iter().max().unwrap()
    );
    let flights = Setup::default().run().flights;
    assert_eq!(flights[2].1.len(), 1 + 6 * 1024 + 16);
    assert_eq!(flights[3].1.len(), MAX_VERDICT_LEN);
    for suite in Suite::all() {
        assert!(suite.kem.encapsulation_key_len() <= 2048 && suite.kem.ciphertext_len() <= 2048);
    }
}

#[test]
fn a_hello_over_any_limit_is_refused() {
    let refused = |change: fn(&mut Hello)| {
        let mut hello = largest_hello();
        change(&mut hello);
        Hello::parse(&hello.encode()) == Err(HelloError::Malformed)
    };
    assert!(refused(|hello| hello.suites.clear()));
    assert!(refused(|hello| hello.suites.push(99)));
    assert!(refused(|hello| hello.suites[1] = hello.suites[0]));
    assert!(refused(|hello| hello.app_protocols[1] = hello.app_protocols[0].clone()));
    assert!(refused(|hello| hello.app_protocols.push(AppProtocol::new("one more").unwrap())));
    assert!(refused(|hello| hello.kem_key.push(0)));
    assert!(refused(|hello| hello.cookie.push(0)));
    assert!(refused(|hello| hello.window = 1));
    assert!(refused(|hello| hello.window = 17));
    assert!(refused(|hello| hello.limits.channel_credit = (1 << 62) + 1));
}

#[test]
fn an_unknown_request_is_told_from_a_malformed_one() {
    assert_eq!(Request::parse(&[0, 0, 0]), Ok(Request::Identity));
    assert_eq!(Request::parse(&[0, 1, 0, 9]), Err(RequestError::Malformed));
    assert_eq!(Request::parse(&[200, 1, 0, 9]), Err(RequestError::Unknown(200)));
    assert_eq!(Request::parse(&[200, 2, 0, 9]), Err(RequestError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..7000), first in 0u8..8) {
        let mut bytes = bytes;
        if let Some(tag) = bytes.first_mut() {
            *tag = first;
        }
        for (_, parser) in &PARSERS {
            let read = parser(&bytes);
            prop_assert!(read.is_none() || read.as_ref() == Some(&bytes));
        }
    }
}
