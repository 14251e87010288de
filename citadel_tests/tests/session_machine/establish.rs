//! Strangers at the door: caps, deadlines, lengths, failing listeners (R-EST-3).

use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::{ClientConfig, HandshakeError, Limits, MAX_CLIENT_FLIGHT_LEN, Trust};
use citadel_proto::driver::{
    Acceptor, Admission, Arrived, EstablishError, HandshakeCaps, Hub, Incoming, Listener, TrustPolicy,
};
use citadel_proto::{CloseReason, SessionConfig};
use citadel_tests::session_world::{client_config, identity, server_config};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

const MODE: SecrecyMode = SecrecyMode::BestEffort;

/// A listener with a script; after its end nothing arrives.
struct Scripted(VecDeque<io::Result<(DuplexStream, [u8; 4])>>);

#[async_trait::async_trait]
impl Listener for Scripted {
    async fn accept(&mut self) -> io::Result<Arrived> {
        match self.0.pop_front() {
            Some(next) => {
                next.map(|(stream, ip)| Arrived { io: Box::new(stream), remote: SocketAddr::from((ip, 9)) })
            }
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
    }
}

fn acceptor(hub: &Hub, script: Vec<io::Result<(DuplexStream, [u8; 4])>>, caps: HandshakeCaps) -> Acceptor {
    let config = server_config(&identity(), MODE, Limits::default());
    let listener: Box<dyn Listener> = Box::new(Scripted(script.into()));
    Acceptor::new(hub.clone(), vec![listener], config, SessionConfig::default(), Admission::new(caps))
        .unwrap()
}

fn stream(ip: [u8; 4]) -> (DuplexStream, io::Result<(DuplexStream, [u8; 4])>) {
    let (near, far) = duplex(1 << 16);
    (near, Ok((far, ip)))
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_listener_are_waited_out_and_never_end_it() {
    let hub = Hub::new();
    let mut script: Vec<io::Result<_>> =
        (0..20).map(|_| Err(io::Error::other("no file descriptors"))).collect();
    script.push(Err(io::ErrorKind::ConnectionAborted.into()));
    let (_near, far) = stream([10, 0, 0, 1]);
    script.push(far);
    let acceptor = acceptor(&hub, script, HandshakeCaps::default());
    let began = Instant::now();
    assert!(acceptor.accept().await.is_some());
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(10) && waited < Duration::from_secs(20), "{waited:?}");
    let closing = hub.clone();
    let (none, _) = tokio::join!(acceptor.accept(), closing.close(CloseReason::GoingAway));
    assert!(none.is_none());
}

#[tokio::test(start_paused = true)]
async fn caps_hold_in_total_and_per_source_and_places_come_free() {
    let caps = HandshakeCaps { total: 5, per_source: 2, under_load: 3 };
    let hub = Hub::new();
    let mut near = Vec::new();
    let mut script = Vec::new();
    for last in [1, 1, 1, 1, 2, 3, 4, 5, 6] {
        let (client, far) = stream([10, 0, 0, last]);
        near.push(client);
        script.push(far);
    }
    let acceptor = acceptor(&hub, script, caps);
    let mut admitted: Vec<Incoming> = Vec::new();
    for _ in 0..5 {
        admitted.push(acceptor.accept().await.unwrap());
    }
    let sources: Vec<u8> = admitted
        .iter()
        .map(|one| match one.remote_addr().ip() {
            IpAddr::V4(ip) => ip.octets()[3],
            IpAddr::V6(_) => 0,
        })
        .collect();
    assert_eq!(sources, [1, 1, 2, 3, 4]);
    assert!(acceptor.admission().is_under_load());
    assert_eq!((acceptor.admission().in_flight(), acceptor.admission().sources()), (5, 4));
    let over = tokio::time::timeout(Duration::from_secs(1), acceptor.accept()).await;
    assert!(over.is_err(), "the rest was dropped, not queued");
    for dropped in [2, 3, 7, 8] {
        assert_eq!(near[dropped].read(&mut [0]).await.unwrap(), 0, "stream {dropped} was closed");
    }
    drop(admitted);
    assert_eq!((acceptor.admission().in_flight(), acceptor.admission().sources()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn under_load_an_honest_client_pays_one_round_trip_for_its_cookie() {
    let (alice, bob) = (identity(), identity());
    let (near, far) = duplex(1 << 16);
    let hubs = (Hub::new(), Hub::new());
    let config = client_config(&alice, &bob, MODE, Limits::default());
    let dial = hubs.0.connect(near, config, SessionConfig::default(), None);
    let server = server_config(&bob, MODE, Limits::default());
    let answer = async {
        let identified = hubs.1.identify(far, b"10.0.0.1", server, SessionConfig::default(), true).await;
        identified.unwrap().accept().await.unwrap()
    };
    let (client, server) = tokio::join!(dial, answer);
    assert_eq!(client.unwrap().instance(), server.instance());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_a_byte_a_second_meets_the_deadline() {
    let hub = Hub::new();
    let (mut near, far) = duplex(1 << 16);
    let config = server_config(&identity(), MODE, Limits::default());
    let began = Instant::now();
    let slow = async {
        near.write_all(&1_000_u32.to_be_bytes()).await.unwrap();
        while near.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let identify = hub.identify(far, b"x", config, SessionConfig::default(), false);
    let (failed, ()) = tokio::join!(identify, slow);
    assert!(matches!(failed, Err(EstablishError::Handshake(HandshakeError::DeadlineExceeded))));
    assert!(began.elapsed() < Duration::from_secs(12));
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_claims_to_be_too_long_is_refused_unread() {
    let hub = Hub::new();
    let (mut near, far) = duplex(1 << 16);
    let config = server_config(&identity(), MODE, Limits::default());
    let claim = u32::try_from(MAX_CLIENT_FLIGHT_LEN + 1).unwrap();
    near.write_all(&claim.to_be_bytes()).await.unwrap();
    let refused = hub.identify(far, b"x", config, SessionConfig::default(), false).await;
    assert!(matches!(refused, Err(EstablishError::FlightTooLong(len)) if len == MAX_CLIENT_FLIGHT_LEN + 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_early_is_a_typed_error_on_both_ends() {
    let (alice, bob) = (identity(), identity());
    let hub = Hub::new();
    let (near, far) = duplex(1 << 16);
    drop(far);
    let config = client_config(&alice, &bob, MODE, Limits::default());
    let failed = hub.connect(near, config, SessionConfig::default(), None).await.unwrap_err();
    assert!(matches!(failed, EstablishError::Io(_)) && failed.is_retryable());
    let (near, far) = duplex(1 << 16);
    drop(near);
    let config = server_config(&bob, MODE, Limits::default());
    let failed = hub.identify(far, b"x", config, SessionConfig::default(), false).await.unwrap_err();
    assert!(matches!(failed, EstablishError::Io(_)));
}

#[tokio::test(start_paused = true)]
async fn trust_on_first_use_is_asked_before_the_client_shows_itself() {
    let (alice, bob) = (identity(), identity());
    for answer in [true, false] {
        let hubs = (Hub::new(), Hub::new());
        let (near, far) = duplex(1 << 16);
        let common = client_config(&alice, &bob, MODE, Limits::default()).common;
        let expected = bob.peer_id();
        let policy: TrustPolicy = Arc::new(move |peer| {
            assert_eq!(peer.peer_id(), expected);
            Box::pin(std::future::ready(answer))
        });
        let ask = ClientConfig::new(common, Trust::Ask);
        let dial = hubs.0.connect(near, ask, SessionConfig::default(), Some(policy));
        let server = server_config(&bob, MODE, Limits::default());
        let answering = async {
            match hubs.1.identify(far, b"x", server, SessionConfig::default(), false).await {
                Ok(identified) => Some(identified.accept().await.unwrap()),
                Err(_) => None,
            }
        };
        let (client, server) = tokio::join!(dial, answering);
        assert_eq!((client.is_ok(), server.is_some()), (answer, answer));
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_endpoint_ends_the_handshakes_in_flight() {
    let hub = Hub::new();
    let (_near, far) = duplex(1 << 16);
    let config = server_config(&identity(), MODE, Limits::default());
    let identify = hub.identify(far, b"x", Arc::clone(&config), SessionConfig::default(), false);
    let (ended, _) = tokio::join!(identify, hub.close(CloseReason::GoingAway));
    assert!(matches!(ended, Err(EstablishError::EndpointClosed)));
    let (_near, far) = duplex(1 << 16);
    let later = hub.identify(far, b"x", config, SessionConfig::default(), false).await;
    assert!(matches!(later, Err(EstablishError::EndpointClosed)));
}
