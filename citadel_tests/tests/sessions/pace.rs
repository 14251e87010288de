//! Messages go as fast as their path takes them, not at the pace of a timer.

use citadel_sdk::prelude::*;
use citadel_tests::canary;
use std::time::Duration;

/// A session over a stream that takes a few bytes at a time.
async fn narrow() -> (Session, Session) {
    canary::watch();
    let (near, far) = tokio::io::duplex(4096);
    let (client, server) = (Endpoint::client(Identity::generate()), Endpoint::client(Identity::generate()));
    let (opened, accepted) = tokio::join!(client.connect_io(near, server.peer_id()), server.accept_io(far));
    (opened.unwrap(), accepted.unwrap())
}

#[tokio::test(start_paused = true)]
async fn fix_0019_what_is_sealed_behind_a_full_socket_waits_for_no_timer() {
    let (here, there) = narrow().await;
    let (mut writer, mut reader) = (here.channel().unwrap(), there.channel().unwrap());
    let began = tokio::time::Instant::now();
    // Many records each, and less than the credit of a channel together.
    for _ in 0..3 {
        writer.send(vec![7; 250_000]).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(reader.recv().await.unwrap().unwrap().len(), 250_000);
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "somebody waited for a timer");
    let (first, second) = tokio::join!(here.close(0, "done"), there.closed());
    assert!(first.clean && second.clean);
}
