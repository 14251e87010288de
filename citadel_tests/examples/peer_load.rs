//! Many clients of one server, each with four peers, who say this and that:
//! `cargo run --release -p citadel_tests --example peer_load -- [--clients N] [--seconds N] [--rate N] [--direct]`.
//!
//! All of them and the server are this process, over loopback TCP; a client needs two descriptors. Prints errors, memory per
//! client (its part of the server and both ends of its sessions), messages a second, and their time from `send` to the reader:
//! p50 and p99. `--rate` is what each client sends a second on the average, 2 by default. With `--direct` the sessions move to direct
//! paths where this machine has an address that counts; without it all goes through the server. Exits with 1 if anything failed.

use bytes::Bytes;
use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, Party, PeerClient, PeerSession, Standing};
use citadel_tests::measure::{percentile, resident_kib};
use citadel_tests::world::Dice;
use futures::StreamExt;
use futures::future::join;
use parking_lot::Mutex;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Peers of each client: two on either side of it, in a ring.
const STEPS: [usize; 2] = [1, 2];
/// Clients that dial, and pairs that meet, at a time.
const AT_A_TIME: usize = 16;
/// A message's time stamp.
const STAMP: usize = 8;
/// Messages are as long as this at most, and as the stamp at least.
const LONGEST: u64 = 4_096;

/// What all of them count.
struct Tally {
    origin: Instant,
    is_over: AtomicBool,
    sent: AtomicU64,
    taken: AtomicU64,
    errors: AtomicU64,
    micros: Mutex<Vec<f64>>,
}

impl Tally {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn new() -> Self {
        Self {
            origin: Instant::now(),
            is_over: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            micros: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Says what went wrong.
    fn error(&self, what: &str, error: &dyn core::fmt::Display) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        eprintln!("{what}: {error}");
    }
}

struct Client {
    node: Node<EmptyKernel>,
    _session: Session,
    peers: PeerClient,
    party: Party,
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn client(server: NodeAddr, direct: Direct) -> Result<Client, Failed> {
    let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).direct(direct).start().await?;
    let session = node.connect(&ServerConnection::to(server).transient()).await?;
    let peers = node.peers().await?;
    peers.attach(session.clone()).await?;
    let party = Party::Transient(node.peer_id());
    Ok(Client { node, _session: session, peers, party })
}

/// Both ends of a session of two who agree.
async fn meet(one: &Client, other: &Client) -> Result<[PeerSession; 2], Failed> {
    one.peers.ask(other.party, None).await?;
    let mut events = other.peers.events();
    while other.peers.info(one.party).is_none_or(|info| info.standing != Standing::Asking) {
        events.next().await;
    }
    other.peers.accept(one.party, None).await?;
    let (mine, theirs) = join(one.peers.registered(other.party), other.peers.registered(one.party)).await;
    mine?;
    theirs?;
    join(one.peers.online(other.party), other.peers.online(one.party)).await;
    let met = one.peers.connect(other.party).await?;
    // Whoever came is another's; a wish of its own gets the session that there is.
    let given = other.peers.connect(one.party).await?;
    Ok([met, given])
}

/// Takes what comes, and its time.
async fn read(mut recv: citadel_sdk::RecvHalf, tally: Arc<Tally>) {
    loop {
        match recv.recv().await {
            Ok(Some(message)) => {
                let stamp = message.first_chunk::<STAMP>().map_or(0, |stamp| u64::from_le_bytes(*stamp));
                tally.micros.lock().push(tally.now().saturating_sub(stamp) as f64);
                tally.taken.fetch_add(1, Ordering::Relaxed);
            }
            Ok(None) => return,
            Err(error) => return tally.error("recv", &error),
        }
    }
}

/// Sends to one peer after the other, by chance, until it is over.
#[expect(clippy::disallowed_methods, reason = "users think before they write")]
async fn talk(mut peers: Vec<citadel_sdk::SendHalf>, seed: u64, rate: u64, tally: Arc<Tally>) {
    let mut dice = Dice::new(seed, 0x300);
    let pause = Duration::from_micros(2_000_000 / rate.max(1));
    while !tally.is_over.load(Ordering::Relaxed) && !peers.is_empty() {
        tokio::time::sleep(dice.time(pause)).await;
        let to = dice.index(peers.len());
        let len = usize::try_from(dice.between(STAMP as u64, LONGEST)).unwrap_or(STAMP);
        let mut message = vec![7; len];
        message[..STAMP].copy_from_slice(&tally.now().to_le_bytes());
        match peers[to].send(Bytes::from(message)).await {
            Ok(()) => drop(tally.sent.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                tally.error("send", &error);
                drop(peers.swap_remove(to));
            }
        }
    }
    for mut peer in peers {
        if let Err(error) = peer.finish().await {
            tally.error("finish", &error);
        }
    }
}

/// Starts them, lets them talk, and ends them.
#[expect(clippy::disallowed_methods, reason = "a measurement has tasks, and waits")]
async fn run(count: usize, seconds: u64, rate: u64, direct: Direct) -> Arc<Tally> {
    let tally = Arc::new(Tally::new());
    let server = NodeBuilder::new(EmptyKernel)
        .identity(Identity::generate())
        .transient(true)
        .listen(Transport::Tcp("127.0.0.1:0"));
    let server = server.start().await.expect("a port");
    let before = resident_kib().unwrap_or_default();
    let clients: Vec<Client> = futures::stream::iter(0..count)
        .map(|_| client(server.addr(), direct.clone()))
        .buffered(AT_A_TIME)
        .filter_map(|client| {
            let tally = Arc::clone(&tally);
            async move { client.map_err(|error| tally.error("client", &error)).ok() }
        })
        .collect()
        .await;
    println!("{} clients after {:.1} s", clients.len(), tally.origin.elapsed().as_secs_f64());
    let count = clients.len();
    let pairs: Vec<(usize, usize)> = STEPS
        .into_iter()
        .flat_map(|step| (0..count).map(move |one| (one, (one + step) % count)))
        .filter(|(one, other)| one != other)
        .collect();
    let met: Vec<_> = futures::stream::iter(pairs)
        .map(|(one, other)| {
            let (clients, tally) = (&clients, &tally);
            async move {
                let met = meet(&clients[one], &clients[other]).await;
                met.map_err(|error| tally.error("meeting", &error)).ok().map(|met| (one, other, met))
            }
        })
        .buffer_unordered(AT_A_TIME)
        .filter_map(core::future::ready)
        .collect()
        .await;
    println!("{} sessions of peers after {:.1} s", met.len(), tally.origin.elapsed().as_secs_f64());
    let (mut sends, mut readers): (Vec<Vec<_>>, Vec<_>) =
        ((0..count).map(|_| Vec::new()).collect(), Vec::new());
    for (one, other, ends) in &met {
        for (number, end) in [one, other].into_iter().zip(ends) {
            let (send, recv) = end.session.channel().expect("nobody took channel 0").split();
            sends[*number].push(send);
            readers.push(tokio::spawn(read(recv, Arc::clone(&tally))));
        }
    }
    let resident = resident_kib().unwrap_or_default() - before;
    println!("memory per client, sessions open: {:.1} KiB", resident / count.max(1) as f64);
    let began = tally.origin.elapsed();
    let writers: Vec<_> = sends
        .into_iter()
        .enumerate()
        .map(|(number, peers)| tokio::spawn(talk(peers, number as u64, rate, Arc::clone(&tally))))
        .collect();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let resident = resident_kib().unwrap_or_default() - before;
    println!("memory per client, talking: {:.1} KiB", resident / count.max(1) as f64);
    tally.is_over.store(true, Ordering::Relaxed);
    futures::future::join_all(writers).await;
    futures::future::join_all(readers).await;
    let took = (tally.origin.elapsed() - began).as_secs_f64();
    println!("{:.0} messages a second", tally.taken.load(Ordering::Relaxed) as f64 / took);
    for client in clients {
        match client.node.shutdown().await {
            Ok((_, report)) if report.is_clean() => {}
            Ok((_, report)) => tally.error("end", &report),
            Err(error) => tally.error("end", &error),
        }
    }
    // What nobody holds is aborted: held until all have ended in order.
    drop(met);
    if let Err(error) = server.shutdown().await {
        tally.error("the server's end", &error);
    }
    tally
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (clients, seconds, rate) = (number("--clients", 1_000), number("--seconds", 60), number("--rate", 2));
    let direct =
        if arguments.iter().any(|argument| argument == "--direct") { Direct::on() } else { Direct::Off };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let tally = runtime.block_on(run(usize::try_from(clients).unwrap_or(1_000), seconds, rate, direct));
    let micros = core::mem::take(&mut *tally.micros.lock());
    let (sent, taken) = (tally.sent.load(Ordering::Relaxed), tally.taken.load(Ordering::Relaxed));
    let errors = tally.errors.load(Ordering::Relaxed) + sent.abs_diff(taken);
    println!("{sent} messages sent, {taken} taken, {errors} errors");
    if !micros.is_empty() {
        let at = |share| percentile(micros.clone(), share) / 1e3;
        println!("from send to reader: p50 {:.2} ms, p99 {:.2} ms", at(0.5), at(0.99));
    }
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
