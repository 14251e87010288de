//! The writing half of a session's path. It lies behind the session's lock while nobody writes; whoever has something to send
//! and finds it there takes it, writes without the lock, and looks for more before it puts the writer back. So nothing waits
//! for a task to be scheduled that could go at once, and nothing is left behind: what is added while the writer is away
//! is seen by whoever has it.
//!
//! ```text
//! resting ── something to send ──▶ away ── all of it written, or the path takes no more (the task goes on) ──▶ resting
//!                                   ╰── the path breaks ──▶ broken: the task reads what is there, then the path is lost
//! each ── path replaced ──▶ resting, path lost ──▶ gone
//! ```

use super::buffers::BUFFER_LEN;
use super::clock::Clock;
use super::shared::{Core, Shared, Wake};
use super::transport::WriteHalf;
use crate::record;
use bytes::{Buf, BytesMut};
use citadel_crypt::Timestamp;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io;
use tokio::io::AsyncWrite;

/// Records are sealed until the buffer holds this much: one large record, or a batch of small ones.
pub(super) const WRITE_FILL: usize = BUFFER_LEN - record::MAX_RECORD;
/// From so many bytes on, waiting for more before they go gains nothing.
const BULK: usize = 32 * 1024;
/// Turns before other tasks get theirs.
pub(super) const TURNS: usize = 16;

/// The writing half, and what is sealed for it.
pub(super) struct Writer {
    io: WriteHalf,
    /// Which path of the session's it writes to, counted by [`Desk`].
    path: u64,
    /// Sealed and not written.
    pub(super) buffer: BytesMut,
    /// Something was written since the last flush.
    is_dirty: bool,
}

impl Writer {
    /// Writes what is sealed, and flushes it.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.buffer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(written);
            self.is_dirty = true;
        }
        if self.is_dirty {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing follows.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Whether all that was sealed has left.
    pub(super) fn is_done(&self) -> bool {
        self.buffer.is_empty() && !self.is_dirty
    }
}

/// Where the writer lies.
#[derive(Default)]
enum Place {
    Resting(Writer),
    /// Somebody writes. `is_missed`: there was more to send meanwhile, which whoever has it must see to.
    Away {
        is_missed: bool,
    },
    /// The path takes nothing any more, and the machine has not been told: what the peer said before is heard first.
    Broken,
    /// There is no path.
    #[default]
    Gone,
}

/// The place of the writer behind the session's lock.
#[derive(Default)]
pub(super) struct Desk {
    place: Place,
    /// Counts the paths: a writer of an earlier one is not taken back.
    path: u64,
}

impl Desk {
    /// As [`Core::replace_writer`].
    fn replace(&mut self, io: Option<WriteHalf>) -> Option<Writer> {
        self.path += 1;
        let path = self.path;
        let new = io.map(|io| Writer { io, path, buffer: BytesMut::new(), is_dirty: false });
        match core::mem::replace(&mut self.place, new.map_or(Place::Gone, Place::Resting)) {
            Place::Resting(writer) => Some(writer),
            Place::Away { .. } | Place::Broken | Place::Gone => None,
        }
    }

    /// There may be more to send, by whoever has the writer.
    pub(super) const fn miss(&mut self) {
        if let Place::Away { is_missed } = &mut self.place {
            *is_missed = true;
        }
    }

    /// Whether there may be more to send since the writer was taken, or since this was asked last.
    const fn take_missed(&mut self) -> bool {
        match &mut self.place {
            Place::Away { is_missed } => core::mem::replace(is_missed, false),
            Place::Resting(_) | Place::Broken | Place::Gone => false,
        }
    }

    /// The writer, if it rests.
    pub(super) fn take(&mut self) -> Option<Writer> {
        match core::mem::replace(&mut self.place, Place::Away { is_missed: false }) {
            Place::Resting(writer) => Some(writer),
            other => {
                self.place = other;
                None
            }
        }
    }

    /// The same, unless its path has not taken all that was sealed yet.
    pub(super) fn take_done(&mut self) -> Option<Writer> {
        if self.is_done() { self.take() } else { None }
    }

    /// Whether the writer rests and has nothing to write.
    pub(super) fn is_done(&self) -> bool {
        matches!(&self.place, Place::Resting(writer) if writer.is_done())
    }

    /// Whether nothing can be written any more.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.place, Place::Broken | Place::Gone)
    }

    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.place, Place::Broken)
    }

    /// Whether `writer` belongs to the path in use.
    const fn is_current(&self, writer: &Writer) -> bool {
        writer.path == self.path
    }

    /// Puts `writer` down. Returns it if its path was replaced.
    fn put_back(&mut self, writer: Writer) -> Option<Writer> {
        if !self.is_current(&writer) {
            return Some(writer);
        }
        self.place = Place::Resting(writer);
        None
    }
}

/// What an operation of a handle has sealed, to be written without the lock.
pub(super) struct Errand {
    writer: Writer,
    /// When it began.
    now: Timestamp,
    /// The task's. A stream that keeps one waker for both its directions would else forget who reads.
    waker: Waker,
}

impl Core {
    /// Another path, or none. Returns the writer of the path before it, if it is here, to be dropped without the lock.
    pub(super) fn replace_writer(&mut self, io: Option<WriteHalf>) -> Option<Writer> {
        let mut before = self.desk.replace(io)?;
        self.buffers.take_back(&mut before.buffer);
        Some(before)
    }

    /// Whether there was something to send: it is sealed for `writer`, which has nothing else.
    fn seal_for(&mut self, now: Timestamp, writer: &mut Writer) -> bool {
        if writer.buffer.capacity() == 0 {
            writer.buffer = self.buffers.take();
        }
        self.unsent = 0;
        let any = self.machine.poll_transmit(now, &mut writer.buffer, WRITE_FILL);
        if !any {
            self.buffers.take_back(&mut writer.buffer);
        } else if writer.buffer.len() >= WRITE_FILL {
            // There may be more than the buffer takes.
            self.desk.miss();
        }
        any
    }

    /// Takes the writer for the task, unless it has it or somebody else does, and seals what goes next; puts it back if that is
    /// nothing.
    pub(super) fn send_by_task(&mut self, now: Timestamp, place: &mut Option<Writer>) {
        let Some(mut writer) = place.take().or_else(|| self.desk.take()) else { return self.desk.miss() };
        if writer.buffer.is_empty() {
            self.seal_for(now, &mut writer);
        }
        *place = if writer.is_done() { self.desk.put_back(writer) } else { Some(writer) };
    }

    /// Begins to send from a handle's hand, if that is right: the task would only be late, and a batch is not in the making.
    pub(super) fn begin_errand(&mut self, clock: Clock) -> Option<Errand> {
        let is_right = self.is_running() && (self.is_lone || self.unsent >= BULK);
        let mut writer = if is_right { self.desk.take_done()? } else { return None };
        let now = clock.now();
        if self.seal_for(now, &mut writer) {
            self.is_lone = false;
            // Without a waker the task is about to look anyway.
            let waker = self.task_waker().unwrap_or_else(|| Waker::noop().clone());
            return Some(Errand { writer, now, waker });
        }
        // It is of the path in use, from which it was taken.
        let _none = self.desk.put_back(writer);
        None
    }

    /// After all was written: seals what came meanwhile, or puts the writer back. Returns one of a path that was replaced.
    fn go_on(&mut self, now: Timestamp, place: &mut Option<Writer>) -> (Option<Writer>, Wake) {
        let Some(mut writer) = place.take() else { return (None, Wake::Nobody) };
        let is_missed = self.desk.is_current(&writer) && self.desk.take_missed();
        if is_missed && self.is_running() && self.seal_for(now, &mut writer) {
            *place = Some(writer);
            return (None, Wake::Nobody);
        }
        // Asked after the sealing, which may have been the session's end.
        let wake = if self.is_late() || !self.is_running() { Wake::Task } else { Wake::Nobody };
        (self.put_back(writer), wake)
    }

    /// Puts `writer` down. Returns it, without its buffer, if its path was replaced: to be dropped without the lock.
    fn put_back(&mut self, mut writer: Writer) -> Option<Writer> {
        if writer.buffer.is_empty() || !self.desk.is_current(&writer) {
            self.buffers.take_back(&mut writer.buffer);
        }
        self.desk.put_back(writer)
    }
}

/// An errand under way. Dropped before it is over, by a panic of the stream or of a waker, it gives the path up: what was sealed
/// is lost with it, and nobody would ever find the writer.
pub(super) struct Hand<'a> {
    shared: &'a Shared,
    writer: Option<Writer>,
    now: Timestamp,
    waker: Waker,
}

impl Hand<'_> {
    /// Writes as long as the path takes it and there is more, within reason; the task does the rest.
    pub(super) fn run(mut self) {
        let Self { shared, writer: place, now, waker } = &mut self;
        let mut cx = Context::from_waker(waker);
        for _ in 0..TURNS {
            let Some(writer) = place else { return };
            match writer.poll_write(&mut cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return shared.note(&error),
                Poll::Ready(Ok(())) => {}
            }
            drop(shared.act(|core, _| core.go_on(*now, place)));
        }
        if let Some(writer) = place.take() {
            drop(shared.act(|core, _| (core.put_back(writer), Wake::Task)));
        }
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            self.shared.give_up(writer);
        }
    }
}

impl Shared {
    pub(super) fn hand(&self, errand: Errand) -> Hand<'_> {
        let Errand { writer, now, waker } = errand;
        Hand { shared: self, writer: Some(writer), now, waker }
    }

    /// The path of `writer` takes nothing any more. The task tells the machine, when it has read what is there.
    pub(super) fn give_up(&self, mut writer: Writer) {
        self.act(|core, _| {
            core.buffers.take_back(&mut writer.buffer);
            if core.desk.is_current(&writer) {
                core.desk.place = Place::Broken;
            }
            ((), Wake::Task)
        });
    }

    /// Says what a stream said.
    pub(super) fn note(&self, error: &io::Error) {
        log::debug!(target: "citadel::session", "session {}: {error}", self.about.instance);
    }
}
