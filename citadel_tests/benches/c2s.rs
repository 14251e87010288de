//! What a session costs beside TLS: the same messages over the same kind of TCP connection on loopback, against tokio-rustls
//! (TLS 1.3, X25519MLKEM768, AES-256-GCM), in alternation.
//!
//! `cargo bench -p citadel_tests --bench c2s`. One runtime of two workers carries both ends.

#[path = "c2s/ours.rs"]
mod ours;
#[path = "c2s/tls.rs"]
mod tls;
#[path = "peers/tls_configs.rs"]
mod tls_configs;

use citadel_proto::driver::Tcp;
use citadel_sdk::SecrecyMode;
use citadel_tests::measure::{Body, Target, Turns, alternate, median, percentile};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(300);
const LARGE: usize = 64 * 1024;
const SMALL: usize = 64;
/// Messages of one call.
const LARGE_BATCH: usize = 256;
const SMALL_BATCH: usize = 20_000;
/// Echoes of one call.
const ECHOES: usize = 200;

const TLS: &str = "tokio-rustls";
const BEST: &str = "BestEffort";
const PERFECT: &str = "Perfect";

/// A client and a server, connected.
pub(crate) trait Pair: Send {
    /// Sends `count` messages of `len` bytes to the server; resolves when it has them all.
    fn send_all(&mut self, len: usize, count: usize) -> BoxFuture<'_, ()>;

    /// Sends a message of `len` bytes to the server and takes its echo.
    fn echo(&mut self, len: usize) -> BoxFuture<'_, ()>;
}

/// What the server is told to do with what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Take it, and answer each batch.
    Sink,
    /// Send it back.
    Echo,
}

fn pair(runtime: &Runtime, name: &str, role: Role) -> Box<dyn Pair> {
    match name {
        TLS => Box::new(runtime.block_on(tls::Tls::connect(role))),
        BEST => Box::new(runtime.block_on(ours::Ours::connect(Tcp, SecrecyMode::BestEffort, role))),
        _ => Box::new(runtime.block_on(ours::Ours::connect(Tcp, SecrecyMode::Perfect, role))),
    }
}

fn batches(runtime: &Runtime, len: usize, count: usize) -> Turns {
    let bodies = [TLS, BEST, PERFECT].map(|name| {
        let mut pair = Some(pair(runtime, name, Role::Sink));
        Body::new(name, move || {
            let mut taken = pair.take().expect("the last call gave it back");
            pair = Some(on_a_worker(runtime, async move {
                taken.send_all(len, count).await;
                taken
            }));
        })
    });
    alternate(TURNS, TURN, bodies.into())
}

/// Runs `work` as applications run theirs: in a task of its own.
#[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
fn on_a_worker(
    runtime: &Runtime,
    work: impl Future<Output = Box<dyn Pair>> + Send + 'static,
) -> Box<dyn Pair> {
    runtime.block_on(async { tokio::spawn(work).await.expect("a task that ends") })
}

/// Median time of one echo in each turn, by name.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn echoes(runtime: &Runtime) -> Vec<(&'static str, Vec<f64>)> {
    let samples: Vec<_> = [TLS, BEST, PERFECT].map(|name| (name, Arc::new(Mutex::new(Vec::new())))).into();
    let bodies = samples.iter().map(|(name, medians)| {
        let mut pair = Some(pair(runtime, name, Role::Echo));
        let medians = Arc::clone(medians);
        Body::new(*name, move || {
            let mut taken = pair.take().expect("the last call gave it back");
            let medians = Arc::clone(&medians);
            pair = Some(on_a_worker(runtime, async move {
                let mut times = Vec::with_capacity(ECHOES);
                for _ in 0..ECHOES {
                    let begin = Instant::now();
                    taken.echo(SMALL).await;
                    times.push(begin.elapsed().as_nanos() as f64);
                }
                medians.lock().push(percentile(times, 0.5));
                taken
            }));
        })
    });
    let turns = alternate(TURNS, TURN, bodies.collect());
    drop(turns);
    samples.into_iter().map(|(name, medians)| (name, core::mem::take(&mut *medians.lock()))).collect()
}

/// `-- profile NAME large|small|echo`: one body alone, for a profiler to look at.
fn profile(runtime: &Runtime, name: &str, what: &str) {
    let (role, len, count) = match what {
        "large" => (Role::Sink, LARGE, LARGE_BATCH),
        "small" => (Role::Sink, SMALL, SMALL_BATCH),
        _ => (Role::Echo, SMALL, 0),
    };
    let mut pair = pair(runtime, name, role);
    for _ in 0..400 {
        pair = on_a_worker(runtime, async move {
            match role {
                Role::Sink => pair.send_all(len, count).await,
                Role::Echo => {
                    for _ in 0..1_000 {
                        pair.echo(len).await;
                    }
                }
            }
            pair
        });
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip_while(|word| word != "profile").collect();
    if let [_, name, what, ..] = &arguments[..] {
        return profile(&runtime, name, what);
    }
    let mut rows = Vec::new();
    let large = batches(&runtime, LARGE, LARGE_BATCH);
    let small = batches(&runtime, SMALL, SMALL_BATCH);
    println!("{:<16} {:>14} {:>18}", "", "64 KiB: MB/s", "64 B: messages/s");
    for name in [TLS, BEST, PERFECT] {
        let rate = (LARGE * LARGE_BATCH) as f64 / large.nanos(name) * 1e3;
        let count = SMALL_BATCH as f64 / small.nanos(name) * 1e9;
        println!("{name:<16} {rate:>14.0} {count:>18.0}");
    }
    rows.push(Target::AtLeast(0.9).row("64 KiB: BestEffort / tokio-rustls", large.ratio(TLS, BEST)));
    rows.push(Target::AtLeast(0.8).row("64 KiB: Perfect / BestEffort", large.ratio(BEST, PERFECT)));
    rows.push(Target::AtLeast(2.0).row("64 B: BestEffort / tokio-rustls", small.ratio(TLS, BEST)));
    rows.push(Target::AtLeast(0.8).row("64 B: Perfect / BestEffort", small.ratio(BEST, PERFECT)));
    let echoes = echoes(&runtime);
    let p50: Vec<f64> = echoes.iter().map(|(_, medians)| median(medians.clone())).collect();
    for ((name, _), p50) in echoes.iter().zip(&p50) {
        println!("{name:<16} echo p50 {:>8.1} µs", p50 / 1e3);
    }
    rows.push(Target::AtMost(1.25).row("echo p50: BestEffort / tokio-rustls", p50[1] / p50[0]));
    rows.push(Target::AtMost(1.25).row("echo p50: Perfect / BestEffort (1 / 0.8)", p50[2] / p50[1]));
    println!("\nratios within a turn, median of {TURNS}");
    for row in rows {
        println!("{row}");
    }
}
