//! The messenger and its halves: handles on the lane.

use super::super::end::{EndReason, RecvError, SendError, TrySendError};
use super::super::manager_config::ManagerConfig;
use super::super::ratchet_manager::{BoxError, RatchetManager, SessionKeys};
use super::super::record::Finish;
use bytes::Bytes;
use futures::{Sink, Stream, TryStream};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A two-way channel of messages over one path, with the [`RatchetManager`] that renews its keys.
///
/// Messages are at most [`MAX_MESSAGE_LEN`](super::super::record::MAX_MESSAGE_LEN) bytes. Dropping it without
/// [`close`](Self::close) is an abort: what is still queued is lost and the peer is told on a best effort.
pub struct Messenger {
    sender: MessageSender,
    receiver: MessageReceiver,
}

impl Messenger {
    /// Starts a manager over `sink` and `stream` and speaks through it.
    ///
    /// Must be called inside a tokio runtime with time enabled; the one task runs on `config.tasks`.
    pub fn spawn<Si, St>(keys: SessionKeys, config: ManagerConfig, sink: Si, stream: St) -> Self
    where
        Si: Sink<Bytes> + Send + 'static,
        Si::Error: Into<BoxError>,
        St: TryStream<Ok = Bytes> + Send + 'static,
        St::Error: Into<BoxError>,
    {
        let manager = RatchetManager::start(keys, config, sink, stream);
        Self { sender: MessageSender { manager: manager.clone() }, receiver: MessageReceiver { manager } }
    }

    /// The manager: rekeys, versions, events, halt.
    pub fn manager(&self) -> &RatchetManager {
        &self.sender.manager
    }

    /// As [`MessageSender::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// As [`MessageSender::try_send`].
    ///
    /// # Errors
    /// As there.
    pub fn try_send(&self, message: impl Into<Bytes>) -> Result<(), TrySendError> {
        self.sender.try_send(message)
    }

    /// As [`MessageReceiver::recv`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        self.receiver.recv().await
    }

    /// The halves. Each keeps the manager alive; dropping one never ends the other.
    pub fn split(self) -> (MessageSender, MessageReceiver) {
        (self.sender, self.receiver)
    }

    /// As [`RatchetManager::close`].
    pub async fn close(self) -> EndReason {
        self.sender.manager.close().await
    }
}

/// The sending half. Dropping it without [`finish`](Self::finish) tells the peer's reader
/// [`RecvError::Dropped`] after what was sent.
pub struct MessageSender {
    manager: RatchetManager,
}

impl MessageSender {
    /// Hands `message` to the manager. Waits while the queue is full: for the sink, for the peer's reader, and
    /// under [`RoundPolicy::PerMessage`](super::super::manager_config::RoundPolicy::PerMessage) for rounds; under
    /// no other policy for a rekey. Senders that wait are served in order.
    ///
    /// # Cancel safety
    /// The message takes its place in the order in the last step, which cannot fail: a dropped future has sent
    /// nothing.
    ///
    /// # Errors
    /// [`SendError`]: nothing was sent, and never will be through this half unless the message was too long.
    pub async fn send(&self, message: impl Into<Bytes>) -> Result<(), SendError> {
        self.manager.shared().lane.send(message.into()).await
    }

    /// As [`send`](Self::send) without waiting.
    ///
    /// # Errors
    /// [`TrySendError::Full`] gives the message back.
    pub fn try_send(&self, message: impl Into<Bytes>) -> Result<(), TrySendError> {
        self.manager.shared().lane.try_send(message.into())
    }

    /// Says that no message follows: the peer's reader gets `Ok(None)` after what was sent. The other direction
    /// goes on.
    pub fn finish(self) {
        self.manager.shared().lane.finish(Finish::Complete);
    }

    /// The manager.
    pub fn manager(&self) -> &RatchetManager {
        &self.manager
    }
}

impl Drop for MessageSender {
    fn drop(&mut self) {
        self.manager.shared().lane.finish(Finish::Dropped);
    }
}

/// The receiving half. Dropping it tells the peer to stop sending ([`SendError::Stopped`] there).
pub struct MessageReceiver {
    manager: RatchetManager,
}

impl MessageReceiver {
    /// The next message; `Ok(None)` when the peer finished. What was received before an end comes before its
    /// reason.
    ///
    /// # Cancel safety
    /// A dropped future has taken no message.
    ///
    /// # Errors
    /// [`RecvError`]: why nothing follows although the peer did not finish. The same again on each further call.
    pub async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        std::future::poll_fn(|cx| self.manager.shared().lane.poll_recv(cx)).await
    }

    /// The manager.
    pub fn manager(&self) -> &RatchetManager {
        &self.manager
    }
}

/// Ends after `Ok(None)`; an error comes again on each poll, so stop at the first.
impl Stream for MessageReceiver {
    type Item = Result<Bytes, RecvError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.manager.shared().lane.poll_recv(cx).map(Result::transpose)
    }
}

impl Drop for MessageReceiver {
    fn drop(&mut self) {
        self.manager.shared().lane.drop_reader();
    }
}
