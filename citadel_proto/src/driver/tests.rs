//! Who writes to a path and when, seen from the path: a stream that counts its writes and can be stopped.

mod hands;
mod moves;
mod threads;

use super::*;
use crate::session::SessionConfig;
use crate::shutdown::{CloseReason, PathLoss};
use citadel_crypt::handshake::{ClientConfig, HandshakeConfig, ServerConfig, SessionKind, Trust};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// What a stream does with what is written.
#[derive(Default)]
enum Gate {
    #[default]
    Open,
    Shut(Option<Waker>),
    Broken,
    Panics,
}

/// What a test sees and decides of a stream.
#[derive(Default)]
struct Meter {
    gate: Gate,
    writes: usize,
    /// Bytes of them.
    written: usize,
    /// What happens once, in the middle of a write.
    on_write: Option<Box<dyn FnOnce() + Send>>,
    /// A write uses up what tokio grants a task for one poll.
    is_greedy: bool,
    /// Nothing is read; who wanted to is woken when that ends.
    deaf: Option<Option<Waker>>,
}

impl Meter {
    /// Nothing is read until [`Joined::hear`].
    fn deafen(&mut self) {
        self.deaf = Some(None);
    }
}

/// A stream with a meter.
struct Metered {
    io: DuplexStream,
    meter: Arc<Mutex<Meter>>,
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(waiting) = &mut self.meter.lock().deaf {
            *waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let metered = &mut *self;
        let act = metered.meter.lock().on_write.take();
        act.into_iter().for_each(|act| act());
        let mut meter = metered.meter.lock();
        match &mut meter.gate {
            Gate::Open => {}
            Gate::Shut(waiting) => {
                *waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Gate::Broken => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Gate::Panics => panic!("a stream with a bug"),
        }
        let polled = Pin::new(&mut metered.io).poll_write(cx, bytes);
        meter.writes += 1;
        if let Poll::Ready(Ok(written)) = &polled {
            meter.written += written;
        }
        while meter.is_greedy && tokio::task::coop::has_budget_remaining() {
            let _progress = tokio::task::coop::poll_proceed(cx).map(|budget| budget.made_progress());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Two hubs with a session between them; both ends' streams have a meter, the client's first.
struct Joined {
    hubs: [Hub; 2],
    client: Session,
    server: Session,
    meters: [Arc<Mutex<Meter>>; 2],
}

fn config() -> HandshakeConfig {
    HandshakeConfig::new(Arc::new(Native), Arc::new(Identity::generate()), SessionKind::C2S)
}

impl Joined {
    async fn new() -> Self {
        Self::of(SessionConfig::default()).await
    }

    /// With a client of its own kind.
    async fn of(client: SessionConfig) -> Self {
        let (near, far) = duplex(1 << 20);
        let meters = [Arc::<Mutex<Meter>>::default(), Arc::default()];
        let near = Metered { io: near, meter: Arc::clone(&meters[0]) };
        let far = Metered { io: far, meter: Arc::clone(&meters[1]) };
        Self::over(near, far, [client, SessionConfig::default()], meters).await
    }

    async fn over(
        near: impl Duplex + 'static,
        far: impl Duplex + 'static,
        [client, server]: [SessionConfig; 2],
        meters: [Arc<Mutex<Meter>>; 2],
    ) -> Self {
        let hubs = [Hub::new(), Hub::new()];
        let served = Arc::new(ServerConfig::new(config()).unwrap());
        let trust = Trust::Peer(served.common.identity.peer_id());
        let connecting = hubs[0].connect(near, ClientConfig::new(config(), trust), client, None);
        let accepting = async {
            let identified = hubs[1].identify(far, b"", served, server, false).await;
            identified.unwrap().accept().await
        };
        let (client, server) = tokio::join!(connecting, accepting);
        let (client, server) = (client.unwrap(), server.unwrap());
        let joined = Self { hubs, client, server, meters };
        settle().await;
        joined
    }

    fn channels(&self) -> (Channel, Channel) {
        (self.client.channel().unwrap(), self.server.channel().unwrap())
    }

    fn writes(&self) -> usize {
        self.meters[0].lock().writes
    }

    fn lent(&self) -> [usize; 2] {
        [0, 1].map(|end: usize| self.hubs[end].lent())
    }

    /// Sets the client's gate; whoever waited for it looks again.
    fn set(&self, gate: Gate) {
        let before = core::mem::replace(&mut self.meters[0].lock().gate, gate);
        if let Gate::Shut(Some(waiting)) = before {
            waiting.wake();
        }
    }

    /// The client reads again.
    fn hear(&self) {
        let waiting = self.meters[0].lock().deaf.take();
        waiting.flatten().into_iter().for_each(Waker::wake);
    }
}

/// Lets the tasks do what they have to do now.
async fn settle() {
    for _ in 0..32 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_message_goes_at_once_and_what_follows_it_goes_together() {
    let joined = Joined::new().await;
    let (mut writer, mut reader) = joined.channels();
    let before = joined.writes();
    writer.send("alone").await.unwrap();
    assert_eq!(joined.writes(), before + 1, "before `send` was done, and without the task");
    for _ in 0..99 {
        writer.send("in company").await.unwrap();
    }
    assert_eq!(joined.writes(), before + 1);
    settle().await;
    assert_eq!(joined.writes(), before + 2, "99 messages in one write");
    for _ in 0..100 {
        assert!(reader.recv().await.unwrap().is_some());
    }
    assert!(joined.client.close(0, "done").await.clean);
}

#[tokio::test(start_paused = true)]
async fn a_record_s_worth_waits_for_no_company() {
    let joined = Joined::new().await;
    let (mut writer, mut reader) = joined.channels();
    let before = joined.writes();
    for sent in 1..=3 {
        writer.send(vec![7; 60_000]).await.unwrap();
        assert_eq!(joined.writes(), before + sent);
    }
    for _ in 0..3 {
        assert!(reader.recv().await.unwrap().is_some());
    }
    assert!(joined.client.close(0, "done").await.clean);
}

#[tokio::test(start_paused = true)]
async fn what_a_path_does_not_take_at_once_is_written_by_the_task_and_the_sender_goes_on() {
    let joined = Joined::new().await;
    let (mut writer, mut reader) = joined.channels();
    joined.set(Gate::Shut(None));
    for number in 0..3 {
        writer.send(vec![number; 60_000]).await.unwrap();
    }
    settle().await;
    assert!(reader.try_recv().is_err());
    joined.set(Gate::Open);
    settle().await;
    for number in 0..3 {
        assert_eq!(reader.try_recv().unwrap().unwrap(), vec![number; 60_000]);
    }
    assert!(joined.client.close(0, "done").await.clean);
}

#[tokio::test(start_paused = true)]
async fn a_path_that_breaks_under_a_sender_is_lost_for_the_session_and_not_for_the_sender() {
    let joined = Joined::new().await;
    let (mut writer, _reader) = joined.channels();
    joined.set(Gate::Broken);
    writer.send("into the order, if not on its way").await.unwrap();
    let report = joined.client.closed().await;
    assert_eq!(*report.reason(), CloseReason::PathLost(PathLoss::Io));
    assert_eq!(report.unconfirmed.len(), 1);
    assert!(joined.server.closed().await.unconfirmed.is_empty());
    settle().await;
    assert_eq!(joined.lent(), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn fix_0020_an_idle_session_holds_no_buffer() {
    let joined = Joined::new().await;
    let (mut writer, mut reader) = joined.channels();
    writer.send("a message").await.unwrap();
    assert_eq!(reader.recv().await.unwrap().unwrap(), "a message");
    // Nobody has anything to do: the paused clock goes on to the acknowledgement, and to the first ping.
    tokio::time::advance(SessionConfig::default().ack_delay).await;
    for _ in 0..8 {
        tokio::task::yield_now().await;
        assert_eq!(joined.lent(), [0, 0]);
    }
    assert!(joined.client.close(0, "done").await.clean);
}
