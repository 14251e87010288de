//! What must not become a session, and what each end hears about it.

use crate::setup::{HINT, NOW, SERVER, SOURCE, Setup};
use citadel_crypt::handshake::{
    AppProtocol, ConfigError, FlightKind, HandshakeError, Hello, Limits, Psk, PskHint, PskTooShort,
    RefusalCode, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::{AeadAlgorithm, KemAlgorithm, SecurityLevel, Suite};
use citadel_tests::tamper::{Answer, Ends, Pair};
use rstest::rstest;
use std::sync::Arc;

fn refused(code: RefusalCode) -> HandshakeError {
    HandshakeError::Refused { code, authenticated: false, retry_after: None }
}

/// The server refuses in its first flight: it never agreed on keys, and both ends know the same reason.
fn assert_turned_away(ends: &Ends, code: RefusalCode) {
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(code)));
    assert_eq!(ends.client_error(), Some(refused(code)));
    assert_eq!(ends.flights.len(), 2);
    assert_eq!(ends.flights[1].1.len(), 3);
}

#[test]
fn a_client_shows_nothing_to_another_server() {
    let stranger = Identity::generate().peer_id();
    let mut setup = Setup::default();
    setup.client.trust = Trust::Peer(stranger);
    let ends = setup.run();
    let error = HandshakeError::WrongPeer { expected: stranger, actual: SERVER.peer_id() };
    assert_eq!(ends.client_error(), Some(error));
    assert_eq!(ends.server_error(), Some(refused(RefusalCode::ABORTED)));
    assert!(ends.asked.is_empty());
    assert_eq!(ends.flights.last().map(|(side, flight)| (*side, flight.len())), Some((Side::Initiator, 3)));
}

#[test]
fn a_client_shows_nothing_to_a_server_that_the_application_does_not_want() {
    let mut setup = Setup::default();
    setup.client.trust = Trust::Ask;
    let ends = setup.pair().client_says(Answer::Refuse(RefusalCode::DENIED)).run();
    assert_eq!(ends.client_error(), Some(HandshakeError::Untrusted(SERVER.peer_id())));
    assert_eq!(ends.server_error(), Some(refused(RefusalCode::ABORTED)));
    assert_eq!(ends.flights.len(), 3);
}

#[rstest]
#[case(RefusalCode::DENIED)]
#[case(RefusalCode(0x1234))]
fn the_application_may_refuse_a_client_and_the_client_knows_who_said_so(#[case] code: RefusalCode) {
    let ends = Setup::default().pair().server_says(Answer::Refuse(code)).run();
    assert_eq!(ends.server_error(), Some(HandshakeError::Rejected(code)));
    assert_eq!(
        ends.client_error(),
        Some(HandshakeError::Refused { code, authenticated: true, retry_after: None })
    );
}

#[test]
fn a_refusal_is_as_long_as_a_yes() {
    let yes = Setup::default().run();
    let no = Setup::default().pair().server_says(Answer::Refuse(RefusalCode::DENIED)).run();
    assert_eq!(yes.flights[3].1.len(), no.flights[3].1.len());
}

#[rstest]
#[case(SessionKind::C2S, SessionKind::P2P)]
#[case(SessionKind::P2P, SessionKind::C2S)]
fn a_session_of_another_kind_is_refused(#[case] client: SessionKind, #[case] server: SessionKind) {
    let mut setup = Setup::new(server);
    setup.client.common.kind = client;
    assert_turned_away(&setup.run(), RefusalCode::KIND);
}

#[test]
fn no_common_suite_is_refused() {
    let mut setup = Setup::default();
    setup.client.common.suites = vec![Suite::DEFAULT];
    setup.server.common.suites = vec![Suite::new(KemAlgorithm::MlKem1024, AeadAlgorithm::Aes256Gcm)];
    assert_turned_away(&setup.run(), RefusalCode::SUITE);
}

#[test]
fn a_reinforced_server_takes_no_weaker_suite_even_if_listed() {
    let mut setup = Setup::default();
    setup.server.common.suites = Suite::all().to_vec();
    setup.server.common.level = SecurityLevel::Reinforced;
    setup.client.common.suites =
        vec![Suite::DEFAULT, Suite::new(KemAlgorithm::MlKem1024, AeadAlgorithm::AsconAead128)];
    assert_turned_away(&setup.run(), RefusalCode::SUITE);
}

#[rstest]
#[case(&["a"], &["b"])]
#[case(&["a"], &[])]
#[case(&[], &["b"])]
fn no_common_application_protocol_is_refused(#[case] client: &[&str], #[case] server: &[&str]) {
    let names = |list: &[&str]| list.iter().map(|name| AppProtocol::new(name).unwrap()).collect();
    let mut setup = Setup::default();
    setup.client.common.app_protocols = names(client);
    setup.server.common.app_protocols = names(server);
    assert_turned_away(&setup.run(), RefusalCode::APP_PROTOCOL);
}

#[test]
fn a_wrong_key_and_an_unknown_hint_look_alike() {
    let wrong = Setup::default().with_psk(&[1; 32], &[2; 32]).run();
    let mut setup = Setup::default().with_psk(&[1; 32], &[1; 32]);
    setup.server.psks = Arc::from([Psk::new(PskHint([8; 16]), &[1; 32]).unwrap()]);
    let unknown = setup.run();
    let mut setup = Setup::default().with_psk(&[1; 32], &[1; 32]);
    setup.server.psks = Arc::from([]);
    let none = setup.run();
    for ends in [&wrong, &unknown, &none] {
        assert_turned_away(ends, RefusalCode::PSK);
        assert_eq!(ends.flights[1], wrong.flights[1]);
    }
}

#[test]
fn a_server_may_insist_on_a_key() {
    let mut setup = Setup::default();
    setup.server.psks = Arc::from([Psk::new(HINT, &[1; 32]).unwrap()]);
    setup.server.require_psk = true;
    assert_turned_away(&setup.run(), RefusalCode::PSK_REQUIRED);
}

#[test]
fn keys_rotate_without_an_outage() {
    let key = |name: u8| Psk::new(PskHint([name; 16]), &[name; 40]).unwrap();
    let run = |client: u8, server: &[u8]| {
        let mut setup = Setup::default();
        setup.client.psk = Some(Arc::new(key(client)));
        setup.server.psks = server.iter().map(|name| key(*name)).collect();
        setup.server.require_psk = true;
        setup.run()
    };
    assert!(run(1, &[1]).both_established());
    assert!(run(1, &[1, 2]).both_established());
    assert!(run(2, &[1, 2]).both_established());
    assert!(run(2, &[2]).both_established());
    assert_turned_away(&run(1, &[2]), RefusalCode::PSK);
}

#[test]
fn a_client_with_a_key_does_not_fall_back_when_the_server_drops_it() {
    // The server reads a Hello without the key, so the client's secrets and transcript differ; and it is told so openly.
    let setup = Setup::default().with_psk(&[1; 32], &[1; 32]);
    let ends = setup.pair().run_over(&mut |number, _, flight| match number {
        0 => {
            let mut hello = Hello::parse(&flight).unwrap();
            hello.psk = None;
            vec![hello.encode()]
        }
        _ => vec![flight],
    });
    assert_eq!(ends.client_error(), Some(HandshakeError::NotOffered));
    assert_eq!(ends.server_error(), Some(refused(RefusalCode::ABORTED)));
}

#[test]
fn a_key_has_at_least_32_bytes() {
    assert_eq!(Psk::new(HINT, &[0; 31]).err(), Some(PskTooShort));
    assert!(Psk::new(HINT, &[0; 32]).is_ok());
}

#[rstest]
#[case::no_suite(ConfigError::NoSuite)]
#[case::suite_twice(ConfigError::Suites)]
#[case::window(ConfigError::Window)]
#[case::protocols(ConfigError::AppProtocols)]
#[case::limits(ConfigError::Limits)]
fn a_senseless_configuration_does_not_start(#[case] error: ConfigError) {
    let mut setup = Setup::default();
    for common in [&mut setup.client.common, &mut setup.server.common] {
        match error {
            ConfigError::NoSuite => {
                common.suites = vec![Suite::DEFAULT];
                common.level = SecurityLevel::Reinforced;
            }
            ConfigError::Suites => common.suites = vec![Suite::DEFAULT; 2],
            ConfigError::Window => common.window = 17,
            ConfigError::AppProtocols => common.app_protocols = vec![AppProtocol::new("a").unwrap(); 2],
            _ => common.limits = Limits { max_message: (1 << 62) + 1, ..Limits::default() },
        }
    }
    let server = Arc::new(setup.server);
    let client = setup.client;
    let honest = Setup::default();
    let pair = |client, server: &Arc<_>| Pair::new(client, server, SOURCE, false, NOW).err();
    assert_eq!(pair(client, &Arc::new(honest.server)), Some(HandshakeError::Config(error)));
    assert_eq!(pair(honest.client, &server), Some(HandshakeError::Config(error)));
}

#[test]
fn another_protocol_version_is_refused_by_name() {
    let ends = Setup::default().pair().run_over(&mut |number, _, mut flight| {
        if number == 0 {
            flight[1] = 2;
        }
        vec![flight]
    });
    assert_turned_away(&ends, RefusalCode::VERSION);
}

#[test]
fn a_forged_refusal_ends_the_attempt_and_is_not_called_authentic() {
    let ends = Setup::default().pair().run_over(&mut |number, _, flight| match number {
        1 => vec![vec![6, 15, 0]],
        _ => vec![flight],
    });
    assert_eq!(ends.client_error(), Some(refused(RefusalCode::DENIED)));
    assert!(!ends.both_established());
}

#[test]
fn a_flight_that_cannot_come_now_is_refused() {
    let mut reply = Vec::new();
    let ends = Setup::default().pair().run_over(&mut |number, _, flight| match number {
        1 => {
            reply.clone_from(&flight);
            vec![flight]
        }
        2 => vec![reply.clone()],
        _ => vec![flight],
    });
    assert_eq!(ends.server_error(), Some(HandshakeError::Unexpected(FlightKind::HelloReply)));
}
