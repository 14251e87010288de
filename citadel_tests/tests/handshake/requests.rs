//! What clients ask for and servers answer: every request there and back, every malformed one, grants and refusals on both
//! ends, passwords.

use crate::setup::Setup;
use citadel_crypt::handshake::{
    Cid, ClientRequest, ConfigError, DeviceName, DisplayName, Grant, HandshakeError, Instance, Password,
    RefusalCode, Refused, Request, RequestError, ResumeRequest, Trust, UserName, VerdictBody,
};
use citadel_tests::tamper::Answer;
use core::time::Duration;
use rstest::rstest;

fn user() -> UserName {
    UserName::new("alice").unwrap()
}

fn password(bytes: impl AsRef<[u8]>) -> Password {
    Password::new(bytes).unwrap()
}

fn register(password: Password) -> Request {
    let display_name = DisplayName::new("Alice L.").unwrap();
    Request::Register { user: user(), display_name, password, device: DeviceName::new("laptop").unwrap() }
}

fn add_device(password: Password) -> Request {
    Request::AddDevice { user: user(), password, device: DeviceName::new("").unwrap() }
}

fn all() -> Vec<Request> {
    let longest = Request::Register {
        user: UserName::new("u".repeat(64)).unwrap(),
        display_name: DisplayName::new("é".repeat(64)).unwrap(),
        password: password([0xff; 1024]),
        device: DeviceName::new("d".repeat(64)).unwrap(),
    };
    vec![
        Request::Identity,
        register(password("correct horse")),
        longest,
        Request::Login { user: user() },
        add_device(password("correct horse")),
        Request::Transient,
        Request::Resume(ResumeRequest { instance: Instance([1; 16]), path: u64::MAX, proof: [2; 32] }),
    ]
}

#[test]
fn every_request_comes_as_it_went() {
    for request in all() {
        assert_eq!(Request::parse(&request.encode()).as_ref(), Ok(&request));
        let mut setup = Setup::default();
        setup.client.request = ClientRequest::Plain(request.clone());
        let ends = setup.run();
        assert!(ends.both_established());
        assert_eq!(ends.requested.unwrap().0, request);
    }
}

#[test]
fn requests_have_the_bytes_of_the_protocol_page() {
    let encoded = |request: Request| request.encode().to_vec();
    assert_eq!(encoded(Request::Identity), [0, 0, 0]);
    assert_eq!(encoded(Request::Login { user: user() }), b"\x02\x06\0\x05alice");
    assert_eq!(encoded(add_device(password("pw"))), b"\x03\x0b\0\x05alice\x02\0pw\0");
    assert_eq!(encoded(register(password("pw"))), b"\x01\x1a\0\x05alice\x08Alice L.\x02\0pw\x06laptop");
    assert_eq!(encoded(Request::Transient), [4, 0, 0]);
    let resume = ResumeRequest { instance: Instance([1; 16]), path: 0x0102, proof: [3; 32] };
    let expected = [&[5, 56, 0][..], &[1; 16], &[2, 1, 0, 0, 0, 0, 0, 0], &[3; 32]].concat();
    assert_eq!(encoded(Request::Resume(resume)), expected);
}

#[test]
fn every_cut_every_extra_byte_and_every_field_out_of_bounds_is_malformed() {
    for request in all() {
        let bytes = request.encode();
        for len in 0..bytes.len() {
            assert_eq!(Request::parse(&bytes[..len]), Err(RequestError::Malformed), "cut to {len}");
        }
        // A byte more in the body, its length with it.
        let mut longer = bytes.to_vec();
        longer.push(0);
        let body = u16::try_from(longer.len() - 3).unwrap();
        longer[1..3].copy_from_slice(&body.to_le_bytes());
        assert_eq!(Request::parse(&longer), Err(RequestError::Malformed));
    }
}

/// A request of `kind` with this body.
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(body.len()).unwrap().to_le_bytes(), body].concat()
}

#[rstest]
#[case::no_user(framed(2, b"\0"))]
#[case::user_too_long(framed(2, &[&[65][..], &[b'u'; 65]].concat()))]
#[case::user_with_a_space_before(framed(2, b"\x02 a"))]
#[case::user_with_a_space_behind(framed(2, b"\x02a "))]
#[case::user_with_a_control_character(framed(2, b"\x02a\n"))]
#[case::user_not_utf8(framed(2, b"\x01\xff"))]
#[case::no_password(framed(3, b"\x01a\0\0\0"))]
#[case::password_too_long(framed(3, &[&b"\x01a\x01\x04"[..], &[7; 1025], b"\0"].concat()))]
#[case::display_name_too_long(framed(1, &[&b"\x01a\x81"[..], &[b'x'; 129], b"\x01\0p\0"].concat()))]
#[case::display_name_with_a_control_character(framed(1, b"\x01a\x01\0\x01\0p\0"))]
#[case::device_too_long(framed(3, &[&b"\x01a\x01\0p\x41"[..], &[b'd'; 65]].concat()))]
#[case::device_with_a_control_character(framed(3, b"\x01a\x01\0p\x01\x07"))]
#[case::transient_with_a_body(framed(4, b"\0"))]
#[case::resume_too_short(framed(5, &[0; 55]))]
fn a_field_that_no_client_writes_is_malformed(#[case] bytes: Vec<u8>) {
    assert_eq!(Request::parse(&bytes), Err(RequestError::Malformed));
}

#[test]
fn a_request_of_a_later_version_is_unknown_and_not_malformed() {
    assert_eq!(Request::parse(&framed(6, b"anything")), Err(RequestError::Unknown(6)));
}

#[test]
fn the_length_of_a_proof_tells_short_requests_not_apart() {
    let lengths: Vec<usize> = [Request::Identity, register(password("pw")), Request::Login { user: user() }]
        .into_iter()
        .map(|request| {
            let mut setup = Setup::default();
            setup.client.request = request.into();
            setup.run().flights[2].1.len()
        })
        .collect();
    assert!(lengths.iter().all(|len| *len == lengths[0]), "{lengths:?}");
}

#[test]
fn a_password_shows_nowhere() {
    for request in [register(password("canary")), add_device(password("canary"))] {
        assert!(!format!("{request:?}").contains("canary"));
        assert!(!format!("{:?}", ClientRequest::Plain(request)).contains("canary"));
    }
    let mut setup = Setup::default();
    setup.client.request = register(password("canary")).into();
    assert!(!format!("{:?}", setup.client).contains("canary"));
    for (_, flight) in setup.run().flights {
        assert!(!flight.windows(6).any(|window| window == b"canary"));
    }
}

#[test]
fn both_ends_hold_what_the_server_granted() {
    let granted = Grant { cid: Some(Cid(0xfeed)), resume: Duration::from_millis(60_900) };
    let (client, server) = Setup::default().pair().server_says(Answer::Grant(granted)).run().unwrap();
    let expected = Grant { cid: Some(Cid(0xfeed)), resume: Duration::from_secs(60) };
    assert_eq!((client.grant, server.grant), (expected, expected), "whole seconds travel");
    let (client, server) = Setup::default().run().unwrap();
    assert_eq!((client.grant, server.grant), (Grant::default(), Grant::default()));
    let most = Grant { cid: Some(Cid(0)), resume: Duration::MAX };
    let (client, server) = Setup::default().pair().server_says(Answer::Grant(most)).run().unwrap();
    let expected = Grant { cid: None, resume: Duration::from_secs(u32::MAX.into()) };
    assert_eq!((client.grant, server.grant), (expected, expected), "0 is no account");
}

#[rstest]
#[case::nothing_said(None, None)]
#[case::as_it_is(Some(1500), Some(1500))]
#[case::no_time_is_a_moment(Some(0), Some(1))]
fn a_refusal_says_when_to_come_back(#[case] said: Option<u64>, #[case] heard: Option<u64>) {
    let code = RefusalCode::RATE_LIMITED;
    let refused = Refused { code, retry_after: said.map(Duration::from_millis) };
    let ends = Setup::default().pair().server_says(Answer::Refused(refused)).run();
    let retry_after = heard.map(Duration::from_millis);
    let error = HandshakeError::Refused { code, authenticated: true, retry_after };
    assert_eq!(ends.client_error(), Some(error));
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(code)));
    assert!(error.is_retryable());
    assert_eq!(ends.flights[3].1.len(), Setup::default().run().flights[3].1.len(), "as long as a yes");
}

#[test]
fn a_longest_wait_does_not_overflow() {
    let refused = Refused::after(RefusalCode::BUSY, Duration::MAX);
    let body = VerdictBody::Refused(refused).encode();
    let Ok(VerdictBody::Refused(read)) = VerdictBody::parse(&body) else { panic!("it was written so") };
    assert_eq!(read.retry_after, Some(Duration::from_millis(u32::MAX.into())));
}

#[test]
fn codes_of_accounts_resumptions_and_peers_are_stable() {
    let codes = [
        RefusalCode::CREDENTIALS,
        RefusalCode::USER_TAKEN,
        RefusalCode::RATE_LIMITED,
        RefusalCode::RESUME_UNKNOWN,
        RefusalCode::RESUME_EXPIRED,
        RefusalCode::RESUME_SUPERSEDED,
        RefusalCode::RESUME_CLOSING,
        RefusalCode::TRANSIENT,
        RefusalCode::POLICY,
        RefusalCode::PEER_SIMULTANEOUS,
        RefusalCode::PEER_NOT_PINNED,
    ];
    assert_eq!(codes.map(|code| code.0), [18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28]);
}

#[rstest]
#[case::register(register(password("pw")))]
#[case::add_device(add_device(password("pw")))]
fn a_password_goes_to_a_chosen_server_or_by_explicit_consent(#[case] request: Request) {
    let mut setup = Setup::default();
    setup.client.request = request.clone().into();
    setup.client.trust = Trust::DangerousAnyone;
    let refused = setup.try_pair().err();
    assert_eq!(refused, Some(HandshakeError::Config(ConfigError::PasswordNeedsTrust)));
    let mut setup = Setup::default();
    setup.client.request = request.clone().into();
    setup.client.trust = Trust::DangerousAnyone;
    setup.client.allow_password_to_anyone = true;
    assert!(setup.run().both_established());
    let mut setup = Setup::default();
    setup.client.request = request.into();
    setup.client.trust = Trust::Ask;
    assert!(setup.run().both_established(), "whoever is asked has chosen");
}

#[test]
fn what_holds_no_password_may_go_to_anyone() {
    for request in [Request::Identity, Request::Login { user: user() }, Request::Transient] {
        let mut setup = Setup::default();
        setup.client.request = request.into();
        setup.client.trust = Trust::DangerousAnyone;
        assert!(setup.run().both_established());
    }
}
