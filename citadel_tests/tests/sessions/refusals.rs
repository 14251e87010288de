//! Resumptions that are refused, each for its reason, and what that does to the session.

use citadel_crypt::handshake::{
    ClientConfig, ClientRequest, HandshakeError, Instance, RefusalCode, Request, ResumeRequest, Trust,
};
use citadel_proto::driver::{EstablishError, Hub, Session, SessionEvent};
use citadel_proto::{CloseReason, PathLoss};
use citadel_tests::resumable::{Ends, Switch, half_open};
use citadel_tests::session_world::identity;
use std::time::Duration;

const RESUME: Duration = Duration::from_secs(60);

fn refused(code: RefusalCode) -> HandshakeError {
    HandshakeError::Refused { code, authenticated: true, retry_after: None }
}

/// What a client with `config` gets.
async fn ask(ends: &Ends, config: ClientConfig) -> HandshakeError {
    let (near, far) = tokio::io::duplex(1 << 16);
    let hub = Hub::new();
    let answer = async { ends.identify(far).await.unwrap().accept().await };
    let (asked, _given) = tokio::join!(hub.connect(near, config, ends.session.clone(), None), answer);
    match asked {
        Err(EstablishError::Handshake(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn config(ends: &Ends, request: ResumeRequest) -> ClientConfig {
    ClientConfig { request: ClientRequest::Plain(Request::Resume(request)), ..ends.client.clone() }
}

/// A session with a dialer that was cut, and dials in vain for now.
async fn stranded(ends: &Ends) -> (Session, Switch) {
    let (dialer, switch) = ends.dialer();
    let connected = ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None);
    let client = connected.await.unwrap();
    let mut events = client.events();
    switch.refuse(true);
    switch.cut();
    assert!(matches!(events.next().await, Some(SessionEvent::Detached { .. })));
    (client, switch)
}

async fn ends_with(client: &Session, loss: PathLoss) {
    let report = client.closed().await;
    assert_eq!(report.reason(), &CloseReason::PathLost(loss), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_nobody_knows_and_a_proof_that_does_not_hold_look_alike() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let unknown = ResumeRequest { instance: Instance([9; 16]), path: 1, proof: [0; 32] };
    let forged = ResumeRequest { instance: client.instance(), path: 1, proof: [0; 32] };
    for request in [unknown, forged] {
        assert_eq!(ask(&ends, config(&ends, request)).await, refused(RefusalCode::RESUME_UNKNOWN));
    }
    client.rekey().await.unwrap();
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn another_identity_does_not_get_the_session_whatever_it_shows() {
    let ends = Ends::new(RESUME);
    let (client, _server, _cut) = ends.session().await;
    let mut stranger = config(&ends, ResumeRequest { instance: client.instance(), path: 1, proof: [0; 32] });
    stranger.common.identity = identity();
    assert_eq!(ask(&ends, stranger).await, refused(RefusalCode::RESUME_UNKNOWN));
    client.rekey().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_restarted_does_not_know_the_session_and_the_client_learns_it() {
    let mut ends = Ends::new(RESUME);
    let (client, _old_switch) = stranded(&ends).await;
    // Another process with the same identity: the dialer leads there.
    let old = std::mem::take(&mut ends.server_hub);
    old.abort();
    let (dialer, _switch) = ends.dialer();
    let io = dialer().await.unwrap();
    let asked = ends.client_hub.resume(&client, io).await;
    assert!(
        matches!(asked, Err(EstablishError::Handshake(error)) if error == refused(RefusalCode::RESUME_UNKNOWN))
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_aborted_meanwhile_is_refused_as_closed() {
    let ends = Ends::new(RESUME);
    let (client, switch) = stranded(&ends).await;
    let server = ends.server_hub.session(client.instance()).unwrap();
    server.abort();
    server.closed().await;
    drop(server);
    switch.refuse(false);
    ends_with(&client, PathLoss::ResumeClosing).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_time_is_over_says_so() {
    let ends = Ends::new(Duration::from_secs(5));
    // The server's end of the path is cut, the client's stays as it is and says nothing.
    let (far, near, held) = half_open();
    let connect = ends.client_hub.connect(near, ends.client.clone(), ends.session.clone(), None);
    let accept = async { ends.identify(far).await.unwrap().accept().await };
    let (client, server) = tokio::join!(connect, accept);
    let (client, server) = (client.unwrap(), server.unwrap());
    let silent = held.cut_near();
    let report = server.closed().await;
    assert!(matches!(report.reason(), CloseReason::PathLost(_)), "{report}");
    drop(server);
    assert_eq!(client.closing(), None);
    let (asked, _given, _cut) = ends.resume(&client).await;
    let expired = refused(RefusalCode::RESUME_EXPIRED);
    assert!(matches!(asked, Err(EstablishError::Handshake(error)) if error == expired), "{asked:?}");
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_session_is_refused_as_such() {
    let ends = Ends::new(RESUME);
    let (client, switch) = stranded(&ends).await;
    let server = ends.server_hub.session(client.instance()).unwrap();
    assert_eq!(ends.server_hub.close_sessions_of(ends.alice.peer_id(), &CloseReason::Superseded), 1);
    server.closed().await;
    drop(server);
    switch.refuse(false);
    ends_with(&client, PathLoss::ResumeSuperseded).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_proven_server_ends_a_session() {
    let ends = Ends::new(RESUME);
    let (client, _server, _cut) = ends.session().await;
    // Someone on the way refuses in the clear: the attempt ends, the session does not.
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let clear = citadel_crypt::handshake::Refusal { code: RefusalCode::RESUME_UNKNOWN }.encode();
    let mut framed = u32::try_from(clear.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(&clear);
    tokio::io::AsyncWriteExt::write_all(&mut far, &framed).await.unwrap();
    let asked = ends.client_hub.resume(&client, near).await;
    let unproven = HandshakeError::Refused {
        code: RefusalCode::RESUME_UNKNOWN,
        authenticated: false,
        retry_after: None,
    };
    assert!(matches!(asked, Err(EstablishError::Handshake(error)) if error == unproven));
    client.rekey().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_time_to_resume_ends_with_its_path_and_is_not_resumed() {
    let ends = Ends::new(Duration::ZERO);
    let (client, server, cut) = ends.session().await;
    let (near, _far) = tokio::io::duplex(1 << 16);
    assert!(matches!(ends.client_hub.resume(&client, near).await, Err(EstablishError::NotResumable)));
    let (near, _far) = tokio::io::duplex(1 << 16);
    assert!(matches!(ends.server_hub.resume(&server, near).await, Err(EstablishError::NotResumable)));
    drop(cut);
    let (a, b) = tokio::join!(client.closed(), server.closed());
    for report in [a, b] {
        assert!(matches!(report.reason(), CloseReason::PathLost(_)), "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumption_asks_the_server_that_it_knows_and_no_other() {
    let mut ends = Ends::new(RESUME);
    ends.client.trust = Trust::DangerousAnyone;
    let (client, _server, _cut) = ends.session().await;
    let other = Ends::new(RESUME);
    let (near, far) = tokio::io::duplex(1 << 16);
    let (asked, _) = tokio::join!(ends.client_hub.resume(&client, near), other.identify(far));
    assert!(matches!(asked, Err(EstablishError::Handshake(HandshakeError::WrongPeer { .. }))), "{asked:?}");
    client.rekey().await.unwrap();
}
