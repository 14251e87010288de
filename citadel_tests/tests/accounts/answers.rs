//! What the answers tell an attacker: nothing but yes or no.

use super::support::{
    Counting, DeviceEnd, HOME, Server, Store, add_device, login, register, registered, unlimited,
};
use citadel_crypt::handshake::{Password, RefusalCode, Request};
use citadel_proto::CloseReason;
use citadel_proto::accounts::{AccountsConfig, Argon2Params, Argon2id, Policy};
use citadel_tests::canary::MARK;
use rstest::rstest;

/// Every way in which a password does not get a stranger in, on a server where each applies.
async fn wrong_ways(server: &Server) -> Vec<(&'static str, DeviceEnd, Request)> {
    let (_, _session, _) = registered(server, "alice", "right").await;
    let (_, _session, blocked) = registered(server, "blocked", "right").await;
    server.accounts.set_blocked(blocked, true).await.unwrap();
    let (_, session, _) = registered(server, "carol", "right").await;
    let revoked = DeviceEnd::new();
    drop(revoked.session(server, add_device("carol", "right")).await);
    super::support::client(&session).revoke_device(revoked.peer_id()).await.unwrap();
    server.hasher.runs();
    vec![
        ("wrong password", DeviceEnd::new(), add_device("alice", "wrong")),
        ("unknown user", DeviceEnd::new(), add_device("nobody", "right")),
        ("blocked account", DeviceEnd::new(), add_device("blocked", "right")),
        ("blocked account, wrong password", DeviceEnd::new(), add_device("blocked", "wrong")),
        ("revoked device", revoked, add_device("carol", "right")),
    ]
}

#[rstest]
#[case::memory(Store::Memory)]
#[case::redb(Store::Redb)]
#[tokio::test]
async fn no_password_that_fails_tells_why_by_code_size_or_count_of_hashes(#[case] store: Store) {
    let server = Server::new(store);
    let mut answers = Vec::new();
    for (way, device, request) in wrong_ways(&server).await {
        let (code, bytes) = device.refused(&server, request).await;
        answers.push((code, bytes));
        assert_eq!((way, code, server.hasher.runs()), (way, RefusalCode::CREDENTIALS, 1));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer: {answers:?}");
    server.stop().await;
}

#[tokio::test]
async fn no_login_that_fails_tells_why_and_none_costs_a_hash() {
    let server = Server::new(Store::Memory);
    let (home, session, cid) = registered(&server, "alice", "right").await;
    let (blocked, _session, blocked_cid) = registered(&server, "blocked", "right").await;
    let revoked = DeviceEnd::new();
    drop(revoked.session(&server, add_device("alice", "right")).await);
    super::support::client(&session).revoke_device(revoked.peer_id()).await.unwrap();
    server.accounts.set_blocked(blocked_cid, true).await.unwrap();
    server.hasher.runs();
    let mut answers = Vec::new();
    for (way, device, name) in [
        ("unknown user", &DeviceEnd::new(), "nobody"),
        ("unknown device", &DeviceEnd::new(), "alice"),
        ("device of another account", &home, "blocked"),
        ("revoked device", &revoked, "alice"),
        ("blocked account", &blocked, "blocked"),
    ] {
        let (code, bytes) = device.refused(&server, login(name)).await;
        assert_eq!((way, code, server.hasher.runs()), (way, RefusalCode::CREDENTIALS, 0));
        answers.push(bytes);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one size: {answers:?}");
    // The one that holds costs no hash either, and its answer has the same size.
    let met = home.meet(&server, login("alice"), HOME).await;
    assert_eq!(met.opened.unwrap().cid(), Some(cid));
    assert_eq!((server.hasher.runs(), met.bytes >= answers[0]), (0, true));
    server.stop().await;
}

#[tokio::test]
async fn a_right_password_and_a_registration_cost_one_hash_each() {
    let server = Server::new(Store::Memory);
    let (_, _session, _) = registered(&server, "alice", "right").await;
    assert_eq!(server.hasher.runs(), 1);
    let _session = DeviceEnd::new().session(&server, add_device("alice", "right")).await;
    assert_eq!(server.hasher.runs(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_taken_name_says_so_to_all_but_the_device_that_took_it() {
    let server = Server::new(Store::Memory);
    let (home, session, cid) = registered(&server, "alice", "right").await;
    let (code, _) = DeviceEnd::new().refused(&server, register("alice", "right")).await;
    assert_eq!(code, RefusalCode::USER_TAKEN);
    let (code, _) = home.refused(&server, register("alice", "wrong")).await;
    assert_eq!(code, RefusalCode::USER_TAKEN);
    // A verdict that was lost on its way: the same again is the same account.
    drop(session);
    let again = home.session(&server, register("alice", "right")).await;
    assert_eq!(again.cid(), Some(cid));
    assert_eq!(server.accounts.devices(cid).await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn passwords_are_taken_as_they_are() {
    let server = Server::new(Store::Memory);
    const LONGEST: usize = Password::MAX_LEN - MARK.len();
    let mut long = [b'x'; LONGEST];
    long[LONGEST - 1] = 0xFF;
    let device = DeviceEnd::new();
    let _session = device.session(&server, register("long", long)).await;
    let _session = device.session(&server, register("spaces", "  two words \n")).await;
    let _session = device.session(&server, register("zeros", [0; 16])).await;
    for (name, right, wrong) in [
        ("long", &long[..], &long[..LONGEST - 1]),
        ("spaces", &b"  two words \n"[..], &b"two words"[..]),
        ("zeros", &[0; 16][..], &[0; 15][..]),
    ] {
        let other = DeviceEnd::new();
        assert_eq!(other.refused(&server, add_device(name, wrong)).await.0, RefusalCode::CREDENTIALS);
        let _session = other.session(&server, add_device(name, right)).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn what_policy_forbids_is_refused_before_anything_is_paid_for() {
    let policy = Policy { registration: false, ..Policy::default() };
    let server = Server::limited(AccountsConfig { policy, ..unlimited() });
    let device = DeviceEnd::new();
    for (request, code) in [
        (register("alice", "right"), RefusalCode::POLICY),
        (Request::Transient, RefusalCode::TRANSIENT),
        (Request::Identity, RefusalCode::POLICY),
    ] {
        assert_eq!(device.refused(&server, request).await.0, code);
    }
    assert_eq!(server.hasher.runs(), 0);
    // Reloaded: open, with sessions without an account.
    let policy = Policy { transient: true, identity: true, ..Policy::default() };
    server.accounts.reload(policy, unlimited().rates).unwrap();
    for request in [Request::Transient, Request::Identity] {
        assert_eq!(device.session(&server, request).await.cid(), None);
    }
    let _session = device.session(&server, register("alice", "right")).await;
    server.stop().await;
}

#[tokio::test]
async fn a_password_that_cost_less_is_hashed_anew_when_it_is_used() {
    let place = Store::Memory.open();
    let backend = std::sync::Arc::clone(&place.backend);
    let old = Server::with(place, unlimited(), Counting::default());
    let (_, _session, cid) = registered(&old, "alice", "right").await;
    let before = backend.account(cid).await.unwrap().unwrap().password;
    assert!(before.expose().contains("m=19456,t=2,p=1"));

    let dearer = Argon2id::new(Argon2Params::new(20 * 1024, 3, 1).unwrap());
    let place = super::support::Place::of(backend);
    let new = Server::with(place, unlimited(), Counting::new(dearer));
    assert_eq!(
        DeviceEnd::new().refused(&new, add_device("alice", "wrong")).await.0,
        RefusalCode::CREDENTIALS
    );
    assert_eq!(new.hasher.runs(), 1, "a wrong password renews nothing");
    let _session = DeviceEnd::new().session(&new, add_device("alice", "right")).await;
    assert_eq!(new.hasher.runs(), 2);
    let after = new.backend().account(cid).await.unwrap().unwrap().password;
    assert!(after.expose().contains("m=20480,t=3,p=1"));
    let _session = DeviceEnd::new().session(&new, add_device("alice", "right")).await;
    assert_eq!(new.hasher.runs(), 1, "it is renewed once");
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn the_limit_of_devices_is_told_to_those_who_know_the_password_only() {
    let policy = Policy { max_devices: 2, ..Policy::default() };
    let server = Server::limited(AccountsConfig { policy, ..unlimited() });
    let (_, session, _) = registered(&server, "alice", "right").await;
    let second = DeviceEnd::new();
    let _session = second.session(&server, add_device("alice", "right")).await;
    let third = DeviceEnd::new();
    assert_eq!(third.refused(&server, add_device("alice", "right")).await.0, RefusalCode::POLICY);
    assert_eq!(third.refused(&server, add_device("alice", "wrong")).await.0, RefusalCode::CREDENTIALS);
    // A known one is added again by being let in, and a place is free once a device is revoked.
    let again = second.session(&server, add_device("alice", "right")).await;
    assert!(super::support::client(&session).revoke_device(second.peer_id()).await.unwrap());
    assert_eq!(super::support::ended_by(&again).await, CloseReason::Revoked);
    let _session = third.session(&server, add_device("alice", "right")).await;
    server.stop().await;
}
