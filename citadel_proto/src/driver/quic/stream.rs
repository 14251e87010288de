//! The one stream of a connection, as a path of a session.

use super::punch::LetIn;
use super::{LINGER, Packets};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures::future::BoxFuture;
use quinn::{Connection, Endpoint, RecvStream, SendStream, StoppedError, VarInt};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Resolves when the other end has everything that was written, or never will.
type Delivered = BoxFuture<'static, Result<Option<VarInt>, StoppedError>>;

/// Both directions of the stream.
///
/// quinn's `close` discards what was not delivered, and dropping a connection closes it. So `poll_shutdown` is ready only
/// when the other end has everything, and a stream that is dropped before that is seen to its end by a task.
pub(in super::super) struct QuicStream {
    /// There until the drop takes it apart.
    halves: Option<Halves>,
    tasks: TaskTracker,
    delivered: Option<Delivered>,
    is_over: bool,
}

struct Halves {
    send: SendStream,
    receive: RecvStream,
    connection: Connection,
    /// The socket of a dialled connection.
    endpoint: Option<Endpoint>,
    /// Lets the packets of the connection through, on a socket that takes no others.
    entry: Option<LetIn>,
}

impl QuicStream {
    pub(super) fn new(
        send: SendStream,
        receive: RecvStream,
        connection: Connection,
        tasks: TaskTracker,
    ) -> Self {
        let halves = Halves { send, receive, connection, endpoint: None, entry: None };
        Self { halves: Some(halves), tasks, delivered: None, is_over: false }
    }

    pub(super) fn with_endpoint(mut self, endpoint: Endpoint) -> Self {
        if let Some(halves) = &mut self.halves {
            halves.endpoint = Some(endpoint);
        }
        self
    }

    pub(super) fn with_entry(mut self, entry: LetIn) -> Self {
        if let Some(halves) = &mut self.halves {
            halves.entry = Some(entry);
        }
        self
    }

    /// The packets of its connection.
    pub(in super::super) fn packets(&self) -> Option<Packets> {
        self.halves.as_ref().map(|halves| Packets::new(halves.connection.clone()))
    }

    pub(in super::super) fn remote_addr(&self) -> Option<SocketAddr> {
        self.halves.as_ref().map(|halves| halves.connection.remote_address())
    }

    fn halves(&mut self) -> &mut Halves {
        self.halves.as_mut().expect("only the drop takes them")
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        AsyncRead::poll_read(Pin::new(&mut self.halves().receive), cx, buf)
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.halves().send), cx, bytes)
    }

    /// quinn sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        let delivered = match self.delivered.take() {
            Some(delivered) => self.delivered.insert(delivered),
            None => {
                let delivered = finish(&mut self.halves().send);
                self.delivered.insert(delivered)
            }
        };
        let outcome = ready!(delivered.as_mut().poll(cx));
        self.is_over = true;
        Poll::Ready(outcome.map(|_| ()).map_err(io::Error::other))
    }
}

/// Says that nothing follows.
fn finish(send: &mut SendStream) -> Delivered {
    // An error says that the stream was finished or reset before: then there is nothing to say.
    let _finished_before = send.finish();
    Box::pin(send.stopped())
}

impl Drop for QuicStream {
    /// Without a runtime nobody can wait, and quinn's own drop closes at once.
    fn drop(&mut self) {
        let Some(mut halves) = self.halves.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let delivered = if self.is_over {
            None
        } else {
            Some(self.delivered.take().unwrap_or_else(|| finish(&mut halves.send)))
        };
        let lingering = async move {
            if let Some(delivered) = delivered {
                let _delivered_or_late = tokio::time::timeout(LINGER, delivered).await;
            }
            let Halves { send, receive, connection, endpoint, entry } = halves;
            connection.close(VarInt::from_u32(0), b"");
            drop((send, receive, connection));
            if let Some(endpoint) = endpoint {
                // The close itself has to leave by the socket.
                let _idle_or_late = tokio::time::timeout(LINGER, endpoint.wait_idle()).await;
            }
            drop(entry);
        };
        self.tasks.spawn_on(lingering, &runtime);
    }
}
