//! The main job in one command: two processes, loopback TCP, a file that goes there and back while both ends renew the keys
//! without a pause.
//!
//! ```text
//! quickstart [FILE]                     starts its own server process and sends FILE (default: this source file)
//! quickstart serve ADDR                 echoes until it is stopped; prints PEER_ID@HOST:PORT
//! quickstart send PEER_ID@ADDR FILE     sends FILE to such a server
//! ```
//! It ends when the file is back, byte for byte, and 1,000 rounds are done; after 60 s it gives up with exit code 1.
#![expect(clippy::disallowed_methods, reason = "an application has tasks and a clock of its own")]

use citadel_sdk::prelude::*;
use citadel_sdk::{RekeyError, SessionStats, Version};
use sha3::{Digest, Sha3_256};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Rounds that the run waits for.
const ROUNDS: u64 = 1_000;
/// Bytes of the file in one message.
const MESSAGE: usize = 1024;
/// When the run gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Name of the channel that sends everything back.
const ECHO: &str = "echo";
/// Name of the channel on which the server stops its rounds and says where it stands.
const REPORT: &str = "report";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", one_line(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[&str]) -> Result<(), BoxError> {
    match arguments {
        ["serve", address] => serve(address, Lifetime::Forever).await,
        ["serve", address, "once"] => serve(address, Lifetime::OneSession).await,
        ["send", server, file] => within_patience(send(server.parse()?, file)).await,
        [] => within_patience(both(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/quickstart.rs"))).await,
        ["-h" | "--help" | "serve" | "send", ..] => {
            Err("usage: quickstart [FILE] | quickstart serve ADDR | quickstart send PEER_ID@ADDR FILE".into())
        }
        [file] => within_patience(both(file)).await,
        _ => {
            Err("usage: quickstart [FILE] | quickstart serve ADDR | quickstart send PEER_ID@ADDR FILE".into())
        }
    }
}

async fn within_patience(job: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    match tokio::time::timeout(PATIENCE, job).await {
        Ok(result) => result,
        Err(_) => Err(format!("not done within {} s", PATIENCE.as_secs()).into()),
    }
}

/// Starts the server as a process of its own and sends it the file.
async fn both(file: &str) -> Result<(), BoxError> {
    let mut server = Command::new(std::env::current_exe()?)
        .args(["serve", "127.0.0.1:0", "once"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let address = first_line(&mut server).await?;
    println!("{:<12} process {}, {address}", "server", server.id().unwrap_or_default());
    println!("{:<12} process {}", "client", std::process::id());
    send(address.parse()?, file).await?;
    let status = server.wait().await?;
    if status.success() { Ok(()) } else { Err(format!("the server process ended with {status}").into()) }
}

async fn first_line(server: &mut Child) -> Result<String, BoxError> {
    let stdout = server.stdout.take().ok_or("the server process has no output")?;
    let line = BufReader::new(stdout).lines().next_line().await?;
    line.ok_or_else(|| "the server process ended before it was listening".into())
}

/// How long a server stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Forever,
    OneSession,
}

async fn serve(address: &str, lifetime: Lifetime) -> Result<(), BoxError> {
    let endpoint = Endpoint::bind(Identity::generate(), address).await?;
    println!("{}", endpoint.addr());
    while let Some(incoming) = endpoint.accept().await {
        let session = tokio::spawn(async move { serve_session(incoming.accept().await?).await });
        if lifetime == Lifetime::OneSession {
            session.await??;
            break;
        }
    }
    endpoint.close().await;
    Ok(())
}

async fn serve_session(session: Session) -> Result<(), BoxError> {
    let rounds = Rounds::start(&session);
    let mut echoes = Vec::new();
    while let Some(mut channel) = session.accept_channel().await? {
        if channel.name() == ECHO.as_bytes() {
            echoes.push(tokio::spawn(async move {
                while let Some(message) = channel.recv().await? {
                    channel.send(message).await?;
                }
                channel.finish().await?;
                Ok::<_, BoxError>(())
            }));
        } else if channel.name() == REPORT.as_bytes() && channel.recv().await?.is_some() {
            rounds.stop().await?;
            channel.send(Standing::of(&session).to_line()).await?;
            channel.finish().await?;
            // To its end: a channel that is dropped before tells who still writes that nobody reads.
            while channel.recv().await?.is_some() {}
            break;
        }
    }
    for echo in echoes {
        echo.await??;
    }
    session.closed().await;
    Ok(())
}

/// The client's job.
async fn send(server: NodeAddr, file: &str) -> Result<(), BoxError> {
    let content = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server).await?;
    let rounds = Rounds::start(&session);

    let messages = content.chunks(MESSAGE).len();
    let echoed = echo(&session, &content).await?;
    if echoed != Sha3_256::digest(&content)[..] {
        return Err("what came back is not what was sent".into());
    }
    session.versions().wait_for(|version| version.0 >= ROUNDS).await?;
    let times = rounds.stop().await?;

    let mut report = session.open_named_channel(REPORT).await?;
    report.send("stop").await?;
    report.finish().await?;
    let theirs = report.recv().await?.ok_or("the server gave no report")?;
    let theirs = Standing::from_line(&theirs).ok_or("the server's report cannot be read")?;
    let ours = Standing::of(&session);

    let suite = session.suite();
    let closed = session.close(0, "done").await;
    endpoint.close().await;
    println!("{:<12} {suite}", "suite");
    println!("{:<12} {messages} there, {messages} back", "messages");
    println!("{:<12} {} there, {} back, SHA3-256 equal", "bytes", content.len(), content.len());
    println!(
        "{:<12} {} as Leader, {} as Loser (client); {} as Leader, {} as Loser (server)",
        "rounds", ours.led, ours.followed, theirs.led, theirs.followed
    );
    println!("{:<12} {} (client), {} (server)", "cancelled", ours.cancelled, theirs.cancelled);
    println!("{:<12} {} (client), {} (server)", "version", ours.version, theirs.version);
    println!("{:<12} {} (client), {} (server)", "fingerprint", ours.fingerprint, theirs.fingerprint);
    println!(
        "{:<12} p50 {:.2?}, p99 {:.2?} of {} waited for by the client",
        "round",
        percentile(&times, 50),
        percentile(&times, 99),
        times.len()
    );
    println!("{:<12} {}", "clean:", if closed.clean { "yes" } else { "no" });
    if (ours.version, &ours.fingerprint) != (theirs.version, &theirs.fingerprint) {
        return Err("the ends disagree about their keys".into());
    }
    if closed.clean { Ok(()) } else { Err(format!("the session did not close cleanly: {closed}").into()) }
}

/// Sends `content` and returns the SHA3-256 of what comes back.
async fn echo(session: &Session, content: &[u8]) -> Result<Vec<u8>, BoxError> {
    let (mut there, mut back) = session.open_named_channel(ECHO).await?.split();
    let sending = async {
        for message in content.chunks(MESSAGE) {
            there.send(message.to_vec()).await?;
        }
        there.finish().await?;
        Ok::<_, BoxError>(())
    };
    let receiving = async {
        let mut hash = Sha3_256::new();
        while let Some(message) = back.recv().await? {
            hash.update(&message);
        }
        Ok::<_, BoxError>(hash.finalize().to_vec())
    };
    let (sent, received) = tokio::join!(sending, receiving);
    sent?;
    received
}

/// Rounds triggered one after the other, by this end, until told to stop.
struct Rounds {
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<Vec<Duration>, RekeyError>>,
}

impl Rounds {
    fn start(session: &Session) -> Self {
        let (stop, stopped) = watch::channel(false);
        let session = session.clone();
        let task = tokio::spawn(async move {
            let mut times = Vec::new();
            while !*stopped.borrow() {
                let start = Instant::now();
                session.rekey().await?;
                times.push(start.elapsed());
            }
            Ok(times)
        });
        Self { stop, task }
    }

    /// Waits for the last one; the times of all.
    async fn stop(self) -> Result<Vec<Duration>, BoxError> {
        self.stop.send_replace(true);
        let mut times = self.task.await??;
        times.sort_unstable();
        Ok(times)
    }
}

/// Where one end stands.
struct Standing {
    version: Version,
    fingerprint: String,
    led: u64,
    followed: u64,
    cancelled: u64,
}

impl Standing {
    fn of(session: &Session) -> Self {
        let SessionStats { rekey, .. } = session.stats();
        let version = session.version();
        let fingerprint = session.fingerprint(version).unwrap_or_default();
        let fingerprint = fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { version, fingerprint, led: rekey.led, followed: rekey.followed, cancelled: rekey.cancelled }
    }

    fn to_line(&self) -> String {
        format!("{} {} {} {} {}", self.version, self.fingerprint, self.led, self.followed, self.cancelled)
    }

    fn from_line(line: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(line).ok()?.split(' ');
        Some(Self {
            version: Version(words.next()?.parse().ok()?),
            fingerprint: words.next()?.to_owned(),
            led: words.next()?.parse().ok()?,
            followed: words.next()?.parse().ok()?,
            cancelled: words.next()?.parse().ok()?,
        })
    }
}

/// Of sorted times.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// An error with its causes, on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.replace('\n', " ")
}
