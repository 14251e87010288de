//! Everything that is logged, at every level, while sessions of accounts live and fail, and everything that `Debug` and
//! `Display` say on the way: no password, payload, value or key is in it, in no spelling.

use super::support::{
    DeviceEnd, HOME, Server, Store, add_device, client, ended_by, login, password, register, unlimited,
};
use citadel_crypt::handshake::{Psk, PskHint, Request, ServerConfig};
use citadel_proto::accounts::{Rate, SERVICE};
use citadel_proto::backend::Expect;
use citadel_proto::{CloseReason, SessionConfig};
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

const PASSWORD: &[u8] = b"canary-password-7f3a";
const WRONG: &[u8] = b"canary-wrong-password-91";
const NEXT: &[u8] = b"canary-next-password-c4";
const PAYLOAD: &[u8] = b"canary-payload-of-a-message";
const VALUE: &[u8] = b"canary-value-of-a-key";
const GARBAGE: &[u8] = b"canary-garbage-for-the-service";
const PSK: [u8; 32] = *b"canary-pre-shared-key-0123456789";

/// Lines of this process, whichever test they come from.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Capture;

impl Log for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let fields = format!("{:?}", record.key_values().get("cause".into()));
        LINES.lock().push(format!("{} {} {} {fields}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// Keeps what a value says about itself.
fn say(value: impl Debug) {
    LINES.lock().push(format!("DEBUG {value:?} {value:#?}"));
}

/// A secret as it might be spelled in a log.
fn spellings(secret: &[u8]) -> Vec<String> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list = format!("{secret:?}");
    let list = list.trim_matches(['[', ']']).to_owned();
    let (upper, lines) = (hex.to_uppercase(), list.replace(", ", ",\n"));
    vec![String::from_utf8(secret.to_vec()).unwrap(), hex, upper, list, lines]
}

#[tokio::test]
async fn nothing_that_is_said_holds_a_secret_or_a_payload() {
    // No other test of this process sets one.
    log::set_logger(&Capture).unwrap();
    log::set_max_level(LevelFilter::Trace);
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

    let lines = LINES.lock();
    for target in ["citadel::session", "citadel::rekey", "citadel::accounts"] {
        assert!(lines.iter().any(|line| line.contains(target)), "nothing was logged by {target}");
    }
    for secret in [PASSWORD, WRONG, NEXT, PAYLOAD, VALUE, GARBAGE, &PSK] {
        for spelling in spellings(secret) {
            let found = lines.iter().find(|line| line.contains(&spelling));
            assert_eq!(found, None, "{spelling}");
        }
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
    there.send(PAYLOAD).await.unwrap();
    assert_eq!(back.recv().await.unwrap().unwrap(), PAYLOAD);
    session.rekey().await.unwrap();
    back.send(PAYLOAD).await.unwrap();
    assert_eq!(there.recv().await.unwrap().unwrap(), PAYLOAD);
    say((&there, &back));
    let account = client(session);
    account.put(None, "key", VALUE, Expect::Any).await.unwrap();
    say(account.get(None, "key").await);
    say(account.list(None, "", None, 9).await);
    say((account.profile().await, account.devices().await, &account));
}

/// What is refused, malformed or cut.
async fn fail(server: &Server, session: &citadel_proto::driver::Session) {
    let mut service = session.open_service_channel(SERVICE).unwrap();
    service.send(GARBAGE).await.unwrap();
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
