//! The one task of a session: reads, writes, arms one timer, until the machine says `Closed`. It has at most one path; when
//! the machine has lost it, the stream goes and the task waits for another, which resumptions hand over through `Shared`.

use super::shared::{Core, NewPath, Shared, Wake};
use super::transport::BoxedIo;
use crate::record;
use crate::session::Input;
use crate::shutdown::{CloseReason, PathLoss, Stage};
use bytes::{Buf, BytesMut};
use citadel_crypt::Timestamp;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Room for what one read may bring: two records.
const READ_ROOM: usize = 2 * record::MAX_RECORD;
/// Records are sealed until the buffer holds this much: one large record, or a batch of small ones.
const WRITE_FILL: usize = 64 * 1024;
/// Rounds of reading and writing before other tasks get their turn.
const TURNS: usize = 16;

/// What the task has to do, by the machine.
enum Standing {
    Attached,
    Detached,
    Over,
}

/// Drives one session. Resolves when the session is over.
pub(super) struct SessionTask {
    /// The path; none while the session waits for one.
    io: Option<BoxedIo>,
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

impl SessionTask {
    pub(super) fn new(io: BoxedIo, shared: Arc<Shared>, cancelled: WaitForCancellationFutureOwned) -> Self {
        let (read, write, io) = (BytesMut::new(), BytesMut::new(), Some(io));
        Self { io, shared, read, write, is_dirty: false, timer: None, cancelled: Some(Box::pin(cancelled)) }
    }

    /// Puts `io` in the place of the path before it. What was read and written of that is of no use on another.
    fn replace_io(&mut self, io: Option<BoxedIo>) {
        self.io = io;
        self.read = BytesMut::new();
        self.write = BytesMut::new();
        self.is_dirty = false;
    }

    /// Takes a path that a resumption brought.
    fn poll_path(&mut self, cx: &Context<'_>) {
        if let Some(NewPath { path, io }) = self.shared.take_path(cx.waker()) {
            self.give(Input::PathAttached { path });
            // The machine refuses a path when it has said its last: then the stream goes as it came.
            if self.shared.look(|core| core.machine.path() == Some(path)) {
                self.replace_io(Some(io));
            }
        }
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

    fn standing(&self) -> Standing {
        self.shared.look(|core| match core.machine.stage() {
            Stage::Closed => Standing::Over,
            _ if core.machine.path().is_some() => Standing::Attached,
            _ => Standing::Detached,
        })
    }

    /// Without a path there is only the next operation of a handle to wait for, and the timer.
    fn attend(&self, cx: &Context<'_>) {
        self.shared.act(|core, _| {
            core.attend(cx.waker());
            ((), Wake::Nobody)
        });
    }

    /// Reads what is there. True if anything came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(io) = &mut self.io else { return false };
        if self.read.capacity() - self.read.len() < record::missing(&self.read).max(1024) {
            self.read.reserve(READ_ROOM - self.read.len().min(READ_ROOM / 2));
        }
        match poll_read_buf(Pin::new(io), cx, &mut self.read) {
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
        let Some(io) = &mut self.io else {
            self.attend(cx);
            return false;
        };
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
        match Pin::new(io).poll_write(cx, &self.write) {
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
        let Some(io) = self.io.as_mut().filter(|_| self.is_dirty) else { return false };
        match Pin::new(io).poll_flush(cx) {
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

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        task.poll_cancelled(cx);
        task.poll_path(cx);
        for _ in 0..TURNS {
            let has_read = task.poll_read(cx);
            if matches!(task.standing(), Standing::Detached) {
                task.replace_io(None);
            }
            let has_written = task.poll_write(cx);
            let has_fired = task.poll_timer(cx);
            match task.standing() {
                Standing::Attached => {}
                Standing::Detached => task.replace_io(None),
                Standing::Over => {
                    if let Some(io) = &mut task.io {
                        // Best effort: what was sealed was flushed or given up; this only says that nothing follows.
                        let _said = Pin::new(io).poll_shutdown(cx);
                    }
                    return Poll::Ready(());
                }
            }
            if !has_read && !has_written && !has_fired {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for SessionTask {
    /// A task that is dropped before its session's end (with its runtime) ends it: nobody waits for ever.
    fn drop(&mut self) {
        self.shared.act(|core, now| {
            core.machine.handle(now, Input::Abandoned(PathLoss::Ended));
            ((), Wake::Nobody)
        });
    }
}
