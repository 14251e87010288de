//! An in-memory path whose faults the test chooses: latency, loss, doubling, delay, holding back, cutting.

use bytes::Bytes;
use futures::{Sink, Stream};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// What a link does with one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrives after the link's latency.
    Deliver,
    /// It never arrives.
    Lose,
    /// It arrives twice.
    Double,
    /// It arrives this much later than others; others overtake it.
    Delay(Duration),
}

/// What decides the fates of one direction, given the number of the record and its bytes.
pub type Rule = Box<dyn FnMut(u64, &Bytes) -> Fate + Send>;

/// One direction: what the test holds.
#[derive(Clone)]
pub struct Link {
    state: Arc<Mutex<State>>,
}

struct State {
    /// In order of arrival.
    records: VecDeque<(Instant, Bytes)>,
    capacity: usize,
    latency: Duration,
    rule: Option<Rule>,
    /// Records seen.
    seen: u64,
    /// How many records still arrive before a release; `None`: all.
    passing: Option<u64>,
    end: End,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// The writer closed or is gone; what is in flight still arrives.
    Closed,
    /// The reader is gone, or the link was cut: nothing arrives.
    Cut,
}

/// Makes a direction that holds at most `capacity` records in flight.
pub fn link(capacity: usize, latency: Duration) -> (Link, LinkSink, LinkStream) {
    let state = Arc::new(Mutex::new(State {
        records: VecDeque::new(),
        capacity,
        latency,
        rule: None,
        seen: 0,
        passing: None,
        end: End::Open,
        reader: None,
        writer: None,
    }));
    let link = Link { state };
    (link.clone(), LinkSink { link: link.clone() }, LinkStream { link, timer: None })
}

impl Link {
    /// Chooses the fates of records from now on.
    pub fn set_rule(&self, rule: impl FnMut(u64, &Bytes) -> Fate + Send + 'static) {
        self.state.lock().rule = Some(Box::new(rule));
    }

    /// Every record is delivered from now on.
    pub fn clear_rule(&self) {
        self.state.lock().rule = None;
    }

    /// After `records` more, nothing arrives until [`release`](Self::release).
    pub fn hold_after(&self, records: u64) {
        self.state.lock().passing = Some(records);
    }

    /// What was held arrives.
    pub fn release(&self) {
        let mut state = self.state.lock();
        state.passing = None;
        wake(state.reader.take());
    }

    /// Cuts the link: nothing more arrives, both ends find out.
    pub fn cut(&self) {
        let mut state = self.state.lock();
        state.records.clear();
        state.end = End::Cut;
        wake(state.reader.take());
        wake(state.writer.take());
    }

    /// Ends the direction as a writer that closed would: what is in flight still arrives.
    pub fn close(&self) {
        self.close_writer();
    }

    /// Records in flight.
    pub fn in_flight(&self) -> usize {
        self.state.lock().records.len()
    }

    /// Puts a record on the link as if the writer had sent it.
    pub fn inject(&self, record: Bytes) {
        self.state.lock().push(record);
    }
}

impl State {
    fn push(&mut self, record: Bytes) {
        let number = self.seen;
        self.seen += 1;
        let fate = self.rule.as_mut().map_or(Fate::Deliver, |rule| rule(number, &record));
        let arrival = now() + self.latency;
        match fate {
            Fate::Lose => return,
            Fate::Deliver => self.insert(arrival, record),
            Fate::Double => {
                self.insert(arrival, record.clone());
                self.insert(arrival, record);
            }
            Fate::Delay(delay) => self.insert(arrival + delay, record),
        }
        wake(self.reader.take());
    }

    /// Behind everything that arrives no later.
    fn insert(&mut self, arrival: Instant, record: Bytes) {
        let place = self.records.partition_point(|(other, _)| *other <= arrival);
        self.records.insert(place, (arrival, record));
    }
}

#[expect(clippy::disallowed_methods, reason = "a path has a clock: tokio's, paused in tests")]
fn now() -> Instant {
    Instant::now()
}

fn wake(waker: Option<Waker>) {
    waker.into_iter().for_each(Waker::wake);
}

/// The error of either half of a link that was cut.
#[derive(Clone, Copy, Debug)]
pub struct LinkCut;

impl std::fmt::Display for LinkCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the link was cut")
    }
}

impl std::error::Error for LinkCut {}

/// The writing half; dropping it closes the direction.
pub struct LinkSink {
    link: Link,
}

impl Sink<Bytes> for LinkSink {
    type Error = LinkCut;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), LinkCut>> {
        let mut state = self.link.state.lock();
        if state.end != End::Open {
            return Poll::Ready(Err(LinkCut));
        }
        if state.records.len() < state.capacity {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn start_send(self: Pin<&mut Self>, record: Bytes) -> Result<(), LinkCut> {
        let mut state = self.link.state.lock();
        if state.end != End::Open {
            return Err(LinkCut);
        }
        state.push(record);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), LinkCut>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Result<(), LinkCut>> {
        self.link.close_writer();
        Poll::Ready(Ok(()))
    }
}

impl Link {
    fn close_writer(&self) {
        let mut state = self.state.lock();
        if state.end == End::Open {
            state.end = End::Closed;
            wake(state.reader.take());
        }
    }
}

impl Drop for LinkSink {
    fn drop(&mut self) {
        self.link.close_writer();
    }
}

/// The reading half; dropping it cuts the direction.
pub struct LinkStream {
    link: Link,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stream for LinkStream {
    type Item = Result<Bytes, LinkCut>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let wait = {
                let mut state = self.link.state.lock();
                state.reader = Some(cx.waker().clone());
                match state.records.front() {
                    Some(_) if state.passing == Some(0) => return Poll::Pending,
                    Some((arrival, _)) if *arrival > now() => *arrival,
                    Some(_) => {
                        let record = state.records.pop_front();
                        state.passing = state.passing.map(|left| left - 1);
                        wake(state.writer.take());
                        return Poll::Ready(record.map(|(_, record)| Ok(record)));
                    }
                    None => match state.end {
                        End::Open => return Poll::Pending,
                        End::Closed => return Poll::Ready(None),
                        End::Cut => return Poll::Ready(Some(Err(LinkCut))),
                    },
                }
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wait)));
            timer.as_mut().reset(wait);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for LinkStream {
    fn drop(&mut self) {
        self.link.cut();
    }
}
