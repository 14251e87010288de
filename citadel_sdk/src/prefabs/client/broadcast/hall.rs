//! Who listens to a broadcast, and what waits for each: a queue a receiver, bounded, and one lock for a step.
//!
//! A message has its place in all queues or in none, in one order for all. Who sends never waits for a session, only for room,
//! and only for receivers that are to be waited for.

use super::BackPressure;
use super::report::{BroadcastReport, ReceiverReport, ReceiverState};
use bytes::Bytes;
use citadel_proto::{CloseReason, CloseReport};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// Bounds of a receiver's queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

/// All receivers.
pub(super) struct Hall {
    inner: Mutex<Inner>,
    /// Rises when there is room for who waits for it, when somebody comes or goes, and at the end.
    changes: watch::Sender<u64>,
    bounds: Bounds,
}

struct Inner {
    seats: Vec<Seat>,
    stage: Stage,
}

/// How far the broadcast is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Open,
    /// Nothing more is sent; queues empty.
    Ending,
    /// What still waits for those that are not to be waited for is dropped.
    Cut,
}

struct Seat {
    policy: BackPressure,
    queue: VecDeque<Bytes>,
    bytes: usize,
    report: ReceiverReport,
    news: Arc<Notify>,
}

/// What a receiver's task does next.
pub(super) enum Next {
    /// Send this.
    Send(Bytes),
    /// Wait for news.
    Wait,
    /// Everything was sent: end well.
    End,
    /// It is too slow: end its session.
    Disconnect,
}

impl Seat {
    const fn is_here(&self) -> bool {
        matches!(self.report.state, ReceiverState::Here)
    }

    /// Whether `len` bytes more are within the bounds; a message that is longer than all of them goes alone.
    fn has_room(&self, bounds: Bounds, len: usize) -> bool {
        let fits = self.queue.len() < bounds.messages && self.bytes.saturating_add(len) <= bounds.bytes;
        fits || self.queue.is_empty()
    }

    fn pop(&mut self) -> Option<Bytes> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }

    fn push(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.queue.push_back(message);
        self.report.offered += 1;
    }

    fn drop_all(&mut self) {
        self.report.dropped += self.queue.len() as u64;
        (self.queue, self.bytes) = (VecDeque::new(), 0);
    }

    /// Takes `message` by the receiver's policy; there is room, or it is not waited for.
    fn take(&mut self, bounds: Bounds, message: &Bytes) {
        if self.policy == BackPressure::DisconnectSlowest && !self.has_room(bounds, message.len()) {
            self.report.offered += 1;
            self.report.dropped += 1;
            self.be_too_slow();
            return;
        }
        while !self.has_room(bounds, message.len()) {
            self.pop();
            self.report.dropped += 1;
        }
        self.push(message.clone());
        self.news.notify_one();
    }

    fn be_too_slow(&mut self) {
        self.drop_all();
        self.report.state = ReceiverState::TooSlow;
        self.news.notify_one();
    }
}

impl Hall {
    pub(super) fn new(bounds: Bounds) -> Self {
        let inner = Mutex::new(Inner { seats: Vec::new(), stage: Stage::Open });
        Self { inner, changes: watch::Sender::new(0), bounds }
    }

    /// Empty seats for these; what was before is forgotten.
    pub(super) fn open(&self, seats: impl IntoIterator<Item = (String, BackPressure)>) {
        let seat = |(name, policy)| Seat {
            policy,
            queue: VecDeque::new(),
            bytes: 0,
            report: ReceiverReport::new(name),
            news: Arc::default(),
        };
        let mut inner = self.inner.lock();
        (inner.seats, inner.stage) = (seats.into_iter().map(seat).collect(), Stage::Open);
    }

    pub(super) fn report(&self) -> BroadcastReport {
        let inner = self.inner.lock();
        BroadcastReport { receivers: inner.seats.iter().map(|seat| seat.report.clone()).collect() }
    }

    /// Puts a message into the queues of all that are there. None while one that is to be waited for has no room; then
    /// nobody has it.
    fn offer(&self, message: &Bytes) -> Option<Result<usize, Over>> {
        let bounds = self.bounds;
        let mut inner = self.inner.lock();
        if inner.stage > Stage::Open {
            return Some(Err(Over));
        }
        let waits = |seat: &Seat| {
            let is_full = !seat.has_room(bounds, message.len());
            seat.is_here() && seat.policy == BackPressure::Wait && is_full
        };
        if inner.seats.iter().any(waits) {
            return None;
        }
        let here = inner.seats.iter_mut().filter(|seat| seat.is_here());
        Some(Ok(here.map(|seat| seat.take(bounds, message)).count()))
    }

    pub(super) async fn send(&self, message: Bytes) -> Result<usize, Over> {
        self.wait_for(|hall| hall.offer(&message)).await
    }

    /// Waits until so many are there, or no further one will come; says how many are.
    pub(super) async fn joined(&self, count: usize) -> usize {
        let look = |hall: &Self| {
            let inner = hall.inner.lock();
            let here = inner.seats.iter().filter(|seat| seat.is_here()).count();
            let is_awaited =
                inner.seats.iter().any(|seat| matches!(seat.report.state, ReceiverState::Awaited));
            (here >= count || !is_awaited || inner.stage > Stage::Open).then_some(here)
        };
        self.wait_for(look).await
    }

    pub(super) fn here(&self) -> usize {
        self.inner.lock().seats.iter().filter(|seat| seat.is_here()).count()
    }

    /// Resolves when nothing more will be sent.
    pub(super) async fn ending(&self) {
        self.wait_for(|hall| (hall.inner.lock().stage > Stage::Open).then_some(())).await;
    }

    async fn wait_for<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look(self) {
                return found;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`: it cannot be gone.
                core::future::pending::<()>().await;
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock());
        self.changes.send_modify(|count| *count += 1);
        result
    }

    /// A receiver is there, and gets what is sent from now on.
    pub(super) fn join(&self, at: usize) -> Arc<Notify> {
        self.change(|inner| {
            let seat = &mut inner.seats[at];
            seat.report.state = ReceiverState::Here;
            Arc::clone(&seat.news)
        })
    }

    /// What its task does next.
    pub(super) fn next(&self, at: usize) -> Next {
        let mut inner = self.inner.lock();
        let stage = inner.stage;
        let seat = &mut inner.seats[at];
        if matches!(seat.report.state, ReceiverState::TooSlow) {
            return Next::Disconnect;
        }
        let was_full = seat.policy == BackPressure::Wait;
        match seat.pop() {
            Some(message) => {
                drop(inner);
                if was_full {
                    self.changes.send_modify(|count| *count += 1);
                }
                Next::Send(message)
            }
            None if stage > Stage::Open => Next::End,
            None => Next::Wait,
        }
    }

    /// Whether what its task is sending is not waited for any more.
    pub(super) fn is_cut(&self, at: usize) -> bool {
        let inner = self.inner.lock();
        let seat = &inner.seats[at];
        let is_late = inner.stage == Stage::Cut && seat.policy != BackPressure::Wait;
        is_late || matches!(seat.report.state, ReceiverState::TooSlow)
    }

    pub(super) fn sent(&self, at: usize) {
        self.inner.lock().seats[at].report.sent += 1;
    }

    /// What its task had in hand goes no further.
    pub(super) fn drop_one(&self, at: usize) {
        let mut inner = self.inner.lock();
        let is_cut = inner.stage == Stage::Cut;
        let seat = &mut inner.seats[at];
        seat.report.dropped += 1;
        if is_cut && seat.is_here() && seat.policy == BackPressure::DisconnectSlowest {
            seat.be_too_slow();
        }
    }

    /// A receiver is gone, or will not come.
    pub(super) fn leave(&self, at: usize, state: ReceiverState) {
        self.change(|inner| {
            let seat = &mut inner.seats[at];
            seat.drop_all();
            // Too slow it stays, whatever its session ends with.
            if !matches!(seat.report.state, ReceiverState::TooSlow) {
                seat.report.state = state;
            }
        });
    }

    /// Its session is over: what of it arrived is known now.
    pub(super) fn close(&self, at: usize, report: &CloseReport) {
        self.change(|inner| {
            let seat = &mut inner.seats[at];
            let of_channel = report.unconfirmed.iter().filter(|one| one.channel == 0);
            seat.report.unconfirmed = of_channel.map(|one| one.messages).sum();
            seat.drop_all();
            let is_here = seat.is_here();
            if is_here {
                let reason: CloseReason = report.reason().clone();
                seat.report.state = ReceiverState::Lost(reason);
            }
        });
    }

    /// Nothing more is sent.
    pub(super) fn end(&self) {
        self.go_on_to(Stage::Ending);
    }

    /// Those that are not to be waited for have had their time.
    pub(super) fn cut(&self) {
        self.go_on_to(Stage::Cut);
    }

    fn go_on_to(&self, stage: Stage) {
        self.change(|inner| {
            inner.stage = inner.stage.max(stage);
            for seat in inner.seats.iter_mut().filter(|seat| seat.is_here()) {
                match (stage, seat.policy) {
                    (Stage::Cut, BackPressure::DisconnectSlowest) if !seat.queue.is_empty() => {
                        seat.be_too_slow();
                    }
                    (Stage::Cut, BackPressure::DropOldest) => seat.drop_all(),
                    _ => {}
                }
                seat.news.notify_one();
            }
        });
    }
}

/// Nothing more is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Over;
