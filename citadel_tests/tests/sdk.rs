//! Endpoints as an application meets them, over real sockets and over any other ordered path.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "sdk/datagrams.rs"]
mod datagrams;
#[path = "sdk/memory.rs"]
mod memory;
#[path = "sdk/quic.rs"]
mod quic;
#[path = "sdk/transports.rs"]
mod transports;

use citadel_sdk::prelude::*;
use citadel_sdk::{
    AppProtocol, CloseReason, EstablishError, HandshakeError, Psk, PskHint, RecvError, RefusalCode,
    SecurityLevel, SendError, TrustPolicy,
};
use citadel_tests::canary;
use futures::FutureExt;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A server on loopback TCP and a client, with one session between them.
struct Pair {
    server: Endpoint,
    client: Endpoint,
    accepted: Session,
    opened: Session,
}

async fn bind(config: EndpointConfig) -> Endpoint {
    canary::watch();
    Endpoint::bind_with(Identity::generate(), "127.0.0.1:0", config).await.unwrap()
}

fn client(config: EndpointConfig) -> Endpoint {
    canary::watch();
    Endpoint::client_with(Identity::generate(), config).unwrap()
}

/// What both ends come to when `client` dials `server` and the server accepts whoever comes.
async fn meet(
    client: &Endpoint,
    server: &Endpoint,
) -> (Result<Session, EstablishError>, Result<Session, EstablishError>) {
    tokio::join!(client.connect(server.addr()), async { server.accept().await.unwrap().accept().await })
}

async fn pair_with(config: EndpointConfig) -> Pair {
    let (server, client) = (bind(config.clone()).await, client(config));
    let (opened, accepted) = meet(&client, &server).await;
    Pair { server, client, accepted: accepted.unwrap(), opened: opened.unwrap() }
}

/// A message there and back on channel 0, with rounds by both ends meanwhile.
async fn works(a: &Session, b: &Session) {
    canary::watch();
    let (mut there, mut back) = (a.open_channel().await.unwrap(), b.accept_channel().await.unwrap().unwrap());
    let rounds = async { tokio::join!(a.rekey(), b.rekey()) };
    let talk = async {
        there.send("there").await.unwrap();
        assert_eq!(back.recv().await.unwrap().unwrap(), "there");
        back.send("back").await.unwrap();
        assert_eq!(there.recv().await.unwrap().unwrap(), "back");
    };
    let ((first, second), ()) = tokio::join!(rounds, talk);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.version.0 >= 1 && second.version.0 >= 1);
    there.finish().await.unwrap();
    back.finish().await.unwrap();
    assert_eq!((there.recv().await.unwrap(), back.recv().await.unwrap()), (None, None));
}

/// Both endpoints close; every session ended cleanly and nothing is left.
async fn ends_cleanly(server: &Endpoint, client: &Endpoint) {
    let (first, second) = tokio::join!(client.close(), server.close());
    assert!(first.is_clean() && second.is_clean(), "{first}; {second}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_over_tcp_works_in(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] secrecy: SecrecyMode,
    #[values(SecurityLevel::Standard, SecurityLevel::Reinforced)] security: SecurityLevel,
) {
    let mut config = EndpointConfig::default();
    (config.secrecy, config.security) = (secrecy, security);
    let pair = pair_with(config).await;
    assert_eq!(pair.opened.peer_id(), pair.server.peer_id());
    assert_eq!(pair.accepted.peer_id(), pair.client.peer_id());
    assert_eq!(pair.opened.instance(), pair.accepted.instance());
    assert_eq!((pair.opened.mode(), pair.opened.suite()), (secrecy, pair.accepted.suite()));
    works(&pair.opened, &pair.accepted).await;
    works(&pair.accepted, &pair.opened).await;
    ends_cleanly(&pair.server, &pair.client).await;
}

#[tokio::test]
async fn a_session_works_over_any_ordered_path() {
    let (server, client) = (Endpoint::client(Identity::generate()), Endpoint::client(Identity::generate()));
    let (near, far) = tokio::io::duplex(1_000);
    let (opened, accepted) = tokio::join!(client.connect_io(near, server.peer_id()), server.accept_io(far));
    let (opened, accepted) = (opened.unwrap(), accepted.unwrap());
    works(&opened, &accepted).await;
    ends_cleanly(&server, &client).await;
}

#[tokio::test]
async fn another_peer_than_the_dialled_one_is_refused_and_learns_nothing() {
    let (server, client) = (bind(EndpointConfig::default()).await, client(EndpointConfig::default()));
    let stranger = Identity::generate().peer_id();
    let address = NodeAddr::from_socket(stranger, server.local_addr().unwrap());
    let (opened, accepted) =
        tokio::join!(client.connect(address), async { server.accept().await.unwrap().accept().await });
    let expected = HandshakeError::WrongPeer { expected: stranger, actual: server.peer_id() };
    assert!(matches!(&opened, Err(EstablishError::Handshake(error)) if *error == expected), "{opened:?}");
    assert!(!opened.unwrap_err().is_retryable());
    // The server saw a client that went away, not who it was.
    let refused =
        HandshakeError::Refused { code: RefusalCode::ABORTED, authenticated: false, retry_after: None };
    assert!(matches!(&accepted, Err(EstablishError::Handshake(error)) if *error == refused), "{accepted:?}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_a_path_error_and_may_be_tried_again() {
    let server = bind(EndpointConfig::default()).await;
    let address = server.addr();
    server.close().await;
    drop(server);
    let error = Endpoint::client(Identity::generate()).connect(address).await.unwrap_err();
    assert!(matches!(&error, EstablishError::Io(_)) && error.is_retryable(), "{error:?}");
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn who_listens_on_a_taken_port_is_told() {
    let server = bind(EndpointConfig::default()).await;
    let taken = server.local_addr().unwrap().to_string();
    let error = Endpoint::bind(Identity::generate(), taken).await.unwrap_err();
    assert!(matches!(error, EstablishError::Io(_)), "{error:?}");
}

fn psk(hint: u8, key: u8) -> Psk {
    Psk::new(PskHint([hint; 16]), &[key; 32]).unwrap()
}

#[rstest]
#[case::both_have_it(Some((1, 7)), true)]
#[case::the_key_differs(Some((1, 8)), false)]
#[case::the_hint_is_unknown(Some((2, 7)), false)]
#[case::the_client_has_none(None, false)]
#[tokio::test]
async fn a_server_that_requires_a_pre_shared_key_lets_in_who_has_it(
    #[case] ours: Option<(u8, u8)>,
    #[case] is_let_in: bool,
) {
    let mut config = EndpointConfig::default();
    (config.accepted_psks, config.require_psk) = (Arc::from([psk(1, 7)]), true);
    let server = bind(config).await;
    let mut config = EndpointConfig::default();
    config.psk = ours.map(|(hint, key)| Arc::new(psk(hint, key)));
    let client = client(config);
    let (opened, accepted) = meet(&client, &server).await;
    assert_eq!((opened.is_ok(), accepted.is_ok()), (is_let_in, is_let_in));
    if let (Ok(opened), Ok(accepted)) = (opened, accepted) {
        works(&opened, &accepted).await;
    }
}

#[tokio::test]
async fn ends_without_a_common_application_protocol_do_not_meet() {
    let speaks = |names: &[&str]| {
        let mut config = EndpointConfig::default();
        config.app_protocols = names.iter().map(|name| AppProtocol::new(name).unwrap()).collect();
        config
    };
    let server = bind(speaks(&["chat/2", "chat/1"])).await;
    let (opened, _) = meet(&client(speaks(&["mail"])), &server).await;
    let code = RefusalCode::APP_PROTOCOL;
    let refused = HandshakeError::Refused { code, authenticated: false, retry_after: None };
    assert!(matches!(&opened, Err(EstablishError::Handshake(error)) if *error == refused), "{opened:?}");
    let (opened, accepted) = meet(&client(speaks(&["mail", "chat/1"])), &server).await;
    let chosen = AppProtocol::new("chat/1").unwrap();
    assert_eq!(opened.unwrap().app_protocol(), Some(&chosen));
    assert_eq!(accepted.unwrap().app_protocol(), Some(&chosen));
}

#[tokio::test]
async fn a_server_decides_by_the_proven_identity() {
    let (server, client) = (bind(EndpointConfig::default()).await, client(EndpointConfig::default()));
    let no = RefusalCode(RefusalCode::APPLICATION.0 + 7);
    let (opened, ()) = tokio::join!(client.connect(server.addr()), async {
        let identified = server.accept().await.unwrap().identify().await.unwrap();
        assert_eq!(identified.peer_id(), client.peer_id());
        identified.refuse(no).await;
    });
    let refused = HandshakeError::Refused { code: no, authenticated: true, retry_after: None };
    assert!(matches!(&opened, Err(EstablishError::Handshake(error)) if *error == refused), "{opened:?}");
}

#[rstest]
#[case::trusts(true)]
#[case::does_not(false)]
#[tokio::test]
async fn a_client_that_asks_its_application(#[case] answer: bool) {
    let (server, client) = (Endpoint::client(Identity::generate()), Endpoint::client(Identity::generate()));
    let asked = Arc::new(AtomicBool::new(false));
    let (seen, expected) = (Arc::clone(&asked), server.peer_id());
    let policy: TrustPolicy = Arc::new(move |peer| {
        seen.store(peer.peer_id() == expected, Ordering::SeqCst);
        async move { answer }.boxed()
    });
    let (near, far) = tokio::io::duplex(1_000);
    let (opened, accepted) = tokio::join!(client.connect_io_with(near, policy), server.accept_io(far));
    assert!(asked.load(Ordering::SeqCst));
    assert_eq!((opened.is_ok(), accepted.is_ok()), (answer, answer));
}

#[tokio::test]
async fn a_closed_endpoint_takes_and_makes_nothing() {
    let pair = pair_with(EndpointConfig::default()).await;
    let mut channel = pair.opened.open_channel().await.unwrap();
    let address = pair.server.addr();
    ends_cleanly(&pair.server, &pair.client).await;
    assert!(pair.server.accept().await.is_none());
    assert!(matches!(pair.client.connect(address).await, Err(EstablishError::EndpointClosed)));
    assert!(matches!(channel.send("late").await, Err(SendError::Closed(_))));
    assert!(pair.opened.rekey().await.is_err());
    assert!(pair.opened.open_channel().await.is_err());
    assert_eq!(pair.client.close().await.sessions.len(), 0, "a second close has nothing to report");
}

#[tokio::test]
async fn what_was_sent_before_a_close_is_read_after_it() {
    let pair = pair_with(EndpointConfig::default()).await;
    let mut there = pair.opened.open_channel().await.unwrap();
    let mut back = pair.accepted.accept_channel().await.unwrap().unwrap();
    for number in 0..100 {
        there.send(format!("message {number}")).await.unwrap();
    }
    let report = pair.opened.close(7, "done").await;
    assert!(report.clean, "{report}");
    for number in 0..100 {
        assert_eq!(back.recv().await.unwrap().unwrap(), format!("message {number}"));
    }
    // The application on the other end never finished the channel: that is no clean end of the data.
    assert!(matches!(back.recv().await, Err(RecvError::Closed(_))));
    let peer = pair.accepted.closed().await.peer.unwrap();
    assert_eq!(peer, CloseReason::application(7, "done"));
}

#[tokio::test]
async fn readers_that_stall_on_every_other_channel_block_nobody() {
    let pair = pair_with(EndpointConfig::default()).await;
    let mut stalled = Vec::new();
    for _ in 0..15 {
        let mut there = pair.opened.open_channel().await.unwrap();
        let back = pair.accepted.accept_channel().await.unwrap().unwrap();
        let mut accepted = 0;
        while there.try_send(vec![0; 100_000]).is_ok() {
            accepted += 1;
        }
        assert!(accepted > 0);
        stalled.push((there, back));
    }
    works(&pair.opened, &pair.accepted).await;
    works(&pair.opened, &pair.accepted).await;
}

#[tokio::test]
async fn dropping_every_handle_of_a_session_aborts_it() {
    let Pair { server, client, accepted, opened } = pair_with(EndpointConfig::default()).await;
    drop(opened);
    let report = accepted.closed().await;
    assert!(!report.clean);
    assert_eq!(report.peer, Some(CloseReason::Aborted));
    drop((server, client));
}

#[tokio::test]
async fn a_session_outlives_its_endpoints() {
    let Pair { server, client, accepted, opened } = pair_with(EndpointConfig::default()).await;
    drop((server, client));
    works(&opened, &accepted).await;
    assert!(opened.close(0, "").await.clean);
}

#[tokio::test]
async fn exported_keys_are_equal_on_both_ends_and_the_same_after_rounds() {
    let pair = pair_with(EndpointConfig::default()).await;
    let export = |session: &Session| {
        let mut key = [0; 32];
        session.export_keying_material("test", b"context", &mut key).unwrap();
        key
    };
    let before = export(&pair.opened);
    pair.opened.rekey().await.unwrap();
    assert_ne!(before, [0; 32]);
    assert_eq!((export(&pair.opened), export(&pair.accepted)), (before, before));
}
