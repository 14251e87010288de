//! Everything that is logged, at every level, while sessions of accounts live and fail, and everything that `Debug` and
//! `Display` say on the way: no password, payload, value or key is in it, in no spelling. What is logged is searched by the
//! logger of every scene.

use super::support::{
    DeviceEnd, HOME, Server, Store, add_device, client, ended_by, login, password, register, unlimited,
};
use citadel_crypt::handshake::{Psk, PskHint, Request, ServerConfig};
use citadel_proto::accounts::{Rate, SERVICE};
use citadel_proto::backend::Expect;
use citadel_proto::{CloseReason, SessionConfig};
use citadel_tests::canary::{self, marked};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &str = "the password";
const WRONG: &str = "the wrong password";
const NEXT: &str = "the next password";
const PSK: [u8; 32] = *b"canary~pre-shared-key~0123456789";

/// What a value says about itself holds no canary.
fn say(value: impl Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert_eq!(canary::find(&text), None, "{text}");
    }
}

#[tokio::test]
async fn nothing_that_is_said_holds_a_secret_or_a_payload() {
    canary::keep();
    let server = server();
    let home = DeviceEnd::new();
    let (near, far) = tokio::io::duplex(64 << 10);
    let admitted = server.answer(far, HOME);
    let mut config = home.config(&server, register("canary", PASSWORD));
    config.psk = Some(Arc::new(Psk::new(PskHint([1; 16]), &PSK).unwrap()));
    say(&config);
    say(&server.config);
    let session = home.hub.connect(near, config, SessionConfig::default(), None).await.unwrap();
    let accepted = admitted.await.unwrap().unwrap();
    talk(&session, &accepted).await;
    fail(&server, &session).await;
    let account = client(&session);
    account.change_password(password(PASSWORD), password(NEXT), true).await.unwrap();
    say(account.change_password(password(WRONG), password(PASSWORD), true).await);
    account.deregister().await.unwrap();
    assert_eq!(ended_by(&session).await, CloseReason::Revoked);
    say((session.closed().await, &session, accepted.stats()));
    server.stop().await;

    let lines = canary::kept();
    for target in ["citadel::session", "citadel::rekey", "citadel::accounts"] {
        assert!(lines.iter().any(|line| line.target == target), "nothing was logged by {target}");
    }
}

fn server() -> Server {
    let mut config = unlimited();
    config.rates.max_keys = 100;
    config.rates.passwords_per_address = Some(Rate::new(1, Duration::from_secs(60)));
    let mut server = Server::with(Store::Redb.open(), config, super::support::Counting::default());
    let mut handshake = ServerConfig::clone(&server.config);
    handshake.psks = Arc::from([Psk::new(PskHint([1; 16]), &PSK).unwrap()]);
    server.config = Arc::new(handshake);
    server
}

/// Messages, values and rounds that succeed.
async fn talk(session: &citadel_proto::driver::Session, accepted: &citadel_proto::driver::Session) {
    let (mut there, mut back) = (session.channel().unwrap(), accepted.channel().unwrap());
    there.send(marked("payload")).await.unwrap();
    assert_eq!(back.recv().await.unwrap().unwrap(), marked("payload"));
    session.rekey().await.unwrap();
    back.send(marked("payload")).await.unwrap();
    assert_eq!(there.recv().await.unwrap().unwrap(), marked("payload"));
    say((&there, &back));
    let account = client(session);
    account.put(None, "key", marked("value"), Expect::Any).await.unwrap();
    say(account.get(None, "key").await);
    say(account.list(None, "", None, 9).await);
    say((account.profile().await, account.devices().await, &account));
}

/// What is refused, malformed or cut.
async fn fail(server: &Server, session: &citadel_proto::driver::Session) {
    let mut service = session.open_service_channel(SERVICE).unwrap();
    service.send(marked("garbage")).await.unwrap();
    say(service.recv().await);
    let device = DeviceEnd::new();
    for request in [
        add_device("canary", WRONG),
        add_device("canary", PASSWORD),
        register("canary", PASSWORD),
        login("canary"),
        Request::Transient,
    ] {
        say(&request);
        let met = device.meet(server, request, HOME).await;
        say((met.opened, met.admitted));
    }
    // A handshake and a session that are cut in the middle.
    let (near, far) = tokio::io::duplex(64 << 10);
    let admitted = server.answer(far, HOME);
    drop(near);
    say(admitted.await);
    let _cut = device.meet(server, register("cut", PASSWORD), HOME).await;
    device.hub.abort();
    say(server.accounts.list(None, 10).await);
    say(&server.accounts);
}
