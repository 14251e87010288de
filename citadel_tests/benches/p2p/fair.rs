//! Sixty-four peers that send to one as fast as they can: one is not read, one sends long messages.

use super::peers::{Client, server};
use bytes::Bytes;
use citadel_proto::LANE_WINDOW;
use citadel_sdk::{Channel, Direct, PeerSession};
use citadel_tests::measure::resident_kib;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const LANES: usize = 64;
const STALLED: usize = 0;
const GREEDY: usize = 1;
const TIME: Duration = Duration::from_secs(5);
/// What the two ends of a lane's session may keep besides: a buffer of each, and a session's credit.
const ENDS: f64 = 4.0 * 1024.0;

/// What was measured.
pub(crate) struct Outcome {
    /// Jain's index of the lanes that are neither.
    pub(crate) jain: f64,
    /// Growth of this process while all send.
    pub(crate) resident_kib: f64,
    /// What the server's windows and the ends' buffers come to.
    pub(crate) cap_kib: f64,
}

async fn send(mut channel: Channel, len: usize) {
    let message = Bytes::from(vec![7; len]);
    while channel.send(message.clone()).await.is_ok() {}
}

async fn read(mut channel: Channel, taken: Arc<AtomicU64>) {
    while let Ok(Some(_)) = channel.recv().await {
        taken.fetch_add(1, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end, and waits")]
pub(crate) async fn measure() -> Outcome {
    let server = server().await;
    let called = Client::start(&server, Direct::Off).await;
    let mut clients = Vec::new();
    let mut sessions: Vec<(PeerSession, PeerSession)> = Vec::new();
    for _ in 0..LANES {
        let client = Client::start(&server, Direct::Off).await;
        client.befriend(&called).await;
        sessions.push(client.meet(&called).await);
        clients.push(client);
    }
    let before = resident_kib().unwrap_or_default();
    let counts: Vec<Arc<AtomicU64>> = (0..LANES).map(|_| Arc::default()).collect();
    let mut kept = Vec::new();
    for (lane, (met, given)) in sessions.iter().enumerate() {
        let len = if lane == GREEDY { 64 << 10 } else { 1_350 };
        tokio::spawn(send(met.session.channel().expect("channel 0"), len));
        let channel = given.session.channel().expect("channel 0");
        if lane == STALLED {
            kept.push(channel);
        } else {
            tokio::spawn(read(channel, Arc::clone(&counts[lane])));
        }
    }
    let look = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let first = look();
    tokio::time::sleep(TIME).await;
    let last = look();
    let resident_kib = resident_kib().unwrap_or_default() - before;
    let shares: Vec<f64> = (2..LANES).map(|lane| (last[lane] - first[lane]) as f64).collect();
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    let cap_kib = LANES as f64 * (2.0 * LANE_WINDOW as f64 / 1024.0 + ENDS);
    for (met, given) in sessions {
        met.session.abort();
        given.session.abort();
    }
    drop((kept, clients, called));
    Outcome { jain: sum * sum / (shares.len() as f64 * squares), resident_kib, cap_kib }
}
