//! The order in which a server ends, seen from its storage.

use super::common::{builder, echo};
use citadel_proto::backend::BackendError;
use citadel_proto::driver::{Arrived, Listener};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, NodeError, StorageEnd};
use citadel_tests::watched_backend::{Watched, Watcher, Write};
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use parking_lot::Mutex;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::ready;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::Sleep;

/// What the storage does and sees when it is flushed.
type OnFlush = Box<dyn FnMut() -> io::Result<()> + Send>;

/// Watches the flushes of a store.
#[derive(Clone)]
struct Flushes {
    act: Arc<Mutex<OnFlush>>,
}

impl Flushes {
    fn new() -> Self {
        Self { act: Arc::new(Mutex::new(Box::new(|| Ok(())))) }
    }

    fn on_flush(&self, act: impl FnMut() -> io::Result<()> + Send + 'static) {
        *self.act.lock() = Box::new(act);
    }
}

#[async_trait]
impl Watcher for Flushes {
    async fn begins(&self, write: Write) -> Result<(), BackendError> {
        if write == Write::Flush {
            (self.act.lock())().map_err(BackendError::Io)?;
        }
        Ok(())
    }
}

async fn serve(flushes: &Flushes) -> Node<ClientConnectListenerKernel> {
    let server = builder(echo())
        .backend(Watched::new(Memory::new(), flushes.clone()))
        .listen(Transport::Tcp("127.0.0.1:0"));
    server.start().await.unwrap()
}

#[tokio::test]
async fn a_server_closes_its_sessions_then_flushes_its_storage_then_closes_its_sockets() {
    let watcher = Flushes::new();
    let server = serve(&watcher).await;
    let address = server.local_addrs()[0];
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("hello").await.unwrap();
    channel.recv().await.unwrap().unwrap();
    let served = server.sessions().remove(0);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, watched, remote) = (Arc::clone(&seen), served.downgrade(), server.remote());
    drop(served);
    watcher.on_flush(move || {
        let is_gone = watched.upgrade().is_none_or(|session| session.closing().is_some());
        let listens = TcpStream::connect(address).is_ok();
        log.lock().push((is_gone, remote.sessions().len(), listens));
        Ok(())
    });
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_clean() && !report.is_late && report.storage.is_stored(), "{report}");
    assert_eq!(session.closed().await.reason(), &CloseReason::GoingAway);
    let seen = seen.lock();
    assert_eq!(*seen, [(true, 0, true)]);
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn a_storage_that_cannot_be_flushed_is_in_the_report() {
    let watcher = Flushes::new();
    let server = serve(&watcher).await;
    watcher.on_flush(|| Err(io::Error::other("the disk is gone")));
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(matches!(&report.storage, StorageEnd::Failed(_)), "{report}");
    assert!(!report.is_clean());
    assert!(report.to_string().contains("storage"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_does_not_end_makes_the_report_late_and_the_storage_is_flushed_all_the_same() {
    let stubborn = ClientConnectListenerKernel::new(|connection: Connection| async move {
        let _connection = connection;
        core::future::pending().await
    });
    let starting = builder(stubborn).listen(Transport::Tcp("127.0.0.1:0"));
    let server = starting.shutdown_deadline(Duration::from_secs(3)).start().await.unwrap();
    let _session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    while server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    server.begin_shutdown();
    server.begin_shutdown();
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_late && report.storage.is_stored() && report.unfinished.is_empty(), "{report}");
    assert_eq!(report.sessions.len(), 1);
}

/// A stream that needs a while to say that nothing follows, and notes that it was said.
struct Slow {
    io: DuplexStream,
    goodbye: Pin<Box<Sleep>>,
    is_said: Arc<AtomicBool>,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.goodbye.as_mut().poll(cx));
        self.is_said.store(true, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A listener at which one stream arrives.
struct Once(Option<Slow>);

#[async_trait]
impl Listener for Once {
    async fn accept(&mut self) -> io::Result<Arrived> {
        let Some(io) = self.0.take() else { core::future::pending().await };
        Ok(Arrived { io: Box::new(io), remote: self.local_addr()? })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 1).into())
    }
}

#[expect(clippy::disallowed_methods, reason = "a stream of the test needs a while, on a paused clock")]
fn in_ms(millis: u64) -> Sleep {
    tokio::time::sleep(Duration::from_millis(millis))
}

#[tokio::test(start_paused = true)]
async fn fix_0029_a_node_has_not_ended_before_the_paths_of_its_sessions() {
    let (near, far) = tokio::io::duplex(1 << 20);
    let is_said = Arc::new(AtomicBool::new(false));
    // Longer than everything else in this test together.
    let goodbye = Box::pin(in_ms(700));
    let slow = Slow { io: far, goodbye, is_said: Arc::clone(&is_said) };
    let server = builder(echo()).listen_on(Once(Some(slow))).start().await.unwrap();
    let session = Endpoint::client(Identity::generate()).connect_io(near, server.peer_id()).await.unwrap();
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(session.closed().await.clean);
    assert!(is_said.load(Ordering::Relaxed), "what ends with the process may take the last bytes with it");
}

/// Its last callback does what the test says.
struct Stopping<F>(F);

#[async_trait]
impl<F: Fn() -> Fut + Send + Sync + 'static, Fut: Future<Output = ()> + Send> NetKernel for Stopping<F> {
    async fn on_stop(&self) -> KernelResult {
        (self.0)().await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0030_a_last_callback_that_is_cut_short_makes_the_report_late() {
    let server = builder(Stopping(core::future::pending)).listen(Transport::Tcp("127.0.0.1:0"));
    let (_kernel, report) = server.start().await.unwrap().shutdown().await.unwrap();
    assert!(report.is_late && report.storage.is_stored(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fix_0030_a_last_callback_that_blocks_its_thread_keeps_nothing_from_the_storage() {
    let watcher = Flushes::new();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let kernel = Stopping(move || {
        let _released = blocked.lock().recv();
        core::future::ready(())
    });
    let server = builder(kernel)
        .backend(Watched::new(Memory::new(), watcher.clone()))
        .listen(Transport::Tcp("127.0.0.1:0"));
    let server = server.shutdown_deadline(Duration::from_millis(1)).start().await.unwrap();
    let is_flushed = Arc::new(AtomicBool::new(false));
    let flushed = Arc::clone(&is_flushed);
    watcher.on_flush(move || {
        flushed.store(true, Ordering::Relaxed);
        Ok(())
    });
    let Err(NodeError::Stuck { tasks, report }) = server.shutdown().await.map(drop) else {
        panic!("it blocks")
    };
    assert_eq!(tasks, 1);
    assert!(report.is_late && report.storage.is_stored(), "{report}");
    assert!(is_flushed.load(Ordering::Relaxed));
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn fix_0031_a_node_that_may_take_for_ever_to_end_ends() {
    let server = builder(echo()).listen(Transport::Tcp("127.0.0.1:0")).shutdown_deadline(Duration::MAX);
    let (_kernel, report) = server.start().await.unwrap().shutdown().await.unwrap();
    assert!(report.is_clean() && !report.is_late, "{report}");
}
