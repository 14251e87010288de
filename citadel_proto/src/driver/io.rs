//! A channel as a stream of bytes, for protocols that know nothing of messages, and for the paths of other sessions.

use super::channel::{Channel, RecvHalf, SendHalf};
use super::shared::Wake;
use super::transport::Halves;
use crate::errors::{RecvError, SendError};
use bytes::{Buf, Bytes};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest message that one write becomes: fits one record.
const MAX_WRITE: usize = 63 * 1024;

/// A channel as a stream of bytes. Each write becomes a message of at most 63 KiB, less where the peer takes less, which is
/// on its way when the write is done: flushing waits for nothing. Reads take bytes as they come and cross the borders of
/// messages, empty ones included. Shutting down finishes the channel, and the peer reads the end; dropped before that it is
/// reset, and the peer reads an error.
///
/// Both ends may use it, or one end only: the other then sees the messages. Of a relay lane it is a path for another session,
/// whose directions need no lock between them.
#[derive(Debug)]
pub struct ChannelIo {
    read: ReadIo,
    write: WriteIo,
}

/// What comes.
#[derive(Debug)]
struct ReadIo {
    half: RecvHalf,
    /// What is left of the message that was read last.
    rest: Bytes,
}

/// What goes.
#[derive(Debug)]
struct WriteIo {
    half: SendHalf,
    /// Longest message that one write becomes.
    longest: usize,
}

impl Channel {
    /// The channel as a stream of bytes.
    pub fn into_io(self) -> ChannelIo {
        let id = self.id();
        let (send, recv) = self.split();
        let taken = send.lease.shared.look(|core| core.machine.longest_message(id));
        // One that takes nothing says so when it is written to.
        let longest = usize::try_from(taken).unwrap_or(usize::MAX).clamp(1, MAX_WRITE);
        ChannelIo { read: ReadIo { half: recv, rest: Bytes::new() }, write: WriteIo { half: send, longest } }
    }
}

impl ChannelIo {
    /// Its directions, each behind a pointer of its own.
    pub(super) fn into_directions(self) -> Halves {
        Halves { read: Box::new(self.read), write: Box::new(self.write), packets: None }
    }
}

impl AsyncRead for ReadIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        while stream.rest.is_empty() {
            match ready!(stream.half.poll_recv(cx)) {
                Ok(Some(message)) => stream.rest = message,
                Ok(None) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(of_recv(error))),
            }
        }
        let len = stream.rest.len().min(buf.remaining());
        buf.put_slice(stream.rest.get(..len).unwrap_or_default());
        stream.rest.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WriteIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let len = buf.len().min(stream.longest);
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        // The bytes are copied once there is room for them, and not under the session's lock.
        let room = ready!(stream.half.poll_reserve(cx, len)).map_err(of_send)?;
        let message = Bytes::copy_from_slice(buf.get(..len).unwrap_or_default());
        stream.half.send_reserved(room, message).map_err(of_send)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (id, lease) = (self.half.id, &self.half.lease);
        Poll::Ready(
            lease.shared.act(|core, _| (core.machine.finish(id), Wake::Writer { len: 0 })).map_err(of_send),
        )
    }
}

impl AsyncRead for ChannelIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().read).poll_read(cx, buf)
    }
}

impl AsyncWrite for ChannelIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().write).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().write).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().write).poll_shutdown(cx)
    }
}

fn of_send(error: SendError) -> io::Error {
    let kind = match &error {
        SendError::Closed(_) => io::ErrorKind::ConnectionAborted,
        SendError::TooLong { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}

fn of_recv(error: RecvError) -> io::Error {
    let kind = match &error {
        RecvError::Closed(_) => io::ErrorKind::ConnectionAborted,
        RecvError::Reset { .. } => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, error)
}
