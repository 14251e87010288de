//! What a session with a peer costs beside one with a server: the same messages over loopback, relayed by a server that all three
//! share two cores with, in alternation with a client and a server alone, all by TCP; and directly, beside a client and a server by QUIC.
//!
//! `cargo bench -p citadel_tests --bench p2p`. One runtime of two workers carries all nodes.

#[path = "p2p/fair.rs"]
mod fair;
#[path = "c2s/ours.rs"]
mod ours;
#[path = "p2p/peers.rs"]
mod peers;

use citadel_proto::driver::Tcp;
use citadel_sdk::{Direct, Quic, SecrecyMode};
use citadel_tests::measure::{Body, Target, Turns, alternate, median, percentile};
use futures::future::BoxFuture;
use ours::Ours;
use parking_lot::Mutex;
use peers::Peers;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(300);
/// Sizes of messages, and how many are one call.
const SIZES: [(usize, usize); 4] = [(64, 20_000), (1_350, 8_000), (16 << 10, 1_000), (64 << 10, 256)];
/// Of an echo.
const SMALL: usize = 64;
/// Echoes of one call.
const ECHOES: usize = 200;

const C2S: &str = "C2S";
const RELAYED: &str = "relayed";
const C2S_QUIC: &str = "C2S by QUIC";
const DIRECT: &str = "direct";
const CARRIERS: [&str; 4] = [C2S, RELAYED, C2S_QUIC, DIRECT];
/// Relayed, with new keys each second.
const REKEYED: &str = "relayed, new keys each second";

/// Two nodes, connected.
pub(crate) trait Pair: Send {
    /// Sends `count` messages of `len` bytes to the other end; resolves when it has them all.
    fn send_all(&mut self, len: usize, count: usize) -> BoxFuture<'_, ()>;

    /// Sends a message of `len` bytes to the other end and takes its echo.
    fn echo(&mut self, len: usize) -> BoxFuture<'_, ()>;
}

/// What the other end is told to do with what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Take it, and answer each batch.
    Sink,
    /// Send it back.
    Echo,
}

fn pair(runtime: &Runtime, name: &str, role: Role) -> Box<dyn Pair> {
    match name {
        C2S => Box::new(runtime.block_on(Ours::connect(Tcp, SecrecyMode::BestEffort, role))),
        C2S_QUIC => Box::new(runtime.block_on(Ours::connect(Quic::new(), SecrecyMode::BestEffort, role))),
        RELAYED => Box::new(runtime.block_on(Peers::connect(role, Direct::Off, None))),
        DIRECT => Box::new(runtime.block_on(Peers::connect(role, peers::near(), None))),
        REKEYED => {
            Box::new(runtime.block_on(Peers::connect(role, Direct::Off, Some(Duration::from_secs(1)))))
        }
        other => unreachable!("{other}"),
    }
}

/// Runs `work` as applications run theirs: in a task of its own.
#[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
fn on_a_worker(
    runtime: &Runtime,
    work: impl Future<Output = Box<dyn Pair>> + Send + 'static,
) -> Box<dyn Pair> {
    runtime.block_on(async { tokio::spawn(work).await.expect("a task that ends") })
}

fn batches(runtime: &Runtime, names: &[&'static str], (len, count): (usize, usize), turn: Duration) -> Turns {
    let bodies = names.iter().map(|name| {
        let mut pair = Some(pair(runtime, name, Role::Sink));
        Body::new(*name, move || {
            let mut taken = pair.take().expect("the last call gave it back");
            pair = Some(on_a_worker(runtime, async move {
                taken.send_all(len, count).await;
                taken
            }));
        })
    });
    alternate(TURNS, turn, bodies.collect())
}

/// Median time of one echo in each turn, by name.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn echoes(runtime: &Runtime) -> Vec<f64> {
    let samples: Vec<_> = CARRIERS.map(|name| (name, Arc::new(Mutex::new(Vec::new())))).into();
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
    drop(alternate(TURNS, TURN, bodies.collect()));
    samples.into_iter().map(|(_, medians)| median(core::mem::take(&mut *medians.lock()))).collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut rows = Vec::new();
    println!("MB/s {:>7} {:>12} {:>12} {:>12} {:>12}", "message", C2S, RELAYED, C2S_QUIC, DIRECT);
    for (len, count) in SIZES {
        let turns = batches(&runtime, &CARRIERS, (len, count), TURN);
        let [c2s, relayed, quic, direct] =
            CARRIERS.map(|name| (len * count) as f64 / turns.nanos(name) * 1e3);
        println!("{len:>12} {c2s:>12.1} {relayed:>12.1} {quic:>12.1} {direct:>12.1}");
        let name = format!("{len} B one way: relayed / C2S");
        rows.push(Target::AtLeast(0.33).row(&name, turns.ratio(C2S, RELAYED)));
        let name = format!("{len} B one way: direct / C2S by QUIC");
        rows.push(Target::AtLeast(0.9).row(&name, turns.ratio(C2S_QUIC, DIRECT)));
    }
    let p50 = echoes(&runtime);
    for (name, p50) in CARRIERS.iter().zip(&p50) {
        println!("echo p50: {name} {:.1} µs", p50 / 1e3);
    }
    rows.push(Target::AtMost(2.2).row("echo p50: relayed / C2S", p50[1] / p50[0]));
    let turn = Duration::from_millis(1_500);
    let turns = batches(&runtime, &[RELAYED, REKEYED], (64 << 10, 256), turn);
    let kept = turns.ratio(RELAYED, REKEYED);
    rows.push(Target::AtLeast(0.95).row("64 KiB, new keys each second / none", kept));
    let fair::Outcome { jain, resident_kib, cap_kib } = runtime.block_on(fair::measure());
    rows.push(Target::AtLeast(0.95).row("64 lanes, one stalled, one greedy: Jain's index of the rest", jain));
    rows.push(
        Target::AtMost(cap_kib).row("the same: growth of resident memory, all nodes, KiB", resident_kib),
    );
    println!("\nratios within a turn, median of {TURNS}");
    for row in rows {
        println!("{row}");
    }
}
