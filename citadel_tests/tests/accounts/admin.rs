//! What the operator does, and what sessions and answers show of it.

use super::support::{
    DeviceEnd, Server, Store, add_device, client, ended_by, login, password, registered, user,
};
use citadel_crypt::handshake::{Cid, RefusalCode};
use citadel_proto::CloseReason;
use citadel_proto::accounts::AdminError;
use citadel_tests::cancel::{at_each_poll, poll_then_drop};
use rstest::rstest;

#[rstest]
#[case::memory(Store::Memory)]
#[case::redb(Store::Redb)]
#[tokio::test]
async fn the_operator_resets_blocks_and_deletes(#[case] store: Store) {
    let server = Server::new(store);
    let (home, session, cid) = registered(&server, "alice", "forgotten").await;
    let (_, neighbour, other) = registered(&server, "bob", "word").await;

    server.accounts.reset_password(cid, password("new"), false).await.unwrap();
    assert_eq!(session.closing(), None, "a known device stays known");
    let phone = DeviceEnd::new();
    assert_eq!(phone.refused(&server, add_device("alice", "forgotten")).await.0, RefusalCode::CREDENTIALS);
    let calls = phone.session(&server, add_device("alice", "new")).await;

    server.accounts.set_blocked(cid, true).await.unwrap();
    assert_eq!(ended_by(&session).await, CloseReason::Revoked);
    assert_eq!(ended_by(&calls).await, CloseReason::Revoked);
    assert_eq!(home.refused(&server, login("alice")).await.0, RefusalCode::CREDENTIALS);
    server.accounts.set_blocked(cid, false).await.unwrap();
    let session = home.session(&server, login("alice")).await;

    server.accounts.reset_password(cid, password("newer"), true).await.unwrap();
    assert_eq!(ended_by(&session).await, CloseReason::Revoked);
    assert_eq!(home.refused(&server, login("alice")).await.0, RefusalCode::CREDENTIALS);

    let found = server.accounts.find(&user("alice")).await.unwrap();
    assert_eq!((found.cid, found.blocked), (cid, false));
    let listed: Vec<_> = server.accounts.list(None, 10).await.unwrap().iter().map(|it| it.cid).collect();
    let mut both = vec![cid, other];
    both.sort();
    assert_eq!(listed, both);

    let last = DeviceEnd::new().session(&server, add_device("alice", "newer")).await;
    assert!(server.accounts.delete(cid).await.unwrap());
    assert_eq!(ended_by(&last).await, CloseReason::Revoked);
    assert!(!server.accounts.delete(cid).await.unwrap(), "may be repeated");
    assert_eq!(neighbour.closing(), None);
    client(&neighbour).profile().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn operations_on_an_account_that_is_not_there_say_so() {
    let server = Server::new(Store::Memory);
    let nobody = Cid(1);
    assert!(matches!(server.accounts.set_blocked(nobody, true).await, Err(AdminError::NoAccount)));
    let reset = server.accounts.reset_password(nobody, password("x"), true).await;
    assert!(matches!(reset, Err(AdminError::NoAccount)));
    assert!(matches!(server.accounts.find(&user("nobody")).await, Err(AdminError::NoAccount)));
    assert!(!server.accounts.delete(nobody).await.unwrap());
    assert!(!server.accounts.revoke_device(nobody, DeviceEnd::new().peer_id()).await.unwrap());
    server.stop().await;
}

#[tokio::test]
async fn a_deletion_that_was_given_up_at_any_point_leaves_no_session_once_it_is_repeated() {
    let server = Server::new(Store::Memory);
    let mut number = 0;
    at_each_poll(64, async |polls| {
        number += 1;
        let (_, session, cid) = registered(&server, &format!("user {number}"), "word").await;
        let outcome = poll_then_drop(server.accounts.delete(cid), polls).await;
        server.accounts.delete(cid).await.unwrap();
        assert_eq!(ended_by(&session).await, CloseReason::Revoked);
        assert_eq!(server.backend().account(cid).await.unwrap(), None);
        outcome
    })
    .await;
    server.stop().await;
}
