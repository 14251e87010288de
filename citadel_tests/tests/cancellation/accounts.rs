//! Cases of accounts: their server's side, their operator's and their client's.

use super::account_support::{
    DeviceEnd, HOME, Server, Store, add_device, client, login, password, register, registered, user,
};
use super::pairs::forget;
use citadel_crypt::handshake::{Cid, DisplayName, Request};
use citadel_proto::SessionConfig;
use citadel_proto::accounts::{
    AccountClient, Accounts, Actor, AskError, CallError, RequestBody, ResponseBody,
};
use citadel_proto::backend::Expect;
use citadel_proto::driver::{Identified, Session};
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use std::sync::Arc;

/// More polls than any of these futures needs.
const MOST: usize = 100;

/// An account, and a client of it that asks over one session all the time.
struct Asked {
    server: Server,
    device: DeviceEnd,
    _session: Session,
    client: AccountClient,
}

impl Asked {
    async fn new() -> Self {
        let server = Server::new(Store::Memory);
        let (device, session, _) = registered(&server, "alice", "old").await;
        let client = client(&session);
        Self { server, device, _session: session, client }
    }

    /// The client gets answers, and the right ones.
    async fn works(&self) {
        assert_eq!(self.client.profile().await.unwrap().user, user("alice"));
        assert_eq!(self.client.devices().await.unwrap()[0].peer, self.device.peer_id());
    }

    /// Drops the request that `ask` makes at each of its polls; requests go on to be answered.
    async fn dropped_at_each_poll<T>(&self, mut ask: impl AsyncFnMut(&AccountClient, usize) -> Outcome<T>) {
        at_each_poll(MOST, async |polls| {
            let outcome = ask(&self.client, polls).await;
            self.works().await;
            forget(outcome)
        })
        .await;
    }
}

#[tokio::test]
async fn account_client_profile() {
    let asked = Asked::new().await;
    asked.dropped_at_each_poll(async |client, polls| poll_then_drop(client.profile(), polls).await).await;
}

#[tokio::test]
async fn account_client_devices() {
    let asked = Asked::new().await;
    asked.dropped_at_each_poll(async |client, polls| poll_then_drop(client.devices(), polls).await).await;
}

#[tokio::test]
async fn account_client_revoke_device() {
    let asked = Asked::new().await;
    asked
        .dropped_at_each_poll(async |client, polls| {
            let other = DeviceEnd::new();
            let session = other.session(&asked.server, add_device("alice", "old")).await;
            let outcome = poll_then_drop(client.revoke_device(other.peer_id()), polls).await;
            // Asked again it is done, whatever became of the first.
            client.revoke_device(other.peer_id()).await.unwrap();
            session.closed().await;
            outcome
        })
        .await;
}

#[tokio::test]
async fn account_client_change_password() {
    let asked = Asked::new().await;
    asked
        .dropped_at_each_poll(async |client, polls| {
            let change = || client.change_password(password("old"), password("old"), false);
            let outcome = poll_then_drop(change(), polls).await;
            // The one that was dropped may be at work still: then the hash is not the one that was confirmed.
            let again = change().await;
            assert!(matches!(again, Ok(()) | Err(CallError::Refused(AskError::Conflict))), "{again:?}");
            outcome
        })
        .await;
}

#[tokio::test]
async fn account_client_set_display_name() {
    let asked = Asked::new().await;
    asked
        .dropped_at_each_poll(async |client, polls| {
            let name = DisplayName::new(format!("after {polls}")).unwrap();
            let outcome = poll_then_drop(client.set_display_name(name.clone()), polls).await;
            client.set_display_name(name.clone()).await.unwrap();
            assert_eq!(client.profile().await.unwrap().display_name, name);
            outcome
        })
        .await;
}

#[tokio::test]
async fn account_client_deregister() {
    let server = Server::new(Store::Memory);
    at_each_poll(MOST, async |polls| {
        let (device, session, cid) = registered(&server, &format!("user {polls}"), "word").await;
        let outcome = poll_then_drop(client(&session).deregister(), polls).await;
        // What was not asked for in time is asked for again; either way the account goes, and its session with it.
        if server.backend().account(cid).await.unwrap().is_some() {
            let _gone_meanwhile = client(&session).deregister().await;
        }
        session.closed().await;
        assert!(server.backend().account(cid).await.unwrap().is_none());
        device.refused(&server, login(&format!("user {polls}"))).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn account_client_get() {
    let asked = Asked::new().await;
    asked.client.put(None, "key", "value", Expect::Any).await.unwrap();
    asked
        .dropped_at_each_poll(async |client, polls| poll_then_drop(client.get(None, "key"), polls).await)
        .await;
    assert_eq!(asked.client.get(None, "key").await.unwrap().unwrap().value, b"value");
}

#[tokio::test]
async fn account_client_put() {
    let asked = Asked::new().await;
    asked
        .dropped_at_each_poll(async |client, polls| {
            let value = format!("value {polls}");
            let outcome = poll_then_drop(client.put(None, "key", value.clone(), Expect::Any), polls).await;
            client.put(None, "key", value.clone(), Expect::Any).await.unwrap();
            assert_eq!(client.get(None, "key").await.unwrap().unwrap().value, value.as_bytes());
            outcome
        })
        .await;
}

#[tokio::test]
async fn account_client_delete() {
    let asked = Asked::new().await;
    asked
        .dropped_at_each_poll(async |client, polls| {
            client.put(None, "key", "value", Expect::Any).await.unwrap();
            let outcome = poll_then_drop(client.delete(None, "key", Expect::Any), polls).await;
            client.delete(None, "key", Expect::Any).await.unwrap();
            assert!(client.get(None, "key").await.unwrap().is_none());
            outcome
        })
        .await;
}

#[tokio::test]
async fn account_client_list() {
    let asked = Asked::new().await;
    asked.client.put(None, "key", "value", Expect::Any).await.unwrap();
    asked
        .dropped_at_each_poll(async |client, polls| {
            poll_then_drop(client.list(None, "k", None, 10), polls).await
        })
        .await;
    assert_eq!(asked.client.list(None, "k", None, 10).await.unwrap().entries.len(), 1);
}

/// A device's attempt up to the point where the server decides, and the end that waits for it.
async fn identified(
    server: &Server,
    device: &DeviceEnd,
    request: Request,
) -> (Identified, tokio::task::JoinHandle<Option<Session>>) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (hub, config) = (device.hub.clone(), device.config(server, request));
    let opening = tokio_util::task::TaskTracker::new()
        .spawn(async move { hub.connect(near, config, SessionConfig::default(), None).await.ok() });
    let services = SessionConfig { services: true, ..SessionConfig::default() };
    let identified = server.hub.identify(far, b"source", Arc::clone(&server.config), services, false);
    (identified.await.unwrap(), opening)
}

#[tokio::test]
async fn accounts_admit() {
    let server = Server::new(Store::Memory);
    let (device, _session, _) = registered(&server, "alice", "word").await;
    at_each_poll(MOST, async |polls| {
        let (identified, opening) = identified(&server, &device, login("alice")).await;
        let outcome = poll_then_drop(server.accounts.admit(identified, HOME), polls).await;
        drop(opening.await.unwrap());
        let session = device.session(&server, login("alice")).await;
        assert_eq!(client(&session).profile().await.unwrap().user, user("alice"));
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn accounts_serve_beside() {
    let server = Server::new(Store::Memory);
    let (device, _session, _) = registered(&server, "alice", "word").await;
    // Nobody wakes it while nothing is asked.
    for polls in 0..2 {
        let (identified, opening) = identified(&server, &device, login("alice")).await;
        let there = server.accounts.admit(identified, HOME).await.unwrap();
        let here = opening.await.unwrap().unwrap();
        assert!(poll_then_drop(server.accounts.serve_beside(&there, Some), polls).await.is_dropped());
        let client = client(&here);
        tokio::select! {
            () = server.accounts.serve_beside(&there, Some) => panic!("the session is open"),
            profile = client.profile() => assert_eq!(profile.unwrap().user, user("alice")),
        }
        here.close(0, "").await;
    }
}

#[tokio::test]
async fn accounts_serve() {
    let server = Server::new(Store::Memory);
    let (device, _session, _) = registered(&server, "alice", "word").await;
    at_each_poll(MOST, async |polls| {
        let (identified, opening) = identified(&server, &device, login("alice")).await;
        let there = server.accounts.admit(identified, HOME).await.unwrap();
        let here = opening.await.unwrap().unwrap();
        if polls > 1 {
            // Nobody wakes it while nothing is asked: it ends with its session and not before.
            here.close(0, "").await;
            return forget(poll_then_drop(server.accounts.serve(&there), polls).await);
        }
        let outcome = poll_then_drop(server.accounts.serve(&there), polls).await;
        let client = client(&here);
        tokio::select! {
            () = server.accounts.serve(&there) => panic!("the session is open"),
            profile = client.profile() => assert_eq!(profile.unwrap().user, user("alice")),
        }
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn accounts_decide() {
    let server = Server::new(Store::Memory);
    at_each_poll(MOST, async |polls| {
        let device = DeviceEnd::new();
        let request = register(&format!("user {polls}"), "word");
        let deciding = server.accounts.decide(device.peer_id(), &request, HOME);
        let outcome = poll_then_drop(deciding, polls).await;
        // The name is free, or it is the device's own already.
        device.session(&server, request).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn accounts_handle() {
    let server = Server::new(Store::Memory);
    let (device, _session, cid) = registered(&server, "alice", "word").await;
    let actor = Actor::Device { cid, peer: device.peer_id() };
    at_each_poll(MOST, async |polls| {
        let outcome = poll_then_drop(server.accounts.handle(&actor, RequestBody::Profile), polls).await;
        let again = server.accounts.handle(&actor, RequestBody::Profile).await;
        assert!(matches!(again, ResponseBody::Profile(_)), "{again:?}");
        forget(outcome)
    })
    .await;
}

/// Drops what an operator asks for at each of its polls; the account is there, with its device.
async fn operator<T>(mut ask: impl AsyncFnMut(&Accounts, Cid, usize) -> Outcome<T>) {
    let server = Server::new(Store::Memory);
    let (_device, _session, cid) = registered(&server, "alice", "word").await;
    at_each_poll(MOST, async |polls| {
        let outcome = ask(&server.accounts, cid, polls).await;
        assert_eq!(server.accounts.find(&user("alice")).await.unwrap().cid, cid);
        assert_eq!(server.accounts.devices(cid).await.unwrap().len(), 1);
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn accounts_list() {
    operator(async |accounts, _, polls| poll_then_drop(accounts.list(None, 10), polls).await).await;
}

#[tokio::test]
async fn accounts_find() {
    operator(async |accounts, _, polls| poll_then_drop(accounts.find(&user("alice")), polls).await).await;
}

#[tokio::test]
async fn accounts_devices() {
    operator(async |accounts, cid, polls| poll_then_drop(accounts.devices(cid), polls).await).await;
}

#[tokio::test]
async fn accounts_set_blocked() {
    operator(async |accounts, cid, polls| {
        let outcome = poll_then_drop(accounts.set_blocked(cid, true), polls).await;
        accounts.set_blocked(cid, false).await.unwrap();
        assert!(!accounts.find(&user("alice")).await.unwrap().blocked);
        outcome
    })
    .await;
}

#[tokio::test]
async fn accounts_reset_password() {
    operator(async |accounts, cid, polls| {
        let reset = || accounts.reset_password(cid, password("new"), false);
        let outcome = poll_then_drop(reset(), polls).await;
        reset().await.unwrap();
        outcome
    })
    .await;
}

#[tokio::test]
async fn accounts_revoke_device() {
    let server = Server::new(Store::Memory);
    at_each_poll(MOST, async |polls| {
        let (device, session, cid) = registered(&server, &format!("user {polls}"), "word").await;
        let outcome = poll_then_drop(server.accounts.revoke_device(cid, device.peer_id()), polls).await;
        server.accounts.revoke_device(cid, device.peer_id()).await.unwrap();
        session.closed().await;
        device.refused(&server, login(&format!("user {polls}"))).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn accounts_delete() {
    let server = Server::new(Store::Memory);
    at_each_poll(MOST, async |polls| {
        let (_device, session, cid) = registered(&server, &format!("user {polls}"), "word").await;
        let outcome = poll_then_drop(server.accounts.delete(cid), polls).await;
        server.accounts.delete(cid).await.unwrap();
        session.closed().await;
        assert!(server.backend().account(cid).await.unwrap().is_none());
        forget(outcome)
    })
    .await;
}
