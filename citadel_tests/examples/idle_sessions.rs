//! Heap of an idle session on a server: `cargo run --release -p citadel_tests --example idle_sessions`.
//!
//! The server is this process, its clients are another. Sessions are opened, used once, and left alone; dhat counts what Rust
//! allocated for them at the server. AWS-LC's allocations are not Rust's: the growth of resident memory is printed beside.
//! Then the clients leave, and what is left of them is counted.

use citadel_sdk::Backend;
use citadel_sdk::prelude::*;
use citadel_tests::measure::{Target, resident_kib};
use futures::StreamExt;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const COUNTS: [usize; 4] = [100, 1_000, 4_000, 8_000];
const LIMIT_KIB: f64 = 24.0;
/// What a departed session may leave, bytes: a remembered instance and the slack of tables that grew.
const LEFT: f64 = 512.0;

/// From so many on the buffers that an endpoint keeps, 2 MiB at most, do not outweigh what they share.
const MANY: usize = 1_000;

/// Clients that dial at a time.
const AT_A_TIME: usize = 16;

/// `clients ADDR COUNT`: opens the sessions, says `ready`, waits for the end of its input, closes them.
async fn clients(server: NodeAddr, count: usize) {
    let endpoint = Endpoint::client(Identity::generate());
    let sessions: Vec<(Session, Channel)> = futures::stream::iter(0..count)
        .map(|_| async {
            let session = endpoint.connect(server.clone()).await.expect("a session");
            let mut channel = session.channel().expect("channel 0");
            channel.send("here").await.expect("an open session");
            channel.recv().await.expect("an open session").expect("an answer");
            (session, channel)
        })
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await;
    println!("ready");
    // Nothing else is to be done meanwhile but by the sessions' own tasks.
    let input = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    input.await.expect("no panic").expect("an end of input");
    drop(sessions);
    endpoint.close().await;
}

/// A process of clients, and a way to end it.
struct Clients {
    child: tokio::process::Child,
    input: ChildStdin,
    _output: BufReader<ChildStdout>,
}

impl Clients {
    async fn start(server: &NodeAddr, count: usize) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["clients", &server.to_string(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("another process");
        let input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).await.expect("its output");
        assert_eq!(line.trim(), "ready");
        Self { child, input, _output: output }
    }

    async fn leave(mut self) {
        self.input.shutdown().await.expect("its input");
        drop(self.input);
        self.child.wait().await.expect("its end");
    }
}

/// Rust's heap per session with `count` of them, and what is left of each when they are gone.
async fn measure(backend: Arc<dyn Backend>, name: &str, count: usize) -> f64 {
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(())
    });
    let node = NodeBuilder::new(echo)
        .identity(Identity::generate())
        .shared_backend(backend)
        .identities(true)
        .listen(Transport::Tcp("127.0.0.1:0"))
        .start()
        .await
        .expect("a server");
    // Tables and buffers that a server keeps whatever comes are made by the first few.
    Clients::start(&node.addr(), 32).await.leave().await;
    gone(&node).await;
    let (before, resident) = (dhat::HeapStats::get().curr_bytes, resident_kib());
    let clients = Clients::start(&node.addr(), count).await;
    let with = dhat::HeapStats::get().curr_bytes;
    let heap = (with as f64 - before as f64) / count as f64 / 1024.0;
    println!("{}", Target::AtMost(LIMIT_KIB).row(&format!("{name}, {count}: KiB of heap a session"), heap));
    if let (Some(before), Some(after)) = (resident, resident_kib()) {
        println!(
            "{:<64} {:>8.3}",
            format!("{name}, {count}: KiB of resident memory"),
            (after - before) / count as f64
        );
    }
    clients.leave().await;
    gone(&node).await;
    let left = (dhat::HeapStats::get().curr_bytes as f64 - before as f64) / count as f64;
    let what = format!("{name}, {count}: bytes left of a departed session");
    if count < MANY {
        println!("{what:<64} {left:>8.3}");
    } else {
        println!("{}", Target::AtMost(LEFT).row(&what, left));
    }
    node.shutdown().await.expect("an orderly end");
    heap
}

/// Waits until no handler is left and the heap falls no more: closes that are under way have ended.
#[expect(clippy::disallowed_methods, reason = "a measurement waits until nothing changes")]
async fn gone<K: NetKernel>(node: &Node<K>) {
    let mut least = usize::MAX;
    let mut unchanged = 0;
    while !node.sessions().is_empty() || unchanged < 10 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = dhat::HeapStats::get().curr_bytes;
        unchanged = if now < least { 0 } else { unchanged + 1 };
        least = least.min(now);
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, server, count] = &arguments[..]
        && word == "clients"
    {
        let server = server.parse().expect("the address of a node");
        return runtime.block_on(clients(server, count.parse().expect("a number")));
    }
    let _profiler = dhat::Profiler::builder().testing().build();
    let file = std::env::temp_dir().join(format!("idle_sessions-{}.redb", std::process::id()));
    let redb: Arc<dyn Backend> = Arc::new(Redb::open(&file).expect("a file"));
    for (name, backend) in [("memory", Arc::new(Memory::new()) as Arc<dyn Backend>), ("redb", redb)] {
        let heaps: Vec<f64> =
            COUNTS.map(|count| runtime.block_on(measure(Arc::clone(&backend), name, count))).into();
        let (least, most) =
            (heaps.iter().copied().fold(f64::MAX, f64::min), heaps.iter().copied().fold(0.0, f64::max));
        println!("{}", Target::AtMost(1.1).row(&format!("{name}: dearest / cheapest count"), most / least));
    }
    std::fs::remove_file(file).expect("our own file");
}
