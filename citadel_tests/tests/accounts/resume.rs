//! Sessions of accounts that lose their path: who may carry them on, and who may not any more.

use super::support::{DeviceEnd, HOME, Server, Store, add_device, client, ended_by, login, registered};
use citadel_crypt::handshake::{HandshakeError, RefusalCode};
use citadel_proto::driver::{EstablishError, Session};
use citadel_proto::{CloseReason, SessionConfig};
use std::time::Duration;

/// A session that takes another path for a minute, on a path of its own.
async fn resumable(server: &Server, device: &DeviceEnd, name: &str) -> Session {
    let (near, far) = tokio::io::duplex(64 << 10);
    let admitted = server.answer(far, HOME);
    let config = device.config(server, login(name));
    let session = SessionConfig { resume: Duration::from_secs(60), ..SessionConfig::default() };
    let opened = device.hub.connect(near, config, session, None).await.unwrap();
    admitted.await.unwrap().unwrap();
    opened
}

/// Carries `session` on over another path.
async fn carry_on(server: &Server, device: &DeviceEnd, session: &Session) -> Result<(), EstablishError> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let admitted = server.answer(far, HOME);
    let resumed = device.hub.resume(session, near).await;
    // What the server came to is decided by now; a refusal is for the caller to judge, by its own end.
    drop(admitted.await.unwrap());
    resumed
}

#[tokio::test]
async fn requests_go_on_over_the_next_path() {
    let server = Server::new(Store::Memory);
    let (home, first, _) = registered(&server, "alice", "word").await;
    let session = resumable(&server, &home, "alice").await;
    assert_eq!(ended_by(&first).await, CloseReason::Superseded);
    let account = client(&session);
    account.put(None, "key", "value", citadel_proto::backend::Expect::Any).await.unwrap();
    for _ in 0..3 {
        carry_on(&server, &home, &session).await.unwrap();
        // The channel that was open before the path changed serves on; no session was superseded.
        assert_eq!(account.get(None, "key").await.unwrap().unwrap().value, b"value");
    }
    assert_eq!(server.hub.sessions_of(home.peer_id()).len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_was_shut_out_takes_no_path() {
    let server = Server::new(Store::Memory);
    let (home, _session, cid) = registered(&server, "alice", "word").await;
    let phone = DeviceEnd::new();
    drop(phone.session(&server, add_device("alice", "word")).await);
    let calls = resumable(&server, &phone, "alice").await;
    let stays = resumable(&server, &home, "alice").await;
    server.accounts.revoke_device(cid, phone.peer_id()).await.unwrap();
    // Its client may or may not have heard of it when it tries.
    match carry_on(&server, &phone, &calls).await {
        Err(EstablishError::NotResumable) => {}
        Err(EstablishError::Handshake(HandshakeError::Refused { code, .. })) => {
            assert!([RefusalCode::RESUME_CLOSING, RefusalCode::RESUME_UNKNOWN].contains(&code), "{code}");
        }
        other => panic!("{other:?}"),
    }
    carry_on(&server, &home, &stays).await.unwrap();
    client(&stays).profile().await.unwrap();
    server.stop().await;
}
