//! A yes means that it is written: what a client heard survives the server, what it did not hear can be asked again.

use super::support::{
    Counting, DeviceEnd, HOME, Place, Server, Store, add_device, client, login, password, register,
    registered, unlimited,
};
use citadel_crypt::handshake::RefusalCode;
use citadel_tests::cancel::at_each_poll;
use std::sync::Arc;

#[tokio::test]
async fn whatever_a_client_heard_is_there_after_the_server_is_gone() {
    let place = Store::Redb.open();
    let backend = Arc::clone(&place.backend);
    let server = Server::with(place, unlimited(), Counting::default());
    let (home, session, cid) = registered(&server, "alice", "first").await;
    let phone = DeviceEnd::new();
    let _session = phone.session(&server, add_device("alice", "first")).await;
    client(&session).change_password(password("first"), password("second"), true).await.unwrap();
    // The server is gone without a word; its store is what the next one opens.
    server.hub.abort();
    let next = Server::with(Place::of(backend), unlimited(), Counting::default());
    assert_eq!(home.session(&next, login("alice")).await.cid(), Some(cid));
    assert_eq!(phone.refused(&next, login("alice")).await.0, RefusalCode::CREDENTIALS);
    let _session = DeviceEnd::new().session(&next, add_device("alice", "second")).await;
    next.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_registration_that_was_given_up_at_any_point_can_be_asked_again() {
    let server = Server::new(Store::Memory);
    let device = DeviceEnd::new();
    let mut number = 0;
    let polls = at_each_poll(64, async |polls| {
        number += 1;
        let request = register(&format!("user {number}"), "word");
        let deciding = server.accounts.decide(device.peer_id(), &request, HOME);
        let outcome = citadel_tests::cancel::poll_then_drop(deciding, polls).await;
        let decided = server.accounts.decide(device.peer_id(), &request, HOME).await.unwrap();
        let cid = decided.grant.cid.unwrap();
        assert_eq!(server.accounts.devices(cid).await.unwrap().len(), 1);
        outcome
    })
    .await;
    assert!(polls > 1);
    assert_eq!(server.accounts.list(None, 1_000).await.unwrap().len(), number);
    server.stop().await;
}
