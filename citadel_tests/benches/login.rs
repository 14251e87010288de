//! What a login of a known device costs beside TLS: from the dial to the first byte of the server, against a mutually
//! authenticated tokio-rustls handshake (TLS 1.3, X25519MLKEM768, P-256 certificates), in alternation. Ours signs with Ed25519
//! and ML-DSA-65, and looks the account and the device up.
//!
//! `cargo bench -p citadel_tests --bench login`: the time of one login, then what a server's core makes of them, then the
//! handshakes without sockets, tasks and accounts, and the primitives under them. `-- profile NAME` makes logins of one kind
//! and nothing else, for a profiler to look at.

#[path = "login/machines.rs"]
mod machines;
#[path = "login/ours.rs"]
mod ours;
#[path = "login/primitives.rs"]
mod primitives;
#[path = "login/server.rs"]
mod server;
#[path = "login/tls.rs"]
mod tls;
#[path = "peers/tls_configs.rs"]
mod tls_configs;

use citadel_tests::measure::{Target, median, percentile};
use futures::future::{BoxFuture, join_all};
use server::{Apart, Kind};
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

const TURNS: usize = 15;
/// Logins of a body in a turn.
const LOGINS: usize = 60;
/// Clients of a server whose CPU is counted, each one login at a time.
const CLIENTS: usize = 8;
/// Logins of each of them in a turn.
const EACH: usize = 25;
/// Logins of a body that a profiler looks at.
const PROFILED: usize = 5_000;

/// Someone who dials a server, again and again.
pub(crate) trait Client: Send + Sync {
    /// Dials, proves who it is, sends a byte and takes the one that the server answers with. What is returned ends the
    /// connection in order.
    fn login(&self) -> BoxFuture<'_, BoxFuture<'static, ()>>;
}

/// Runs `work` as applications run theirs: in a task of its own.
#[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
fn on_a_worker<T: Send + 'static>(runtime: &Runtime, work: impl Future<Output = T> + Send + 'static) -> T {
    runtime.block_on(async { tokio::spawn(work).await.expect("a task that ends") })
}

/// Nanoseconds of each of so many logins, one after another.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn logins(client: Arc<dyn Client>, count: usize) -> Vec<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        let end = client.login().await;
        times.push(begin.elapsed().as_nanos() as f64);
        end.await;
    }
    times
}

/// Median over the turns of the quotient within a turn.
fn ratio(of: &[f64], to: &[f64]) -> f64 {
    median(of.iter().zip(to).map(|(of, to)| of / to).collect())
}

/// Time of one login, by kind; both ends on one runtime.
fn latency(runtime: &Runtime) {
    let places = Kind::ALL.map(|kind| {
        let (door, server) = on_a_worker(runtime, server::serve(kind));
        (on_a_worker(runtime, async move { door.client(0).await }), server)
    });
    let mut p50s = Kind::ALL.map(|_| Vec::with_capacity(TURNS));
    let mut all = Kind::ALL.map(|_| Vec::new());
    for turn in 0..=TURNS {
        for (kind, (client, _server)) in places.iter().enumerate() {
            let times = on_a_worker(runtime, logins(Arc::clone(client), LOGINS));
            // The first turn warms up.
            if turn > 0 {
                p50s[kind].push(percentile(times.clone(), 0.5));
                all[kind].extend(times);
            }
        }
    }
    println!("one login at a time, from the dial to the server's first byte; two workers for both ends");
    for (kind, all) in Kind::ALL.iter().zip(all) {
        let [p50, p99] = [0.5, 0.99].map(|share| percentile(all.clone(), share) / 1e3);
        println!("{:<16} p50 {p50:>8.1} µs   p99 {p99:>8.1} µs", kind.name());
    }
    for (kind, p50) in Kind::ALL.iter().zip(&p50s).skip(1) {
        let what = format!("p50: login, {} / tokio-rustls", kind.name());
        println!("{}", Target::AtMost(2.0).row(&what, ratio(p50, &p50s[0])));
    }
}

/// What a server's core makes of logins, by kind; each server on a thread of its own.
fn throughput(runtime: &Runtime) {
    let servers = Kind::ALL.map(|kind| {
        let apart = Apart::start(kind);
        let clients: Vec<Arc<dyn Client>> = (0..CLIENTS)
            .map(|number| {
                let door = apart.door().clone();
                on_a_worker(runtime, async move { door.client(number).await })
            })
            .collect();
        (apart, clients)
    });
    let mut nanos = Kind::ALL.map(|_| Vec::with_capacity(TURNS));
    for turn in 0..=TURNS {
        for (kind, (apart, clients)) in servers.iter().enumerate() {
            let before = apart.cpu_nanos();
            let batch: Vec<_> = clients.iter().map(|client| logins(Arc::clone(client), EACH)).collect();
            on_a_worker(runtime, join_all(batch));
            if let (Some(before), Some(after), true) = (before, apart.cpu_nanos(), turn > 0) {
                nanos[kind].push((after - before) / (CLIENTS * EACH) as f64);
            }
        }
    }
    if nanos.iter().any(Vec::is_empty) {
        return println!("\nthis system does not tell the CPU time of threads");
    }
    println!(
        "\nCPU time of a server's threads for a login, {CLIENTS} clients at a time: accept, handshake, look-ups, the session"
    );
    println!("and its tasks, a byte and its answer, the orderly end");
    for (kind, each) in Kind::ALL.iter().zip(&nanos) {
        let (micros, per_core) = (median(each.clone()) / 1e3, 1e9 / median(each.clone()));
        let beside = ratio(each, &nanos[0]);
        println!(
            "{:<16} {micros:>8.1} µs   {per_core:>6.0} a second and core   {beside:>5.2} x tokio-rustls",
            kind.name()
        );
    }
}

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip_while(|word| word != "profile").collect();
    if let [_, name, ..] = &arguments[..] {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).expect("the name of a kind");
        let (door, _server) = on_a_worker(&runtime, server::serve(kind));
        let client = on_a_worker(&runtime, async move { door.client(0).await });
        let times = on_a_worker(&runtime, logins(client, PROFILED));
        return println!("{name}: p50 {:.1} µs", percentile(times, 0.5) / 1e3);
    }
    latency(&runtime);
    throughput(&runtime);
    machines::print();
    primitives::print();
}
