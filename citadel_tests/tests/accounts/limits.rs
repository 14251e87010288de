//! Rate limits: whom they stop, whom they never stop, what they remember.

use super::support::{
    AWAY, DeviceEnd, HOME, Server, add_device, client, login, password, register, registered, unlimited,
};
use citadel_crypt::handshake::RefusalCode;
use citadel_proto::accounts::{AccountsConfig, AskError, CallError, Rate, RateLimits};
use std::net::IpAddr;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn server(rates: impl FnOnce(&mut RateLimits)) -> Server {
    let mut config: AccountsConfig = unlimited();
    config.rates.max_keys = 1 << 10;
    rates(&mut config.rates);
    Server::limited(config)
}

#[tokio::test]
async fn an_address_with_too_many_passwords_is_told_when_to_come_back() {
    let server = server(|rates| rates.passwords_per_address = Some(Rate::new(3, MINUTE)));
    let (_, _session, _) = registered(&server, "alice", "right").await;
    server.hasher.runs();
    let device = DeviceEnd::new();
    for _ in 0..3 {
        assert_eq!(device.refused(&server, add_device("alice", "wrong")).await.0, RefusalCode::CREDENTIALS);
    }
    assert_eq!(server.hasher.runs(), 3);
    // No hash, whatever the password, and the wait is the limit's.
    server.clock.pass(Duration::from_secs(15));
    let (code, wait, _) = device.refused_from(&server, add_device("alice", "right"), HOME).await;
    assert_eq!((code, wait), (RefusalCode::RATE_LIMITED, Some(Duration::from_secs(45))));
    assert_eq!(server.hasher.runs(), 0);
    // Another address is another matter, and so is the same one later.
    let (code, wait, _) = device.refused_from(&server, add_device("alice", "wrong"), AWAY).await;
    assert_eq!((code, wait), (RefusalCode::CREDENTIALS, None));
    server.clock.pass(Duration::from_secs(45));
    let _session = device.session(&server, add_device("alice", "right")).await;
    server.stop().await;
}

#[tokio::test]
async fn the_addresses_of_one_network_count_as_one() {
    let server = server(|rates| rates.registrations_per_address = Some(Rate::new(1, MINUTE)));
    let device = DeviceEnd::new();
    let at = |text: &str| text.parse::<IpAddr>().unwrap();
    let met = device.meet(&server, register("one", "word"), at("2001:db8:0:1::1")).await;
    met.opened.unwrap();
    for (name, source, is_free) in [
        ("two", "2001:db8:0:1:ffff::2", false),
        ("three", "2001:db8:0:2::1", true),
        ("four", "192.0.2.1", true),
        ("five", "::ffff:192.0.2.1", false),
        ("six", "192.0.2.2", true),
    ] {
        let met = device.meet(&server, register(name, "word"), at(source)).await;
        assert_eq!(met.opened.is_ok(), is_free, "{source}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_limited_user_name_answers_as_a_wrong_password_and_locks_no_device_out() {
    let server = server(|rates| rates.passwords_per_user = Some(Rate::new(2, MINUTE)));
    let (home, session, cid) = registered(&server, "alice", "right").await;
    let stranger = DeviceEnd::new();
    server.hasher.runs();
    let mut answers = Vec::new();
    for name in ["alice", "alice", "alice", "nobody", "nobody", "nobody"] {
        answers.push(stranger.refused(&server, add_device(name, "wrong")).await);
        assert_eq!(server.hasher.runs(), 1);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "known or not, over the limit or not: {answers:?}");
    // Over the limit the right password fails too, and costs the same.
    assert_eq!(stranger.refused(&server, add_device("alice", "right")).await, answers[0]);
    assert_eq!(server.hasher.runs(), 1);
    // The user works on: logs in, changes the password.
    drop(session);
    let session = home.session(&server, login("alice")).await;
    assert_eq!(session.cid(), Some(cid));
    client(&session).change_password(password("right"), password("new"), false).await.unwrap();
    server.clock.pass(MINUTE);
    let _session = stranger.session(&server, add_device("alice", "new")).await;
    server.stop().await;
}

#[tokio::test]
async fn old_passwords_are_limited_per_device() {
    let server = server(|rates| rates.confirmations_per_device = Some(Rate::new(2, MINUTE)));
    let (_, first, _) = registered(&server, "alice", "right").await;
    let second = DeviceEnd::new().session(&server, add_device("alice", "right")).await;
    let change = async |session, old: &str| {
        client(session).change_password(password(old), password("right"), false).await
    };
    for _ in 0..2 {
        assert_eq!(change(&first, "wrong").await, Err(CallError::Refused(AskError::Credentials)));
    }
    server.hasher.runs();
    assert_eq!(change(&first, "right").await, Err(CallError::Refused(AskError::RateLimited(MINUTE))));
    assert_eq!(server.hasher.runs(), 0);
    change(&second, "right").await.unwrap();
    server.clock.pass(MINUTE);
    change(&first, "right").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn failed_logins_are_limited_and_others_from_there_are_not() {
    let server = server(|rates| rates.failed_logins_per_address = Some(Rate::new(2, MINUTE)));
    let (home, _session, _) = registered(&server, "alice", "word").await;
    let stranger = DeviceEnd::new();
    for expected in [RefusalCode::CREDENTIALS, RefusalCode::CREDENTIALS, RefusalCode::RATE_LIMITED] {
        assert_eq!(stranger.refused(&server, login("alice")).await.0, expected);
    }
    for _ in 0..5 {
        let _session = home.session(&server, login("alice")).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn limits_remember_a_bounded_number_and_forget_what_is_as_good_as_new() {
    const KEYS: usize = 50;
    let server = server(|rates| {
        rates.registrations_per_address = Some(Rate::new(1, Duration::from_secs(1)));
        rates.max_keys = KEYS;
    });
    // Closed names: no hash is paid, only the limit is asked.
    let taken = register("taken", "word");
    let device = DeviceEnd::new();
    let decide = async |n: u32| {
        let source = IpAddr::from((0x0A00_0000_u32 + n).to_be_bytes());
        server.accounts.decide(device.peer_id(), &taken, source).await
    };
    decide(0).await.unwrap();
    let stranger = DeviceEnd::new().peer_id();
    for n in 1..1_000 {
        let source = IpAddr::from((0x0A00_0000_u32 + n).to_be_bytes());
        let refused = server.accounts.decide(stranger, &taken, source).await.unwrap_err();
        assert!([RefusalCode::USER_TAKEN, RefusalCode::RATE_LIMITED].contains(&refused.code));
        // Shared cells come on top, 255 at most.
        assert!(server.accounts.limited_keys() <= KEYS + 255);
    }
    assert!(server.accounts.limited_keys() >= KEYS);
    server.clock.pass(Duration::from_secs(30));
    let refused = server.accounts.decide(stranger, &taken, HOME).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::USER_TAKEN);
    assert_eq!(server.accounts.limited_keys(), 1);
    server.stop().await;
}
