//! Scenario 18: every method on a session that is over gives a typed answer at once.

use citadel_proto::driver::{EstablishError, ExchangeError};
use citadel_proto::{CloseReason, OpenError, RecvError, RekeyError, SendError, TryRecvError, TrySendError};
use citadel_tests::cancel::{Outcome, poll_then_drop};
use citadel_tests::resumable::Ends;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What `future` gives at its first poll.
macro_rules! at_once {
    ($future:expr) => {
        match poll_then_drop($future, 1).await {
            Outcome::Finished(value) => value,
            Outcome::Dropped => panic!("{} waits", stringify!($future)),
        }
    };
}

#[tokio::test(start_paused = true)]
async fn every_method_of_a_closed_session_answers_at_once() {
    let ends = Ends::new(Duration::from_secs(60));
    let (client, server, _cut) = ends.session().await;
    let mut channel = client.open_channel().await.unwrap();
    let halves = client.open_named_channel("halves").await.unwrap();
    let io = client.open_channel().await.unwrap();
    let reason = CloseReason::Aborted;
    client.abort();
    client.closed().await;
    assert_eq!(client.closing(), Some(reason.clone()));

    assert_eq!(at_once!(channel.send("x")), Err(SendError::Closed(reason.clone())));
    assert_eq!(channel.try_send("x"), Err(TrySendError::Send(SendError::Closed(reason.clone()))));
    assert_eq!(at_once!(channel.reserve(1)).map(drop), Err(SendError::Closed(reason.clone())));
    assert_eq!(at_once!(channel.recv()), Err(RecvError::Closed(reason.clone())));
    assert_eq!(channel.try_recv(), Err(TryRecvError::Recv(RecvError::Closed(reason.clone()))));
    assert_eq!(at_once!(channel.acknowledged()), Ok(()), "nothing was sent");
    assert_eq!(at_once!(channel.finish()), Ok(()), "it is over in any case");
    let (mut send, mut recv) = halves.split();
    assert_eq!(at_once!(send.send("x")), Err(SendError::Closed(reason.clone())));
    assert_eq!(at_once!(send.reserve(1)).map(drop), Err(SendError::Closed(reason.clone())));
    assert_eq!(at_once!(recv.recv()), Err(RecvError::Closed(reason.clone())));
    let mut io = io.into_io();
    assert_eq!(at_once!(io.write(b"x")).unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
    assert_eq!(at_once!(io.read(&mut [0])).unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);

    let closed = OpenError::Closed(reason.clone());
    assert_eq!(at_once!(client.open_channel()).map(drop), Err(closed.clone()));
    assert_eq!(at_once!(client.open_named_channel("x")).map(drop), Err(closed.clone()));
    assert_eq!(client.open_service_channel("x").map(drop), Err(closed.clone()));
    assert_eq!(at_once!(client.accept_channel()).map(drop), Err(closed.clone()));
    assert_eq!(at_once!(client.accept_service_channel()).map(drop), Err(closed.clone()));
    assert_eq!(at_once!(client.request("x")), Err(ExchangeError::Open(closed)));
    assert_eq!(at_once!(client.rekey()), Err(RekeyError::Closed(reason.clone())));
    assert_eq!(client.trigger_rekey(), Err(RekeyError::Closed(reason.clone())));
    assert_eq!(at_once!(client.close(1, "again")).reason(), &reason, "the first reason stays");
    assert_eq!(at_once!(client.shutdown(CloseReason::GoingAway)).reason(), &reason);
    assert_eq!(at_once!(client.closed()).reason(), &reason);
    assert!(client.channel().is_ok(), "what it received would be readable");
    let (near, _far) = tokio::io::duplex(64);
    let resumed = at_once!(ends.client_hub.resume(&client, near));
    assert!(matches!(resumed, Err(EstablishError::NotResumable)));
    drop(server);
}
