//! Room for a message, before the message is there.

use super::channel::{Channel, SendHalf};
use super::shared::{WaitFor, Wake};
use crate::channel::Reservation;
use crate::errors::SendError;
use bytes::Bytes;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, ready};

/// Room for one message. Dropped unused, the room goes back.
pub struct Permit<'a> {
    half: &'a mut SendHalf,
    room: Option<Reservation>,
}

impl Permit<'_> {
    /// Longest message that has room, bytes.
    pub fn max_len(&self) -> u64 {
        self.room.as_ref().map_or(0, Reservation::max_len)
    }

    /// Sends a message, at once.
    ///
    /// # Errors
    /// [`SendError::Closed`] or [`SendError::Stopped`] when the session began to close or the peer's reader went since the
    /// room was given; [`SendError::TooLong`] for a message over [`max_len`](Self::max_len).
    pub fn send(mut self, message: impl Into<Bytes>) -> Result<(), SendError> {
        let Some(room) = self.room.take() else { return Ok(()) };
        self.half.send_reserved(room, message.into())
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.room.take() {
            self.half.lease.shared.act(|core, _| {
                core.machine.unreserve(room);
                ((), Wake::Nobody)
            });
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} bytes on {:?})", self.max_len(), self.half)
    }
}

impl SendHalf {
    /// Waits until there is room for a message of at most `len` bytes. What has the permit sends at once: for messages
    /// that are dear to make, or are to be taken from somewhere only if they can go. Credit of the session that the
    /// message will need is kept meanwhile, and is missing elsewhere: hold a permit shortly.
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken no room.
    pub async fn reserve(&mut self, len: usize) -> Result<Permit<'_>, SendError> {
        let room = poll_fn(|cx| self.poll_reserve(cx, len)).await?;
        Ok(Permit { half: self, room: Some(room) })
    }

    pub(super) fn poll_reserve(
        &mut self,
        cx: &mut Context<'_>,
        len: usize,
    ) -> Poll<Result<Reservation, SendError>> {
        ready!(self.poll_slot(cx))?;
        let id = self.id;
        self.lease.shared.act(|core, _| match core.machine.reserve(id, len as u64) {
            Ok(Some(room)) => (Poll::Ready(Ok(room)), Wake::Nobody),
            Ok(None) => {
                core.wait(id, WaitFor::Room, cx.waker());
                (Poll::Pending, Wake::Nobody)
            }
            Err(error) => (Poll::Ready(Err(error)), Wake::Nobody),
        })
    }

    pub(super) fn send_reserved(&self, room: Reservation, message: Bytes) -> Result<(), SendError> {
        let wake = Wake::Writer { len: message.len() };
        self.lease.shared.act(|core, _| (core.machine.send_reserved(room, message), wake))
    }
}

impl Channel {
    /// As [`SendHalf::reserve`].
    ///
    /// # Errors
    /// [`SendError`].
    ///
    /// # Cancel safety
    /// As [`SendHalf::reserve`].
    pub async fn reserve(&mut self, len: usize) -> Result<Permit<'_>, SendError> {
        self.send.reserve(len).await
    }
}
