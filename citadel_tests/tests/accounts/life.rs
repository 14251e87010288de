//! An account from its registration to its end, and sessions of its devices meanwhile.

use super::support::{
    DeviceEnd, HOME, Server, Store, add_device, client, ended_by, login, password, register, registered, user,
};
use citadel_crypt::handshake::{DisplayName, RefusalCode, Request};
use citadel_proto::CloseReason;
use citadel_proto::accounts::{AskError, CallError};
use rstest::rstest;
use std::time::Duration;

#[rstest]
#[case::memory(Store::Memory)]
#[case::redb(Store::Redb)]
#[tokio::test]
async fn an_account_lives_from_registration_to_deregistration(#[case] store: Store) {
    let server = Server::new(store);
    let (home, session, cid) = registered(&server, "alice", "first").await;
    assert_eq!(session.cid(), Some(cid));
    assert_ne!(cid.0, 0);
    session.close(0, "").await;

    let session = home.session(&server, login("alice")).await;
    let account = client(&session);
    server.clock.pass(Duration::from_secs(60));
    let phone = DeviceEnd::new();
    let calls = phone.session(&server, add_device("alice", "first")).await;
    assert_eq!(calls.cid(), Some(cid));
    let devices = account.devices().await.unwrap();
    let listed: Vec<_> = devices.iter().map(|it| (it.peer, it.name.as_str(), it.is_live())).collect();
    assert_eq!(listed, [(phone.peer_id(), "another device", true), (home.peer_id(), "first device", true)]);
    assert_eq!(devices[0].added.0 - devices[1].added.0, 60);

    assert!(account.revoke_device(phone.peer_id()).await.unwrap());
    assert_eq!(ended_by(&calls).await, CloseReason::Revoked);
    assert!(!account.revoke_device(phone.peer_id()).await.unwrap(), "once");
    assert_eq!(phone.refused(&server, login("alice")).await.0, RefusalCode::CREDENTIALS);

    let tablet = DeviceEnd::new();
    let reads = tablet.session(&server, add_device("alice", "first")).await;
    let wrong = account.change_password(password("second"), password("third"), true).await;
    assert_eq!(wrong, Err(CallError::Refused(AskError::Credentials)));
    account.change_password(password("first"), password("second"), true).await.unwrap();
    assert_eq!(ended_by(&reads).await, CloseReason::Revoked);
    assert_eq!(session.closing(), None, "the device that changed it stays");
    let other = DeviceEnd::new();
    assert_eq!(other.refused(&server, add_device("alice", "first")).await.0, RefusalCode::CREDENTIALS);
    let calls = other.session(&server, add_device("alice", "second")).await;

    account.set_display_name(DisplayName::new("Alice").unwrap()).await.unwrap();
    let profile = client(&calls).profile().await.unwrap();
    assert_eq!((profile.cid, profile.user, profile.display_name.as_str()), (cid, user("alice"), "Alice"));

    assert!(account.deregister().await.unwrap());
    assert_eq!(ended_by(&calls).await, CloseReason::Revoked);
    assert_eq!(ended_by(&session).await, CloseReason::Revoked);
    assert_eq!(server.backend().account(cid).await.unwrap(), None);
    assert!(server.backend().devices(cid).await.unwrap().is_empty());
    assert_eq!(home.refused(&server, login("alice")).await.0, RefusalCode::CREDENTIALS);
    // The name is free, and whoever takes it gets another account.
    let (_, session, second) = registered(&server, "alice", "other").await;
    assert_ne!(second, cid);
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_shuts_itself_out_hears_the_answer_first() {
    let server = Server::new(Store::Memory);
    let (home, session, _) = registered(&server, "alice", "word").await;
    assert!(client(&session).revoke_device(home.peer_id()).await.unwrap());
    assert_eq!(ended_by(&session).await, CloseReason::Revoked);
    server.stop().await;
}

#[tokio::test]
async fn a_new_session_of_a_device_takes_the_place_of_the_old_one_only() {
    let server = Server::new(Store::Memory);
    let (home, first, _) = registered(&server, "alice", "word").await;
    let (_, neighbour, _) = registered(&server, "bob", "word").await;
    let phone = DeviceEnd::new();
    let calls = phone.session(&server, add_device("alice", "word")).await;
    // The same identity in another account is another device.
    let double = home.session(&server, register("double", "word")).await;

    // Attempts that fail, also late ones, touch nothing.
    for request in [login("bob"), login("nobody"), Request::Transient] {
        let _refused = home.refused(&server, request).await;
    }
    assert_eq!(first.closing(), None);

    let second = home.session(&server, login("alice")).await;
    assert_eq!(ended_by(&first).await, CloseReason::Superseded);
    for session in [&second, &calls, &neighbour, &double] {
        assert_eq!(session.closing(), None);
        client(session).profile().await.unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn an_old_session_lives_until_the_proof_of_the_new_one_held() {
    let server = Server::new(Store::Memory);
    let (home, first, _) = registered(&server, "alice", "word").await;
    // A client that goes after flight 1, and one whose flight 3 is another identity's.
    let (near, far) = tokio::io::duplex(64 << 10);
    let admitted = server.answer(far, HOME);
    let config = home.config(&server, login("alice"));
    let connecting = home.hub.connect(near, config, citadel_proto::SessionConfig::default(), None);
    let _dropped = citadel_tests::cancel::poll_then_drop(connecting, 1).await;
    assert!(admitted.await.unwrap().is_err());
    let thief = DeviceEnd::new();
    assert_eq!(thief.refused(&server, login("alice")).await.0, RefusalCode::CREDENTIALS);
    assert_eq!(first.closing(), None);
    client(&first).profile().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_session_without_an_account_may_ask_for_nothing() {
    let server = Server::new(Store::Memory);
    let policy = citadel_proto::accounts::Policy { transient: true, ..server.accounts.policy() };
    server.accounts.reload(policy, super::support::unlimited().rates).unwrap();
    let session = DeviceEnd::new().session(&server, Request::Transient).await;
    let account = client(&session);
    let denied = CallError::Refused(AskError::Denied);
    assert_eq!(account.cid(), None);
    assert_eq!(account.profile().await, Err(denied.clone()));
    assert_eq!(account.devices().await, Err(denied.clone()));
    assert_eq!(account.deregister().await, Err(denied.clone()));
    assert_eq!(account.get(None, "key").await, Err(denied));
    assert_eq!(session.closing(), None);
    server.stop().await;
}
