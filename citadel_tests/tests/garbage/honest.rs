//! Clients that want something, and the server's answer to them.

use citadel_sdk::prelude::*;
use citadel_tests::canary;
use std::time::Instant;

/// Echoes on channel 0 until the client ends it.
pub(crate) async fn serve(session: Session) {
    let Ok(mut channel) = session.channel() else { return };
    while let Ok(Some(message)) = channel.recv().await {
        if channel.send(message).await.is_err() {
            return;
        }
    }
    if channel.finish().await.is_ok() {
        session.closed().await;
    }
}

/// A session of a new client.
pub(crate) async fn connect(server: NodeAddr) -> Session {
    canary::watch();
    Endpoint::client(Identity::generate()).connect(server).await.unwrap()
}

/// A client's whole life: milliseconds of each echo. Any error fails the test.
#[expect(clippy::disallowed_methods, reason = "the times are printed, nothing depends on them")]
pub(crate) async fn client(server: NodeAddr, echoes: usize) -> Vec<f64> {
    let session = connect(server).await;
    let mut channel = session.channel().unwrap();
    let mut times = Vec::with_capacity(echoes);
    for number in 0..echoes {
        if number % 8 == 0 {
            session.rekey().await.unwrap();
        }
        let message = vec![number as u8; 100 + number * 50];
        let begin = Instant::now();
        channel.send(message.clone()).await.unwrap();
        assert_eq!(channel.recv().await.unwrap().unwrap(), message);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    channel.finish().await.unwrap();
    let report = session.close(0, "done").await;
    assert!(report.clean, "{report}");
    times
}
