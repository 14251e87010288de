//! The driver: handles, tasks, streams. In memory under a paused clock, and over loopback TCP.

use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::{HandshakeError, Limits, RefusalCode};
use citadel_proto::driver::{
    Acceptor, Admission, EstablishError, HandshakeCaps, Hub, Session, Tcp, Transport,
};
use citadel_proto::{CloseReason, CloseReport, OpenError, RecvError, RekeyPolicy, SendError, SessionConfig};
use citadel_tests::canary::marked;
use citadel_tests::session_world::{client_config, identity, server_config};
use futures::{SinkExt, StreamExt};
use std::time::Duration;

/// A session over a pipe in memory: hubs and both ends.
struct Piped {
    client_hub: Hub,
    server_hub: Hub,
    client: Session,
    server: Session,
}

async fn piped(mode: SecrecyMode) -> Piped {
    let limits = Limits::default();
    let (alice, bob) = (identity(), identity());
    let (client_io, server_io) = tokio::io::duplex(64 * 1024);
    let (client_hub, server_hub) = (Hub::new(), Hub::new());
    let config = SessionConfig::default();
    let dial = client_hub.connect(client_io, client_config(&alice, &bob, mode, limits), config.clone(), None);
    let answer = async {
        let identified =
            server_hub.identify(server_io, b"pipe", server_config(&bob, mode, limits), config, false).await?;
        assert_eq!(identified.peer_id(), alice.peer_id());
        identified.accept().await
    };
    let (client, server) = tokio::join!(dial, answer);
    let (client, server) = (client.unwrap(), server.unwrap());
    assert_eq!(client.instance(), server.instance());
    assert_eq!(client.peer_id(), bob.peer_id());
    Piped { client_hub, server_hub, client, server }
}

/// Closes in order and checks that nothing is left on either end.
async fn close(piped: Piped) -> (CloseReport, CloseReport) {
    let Piped { client_hub, server_hub, client, server } = piped;
    let (a, b) = tokio::join!(client.close(7, "done"), server.closed());
    assert_eq!(client_hub.close(CloseReason::GoingAway).await, []);
    assert_eq!(server_hub.close(CloseReason::GoingAway).await, []);
    assert_eq!((client_hub.sessions(), server_hub.sessions()), (0, 0));
    (a, b)
}

async fn echo(session: Session) {
    while let Ok(Some(mut channel)) = session.accept_channel().await {
        while let Ok(Some(message)) = channel.recv().await {
            channel.send(message).await.unwrap();
        }
        channel.finish().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn messages_are_echoed_while_both_ends_rekey_and_the_close_is_clean() {
    let piped = piped(SecrecyMode::BestEffort).await;
    let server = piped.server.clone();
    let client = piped.client.clone();
    let talk = async {
        let mut channel = client.open_channel().await.unwrap();
        for i in 0..200_u32 {
            let message = Bytes::from(marked(i.to_le_bytes().repeat(1 + i as usize * 40)));
            channel.send(message.clone()).await.unwrap();
            let (rekey, back) = tokio::join!(client.rekey(), channel.recv());
            assert_eq!(back.unwrap().unwrap(), message);
            assert!(rekey.unwrap().version.0 > u64::from(i));
        }
        channel.finish().await.unwrap();
        channel.acknowledged().await.unwrap();
        assert_eq!(channel.recv().await.unwrap(), None);
        let version = client.version();
        drop(channel);
        client.close(7, "done").await;
        version
    };
    let rekeyer = async { while piped.server.rekey().await.is_ok() {} };
    let (version, (), ()) = tokio::join!(talk, echo(server), rekeyer);
    assert!(version.0 >= 200);
    let (a, b) = close(piped).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!(b.reason(), &CloseReason::application(7, "done"));
}

#[tokio::test(start_paused = true)]
async fn what_was_received_before_the_close_is_read_after_it_then_the_reason() {
    let piped = piped(SecrecyMode::Perfect).await;
    let mut sender = piped.client.channel().unwrap();
    let mut reader = piped.server.channel().unwrap();
    for i in 0..100_u8 {
        sender.send(vec![i; 1000]).await.unwrap();
    }
    let report = piped.client.close(3, "bye").await;
    assert!(report.clean, "{report}");
    for i in 0..100_u8 {
        assert_eq!(reader.recv().await.unwrap().unwrap(), vec![i; 1000]);
    }
    let closed = CloseReason::application(3, "bye");
    assert_eq!(reader.recv().await, Err(RecvError::Closed(closed.clone())));
    assert_eq!(reader.recv().await, Err(RecvError::Closed(closed.clone())));
    assert_eq!(reader.send("late").await, Err(SendError::Closed(closed.clone())));
    assert!(matches!(piped.server.open_channel().await, Err(OpenError::Closed(reason)) if reason == closed));
    assert_eq!(piped.server.accept_channel().await.unwrap().map(|channel| channel.id()), None);
    drop((sender, reader));
    close(piped).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_aborts_and_the_peer_learns_it() {
    let Piped { client_hub, server_hub, client, server } = piped(SecrecyMode::BestEffort).await;
    let mut channel = server.channel().unwrap();
    let held = client.channel().unwrap();
    drop(client);
    assert_eq!(channel.try_recv().unwrap_err().code(), 16, "a channel keeps the session open");
    drop(held);
    let report = server.closed().await;
    assert_eq!(report.reason(), &CloseReason::Aborted);
    assert!(!report.clean);
    assert!(matches!(channel.recv().await, Err(RecvError::Closed(_) | RecvError::Reset { code: 0 })));
    client_hub.close(CloseReason::GoingAway).await;
    server_hub.close(CloseReason::GoingAway).await;
    assert_eq!((client_hub.sessions(), server_hub.sessions()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_a_channel_live_and_die_independently() {
    let piped = piped(SecrecyMode::BestEffort).await;
    let (mut a_send, mut a_recv) = piped.client.channel().unwrap().split();
    let (mut b_send, b_recv) = piped.server.channel().unwrap().split();
    a_send.send("one").await.unwrap();
    drop(b_recv);
    let stopped = loop {
        if let Err(error) = a_send.send("more").await {
            break error;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(stopped, SendError::Stopped { code: 0 });
    drop(a_send);
    b_send.send("still here").await.unwrap();
    b_send.finish().await.unwrap();
    assert_eq!(a_recv.next().await.unwrap().unwrap(), "still here");
    assert!(a_recv.next().await.is_none());
    b_send.acknowledged().await.unwrap();
    drop((a_recv, b_send));
    let (a, b) = close(piped).await;
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_makes_the_sender_wait_and_nothing_else() {
    let piped = piped(SecrecyMode::BestEffort).await;
    let mut sender = piped.client.channel().unwrap();
    let mut reader = piped.server.channel().unwrap();
    let mut accepted = 0_u32;
    while tokio::time::timeout(Duration::from_secs(1), sender.send(vec![1; 10_000])).await.is_ok() {
        accepted += 1;
        assert!(accepted < 1_000, "no back-pressure");
    }
    let mut other = piped.client.open_channel().await.unwrap();
    other.send("not blocked").await.unwrap();
    let mut arrived = piped.server.accept_channel().await.unwrap().unwrap();
    assert_eq!(arrived.recv().await.unwrap().unwrap(), "not blocked");
    piped.client.rekey().await.unwrap();
    let read = async {
        for _ in 0..accepted {
            assert_eq!(reader.recv().await.unwrap().unwrap().len(), 10_000);
        }
    };
    let (sent, ()) = tokio::join!(sender.send("unblocked"), read);
    sent.unwrap();
    assert_eq!(reader.recv().await.unwrap().unwrap(), "unblocked");
    drop((sender, reader, other, arrived));
    close(piped).await;
}

#[tokio::test(start_paused = true)]
async fn sink_and_stream_carry_a_long_message_in_pieces() {
    let piped = piped(SecrecyMode::Perfect).await;
    let mut sender = piped.client.channel().unwrap();
    let mut reader = piped.server.channel().unwrap();
    let long: Bytes = (0..9_000_000_u32).map(|i| (i % 251) as u8).collect();
    let send = async {
        sender.feed(long.clone()).await.unwrap();
        SinkExt::<Bytes>::send(&mut sender, Bytes::from_static(b"short")).await.unwrap();
        SinkExt::<Bytes>::close(&mut sender).await.unwrap();
    };
    let read = async {
        assert!(reader.next().await.unwrap().unwrap() == long);
        assert_eq!(reader.next().await.unwrap().unwrap(), "short");
        assert!(reader.next().await.is_none());
    };
    tokio::join!(send, read);
    let too_long = sender.try_send(Bytes::new()).unwrap_err();
    assert_eq!(too_long.code(), SendError::Finished.code());
    drop((sender, reader));
    let (a, b) = close(piped).await;
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[tokio::test]
async fn over_tcp_sixteen_channels_at_once_and_a_refused_client() {
    let (alice, bob, carol) = (identity(), identity(), identity());
    let (mode, limits) = (SecrecyMode::Perfect, Limits::default());
    let server_hub = Hub::new();
    let listener = Tcp.listen("127.0.0.1:0").await.unwrap();
    let admission = Admission::new(HandshakeCaps::default());
    let config = server_config(&bob, mode, limits);
    let acceptor = Acceptor::new(
        server_hub.clone(),
        vec![listener],
        config,
        SessionConfig::default(),
        admission.clone(),
    )
    .unwrap();
    let port = acceptor.local_addrs()[0].port();
    let carol_id = carol.peer_id();
    let serving = tokio::spawn(async move {
        while let Some(incoming) = acceptor.accept().await {
            let identified = incoming.identify().await.unwrap();
            if identified.peer_id() == carol_id {
                identified.refuse(RefusalCode::DENIED).await;
                continue;
            }
            tokio::spawn(serve(identified.accept().await.unwrap()));
        }
        assert_eq!((admission.in_flight(), admission.sources()), (0, 0));
    });
    let hub = Hub::new();
    let io = Tcp.connect("127.0.0.1", port).await.unwrap();
    let refused =
        hub.connect(io, client_config(&carol, &bob, mode, limits), SessionConfig::default(), None).await;
    let denied =
        HandshakeError::Refused { code: RefusalCode::DENIED, authenticated: true, retry_after: None };
    assert!(matches!(refused, Err(EstablishError::Handshake(error)) if error == denied));

    let io = Tcp.connect("127.0.0.1", port).await.unwrap();
    // By records alone: how long the talks take is not this test's to know.
    let rekey = RekeyPolicy::Background { records: 64, bytes: u64::MAX, interval: Duration::ZERO };
    let config = SessionConfig { rekey, ..SessionConfig::default() };
    let session = hub.connect(io, client_config(&alice, &bob, mode, limits), config, None).await.unwrap();
    let talks = (0..40_u8).map(|i| {
        let session = session.clone();
        tokio::spawn(async move {
            let mut channel = session.open_channel().await.unwrap();
            for j in 0..20_u8 {
                let message = vec![i ^ j; 3_000 * usize::from(j)];
                channel.send(message.clone()).await.unwrap();
                assert_eq!(channel.recv().await.unwrap().unwrap(), message);
            }
            channel.finish().await.unwrap();
            assert_eq!(channel.recv().await.unwrap(), None);
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        talk.await.unwrap();
    }
    assert!(session.version().0 > 0, "keys are renewed while data flows");
    let report = session.close(0, "").await;
    assert!(report.clean, "{report}");
    let reports = server_hub.close(CloseReason::GoingAway).await;
    assert!(reports.iter().all(|report| report.clean), "{reports:?}");
    serving.await.unwrap();
    assert_eq!(hub.close(CloseReason::GoingAway).await, []);
}

/// Serves every channel in a task of its own.
async fn serve(session: Session) {
    while let Ok(Some(mut channel)) = session.accept_channel().await {
        tokio::spawn(async move {
            while let Ok(Some(message)) = channel.recv().await {
                channel.send(message).await.unwrap();
            }
            channel.finish().await.unwrap();
        });
    }
}
