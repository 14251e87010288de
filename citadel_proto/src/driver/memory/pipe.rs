//! A pipe: two ordered lanes, each with a queue of what is under way.

use super::faults::{Chance, Faults};
use bytes::{Buf, Bytes};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes under way in a lane; beyond it a writer waits, as with a socket's buffer.
const ROOM: usize = 64 << 10;

/// One end of a pipe in memory: `AsyncRead` and `AsyncWrite`, as a socket. `Send`.
///
/// Dropping it closes both directions: the other end reads what was written before and then the end, and can write no more.
pub struct Pipe {
    wires: Arc<Wires>,
    end: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What both ends, and whoever may cut it, hold.
pub(super) struct Wires {
    state: Mutex<State>,
}

struct State {
    /// From end 0 to 1, and from 1 to 0.
    lanes: [Lane; 2],
    is_cut: bool,
    faults: Faults,
    chance: Chance,
    /// Bytes after which each lane is cut.
    left: [Option<u64>; 2],
}

#[derive(Default)]
struct Lane {
    queue: VecDeque<(Instant, Bytes)>,
    queued: usize,
    /// When the byte written last can be read: none overtakes it.
    last_due: Option<Instant>,
    /// Nothing follows.
    is_finished: bool,
    /// Nobody reads any more.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl State {
    /// Breaks the pipe behind what is under way.
    fn break_off(&mut self) {
        self.is_cut = true;
        self.lanes.iter_mut().for_each(Lane::wake);
    }

    /// Breaks the pipe; what is under way is lost.
    fn cut(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.queue.clear());
        self.break_off();
    }
}

#[expect(clippy::disallowed_methods, reason = "a driver reads the clock: tokio's, which a test may pause")]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Wires {
    /// Cuts the pipe at once: both ends get `ConnectionReset`, and what was under way is lost.
    pub(super) fn cut(&self) {
        self.state.lock().cut();
    }

    pub(super) fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.is_cut || state.lanes.iter().all(|lane| lane.is_finished)
    }
}

impl Pipe {
    pub(super) fn pair(seed: u64, faults: Faults) -> (Self, Self) {
        let mut chance = Chance::new(seed);
        let left = [(); 2].map(|()| faults.cut_after.as_ref().map(|range| chance.within(range)));
        let lanes = [Lane::default(), Lane::default()];
        let state = State { lanes, is_cut: false, faults, chance, left };
        let wires = Arc::new(Wires { state: Mutex::new(state) });
        let end = |end| Self { wires: Arc::clone(&wires), end, timer: None };
        (end(0), end(1))
    }

    pub(super) const fn wires(&self) -> &Arc<Wires> {
        &self.wires
    }

    /// Cuts the pipe at once, as a network that breaks: both ends get `ConnectionReset`, what was under way is lost.
    pub fn cut(&self) {
        self.wires.cut();
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let pipe = &mut *self;
        loop {
            let mut state = pipe.wires.state.lock();
            let is_cut = state.is_cut;
            let lane = &mut state.lanes[1 - pipe.end];
            let Some((due, bytes)) = lane.queue.front_mut() else {
                if is_cut {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                if lane.is_finished {
                    return Poll::Ready(Ok(()));
                }
                lane.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if *due <= now() {
                let count = bytes.len().min(buf.remaining());
                buf.put_slice(&bytes[..count]);
                bytes.advance(count);
                if bytes.is_empty() {
                    lane.queue.pop_front();
                }
                lane.queued -= count;
                lane.writer.take().into_iter().for_each(Waker::wake);
                pipe.timer = None;
                return Poll::Ready(Ok(()));
            }
            // A cut wakes who waits for bytes that are under way.
            lane.reader = Some(cx.waker().clone());
            let due = *due;
            drop(state);
            let timer = pipe.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            timer.as_mut().reset(due);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let end = self.end;
        let mut guard = self.wires.state.lock();
        let state = &mut *guard;
        if state.is_cut {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let lane = &mut state.lanes[end];
        if lane.is_finished || lane.is_deaf {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = bytes.len().min(ROOM - lane.queued);
        if room == 0 && !bytes.is_empty() {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let left = state.left[end].map_or(room, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let count = room.min(left);
        state.left[end] = state.left[end].map(|left| left - count as u64);
        if count > 0 {
            let delay = state.chance.duration(&state.faults.delay);
            let due = (now() + delay).max(lane.last_due.unwrap_or_else(now));
            lane.last_due = Some(due);
            lane.queue.push_back((due, Bytes::copy_from_slice(&bytes[..count])));
            lane.queued += count;
            lane.reader.take().into_iter().for_each(Waker::wake);
        }
        if count < room {
            // The cut of the script: the first bytes of this write arrive, and nobody is told which.
            state.break_off();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.wires.state.lock();
        let lane = &mut state.lanes[self.end];
        lane.is_finished = true;
        lane.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut state = self.wires.state.lock();
        let outgoing = &mut state.lanes[self.end];
        outgoing.is_finished = true;
        outgoing.wake();
        let incoming = &mut state.lanes[1 - self.end];
        incoming.is_deaf = true;
        incoming.wake();
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe(end {})", self.end)
    }
}
