//! Memory of both ends when 1 GiB is offered to a slow reader: `cargo run --release -p citadel_tests --example slow_reader`.
//!
//! The reader is this process, the sender another; both are nodes with the same `memory_limit`. The reader takes a MiB, waits,
//! takes the next. Printed: the most resident memory that each process ever had.

use citadel_sdk::prelude::*;
use citadel_tests::measure::{Target, peak_resident_kib};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const OFFERED: usize = 1 << 30;
const MESSAGE: usize = 64 * 1024;
const MEMORY_LIMIT: u64 = 8 << 20;
/// What a process may have beside the messages.
const BESIDE_KIB: f64 = 16.0 * 1024.0;
/// Messages between two pauses of the reader, and the pause: about 100 MiB a second, a thirtieth of what the sender could.
const PACE: (usize, Duration) = (16, Duration::from_millis(10));

fn row(who: &str) -> String {
    let limit = MEMORY_LIMIT as f64 / 1024.0 + BESIDE_KIB;
    let peak = peak_resident_kib().unwrap_or(f64::NAN);
    Target::AtMost(limit).row(&format!("{who}: KiB of resident memory at the peak"), peak)
}

async fn sender(server: NodeAddr) {
    let kernel = SingleClientServerConnectionKernel::new(
        ServerConnection::to(server).identity(),
        |mut connection: Connection| async move {
            let message = bytes::Bytes::from(vec![7; MESSAGE]);
            for _ in 0..OFFERED / MESSAGE {
                connection.channel.send(message.clone()).await?;
            }
            connection.channel.finish().await?;
            connection.channel.acknowledged().await?;
            Ok(())
        },
    );
    let node = NodeBuilder::new(kernel).identity(Identity::generate()).memory_limit(MEMORY_LIMIT);
    let (_kernel, report) = node.start().await.expect("a client").await.expect("a session");
    assert!(report.is_clean(), "{report}");
    println!("{}", row("sender"));
}

#[expect(clippy::disallowed_methods, reason = "the reader is slow on purpose")]
async fn read_slowly(mut connection: Connection) -> citadel_sdk::KernelResult {
    let (mut count, mut received) = (0, 0);
    while let Some(message) = connection.channel.recv().await? {
        count += 1;
        received += message.len();
        if count % PACE.0 == 0 {
            tokio::time::sleep(PACE.1).await;
        }
    }
    assert_eq!(received, OFFERED);
    Ok(())
}

async fn reader() {
    let node = NodeBuilder::new(ClientConnectListenerKernel::new(read_slowly))
        .identity(Identity::generate())
        .identities(true)
        .memory_limit(MEMORY_LIMIT)
        .listen(Transport::Tcp("127.0.0.1:0"))
        .start()
        .await
        .expect("a server");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["sender", &node.addr().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("another process");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while let Some(line) = lines.next_line().await.expect("its output") {
        println!("{line}");
    }
    assert!(child.wait().await.expect("its end").success());
    node.shutdown().await.expect("an orderly end");
    println!("{}", row("reader"));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[..] {
        [_, word, server] if word == "sender" => {
            runtime.block_on(sender(server.parse().expect("the address of a node")));
        }
        _ => runtime.block_on(reader()),
    }
}
