//! The one task of a session: reads, writes, arms one timer, until the machine says `Closed`.

use super::shared::{Core, Shared, Wake};
use crate::record;
use crate::session::Input;
use crate::shutdown::{CloseReason, PathLoss, Stage};
use bytes::{Buf, BytesMut};
use citadel_crypt::Timestamp;
use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Room for what one read may bring: two records.
const READ_ROOM: usize = 2 * record::MAX_RECORD;
/// Records are sealed until the buffer holds this much: one large record, or a batch of small ones.
const WRITE_FILL: usize = 64 * 1024;
/// Rounds of reading and writing before other tasks get their turn.
const TURNS: usize = 16;

/// Drives one session over `io`. Resolves when the session is over.
pub(super) struct SessionTask<Io> {
    io: Io,
    shared: Arc<Shared>,
    /// Bytes that came and are no whole record. An idle session has no buffer.
    read: BytesMut,
    /// Sealed and not written. An idle session has no buffer.
    write: BytesMut,
    /// Something was written since the last flush.
    is_dirty: bool,
    timer: Option<(Timestamp, Pin<Box<Sleep>>)>,
    cancelled: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> SessionTask<Io> {
    pub(super) fn new(io: Io, shared: Arc<Shared>, cancelled: WaitForCancellationFutureOwned) -> Self {
        let (read, write) = (BytesMut::new(), BytesMut::new());
        Self { io, shared, read, write, is_dirty: false, timer: None, cancelled: Some(Box::pin(cancelled)) }
    }

    fn give(&self, input: Input) {
        self.shared.act(|core, now| {
            core.machine.handle(now, input);
            ((), Wake::Nobody)
        });
    }

    fn lose(&self, error: &io::Error) {
        log::debug!(target: "citadel::session", "session {}: {error}", self.shared.about.instance);
        self.give(Input::PathLost(PathLoss::Io));
    }

    fn is_over(&self) -> bool {
        self.shared.look(|core| core.machine.stage() == Stage::Closed)
    }

    /// Reads what is there. True if anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.read.capacity() - self.read.len() < record::missing(&self.read).max(1024) {
            self.read.reserve(READ_ROOM - self.read.len().min(READ_ROOM / 2));
        }
        match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.read) {
            Poll::Pending => {
                if self.read.is_empty() {
                    self.read = BytesMut::new();
                }
                return false;
            }
            Poll::Ready(Ok(0)) => self.give(Input::PathLost(PathLoss::Ended)),
            Poll::Ready(Ok(_)) => self.take_records(),
            Poll::Ready(Err(error)) => self.lose(&error),
        }
        true
    }

    fn take_records(&mut self) {
        let read = &mut self.read;
        self.shared.act(|core, now| {
            loop {
                match record::split(read) {
                    Ok(Some(raw)) => core.machine.handle(now, Input::Record(raw)),
                    Ok(None) => break,
                    Err(_) => {
                        core.machine.handle(now, Input::PathLost(PathLoss::Malformed));
                        break;
                    }
                }
            }
            ((), Wake::Nobody)
        });
    }

    /// Writes what is sealed, and seals what is next when that is gone. True if anything went.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.write.is_empty() {
            let write = &mut self.write;
            self.shared.act(|core: &mut Core, now| {
                core.attend(cx.waker());
                core.machine.poll_transmit(now, write, WRITE_FILL);
                ((), Wake::Nobody)
            });
        }
        if self.write.is_empty() {
            self.write = BytesMut::new();
            return self.poll_flush(cx);
        }
        match Pin::new(&mut self.io).poll_write(cx, &self.write) {
            Poll::Pending => return false,
            Poll::Ready(Ok(0)) => self.lose(&io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => {
                self.write.advance(written);
                self.is_dirty = true;
            }
            Poll::Ready(Err(error)) => self.lose(&error),
        }
        true
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_dirty {
            return false;
        }
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {
                self.is_dirty = false;
                self.give(Input::PathFlushed);
            }
            Poll::Ready(Err(error)) => self.lose(&error),
        }
        true
    }

    /// Arms the timer for the machine's deadline. True if one had come.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((at, _)) = self.shared.look(|core| core.machine.poll_timeout()) else {
            self.timer = None;
            return false;
        };
        let instant = self.shared.clock.instant(at);
        match &mut self.timer {
            Some((armed, _)) if *armed == at => {}
            Some((armed, sleep)) => {
                *armed = at;
                sleep.as_mut().reset(instant);
            }
            None => self.timer = Some((at, Box::pin(tokio::time::sleep_until(instant)))),
        }
        let is_due = self.timer.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if is_due {
            self.timer = None;
            self.give(Input::Timeout);
        }
        is_due
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) {
        if self.cancelled.as_mut().is_some_and(|cancelled| cancelled.as_mut().poll(cx).is_ready()) {
            self.cancelled = None;
            self.shared.close(CloseReason::Aborted);
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Future for SessionTask<Io> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        task.poll_cancelled(cx);
        for _ in 0..TURNS {
            let has_read = task.poll_read(cx);
            let has_written = !task.is_over() && task.poll_write(cx);
            let has_fired = task.poll_timer(cx);
            if task.is_over() {
                // Best effort: what was sealed was flushed or given up; this only says that nothing follows.
                let _said = pin!(&mut task.io).poll_shutdown(cx);
                return Poll::Ready(());
            }
            if !has_read && !has_written && !has_fired {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Io> Drop for SessionTask<Io> {
    /// A task that is dropped before its session's end (with its runtime) ends it: nobody waits for ever.
    fn drop(&mut self) {
        self.shared.act(|core, now| {
            core.machine.handle(now, Input::PathLost(PathLoss::Ended));
            ((), Wake::Nobody)
        });
    }
}
