//! What is negotiated in the clear: swapped, stripped, weakened. A change that a parser cannot see the transcript does.

use citadel_crypt::handshake::{
    AppProtocol, ClientConfig, FlightKind, HandshakeConfig, HandshakeError, Hello, HelloReply, Limits,
    PskHint, RefusalCode, Retry, ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{Native, Suite};
use citadel_crypt::{SecrecyMode, Timestamp};
use citadel_tests::tamper::{Cast, Pair, Scene};
use rstest::rstest;
use std::sync::Arc;

const PLAIN: Cast = Cast { suite: Suite::DEFAULT, psk: false, retry: false };
const KEYED: Cast = Cast { suite: Suite::DEFAULT, psk: true, retry: true };

const UNPROVEN: Option<HandshakeError> = Some(HandshakeError::NotAuthentic(FlightKind::HelloReply));
const NOT_OFFERED: Option<HandshakeError> = Some(HandshakeError::NotOffered);

#[rstest]
#[case::longer_offer(|hello: &mut Hello| hello.suites.push(0x7777), UNPROVEN)]
#[case::mode(|hello: &mut Hello| hello.mode = SecrecyMode::Perfect, UNPROVEN)]
#[case::wider_window(|hello: &mut Hello| hello.window = 16, UNPROVEN)]
#[case::narrower_window(|hello: &mut Hello| hello.window = 2, UNPROVEN)]
#[case::limits(|hello: &mut Hello| hello.limits = Limits { max_channels: 1, ..Limits::default() }, UNPROVEN)]
#[case::random(|hello: &mut Hello| hello.random = [0; 32], UNPROVEN)]
fn a_changed_offer_is_seen_by_the_client(
    #[case] change: fn(&mut Hello),
    #[case] error: Option<HandshakeError>,
) {
    let scene = Scene::record(PLAIN);
    let mut hello = Hello::parse(&scene.flights[0].1).unwrap();
    change(&mut hello);
    let ends = scene.judge(0, &hello.encode()).unwrap();
    assert_eq!(ends.client_error(), error);
}

#[rstest]
#[case::kind(|hello: &mut Hello| hello.kind = SessionKind::P2P, RefusalCode::KIND)]
#[case::protocol(|hello: &mut Hello| hello.app_protocols.push(AppProtocol::new("x").unwrap()), RefusalCode::APP_PROTOCOL)]
#[case::suite(|hello: &mut Hello| hello.suites = vec![0x7777], RefusalCode::SUITE)]
#[case::another_suite(|hello: &mut Hello| hello.suites = vec![0x0103], RefusalCode::SUITE)]
#[case::cookie(|hello: &mut Hello| hello.cookie = vec![1; 67], RefusalCode::COOKIE)]
fn a_changed_offer_is_seen_by_the_server(#[case] change: fn(&mut Hello), #[case] code: RefusalCode) {
    let scene = Scene::record(PLAIN);
    let mut hello = Hello::parse(&scene.flights[0].1).unwrap();
    change(&mut hello);
    let ends = scene.judge(0, &hello.encode()).unwrap();
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(code)));
}

#[rstest]
#[case::swapped_suite(|reply: &mut HelloReply| reply.suite = 0x0102, NOT_OFFERED)]
#[case::other_kem(|reply: &mut HelloReply| reply.suite = 0x0201, NOT_OFFERED)]
#[case::unknown_suite(|reply: &mut HelloReply| reply.suite = 0x7777, NOT_OFFERED)]
#[case::wider_window(|reply: &mut HelloReply| reply.window = 5, NOT_OFFERED)]
#[case::narrower_window(|reply: &mut HelloReply| reply.window = 2, UNPROVEN)]
#[case::mode(|reply: &mut HelloReply| reply.mode = SecrecyMode::Perfect, UNPROVEN)]
#[case::protocol(|reply: &mut HelloReply| reply.app_protocol = AppProtocol::new("x").ok(), NOT_OFFERED)]
#[case::psk(|reply: &mut HelloReply| reply.psk = true, NOT_OFFERED)]
#[case::random(|reply: &mut HelloReply| reply.random = [0; 32], UNPROVEN)]
fn a_changed_choice_is_seen_by_the_client(
    #[case] change: fn(&mut HelloReply),
    #[case] error: Option<HandshakeError>,
) {
    let scene = Scene::record(PLAIN);
    let mut reply = HelloReply::parse(&scene.flights[1].1).unwrap();
    change(&mut reply);
    let ends = scene.judge(1, &reply.encode()).unwrap();
    assert_eq!(ends.client_error(), error);
}

#[test]
fn a_stripped_pre_shared_key_ends_the_attempt() {
    let scene = Scene::record(KEYED);
    let mut hello = Hello::parse(&scene.flights[2].1).unwrap();
    hello.psk = None;
    let ends = scene.judge(2, &hello.encode()).unwrap();
    assert_eq!(ends.client_error(), NOT_OFFERED);
    let mut reply = HelloReply::parse(&scene.flights[3].1).unwrap();
    reply.psk = false;
    let ends = scene.judge(3, &reply.encode()).unwrap();
    assert_eq!(ends.client_error(), NOT_OFFERED);
}

#[test]
fn hint_and_binder_that_do_not_fit_look_alike() {
    let scene = Scene::record(KEYED);
    let spoilt = |change: fn(&mut Hello)| {
        let mut hello = Hello::parse(&scene.flights[2].1).unwrap();
        change(&mut hello);
        scene.judge(2, &hello.encode()).unwrap()
    };
    let hint = spoilt(|hello| hello.psk.as_mut().unwrap().hint = PskHint([8; 16]));
    let binder = spoilt(|hello| hello.psk.as_mut().unwrap().binder[31] ^= 1);
    for ends in [&hint, &binder] {
        assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(RefusalCode::PSK)));
    }
    assert_eq!(hint.flights, binder.flights);
}

#[test]
fn a_binder_of_the_first_hello_does_not_fit_the_second() {
    let scene = Scene::record(KEYED);
    let first = Hello::parse(&scene.flights[0].1).unwrap();
    let mut second = Hello::parse(&scene.flights[2].1).unwrap();
    second.psk = first.psk;
    let ends = scene.judge(2, &second.encode()).unwrap();
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(RefusalCode::PSK)));
}

#[test]
fn a_first_hello_that_was_changed_shows_behind_a_retry() {
    // The cookie is for the changed Hello, so the server's transcript is not the client's, although the second exchange
    // came through untouched. Without a key in play the transcript alone has to see it.
    let scene = Scene::record(Cast { psk: false, ..KEYED });
    let mut first = Hello::parse(&scene.flights[0].1).unwrap();
    first.limits.max_channels += 1;
    let ends = scene.judge(0, &first.encode()).unwrap();
    assert_eq!(ends.client_error(), UNPROVEN);
    assert_eq!(ends.flights.len(), 5);
}

#[test]
fn a_changed_retry_shows() {
    let scene = Scene::record(KEYED);
    let retry = Retry::parse(&scene.flights[1].1).unwrap();
    let other = Retry { suite: 0x0103, ..retry.clone() };
    let ends = scene.judge(1, &other.encode()).unwrap();
    assert_eq!(ends.client_error(), NOT_OFFERED);
    let mut cookie = retry.cookie.clone();
    cookie[40] ^= 1;
    let ends = scene.judge(1, &Retry { cookie, ..retry }.encode()).unwrap();
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(RefusalCode::COOKIE)));
}

/// Plays a handshake whose reply is changed on the way, and says what the client makes of it.
fn client_hears(client: HandshakeConfig, retry: bool, change: fn(&mut HelloReply)) -> Option<HandshakeError> {
    let identity = Arc::new(Identity::generate());
    let mut server = HandshakeConfig::new(Arc::new(Native), Arc::clone(&identity), SessionKind::C2S);
    server.suites = Suite::all().to_vec();
    let server = Arc::new(ServerConfig::new(server).unwrap());
    let client = ClientConfig::new(client, Trust::Peer(identity.peer_id()));
    let pair = Pair::new(client, &server, b"", retry, Timestamp::ZERO).unwrap();
    let ends = pair.run_over(&mut |_, _, flight| match HelloReply::parse(&flight) {
        Ok(mut reply) => {
            change(&mut reply);
            vec![reply.encode()]
        }
        Err(_) => vec![flight],
    });
    assert!(!ends.both_established());
    ends.client_error()
}

fn client_of(suites: &[u16]) -> HandshakeConfig {
    let mut client = HandshakeConfig::new(Arc::new(Native), Arc::new(Identity::generate()), SessionKind::C2S);
    client.suites = suites.iter().map(|id| Suite::from_id(*id).unwrap()).collect();
    client
}

#[test]
fn a_mode_weaker_than_asked_for_is_not_taken() {
    let client = HandshakeConfig { mode: SecrecyMode::Perfect, ..client_of(&[0x0101]) };
    assert_eq!(client_hears(client, false, |reply| reply.mode = SecrecyMode::BestEffort), NOT_OFFERED);
}

#[test]
fn a_suite_whose_kem_key_was_not_sent_is_not_taken() {
    let change = |reply: &mut HelloReply| {
        reply.suite = 0x0201;
        reply.ciphertext.resize(1568, 0);
    };
    assert_eq!(client_hears(client_of(&[0x0101, 0x0201]), false, change), NOT_OFFERED);
}

#[test]
fn after_a_retry_no_other_suite_than_the_named_one_is_taken() {
    let change: fn(&mut HelloReply) = |reply| reply.suite = 0x0102;
    assert_eq!(client_hears(client_of(&[0x0101, 0x0102]), true, change), NOT_OFFERED);
    assert_eq!(client_hears(client_of(&[0x0101, 0x0102]), false, change), UNPROVEN);
}
