//! A live server on TCP while strangers send it everything but a handshake, and fifty honest clients work.
//!
//! A binary of its own: its allocator counts, so that the peak of the heap has a bound that can be asserted.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "garbage/attack.rs"]
mod attack;
#[path = "garbage/honest.rs"]
mod honest;

use attack::Attack;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, HandshakeCaps};
use citadel_tests::canary;
use citadel_tests::measure::percentile;
use futures::future::join_all;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const HONEST: usize = 50;
const ECHOES: usize = 40;
/// Handshakes at a time: room for all honest clients at once, whatever one address of attackers may have.
const CAPS: HandshakeCaps = HandshakeCaps { total: 128, per_source: 56, under_load: 32 };
/// Longest handshake, which slow strangers run into. Honest ones take milliseconds, also on a busy machine.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Attackers of each kind.
const ATTACKERS: usize = 12;
/// What a handshake in flight may hold at the server and its attacker together, flights and keys on both.
const PER_HANDSHAKE: usize = 128 * 1024;
/// Buffers of attackers and of sessions that attackers open.
const SLACK: usize = 8 << 20;

/// A server that echoes and counts.
struct Server {
    endpoint: Endpoint,
    most_in_flight: Arc<AtomicUsize>,
    tasks: TaskTracker,
}

impl Server {
    async fn start() -> Self {
        canary::watch();
        let mut config = EndpointConfig::default();
        config.handshake_caps = CAPS;
        config.handshake_deadline = HANDSHAKE;
        let endpoint = Endpoint::bind_with(Identity::generate(), "127.0.0.1:0", config).await.unwrap();
        let server = Self { endpoint, most_in_flight: Arc::default(), tasks: TaskTracker::new() };
        let (endpoint, most, tasks) =
            (server.endpoint.clone(), Arc::clone(&server.most_in_flight), server.tasks.clone());
        server.tasks.spawn(async move {
            while let Some(incoming) = endpoint.accept().await {
                most.fetch_max(endpoint.handshakes_in_flight(), Ordering::AcqRel);
                tasks.spawn(async move {
                    if let Ok(session) = incoming.accept().await {
                        honest::serve(session).await;
                    }
                });
            }
        });
        server
    }

    fn addr(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Everything ends; nothing is left.
    async fn stop(self) {
        self.endpoint.close().await;
        self.tasks.close();
        self.tasks.wait().await;
        assert_eq!(self.endpoint.handshakes_in_flight(), 0, "a handshake is left");
    }
}

/// Fifty clients from start to end; the milliseconds of each echo.
async fn honest_clients(server: &Server) -> Vec<f64> {
    let clients = (0..HONEST).map(|_| honest::client(server.endpoint.addr(), ECHOES));
    let times = join_all(clients).await;
    times.into_iter().flatten().collect()
}

/// Peak of the heap and the 99th percentile of an echo while `attacks` go on.
async fn run(attacks: &[Attack]) -> (usize, f64) {
    canary::watch();
    let profiler = dhat::Profiler::builder().testing().build();
    let server = Server::start().await;
    let (stop, attackers) = (CancellationToken::new(), TaskTracker::new());
    let tried = Arc::new(AtomicUsize::new(0));
    for (seed, attack) in attacks.iter().copied().enumerate() {
        let identity = server.endpoint.identity().peer_id();
        let (addr, stop, tried) = (server.addr(), stop.clone(), Arc::clone(&tried));
        attackers.spawn(async move {
            stop.run_until_cancelled(attack.repeat(addr, identity, seed as u64, &tried)).await;
        });
    }
    attackers.close();
    // The one that sends a byte a second is ended by the server's deadline, not by the test.
    let (times, ()) = tokio::join!(honest_clients(&server), attack::slow_client(server.addr()));
    assert_eq!(times.len(), HONEST * ECHOES, "an honest client was cut short");
    stop.cancel();
    attackers.wait().await;
    let most = server.most_in_flight.load(Ordering::Acquire);
    assert!(most <= CAPS.total, "{most} handshakes at a time");
    assert!(attacks.is_empty() || tried.load(Ordering::Acquire) > 0, "no attack was made");
    println!(
        "{} attackers, {} attempts, at most {most} handshakes at a time",
        attacks.len(),
        tried.load(Ordering::Acquire)
    );
    server.stop().await;
    let peak = dhat::HeapStats::get().max_bytes;
    drop(profiler);
    (peak, percentile(times, 0.99))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_send_garbage_disturb_nobody() {
    let (quiet_peak, quiet) = run(&[]).await;
    let attacks: Vec<Attack> =
        Attack::ALL.iter().flat_map(|attack| core::iter::repeat_n(*attack, ATTACKERS)).collect();
    let (peak, under_attack) = run(&attacks).await;
    println!("echo p99: {quiet:.2} ms without, {under_attack:.2} ms with the attackers");
    println!("peak of the heap: {} KiB without, {} KiB with", quiet_peak / 1024, peak / 1024);
    let bound = quiet_peak + CAPS.total * PER_HANDSHAKE + SLACK;
    assert!(peak <= bound, "{peak} bytes at the peak, {bound} are the bound");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proven_stranger_who_sends_garbage_ends_only_its_own_session() {
    let server = Server::start().await;
    let honest = honest::connect(server.endpoint.addr()).await;
    for seed in 0..8 {
        attack::garbage_after_the_handshake(server.addr(), server.endpoint.peer_id(), seed).await.unwrap();
    }
    let mut channel = honest.channel().unwrap();
    channel.send("still here").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "still here");
    let report = honest.shutdown(CloseReason::application(0, "done")).await;
    assert!(report.clean, "{report}");
    server.stop().await;
}
