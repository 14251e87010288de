//! Where the halves of a messenger and the driver meet: two bounded queues.
//!
//! Bytes bound them, each message counting [`OVERHEAD`] more than its length, so that empty messages are not
//! free. A message enters the outgoing queue only after room was set aside for it; the incoming queue is
//! bounded by the credit that the engine gives the peer.

use super::super::end::{EndReason, RecvError, SendError, TrySendError};
use super::super::record::{Finish, MAX_MESSAGE_LEN};
use bytes::Bytes;
use futures::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;

/// What a message costs beside its length.
const OVERHEAD: usize = 64;

/// What a message counts against a queue or a credit.
pub(crate) fn cost(message: &Bytes) -> u32 {
    u32::try_from(message.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
}

/// Both queues, and the bell that calls the driver to them.
pub(crate) struct Lane {
    outgoing: Mutex<Outgoing>,
    /// Room in the outgoing queue, in bytes; closed when no message is taken any more.
    room: Semaphore,
    incoming: Mutex<Incoming>,
    bell: Arc<AtomicWaker>,
}

struct Outgoing {
    queue: VecDeque<Bytes>,
    half: SendHalf,
}

enum SendHalf {
    Open,
    /// To be told to the peer after the queue.
    Finished(Finish),
    /// The peer was told.
    Told,
    /// The peer stopped receiving.
    Stopped,
    Ended(EndReason),
}

struct Incoming {
    queue: VecDeque<Bytes>,
    /// Cost of what is queued.
    queued: usize,
    /// Cost of everything the reader took.
    consumed: u64,
    /// What `consumed` was when the driver was last called for it.
    reported: u64,
    /// The driver is called when the reader took this much since.
    report_step: u64,
    reader: Option<Waker>,
    half: RecvHalf,
}

enum RecvHalf {
    Open,
    Finished(Finish),
    Ended(EndReason),
    /// The reader is gone.
    Gone(Telling),
}

/// Whether the peer knows that nobody reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Telling {
    /// It need not, before it sends a message.
    WhenItSends,
    /// It is to be told.
    Now,
    /// It was.
    Done,
}

/// What the driver may send next on behalf of the sending half.
pub(crate) enum Next {
    /// This message.
    Message(Bytes),
    /// The end of this half.
    Finish(Finish),
    /// Nothing now.
    Nothing,
}

/// What became of a message from the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delivered {
    /// The reader will have it.
    Queued,
    /// Nobody reads any more.
    NoReader,
    /// The peer said that it finished; on an unordered path this one was overtaken.
    AfterFinish,
    /// No room: only where the peer keeps to no credit (unordered paths).
    NoRoom,
}

impl Lane {
    /// `send_queue` and `window` in bytes of cost.
    pub(crate) fn new(send_queue: u32, window: u32, bell: Arc<AtomicWaker>) -> Self {
        Self {
            outgoing: Mutex::new(Outgoing { queue: VecDeque::new(), half: SendHalf::Open }),
            room: Semaphore::new(usize::try_from(send_queue).unwrap_or(Semaphore::MAX_PERMITS)),
            incoming: Mutex::new(Incoming {
                queue: VecDeque::new(),
                queued: 0,
                consumed: 0,
                reported: 0,
                report_step: u64::from(window / 4),
                reader: None,
                half: RecvHalf::Open,
            }),
            bell,
        }
    }

    /// Without halves: a manager that only renews keys.
    pub(crate) fn without_halves(&self) {
        self.outgoing.lock().half = SendHalf::Told;
        self.incoming.lock().half = RecvHalf::Gone(Telling::WhenItSends);
        self.room.close();
    }

    /// Waits for room, then takes the message in one step.
    pub(crate) async fn send(&self, message: Bytes) -> Result<(), SendError> {
        check_len(&message)?;
        let Ok(permit) = self.room.acquire_many(cost(&message)).await else { return Err(self.refusal()) };
        self.push(message)?;
        permit.forget();
        Ok(())
    }

    /// As [`send`](Self::send) where there is room now.
    pub(crate) fn try_send(&self, message: Bytes) -> Result<(), TrySendError> {
        check_len(&message)?;
        match self.room.try_acquire_many(cost(&message)) {
            Ok(permit) => {
                self.push(message)?;
                permit.forget();
                Ok(())
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(TrySendError::Full(message)),
            Err(tokio::sync::TryAcquireError::Closed) => Err(self.refusal().into()),
        }
    }

    fn push(&self, message: Bytes) -> Result<(), SendError> {
        let mut outgoing = self.outgoing.lock();
        if !matches!(outgoing.half, SendHalf::Open) {
            return Err(outgoing.refusal());
        }
        outgoing.queue.push_back(message);
        let first = outgoing.queue.len() == 1;
        drop(outgoing);
        if first {
            self.bell.wake();
        }
        Ok(())
    }

    fn refusal(&self) -> SendError {
        self.outgoing.lock().refusal()
    }

    /// The sending half says or leaves its last word.
    pub(crate) fn finish(&self, how: Finish) {
        let mut outgoing = self.outgoing.lock();
        if matches!(outgoing.half, SendHalf::Open) {
            outgoing.half = SendHalf::Finished(how);
            drop(outgoing);
            self.room.close();
            self.bell.wake();
        }
    }

    /// Whether [`next`](Self::next) would give something.
    pub(crate) fn has_next(&self, credit: u64) -> bool {
        let outgoing = self.outgoing.lock();
        match outgoing.queue.front().map(cost) {
            Some(cost) => u64::from(cost) <= credit,
            None => matches!(outgoing.half, SendHalf::Finished(_)),
        }
    }

    /// Takes the next thing to send; a message only if its cost is at most `credit`.
    pub(crate) fn next(&self, credit: u64) -> Next {
        let mut outgoing = self.outgoing.lock();
        match outgoing.queue.front().map(cost) {
            Some(cost) if u64::from(cost) > credit => Next::Nothing,
            Some(cost) => {
                let message = outgoing.queue.pop_front();
                drop(outgoing);
                self.room.add_permits(usize::try_from(cost).unwrap_or(0));
                message.map_or(Next::Nothing, Next::Message)
            }
            None => match outgoing.half {
                SendHalf::Finished(how) => {
                    outgoing.half = SendHalf::Told;
                    Next::Finish(how)
                }
                _ => Next::Nothing,
            },
        }
    }

    /// Messages that wait for the driver.
    pub(crate) fn queued(&self) -> usize {
        self.outgoing.lock().queue.len()
    }

    /// The peer stopped receiving: what is queued has no reader.
    pub(crate) fn stop(&self) {
        let mut outgoing = self.outgoing.lock();
        outgoing.queue = VecDeque::new();
        if matches!(outgoing.half, SendHalf::Open | SendHalf::Finished(_)) {
            outgoing.half = SendHalf::Stopped;
        }
        drop(outgoing);
        self.room.close();
    }

    /// No message is taken any more; those that wait still go out.
    pub(crate) fn refuse(&self) {
        self.room.close();
    }

    /// A message of the peer, queued if at most `window` bytes of cost are.
    pub(crate) fn deliver(&self, message: Bytes, window: u32) -> Delivered {
        let mut incoming = self.incoming.lock();
        let after = incoming.queued.saturating_add(usize::try_from(cost(&message)).unwrap_or(usize::MAX));
        match incoming.half {
            RecvHalf::Open => {}
            RecvHalf::Finished(_) => return Delivered::AfterFinish,
            RecvHalf::Gone(Telling::WhenItSends) => {
                incoming.half = RecvHalf::Gone(Telling::Now);
                return Delivered::NoReader;
            }
            RecvHalf::Gone(_) | RecvHalf::Ended(_) => return Delivered::NoReader,
        }
        if u64::try_from(after).unwrap_or(u64::MAX) > u64::from(window) {
            return Delivered::NoRoom;
        }
        incoming.queued = after;
        incoming.queue.push_back(message);
        wake(incoming.reader.take());
        Delivered::Queued
    }

    /// The peer's sending half ended.
    pub(crate) fn peer_finished(&self, how: Finish) {
        let mut incoming = self.incoming.lock();
        if matches!(incoming.half, RecvHalf::Open) {
            incoming.half = RecvHalf::Finished(how);
            wake(incoming.reader.take());
        }
    }

    /// Cost of everything the reader took so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.incoming.lock().consumed
    }

    /// Whether [`take_stop`](Self::take_stop) would say so.
    pub(crate) fn wants_stop(&self) -> bool {
        matches!(self.incoming.lock().half, RecvHalf::Gone(Telling::Now))
    }

    /// Whether the peer must be told, this once, that nobody reads.
    pub(crate) fn take_stop(&self) -> bool {
        match &mut self.incoming.lock().half {
            RecvHalf::Gone(telling) if *telling == Telling::Now => {
                *telling = Telling::Done;
                true
            }
            _ => false,
        }
    }

    /// The reader's look.
    pub(crate) fn poll_recv(&self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, RecvError>> {
        let mut incoming = self.incoming.lock();
        if let Some(message) = incoming.queue.pop_front() {
            let report = incoming.take(&message);
            drop(incoming);
            if report {
                self.bell.wake();
            }
            return Poll::Ready(Ok(Some(message)));
        }
        match &incoming.half {
            RecvHalf::Open => {
                incoming.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            RecvHalf::Finished(Finish::Complete) | RecvHalf::Gone(_) => Poll::Ready(Ok(None)),
            RecvHalf::Finished(Finish::Dropped) => Poll::Ready(Err(RecvError::Dropped)),
            RecvHalf::Ended(reason) => Poll::Ready(Err(RecvError::Ended(reason.clone()))),
        }
    }

    /// The reader is gone.
    pub(crate) fn drop_reader(&self) {
        let mut incoming = self.incoming.lock();
        incoming.queue = VecDeque::new();
        incoming.queued = 0;
        let open = matches!(incoming.half, RecvHalf::Open);
        incoming.half = RecvHalf::Gone(if open { Telling::Now } else { Telling::Done });
        drop(incoming);
        if open {
            self.bell.wake();
        }
    }

    /// The messenger is over. What was received stays readable before the reason.
    pub(crate) fn end(&self, reason: &EndReason) {
        let mut outgoing = self.outgoing.lock();
        outgoing.queue = VecDeque::new();
        if !matches!(outgoing.half, SendHalf::Stopped) {
            outgoing.half = SendHalf::Ended(reason.clone());
        }
        drop(outgoing);
        self.room.close();
        let mut incoming = self.incoming.lock();
        if matches!(incoming.half, RecvHalf::Open) {
            incoming.half = RecvHalf::Ended(reason.clone());
            wake(incoming.reader.take());
        }
    }
}

impl Outgoing {
    fn refusal(&self) -> SendError {
        match &self.half {
            SendHalf::Stopped => SendError::Stopped,
            SendHalf::Ended(reason) => SendError::Ended(reason.clone()),
            SendHalf::Finished(_) | SendHalf::Told => SendError::Finished,
            // The room is closed while the half is open only between `refuse` and the end it announces.
            SendHalf::Open => SendError::Ended(EndReason::Local),
        }
    }
}

impl Incoming {
    /// Accounts for a message that the reader takes; whether the driver should know.
    fn take(&mut self, message: &Bytes) -> bool {
        let cost = cost(message);
        self.queued = self.queued.saturating_sub(usize::try_from(cost).unwrap_or(usize::MAX));
        self.consumed += u64::from(cost);
        let report = self.consumed - self.reported >= self.report_step;
        if report {
            self.reported = self.consumed;
        }
        report
    }
}

fn check_len(message: &Bytes) -> Result<(), SendError> {
    if message.len() > MAX_MESSAGE_LEN { Err(SendError::TooLong(message.len())) } else { Ok(()) }
}

fn wake(waker: Option<Waker>) {
    waker.into_iter().for_each(Waker::wake);
}
