//! The process that is killed: this test binary again, told by its environment to serve clients from a folder.
//!
//! It obeys lines: `before WRITE` and `after WRITE` have it stand still there, the next time, for ever; `writes` asks which
//! were done; `freeze` stops all of it, `stop` ends it in order. What it says begins with `server: `.

use crate::common::{Scratch, echo};
use citadel_proto::accounts::{AccountsConfig, Argon2Params, Policy, RateLimits};
use citadel_proto::backend::{BackendError, Redb};
use citadel_proto::driver::{BoxedIo, Listener, Tcp, Transport};
use citadel_sdk::{
    EndpointConfig, Identity, NetKernel, NodeAddr, NodeBuilder, PeerId, ServerConnection, Transport as Place,
    async_trait,
};
use citadel_tests::watched_backend::{Watched, Watcher, Write};
use core::time::Duration;
use parking_lot::Mutex;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

const FOLDER: &str = "CITADEL_KILLED_SERVER_FOLDER";
/// Of Argon2.
const PASSES: &str = "CITADEL_KILLED_SERVER_PASSES";
const SAYS: &str = "server: ";
/// The least that is taken.
const LEAST_PASSES: u32 = 2;
/// For every deadline that a slow machine might otherwise pass; nothing waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Where a write stands still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Moment {
    /// Nothing of it is done.
    Before,
    /// It is durable and nobody knows.
    After,
}

/// `builder` with deadlines that do not matter here.
pub(crate) fn patiently<K: NetKernel>(builder: NodeBuilder<K>) -> NodeBuilder<K> {
    let mut config = EndpointConfig::default();
    (config.dial_deadline, config.handshake_deadline, config.session.dead_after) = (LONG, LONG, LONG);
    builder.config(config).resume(LONG)
}

/// The process.
#[test]
fn the_server_that_is_killed() {
    let (Ok(folder), Ok(passes)) = (std::env::var(FOLDER), std::env::var(PASSES)) else { return };
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serve(&PathBuf::from(folder), passes.parse().unwrap()));
}

async fn serve(folder: &Path, passes: u32) {
    let steps = Steps::default();
    let store = Redb::open(folder.join("server.redb")).unwrap();
    let accounts = AccountsConfig {
        policy: Policy { transient: true, ..Policy::default() },
        rates: RateLimits::none(),
        passwords: Argon2Params::new(19 * 1024, passes, 1).unwrap(),
        ..AccountsConfig::default()
    };
    let node = NodeBuilder::new(echo())
        .identity(Identity::load_or_create(folder.join("server.id")).unwrap())
        .accounts(accounts)
        .backend(Watched::new(store, steps.clone()))
        .listen(Place::Tcp("127.0.0.1:0"));
    let node = patiently(node).start().await.unwrap();
    say(&format!("serving {}", node.addr()));
    let runtime = Handle::current();
    let orders = runtime.clone();
    runtime.spawn_blocking(move || obey(&steps, &orders)).await.unwrap();
    let (_kernel, report) = node.shutdown().await.unwrap();
    say(&format!("stopped, clean: {}", report.is_clean()));
}

/// Around the harness, which would keep the lines of a test to itself.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{SAYS}{line}").unwrap();
    out.flush().unwrap();
}

/// Until it is told to stop, or nobody is left to tell it.
fn obey(steps: &Steps, runtime: &Handle) {
    let (thaw, frozen) = mpsc::channel::<()>();
    let mut frozen = Some(frozen);
    for line in io::stdin().lines() {
        let line = line.unwrap();
        match *line.split(' ').collect::<Vec<_>>() {
            ["before", write] => steps.stand(Moment::Before, write),
            ["after", write] => steps.stand(Moment::After, write),
            ["writes"] => {
                say(&steps.take_done().iter().map(|done| done.name()).collect::<Vec<_>>().join(" "))
            }
            ["freeze"] => {
                let frozen = frozen.take().unwrap();
                // The runtime has this one thread.
                runtime.spawn(async move {
                    say("frozen");
                    let _thawed = frozen.recv();
                });
            }
            ["stop"] => break,
            _ => unreachable!("no order: {line}"),
        }
    }
    drop(thaw);
}

/// Which writes were done, and where the next one stands still.
#[derive(Clone, Default)]
struct Steps(Arc<Mutex<Plan>>);

#[derive(Default)]
struct Plan {
    stand: Option<(Moment, Write)>,
    done: Vec<Write>,
}

impl Steps {
    fn stand(&self, moment: Moment, write: &str) {
        self.0.lock().stand = Some((moment, Write::named(write).unwrap()));
        say("planned");
    }

    fn take_done(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.lock().done)
    }

    /// Never returns if the process is to be killed here.
    async fn pass(&self, moment: Moment, write: Write) {
        let stands = self.0.lock().stand == Some((moment, write));
        if stands {
            say("stands");
            core::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Watcher for Steps {
    async fn begins(&self, write: Write) -> Result<(), BackendError> {
        self.pass(Moment::Before, write).await;
        Ok(())
    }

    async fn done(&self, write: Write) -> Result<(), BackendError> {
        self.0.lock().done.push(write);
        self.pass(Moment::After, write).await;
        Ok(())
    }
}

struct Process {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(folder: &Path, passes: u32) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed_server::process::the_server_that_is_killed"])
            .args(["--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(PASSES, passes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (orders, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, orders, lines: BufReader::new(out).lines() }
    }

    /// What it says next.
    async fn says(&mut self) -> String {
        loop {
            let line = self.lines.next_line().await.unwrap().expect("the process says more");
            if let Some(said) = line.strip_prefix(SAYS) {
                return said.to_owned();
            }
        }
    }

    async fn ask(&mut self, order: &str) -> String {
        self.orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        self.says().await
    }
}

/// A server in a process of its own, and the files that outlive it.
pub(crate) struct Server {
    files: Scratch,
    passes: u32,
    process: Process,
    addr: NodeAddr,
    at: watch::Sender<Option<SocketAddr>>,
}

impl Server {
    pub(crate) async fn start(name: &str) -> Self {
        let (files, passes) = (Scratch::new(name), LEAST_PASSES);
        let (process, addr, at) = start(&files, passes).await;
        Self { files, passes, process, addr, at: watch::Sender::new(Some(at)) }
    }

    /// The server, wherever it is by now.
    pub(crate) fn to(&self) -> ServerConnection {
        ServerConnection::to(self.addr.clone()).over(Road(self.at.subscribe()))
    }

    /// Who it is.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.addr.peer()
    }

    /// What a new hash costs.
    pub(crate) const fn passes(&self) -> u32 {
        self.passes
    }

    /// Has it stand still at `moment` of the next `write`.
    pub(crate) async fn plan(&mut self, moment: Moment, write: Write) {
        let when = match moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        assert_eq!(self.process.ask(&format!("{when} {}", write.name())).await, "planned");
    }

    /// Waits until it stands still where it was planned.
    ///
    /// Cancel safe: a line is read whole or not at all.
    pub(crate) async fn stands(&mut self) {
        assert_eq!(self.process.says().await, "stands");
    }

    /// Stops all of it, as a signal would; only a kill follows.
    pub(crate) async fn freeze(&mut self) {
        assert_eq!(self.process.ask("freeze").await, "frozen");
    }

    /// The writes that were done since the last look.
    pub(crate) async fn writes(&mut self) -> Vec<Write> {
        let names = self.process.ask("writes").await;
        names.split_whitespace().map(|name| Write::named(name).unwrap()).collect()
    }

    /// Kills it, and starts another on the same files, somewhere else.
    pub(crate) async fn kill_and_restart(&mut self) {
        // Nobody dials a port that is somebody else's by then.
        self.at.send_replace(None);
        self.process.child.start_kill().unwrap();
        let status = self.process.child.wait().await.unwrap();
        assert!(!status.success(), "{status}");
        self.restart(self.passes).await;
    }

    /// Stops it in order and starts it with hashes of this cost.
    pub(crate) async fn reconfigure(&mut self, passes: u32) {
        self.stop().await;
        self.restart(passes).await;
    }

    pub(crate) async fn stop(&mut self) {
        assert_eq!(self.process.ask("stop").await, "stopped, clean: true");
        assert!(self.process.child.wait().await.unwrap().success());
    }

    async fn restart(&mut self, passes: u32) {
        let (process, addr, at) = start(&self.files, passes).await;
        assert_eq!(addr.peer(), self.addr.peer(), "the identity is in a file");
        (self.process, self.passes) = (process, passes);
        self.at.send_replace(Some(at));
    }
}

async fn start(files: &Scratch, passes: u32) -> (Process, NodeAddr, SocketAddr) {
    let mut process = Process::start(files.path(), passes);
    let said = process.says().await;
    let addr: NodeAddr = said.strip_prefix("serving ").unwrap().parse().unwrap();
    let at = SocketAddr::new(addr.host().parse().unwrap(), addr.port());
    (process, addr, at)
}

/// Leads to wherever the server is; whoever comes while it is nowhere waits.
struct Road(watch::Receiver<Option<SocketAddr>>);

#[async_trait]
impl Transport for Road {
    async fn connect(&self, _host: &str, _port: u16) -> io::Result<BoxedIo> {
        let mut road = self.0.clone();
        let at = *road.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        let at = at.ok_or(io::ErrorKind::NotFound)?;
        Tcp.connect(&at.ip().to_string(), at.port()).await
    }

    async fn listen(&self, _address: &str) -> io::Result<Box<dyn Listener>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
