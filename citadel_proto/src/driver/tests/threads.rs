//! The task in one thread and its handles in others. No timer of the sessions is near, so that whoever forgets to look, or to
//! wake somebody, stops them for good.

use super::*;
use core::time::Duration;
use std::thread;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// What stops these sessions shows as this much time, and nothing else takes so long.
const HANG: Duration = Duration::from_secs(120);

fn far_timers() -> SessionConfig {
    let [ack_delay, ping_after, dead_after] = [1, 1, 2].map(|hours| Duration::from_secs(hours * 3600));
    SessionConfig { ack_delay, ping_after, dead_after, ..SessionConfig::default() }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs `work` in a thread of its own.
#[expect(clippy::disallowed_methods, reason = "what is tested is the work of several threads")]
fn beside<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    thread::spawn(move || done.send(runtime().block_on(work)));
    result
}

/// Lengths of messages: most small, some as long as a record, as half of one, and as several.
fn lengths(seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = |drawn: u64| match drawn % 8 {
        0 => 200_000,
        1 => 60_000,
        2 => 33_000,
        _ => usize::try_from(drawn % 500).unwrap(),
    };
    (0..40).map(|_| length(draw())).collect()
}

/// Sends what the seed says from one thread, and takes it back in another.
async fn send(mut out: SendHalf, seed: u64) -> SendHalf {
    let has_patience = seed.is_multiple_of(2);
    for (number, len) in (0_u8..).zip(lengths(seed)) {
        out.send(vec![number; len]).await.unwrap();
        if has_patience {
            out.acknowledged().await.unwrap();
        }
    }
    out
}

async fn take(mut back: RecvHalf, seed: u64) -> RecvHalf {
    for (number, len) in (0_u8..).zip(lengths(seed)) {
        let message = back.recv().await.unwrap().unwrap();
        assert!(message.len() == len && message.iter().all(|byte| *byte == number));
    }
    back
}

/// Sends back what comes, until the session ends.
async fn echo(server: Session) {
    while let Ok(Some(mut channel)) = server.accept_channel().await {
        drop(beside(async move {
            while let Ok(Some(message)) = channel.recv().await {
                if channel.send(message).await.is_err() {
                    return;
                }
            }
            let _closed = channel.finish().await;
            let _closed = channel.acknowledged().await;
        }));
    }
}

async fn messages_go_to_and_fro(room: usize, seed: u64) {
    let (near, far) = duplex(room);
    let joined = Joined::over(near, far, [far_timers(), far_timers()], Default::default()).await;
    drop(beside(echo(joined.server.clone())));
    let mut all = Vec::new();
    for number in 0..3 {
        let (out, back) = joined.client.open_channel().await.unwrap().split();
        let seed = 3 * seed + number;
        all.push((beside(send(out, seed)), beside(take(back, seed))));
    }
    for (sent, taken) in all {
        let _halves = (sent.await.unwrap(), taken.await.unwrap());
    }
    assert!(joined.client.close(0, "done").await.clean);
}

#[test]
fn everything_goes_without_a_timer_whoever_writes() {
    for (room, seed) in [700, 9_000, 100_000, 1 << 20].into_iter().cycle().zip(0..12) {
        let run = async { tokio::time::timeout(HANG, messages_go_to_and_fro(room, seed)).await };
        assert!(runtime().block_on(run).is_ok(), "room {room}, seed {seed}: somebody waits for ever");
    }
}
