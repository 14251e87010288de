//! Handles: events, bytes over a channel, room before a message, one message there and one back.

use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::Version;
use citadel_proto::driver::{ExchangeError, Session, SessionEvent};
use citadel_proto::{CloseReason, OpenError, RecvError, SendError, SessionConfig};
use citadel_tests::cancel::poll_then_drop;
use citadel_tests::resumable::Ends;
use futures::StreamExt;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RESUME: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn events_tell_of_paths_keys_and_the_end_in_order() {
    let ends = Ends::new(RESUME);
    let (client, _server, cut) = ends.session().await;
    let mut events = client.events().into_stream();
    client.rekey().await.unwrap();
    assert_eq!(events.next().await, Some(SessionEvent::Rekeyed(Version(1))));
    drop(cut);
    assert!(matches!(events.next().await, Some(SessionEvent::Detached { .. })));
    let (asked, _given, _cut) = ends.resume(&client).await;
    asked.unwrap();
    let attached = SessionEvent::Attached { path: PathId(1) };
    let next = events.next().await;
    assert!(next == Some(attached) || matches!(next, Some(SessionEvent::Rekeyed(_))), "{next:?}");
    let report = client.close(1, "done").await;
    let rest: Vec<SessionEvent> = events.collect().await;
    assert_eq!(rest.last(), Some(&SessionEvent::Closed(report)));
    assert!(!rest[..rest.len() - 1].iter().any(|event| matches!(event, SessionEvent::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_path_that_came_and_went_unseen_is_one_event() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    let mut events = server.events();
    drop(cut);
    for _ in 0..3 {
        let (asked, given, _cut) = ends.resume(&client).await;
        asked.unwrap();
        given.unwrap();
        client.rekey().await.unwrap();
    }
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(events.next().await.unwrap());
    }
    assert!(matches!(seen[0], SessionEvent::Rekeyed(version) if version >= Version(3)), "{seen:?}");
    assert!(
        matches!(seen[1], SessionEvent::Attached { path: PathId(3) } | SessionEvent::Detached { .. }),
        "{seen:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn both_ends_say_the_same_code_and_no_account() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    assert_eq!(client.verification_code(), server.verification_code());
    assert_eq!(client.verification_code().split(' ').count(), 12);
    assert_eq!((client.cid(), server.cid()), (None, None));
    let (mut a, mut b) = ([0; 32], [0; 32]);
    client.export_keying_material("test", b"context", &mut a).unwrap();
    server.export_keying_material("test", b"context", &mut b).unwrap();
    assert_eq!(a, b);
}

async fn channels(
    client: &Session,
    server: &Session,
) -> (citadel_proto::driver::Channel, citadel_proto::driver::Channel) {
    let there = client.open_channel().await.unwrap();
    (there, server.accept_channel().await.unwrap().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_channel_carries_bytes_both_ways_across_the_borders_of_messages() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let (there, back) = channels(&client, &server).await;
    let (mut read, mut write) = tokio::io::split(there.into_io());
    let mut back = back.into_io();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let send = async {
        write.write_all(&bytes).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let receive = async {
        let mut echoed = Vec::new();
        read.read_to_end(&mut echoed).await.unwrap();
        assert!(echoed == bytes);
    };
    let echo = async {
        let mut piece = vec![0; 1_000];
        loop {
            let len = back.read(&mut piece).await.unwrap();
            if len == 0 {
                break;
            }
            back.write_all(&piece[..len]).await.unwrap();
        }
        back.shutdown().await.unwrap();
    };
    tokio::join!(send, receive, echo);
}

#[tokio::test(start_paused = true)]
async fn one_end_may_see_messages_where_the_other_sees_bytes() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let (there, mut back) = channels(&client, &server).await;
    let mut there = there.into_io();
    back.send("").await.unwrap();
    back.send("he").await.unwrap();
    back.send("llo").await.unwrap();
    let mut hello = [0; 5];
    there.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    there.write_all(&[7; 100_000]).await.unwrap();
    let first = back.recv().await.unwrap().unwrap();
    let second = back.recv().await.unwrap().unwrap();
    assert_eq!(first.len() + second.len(), 100_000);
    drop(there);
    assert!(matches!(back.recv().await, Err(RecvError::Reset { code: 0 })), "dropped without an end");
}

#[tokio::test(start_paused = true)]
async fn who_holds_a_permit_sends_whatever_others_do_meanwhile() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let (mut mine, mut reader) = channels(&client, &server).await;
    let permit = mine.reserve(100_000).await.unwrap();
    assert_eq!(permit.max_len(), 100_000);
    // Every other channel takes as much of the session's credit as it gets.
    let mut others = Vec::new();
    for _ in 0..10 {
        let (mut other, read) = channels(&client, &server).await;
        while other.try_send(vec![0; 100_000]).is_ok() {}
        others.push((other, read));
    }
    permit.send(vec![7; 100_000]).unwrap();
    assert_eq!(reader.recv().await.unwrap().unwrap().len(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn room_that_is_not_used_goes_back_and_wakes_who_waits() {
    let mut ends = Ends::new(RESUME);
    // The session's credit is what one channel may use.
    let limits = citadel_crypt::handshake::Limits { session_credit: 1 << 20, ..Default::default() };
    ends.client.common.limits = limits;
    let mut server = (*ends.server).clone();
    server.common.limits = limits;
    ends.server = server.into();
    ends.session = SessionConfig { limits, ..ends.session };
    let (client, server, _cut) = ends.session().await;
    let (mut mine, _reader) = channels(&client, &server).await;
    let (mut other, mut read) = channels(&client, &server).await;
    let permit = mine.reserve(500_000).await.unwrap();
    while other.try_send(vec![0; 100_000]).is_ok() {}
    let mut waiting = std::pin::pin!(other.send(vec![1; 100_000]));
    assert!(poll_then_drop(&mut waiting, 1).await.is_dropped());
    drop(permit);
    waiting.await.unwrap();
    assert_eq!(read.recv().await.unwrap().unwrap().len(), 100_000);
}

#[tokio::test(start_paused = true)]
async fn a_permit_takes_no_longer_message_and_none_on_a_closed_session() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let (mut there, mut back) = channels(&client, &server).await;
    let too_long = SendError::TooLong { len: 11, limit: 10 };
    assert_eq!(there.reserve(10).await.unwrap().send(vec![0; 11]), Err(too_long));
    there.reserve(10).await.unwrap().send("fits").unwrap();
    assert_eq!(back.recv().await.unwrap().unwrap(), "fits");
    let over = there.reserve(usize::MAX).await.map(drop);
    assert!(matches!(over, Err(SendError::TooLong { .. })), "{over:?}");
    let permit = there.reserve(10).await.unwrap();
    client.abort();
    assert_eq!(permit.send("late"), Err(SendError::Closed(CloseReason::Aborted)));
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_its_answer_or_says_that_there_is_none() {
    let ends = Ends::new(RESUME);
    let (client, server, _cut) = ends.session().await;
    let serve = async {
        let mut first = server.accept_channel().await.unwrap().unwrap();
        let question = first.recv().await.unwrap().unwrap();
        assert_eq!(first.recv().await.unwrap(), None, "the request is finished");
        first.send([&question[..], b"!"].concat()).await.unwrap();
        first.finish().await.unwrap();
        let mut second = server.accept_channel().await.unwrap().unwrap();
        second.finish().await.unwrap();
        let third = server.accept_channel().await.unwrap().unwrap();
        drop(third);
        (first, second)
    };
    let ask = async {
        assert_eq!(client.request("hello").await.unwrap(), "hello!");
        assert_eq!(client.request("hello").await, Err(ExchangeError::NoAnswer));
        let dropped = client.request("hello").await;
        assert!(matches!(dropped, Err(ExchangeError::Recv(RecvError::Reset { code: 0 }))), "{dropped:?}");
    };
    let _kept = tokio::join!(serve, ask);
}

#[tokio::test(start_paused = true)]
async fn applications_neither_open_nor_see_channels_of_services() {
    let mut ends = Ends::new(RESUME);
    ends.session.services = true;
    let (client, server, _cut) = ends.session().await;
    let reserved = client.open_named_channel(&b"\0citadel/accounts"[..]).await.map(drop);
    assert_eq!(reserved, Err(OpenError::NameReserved));
    let mut service = client.open_service_channel("accounts").unwrap();
    let mut plain = client.open_channel().await.unwrap();
    service.send("service").await.unwrap();
    plain.send("plain").await.unwrap();
    let mut seen = server.accept_channel().await.unwrap().unwrap();
    assert_eq!(seen.recv().await.unwrap().unwrap(), "plain");
    let mut taken = server.accept_service_channel().await.unwrap().unwrap();
    assert_eq!(taken.recv().await.unwrap().unwrap(), "service");
}
