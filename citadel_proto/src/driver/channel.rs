//! Handles of one channel.

use super::clock::Clock;
use super::shared::{Core, Lease, WaitFor, Wake};
use crate::channel::Taken;
use crate::errors::{RecvError, SendError, TryRecvError, TrySendError};
use crate::frames::ChannelId;
use crate::session::Tell;
use crate::shutdown::Stage;
use bytes::Bytes;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures::{Sink, Stream};
use std::sync::Arc;

/// An ordered, reliable, flow-controlled lane of messages in both directions.
///
/// Dropping it drops both halves: a half that was not finished is reset, a reader that was not at the end says `Stop`; see
/// [`SendHalf`] and [`RecvHalf`].
#[derive(Debug)]
pub struct Channel {
    pub(super) send: SendHalf,
    recv: RecvHalf,
    name: Bytes,
}

impl Channel {
    pub(super) fn new(lease: &Arc<Lease>, id: ChannelId, name: Bytes) -> Self {
        let on_drop = OnDrop::GiveUp;
        let send = SendHalf { lease: Arc::clone(lease), id, slot: None, on_drop };
        let recv = RecvHalf { lease: Arc::clone(lease), id, is_over: false, on_drop };
        Self { send, recv, name }
    }

    /// Changes what dropping means: an unfinished half stays as it is until the session ends, so that a session that is
    /// closed in order delivers and finishes it. For whoever closes the session right after its handles are gone, as
    /// a node does after a handler.
    #[must_use]
    pub const fn left_to_session(mut self) -> Self {
        self.send.on_drop = OnDrop::LeaveToSession;
        self.recv.on_drop = OnDrop::LeaveToSession;
        self
    }

    /// Its id, the same on both ends.
    pub const fn id(&self) -> ChannelId {
        self.send.id
    }

    /// The name that its opener gave it; empty if none.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// As [`SendHalf::send`].
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        self.send.send(message).await
    }

    /// As [`SendHalf::try_send`].
    ///
    /// # Errors
    /// [`TrySendError`].
    pub fn try_send(&mut self, message: impl Into<Bytes>) -> Result<(), TrySendError> {
        self.send.try_send(message)
    }

    /// As [`RecvHalf::recv`].
    ///
    /// # Errors
    /// [`RecvError`].
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        self.recv.recv().await
    }

    /// As [`RecvHalf::try_recv`].
    ///
    /// # Errors
    /// [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Option<Bytes>, TryRecvError> {
        self.recv.try_recv()
    }

    /// As [`SendHalf::finish`].
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn finish(&mut self) -> Result<(), SendError> {
        self.send.finish().await
    }

    /// As [`SendHalf::acknowledged`].
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn acknowledged(&mut self) -> Result<(), SendError> {
        self.send.acknowledged().await
    }

    /// Gives up both directions: the peer's reader and sender both learn `code`.
    pub fn reset(self, code: u32) {
        self.send.reset(code);
        self.recv.stop(code);
    }

    /// The halves, which live and die independently: dropping one never ends the other.
    pub fn split(self) -> (SendHalf, RecvHalf) {
        (self.send, self.recv)
    }
}

/// What the drop of a half that is not at its end does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnDrop {
    /// The peer is told that nothing follows, or that nobody reads.
    GiveUp,
    /// Nothing: the end of the session says what becomes of it.
    LeaveToSession,
}

/// The sending half of a channel.
///
/// Dropped before [`finish`](Self::finish), the half is reset: what is not on its way is not sent, and the peer's
/// reader gets [`RecvError::Reset`] after what it has. A session that is closing finishes the half by itself.
pub struct SendHalf {
    pub(super) lease: Arc<Lease>,
    pub(super) id: ChannelId,
    /// A message taken by the `Sink` and not accepted yet.
    slot: Option<Bytes>,
    on_drop: OnDrop,
}

impl SendHalf {
    /// Its channel's id.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// Sends a message, up to the peer's message limit (64 MiB by default). Waits while the peer's credit, given by its
    /// reader, or the own buffer is used up. `Ok` means that the message has its place in the order and goes unless the
    /// session ends; [`acknowledged`](Self::acknowledged) says when the peer's reader took it.
    ///
    /// # Errors
    /// [`SendError`]; the message was not accepted.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has not sent anything.
    pub async fn send(&mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let mut message = Some(message.into());
        poll_fn(|cx| {
            ready!(self.poll_slot(cx))?;
            self.poll_accept(cx, &mut message)
        })
        .await
    }

    /// Sends a message if that needs no waiting.
    ///
    /// # Errors
    /// [`TrySendError::Full`] gives the message back.
    pub fn try_send(&mut self, message: impl Into<Bytes>) -> Result<(), TrySendError> {
        let message = message.into();
        let wake = Wake::Writer { len: message.len() };
        let (id, slot) = (self.id, &mut self.slot);
        self.lease.shared.act(|core, _| {
            let mut result = Ok(());
            if let Some(earlier) = slot.take() {
                result = core.machine.try_send(id, earlier);
                if let Err(TrySendError::Full(back)) = result {
                    *slot = Some(back);
                    return (Err(TrySendError::Full(message)), Wake::Nobody);
                }
            }
            (result.and_then(|()| core.machine.try_send(id, message)), wake)
        })
    }

    /// Half-closes: the peer's reader gets everything sent before, then `Ok(None)`. Done at once, and once: finishing
    /// again, or after the session began to close, is no error.
    ///
    /// # Errors
    /// [`SendError`] when the half was given up before, by the peer's reader for example.
    ///
    /// # Cancel safety
    /// Waits only for a message that was given to the `Sink` and has no place yet.
    pub async fn finish(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| {
            ready!(self.poll_slot(cx))?;
            let id = self.id;
            Poll::Ready(self.lease.shared.act(|core, _| (core.machine.finish(id), Wake::Writer { len: 0 })))
        })
        .await
    }

    /// Waits until the peer's reader took every message that was accepted so far.
    ///
    /// # Errors
    /// [`SendError`] when it never will.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn acknowledged(&mut self) -> Result<(), SendError> {
        poll_fn(|cx| {
            ready!(self.poll_slot(cx))?;
            let id = self.id;
            self.lease.shared.act(|core, _| (poll_consumed(core, id, cx), Wake::Nobody))
        })
        .await
    }

    /// Gives the half up: the peer's reader learns `code` after what it has.
    pub fn reset(self, code: u32) {
        let id = self.id;
        self.lease.shared.act(|core, _| {
            core.machine.reset(id, code);
            ((), Wake::Task)
        });
    }

    pub(super) fn poll_slot(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let mut slot = self.slot.take();
        let polled = match slot {
            Some(_) => self.poll_accept(cx, &mut slot),
            None => Poll::Ready(Ok(())),
        };
        self.slot = slot;
        polled
    }

    /// Tries to have `message` accepted; it is gone from there once the poll is ready.
    fn poll_accept(&self, cx: &mut Context<'_>, message: &mut Option<Bytes>) -> Poll<Result<(), SendError>> {
        let Some(body) = message.take() else { return Poll::Ready(Ok(())) };
        let (id, len) = (self.id, body.len());
        self.lease.shared.act(|core, _| match core.machine.try_send(id, body) {
            Ok(()) => (Poll::Ready(Ok(())), Wake::Writer { len }),
            Err(TrySendError::Send(error)) => (Poll::Ready(Err(error)), Wake::Nobody),
            Err(TrySendError::Full(back)) => {
                *message = Some(back);
                core.wait(id, WaitFor::Room, cx.waker());
                (Poll::Pending, Wake::Nobody)
            }
        })
    }
}

fn poll_consumed(core: &mut Core, id: ChannelId, cx: &Context<'_>) -> Poll<Result<(), SendError>> {
    match core.machine.is_consumed(id) {
        Ok(true) => Poll::Ready(Ok(())),
        Ok(false) => {
            core.wait(id, WaitFor::Consumption, cx.waker());
            Poll::Pending
        }
        Err(error) => Poll::Ready(Err(error)),
    }
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        let (id, on_drop) = (self.id, self.on_drop);
        self.lease.shared.act(|core, _| {
            core.forget(id, WaitFor::Room);
            if on_drop == OnDrop::GiveUp {
                core.machine.drop_sender(id);
            }
            ((), Wake::Task)
        });
    }
}

impl fmt::Debug for SendHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendHalf({})", self.id)
    }
}

/// The receiving half of a channel.
///
/// Dropped before the end, it says `Stop`: the peer's `send` fails with [`SendError::Stopped`].
pub struct RecvHalf {
    lease: Arc<Lease>,
    id: ChannelId,
    /// The `Stream` gave its last item.
    is_over: bool,
    on_drop: OnDrop,
}

impl RecvHalf {
    /// Its channel's id.
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    /// The next message; `Ok(None)` once the peer's application finished the channel. What was received before the session
    /// ended is still given out after it, then the reason.
    ///
    /// # Errors
    /// [`RecvError`]: why no message will come.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next message if one is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if none is.
    pub fn try_recv(&mut self) -> Result<Option<Bytes>, TryRecvError> {
        let id = self.id;
        self.lease.shared.act(|core, clock| {
            let (taken, wake) = take(core, clock, id);
            (taken.unwrap_or(Err(TryRecvError::Empty)), wake)
        })
    }

    /// Reads no more; the peer's sender learns `code`.
    pub fn stop(self, code: u32) {
        let id = self.id;
        self.lease.shared.act(|core, _| {
            core.machine.drop_receiver(id, code);
            ((), Wake::Task)
        });
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, RecvError>> {
        let id = self.id;
        self.lease.shared.act(|core, clock| {
            let (taken, wake) = take(core, clock, id);
            let polled = match taken {
                Some(Ok(message)) => Poll::Ready(Ok(message)),
                Some(Err(TryRecvError::Recv(error))) => Poll::Ready(Err(error)),
                Some(Err(TryRecvError::Empty)) | None => {
                    core.wait(id, WaitFor::Message, cx.waker());
                    Poll::Pending
                }
            };
            (polled, wake)
        })
    }
}

type TakeResult = Result<Option<Bytes>, TryRecvError>;

/// What the reader gets now; none if it may wait.
fn take(core: &mut Core, clock: Clock, id: ChannelId) -> (Option<TakeResult>, Wake) {
    let (taken, tell) = core.machine.take(|| clock.now(), id);
    let closed = |core: &Core| Err(RecvError::Closed(core.machine.reason()).into());
    let result = match taken {
        Taken::Message(message) => Some(Ok(Some(message))),
        Taken::Finished => Some(Ok(None)),
        Taken::Reset(code) => Some(Err(RecvError::Reset { code }.into())),
        Taken::Cut => Some(closed(core)),
        Taken::Pending if core.machine.stage() >= Stage::Releasing => Some(closed(core)),
        Taken::Pending => None,
    };
    let wake = match tell {
        Tell::Now => Wake::Writer { len: 0 },
        Tell::ByTimer => Wake::Timer,
        Tell::Nothing => Wake::Nobody,
    };
    (result, wake)
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        let (id, on_drop) = (self.id, self.on_drop);
        self.lease.shared.act(|core, _| {
            core.forget(id, WaitFor::Message);
            if on_drop == OnDrop::GiveUp {
                core.machine.drop_receiver(id, 0);
            }
            ((), Wake::Task)
        });
    }
}

impl fmt::Debug for RecvHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvHalf({})", self.id)
    }
}

impl Stream for RecvHalf {
    type Item = Result<Bytes, RecvError>;

    /// Ends after the peer finished the channel, or after one error.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let half = self.get_mut();
        if half.is_over {
            return Poll::Ready(None);
        }
        let item = ready!(half.poll_recv(cx)).transpose();
        half.is_over = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}

impl Stream for Channel {
    type Item = Result<Bytes, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.get_mut().recv).poll_next(cx)
    }
}

impl Sink<Bytes> for SendHalf {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_slot(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Bytes) -> Result<(), SendError> {
        let half = self.get_mut();
        match half.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => {
                half.slot = Some(message);
                Ok(())
            }
            Err(TrySendError::Send(error)) => Err(error),
        }
    }

    /// Done when every message has its place in the order; [`SendHalf::acknowledged`] waits for more.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.get_mut().poll_slot(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let half = self.get_mut();
        ready!(half.poll_slot(cx))?;
        let id = half.id;
        Poll::Ready(half.lease.shared.act(|core, _| (core.machine.finish(id), Wake::Writer { len: 0 })))
    }
}

impl Sink<Bytes> for Channel {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.get_mut().send).poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Bytes) -> Result<(), SendError> {
        Pin::new(&mut self.get_mut().send).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.get_mut().send).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.get_mut().send).poll_close(cx)
    }
}
