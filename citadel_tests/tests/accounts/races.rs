//! Two at once: registrations of a name, logins of a device, devices beyond the limit, a revocation and a login.

use super::support::{
    DeviceEnd, HOME, Server, Store, add_device, login, register, registered, unlimited, user,
};
use citadel_crypt::handshake::RefusalCode;
use citadel_proto::CloseReason;
use citadel_proto::accounts::{AccountsConfig, AdmitError, Hashing, Policy};
use futures::future::join_all;
use rstest::rstest;

#[rstest]
#[case::memory(Store::Memory)]
#[case::redb(Store::Redb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_registrations_of_a_name_one_wins(#[case] store: Store) {
    let server = Server::new(store);
    let devices: Vec<_> = (0..8).map(|_| DeviceEnd::new()).collect();
    let attempts = devices.iter().map(|device| device.meet(&server, register("alice", "word"), HOME));
    let met = join_all(attempts).await;
    let winners = met.iter().filter(|met| met.opened.is_ok()).count();
    assert_eq!(winners, 1);
    for lost in met.iter().filter_map(|met| met.admitted.as_ref().err()) {
        assert!(matches!(lost, AdmitError::Refused(refused) if refused.code == RefusalCode::USER_TAKEN));
    }
    let account = server.accounts.find(&user("alice")).await.unwrap();
    assert_eq!(server.accounts.devices(account.cid).await.unwrap().len(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_logins_of_a_device_one_session_stays() {
    let server = Server::new(Store::Memory);
    let (home, first, cid) = registered(&server, "alice", "word").await;
    let met = join_all((0..8).map(|_| home.meet(&server, login("alice"), HOME))).await;
    // Whoever of them came last stays; the others were told why.
    let sessions: Vec<_> = met.into_iter().map(|met| met.opened.unwrap()).collect();
    let mut staying = Vec::new();
    for session in &sessions {
        if session.closing().is_none() {
            staying.push(session);
        }
    }
    let live: Vec<_> = server
        .hub
        .sessions_of(home.peer_id())
        .into_iter()
        .filter(|session| session.closing().is_none())
        .collect();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].cid(), Some(cid));
    assert_eq!(super::support::ended_by(&first).await, CloseReason::Superseded);
    for session in sessions.iter().filter(|session| session.instance() != live[0].instance()) {
        assert_eq!(super::support::ended_by(session).await, CloseReason::Superseded);
    }
    assert!(staying.iter().any(|session| session.instance() == live[0].instance()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_added_at_once_stay_within_the_limit() {
    let policy = Policy { max_devices: 3, ..Policy::default() };
    let server = Server::limited(AccountsConfig { policy, ..unlimited() });
    let (_, _session, cid) = registered(&server, "alice", "word").await;
    let devices: Vec<_> = (0..6).map(|_| DeviceEnd::new()).collect();
    let met = join_all(devices.iter().map(|it| it.meet(&server, add_device("alice", "word"), HOME))).await;
    assert_eq!(met.iter().filter(|met| met.opened.is_ok()).count(), 2);
    assert_eq!(server.accounts.devices(cid).await.unwrap().len(), 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_is_revoked_while_it_logs_in_has_no_session_afterwards() {
    let server = Server::new(Store::Memory);
    let (_, _session, cid) = registered(&server, "alice", "word").await;
    for _ in 0..16 {
        let phone = DeviceEnd::new();
        drop(phone.session(&server, add_device("alice", "word")).await);
        let (met, revoked) = tokio::join!(
            phone.meet(&server, login("alice"), HOME),
            server.accounts.revoke_device(cid, phone.peer_id())
        );
        assert!(revoked.unwrap());
        drop(met.admitted);
        for session in server.hub.sessions_of(phone.peer_id()) {
            session.closed().await;
        }
        if let Ok(session) = met.opened {
            session.closed().await;
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_beyond_the_places_for_hashing_are_told_that_the_server_is_busy() {
    let hashing = Hashing { at_once: Some(1), waiting: 1 };
    let server = Server::limited(AccountsConfig { hashing, ..unlimited() });
    let devices: Vec<_> = (0..8).map(|_| DeviceEnd::new()).collect();
    let names: Vec<_> = (0..8).map(|n| format!("user {n}")).collect();
    // Decided directly, so that all come at the same time.
    let requests: Vec<_> = names.iter().map(|name| register(name, "word")).collect();
    let attempts = devices.iter().zip(&requests);
    let attempts = attempts.map(|(device, request)| server.accounts.decide(device.peer_id(), request, HOME));
    let decided = join_all(attempts).await;
    let busy = decided.iter().filter(|it| matches!(it, Err(no) if no.code == RefusalCode::BUSY)).count();
    let made = decided.iter().filter(|it| it.is_ok()).count();
    assert_eq!((made, busy), (2, 6));
    // Nothing is lost: the places are free again.
    server.accounts.decide(devices[7].peer_id(), &requests[7], HOME).await.unwrap();
    server.stop().await;
}
