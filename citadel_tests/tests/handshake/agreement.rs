//! What both ends agree on, in every combination.

use crate::setup::{CLIENT, SERVER, Setup};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::handshake::{AppProtocol, Established, Instance, Limits, SessionKind, Trust};
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::{Side, Version};
use citadel_crypt::suite::{AeadAlgorithm, KemAlgorithm, Native, SecurityLevel, Suite};
use rstest::rstest;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Every field that the two ends must share, and the secrets behind it.
pub(crate) fn assert_same(client: &Established, server: &Established) {
    assert_eq!((client.side, server.side), (Side::Initiator, Side::Responder));
    assert_eq!(client.kind, server.kind);
    assert_eq!(client.session_id, server.session_id);
    assert_eq!(client.instance, server.instance);
    assert_eq!(client.instance, Instance::of(&client.session_id));
    assert_eq!(client.suite, server.suite);
    assert_eq!(client.mode, server.mode);
    assert_eq!(client.window, server.window);
    assert_eq!(client.app_protocol, server.app_protocol);
    assert_eq!(client.psk, server.psk);
    assert_eq!(client.peer, *SERVER.public());
    assert_eq!(server.peer, *CLIENT.public());
}

/// The keys of version 0 open what the other end sealed, both ways, and export the same.
fn assert_same_keys(client: Established, server: Established) {
    let mut ends = [client, server].map(|end| {
        let (side, mode) = (end.side, end.mode);
        let (toolset, _) = end.initial.into_parts(Arc::new(Native), side, mode, None);
        toolset
    });
    let [client, server] = ends.each_ref().map(|end| end.fingerprint(Version(0)).unwrap());
    assert_eq!(client, server);
    let exported = ends.each_ref().map(|end| {
        let mut out = [0; 40];
        end.export("application", b"context", &mut out).unwrap();
        out
    });
    assert_eq!(exported[0], exported[1]);
    for (from, to) in [(0, 1), (1, 0)] {
        for n in 0..3u8 {
            let mut body = vec![n; 100];
            let sealed = ends[from].seal(PathId::FIRST, b"header", &mut body).unwrap();
            body.extend_from_slice(&sealed.tag);
            let mut back = body.clone();
            assert!(ends[from].open(Version(0), PathId::FIRST, None, b"header", &mut back).is_err());
            let len = ends[to].open(Version(0), PathId::FIRST, None, b"header", &mut body).unwrap();
            assert_eq!(body[..len], [n; 100]);
        }
    }
}

#[rstest]
fn every_suite_mode_key_and_retry_succeeds(
    #[values(BestEffort, Perfect)] mode: SecrecyMode,
    #[values(false, true)] psk: bool,
    #[values(false, true)] retry: bool,
) {
    let mut sessions = BTreeSet::new();
    for suite in Suite::all() {
        for kind in [SessionKind::C2S, SessionKind::P2P] {
            let mut setup = Setup::new(kind);
            if psk {
                setup = setup.with_psk(&[1; 32], &[1; 32]);
            }
            setup.client.common.suites = vec![*suite];
            setup.server.common.suites = vec![*suite];
            setup.client.common.mode = mode;
            setup.under_load = retry;
            let ends = setup.run();
            assert_eq!(ends.flights.len(), if retry { 6 } else { 4 });
            assert_eq!(ends.asked, [(Side::Responder, CLIENT.peer_id())]);
            let (client, server) = ends.unwrap();
            assert_same(&client, &server);
            assert_eq!((client.suite, client.mode, client.psk, client.kind), (*suite, mode, psk, kind));
            assert!(sessions.insert(client.session_id), "a session id came twice");
            assert_same_keys(*client, *server);
        }
    }
}

#[rstest]
#[case(BestEffort, BestEffort, BestEffort)]
#[case(BestEffort, Perfect, Perfect)]
#[case(Perfect, BestEffort, Perfect)]
#[case(Perfect, Perfect, Perfect)]
fn the_stronger_mode_counts(
    #[case] client: SecrecyMode,
    #[case] server: SecrecyMode,
    #[case] both: SecrecyMode,
) {
    let mut setup = Setup::default();
    setup.client.common.mode = client;
    setup.server.common.mode = server;
    let (client, server) = setup.run().unwrap();
    assert_eq!((client.mode, server.mode), (both, both));
}

#[rstest]
#[case(2, 16, 2)]
#[case(16, 2, 2)]
#[case(16, 16, 16)]
#[case(4, 5, 4)]
fn the_smaller_window_counts(#[case] client: u8, #[case] server: u8, #[case] both: u8) {
    let mut setup = Setup::default();
    setup.client.common.window = client;
    setup.server.common.window = server;
    let (client, server) = setup.run().unwrap();
    assert_eq!((client.window, server.window), (both, both));
}

#[test]
fn each_end_learns_the_limits_of_the_other() {
    let limits = |n: u32| Limits {
        max_message: u64::from(n),
        session_credit: u64::from(n) + 1,
        channel_credit: u64::from(n) + 2,
        max_channels: n + 3,
    };
    let mut setup = Setup::default();
    setup.client.common.limits = limits(10);
    setup.server.common.limits = limits(20);
    let (client, server) = setup.run().unwrap();
    assert_eq!((client.peer_limits, server.peer_limits), (limits(20), limits(10)));
}

#[test]
fn the_first_protocol_of_the_client_that_the_server_has_counts() {
    let name = |text: &str| AppProtocol::new(text).unwrap();
    let mut setup = Setup::default();
    setup.client.common.app_protocols = vec![name("new/2"), name("b/1"), name("a/1")];
    setup.server.common.app_protocols = vec![name("a/1"), name("b/1")];
    let (client, server) = setup.run().unwrap();
    assert_eq!(client.app_protocol, Some(name("b/1")));
    assert_same(&client, &server);
}

#[test]
fn the_first_suite_of_the_client_that_the_server_has_counts() {
    let [aes, chacha] = [AeadAlgorithm::Aes256Gcm, AeadAlgorithm::ChaCha20Poly1305]
        .map(|aead| Suite::new(KemAlgorithm::MlKem768, aead));
    let mut setup = Setup::default();
    setup.client.common.suites = vec![chacha, aes];
    setup.server.common.suites = vec![aes, chacha];
    let (client, _) = setup.run().unwrap();
    assert_eq!(client.suite, chacha);
}

#[rstest]
fn another_suites_kem_costs_one_retry(#[values(false, true)] psk: bool, #[values(false, true)] load: bool) {
    let strong = Suite::new(KemAlgorithm::MlKem1024, AeadAlgorithm::Aes256Gcm);
    let mut setup = Setup::default();
    if psk {
        setup = setup.with_psk(&[1; 40], &[1; 40]);
    }
    setup.client.common.suites = vec![Suite::DEFAULT, strong];
    setup.server.common.suites = vec![strong, Suite::DEFAULT];
    setup.server.common.level = SecurityLevel::Reinforced;
    setup.under_load = load;
    let ends = setup.run();
    assert_eq!(ends.flights.len(), 6);
    let (client, server) = ends.unwrap();
    assert_same(&client, &server);
    assert_eq!(client.suite, strong);
}

#[test]
fn the_application_may_decide_whom_to_trust() {
    let mut setup = Setup::default();
    setup.client.trust = Trust::Ask;
    let ends = setup.run();
    assert_eq!(ends.asked, [(Side::Initiator, SERVER.peer_id()), (Side::Responder, CLIENT.peer_id())]);
    let (client, server) = ends.unwrap();
    assert_same(&client, &server);
}

#[test]
fn anyone_may_be_trusted_by_name_only() {
    let mut setup = Setup::default();
    setup.client.trust = Trust::DangerousAnyone;
    let (client, server) = setup.run().unwrap();
    assert_same(&client, &server);
}
