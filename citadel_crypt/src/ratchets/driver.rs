//! The manager's one task: it moves records between the path and the engine, arms one timer and reads the clock.
//!
//! Each turn: orders from handles, deadlines, what the stream has, what the sink takes. Reading never waits for
//! the sink, and a record is sealed only when the sink takes it.

use super::end::EndReason;
use super::engine::Engine;
use super::manager_config::ManagerConfig;
use super::ratchet_manager::{BoxError, Command, SessionKeys};
use super::rekey::Timestamp;
use super::shared::{Life, Shared};
use bytes::Bytes;
use futures::{Sink, TryStream};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// Records read, and written, in one turn before other tasks get theirs.
const BATCH: usize = 64;

/// Spawns the task; the handles keep what is returned.
pub(crate) fn spawn<Si, St>(
    keys: SessionKeys,
    config: ManagerConfig,
    commands: mpsc::Receiver<Command>,
    sink: Si,
    stream: St,
) -> Arc<Shared>
where
    Si: Sink<Bytes> + Send + 'static,
    Si::Error: Into<BoxError>,
    St: TryStream<Ok = Bytes> + Send + 'static,
    St::Error: Into<BoxError>,
{
    let clock = Clock::start();
    let engine = Engine::new(keys, &config, clock.now());
    let shared = Arc::clone(engine.shared());
    let driver = Driver {
        engine,
        alarm: Alarm::new(&clock),
        clock,
        commands,
        stream: Box::pin(stream),
        outlet: Outlet { sink: Box::pin(sink), unflushed: false, broken: None },
        announce_deadline: config.announce_deadline,
        farewell: Farewell(Arc::clone(&shared)),
    };
    config.tasks.spawn(driver.run(config.token));
    shared
}

struct Driver<Si, St> {
    engine: Engine,
    clock: Clock,
    alarm: Alarm,
    commands: mpsc::Receiver<Command>,
    stream: Pin<Box<St>>,
    outlet: Outlet<Si>,
    announce_deadline: Duration,
    farewell: Farewell,
}

impl<Si, St> Driver<Si, St>
where
    Si: Sink<Bytes>,
    Si::Error: Into<BoxError>,
    St: TryStream<Ok = Bytes>,
    St::Error: Into<BoxError>,
{
    async fn run(mut self, token: CancellationToken) {
        let reason = tokio::select! {
            biased;
            () = token.cancelled() => EndReason::Cancelled,
            reason = std::future::poll_fn(|cx| self.poll_turn(cx)) => reason,
        };
        self.engine.end(&reason);
        let patience = self.announce_deadline;
        // Best effort: a path that takes no more is what the peer then learns from.
        let _sent = tokio::time::timeout(patience, self.last_words(&reason)).await;
        self.farewell.say(reason);
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<EndReason> {
        match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(reason) => Poll::Ready(reason),
        }
    }

    /// One turn; `Err` is the end of the session.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), EndReason> {
        let now = self.clock.now();
        self.engine.shared().bell.register(cx.waker());
        self.take_orders(cx, now)?;
        if self.engine.poll_timeout().is_some_and(|when| when <= now) {
            self.engine.handle_timeout(now)?;
        }
        let unread = self.read(cx, now)?;
        let mut unwritten = self.write(cx, now)?;
        if self.engine.settle(now)? {
            unwritten |= self.write(cx, now)?;
        }
        self.outlet.give_up(now)?;
        let next = self.engine.poll_timeout().into_iter().chain(self.outlet.deadline()).min();
        if self.alarm.arm(next, &self.clock, now, cx) || unread || unwritten {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    fn take_orders(&mut self, cx: &mut Context<'_>, now: Timestamp) -> Result<(), EndReason> {
        while let Poll::Ready(command) = self.commands.poll_recv(cx) {
            match command {
                Some(Command::Withdraw(answer)) => {
                    let result = self.engine.withdraw(now)?;
                    // Whoever asked may have gone; the withdrawal stands.
                    let _gone = answer.send(result);
                }
                Some(Command::Halt) => self.engine.halt(now)?,
                Some(Command::Close) => self.engine.close(now),
                None => return Err(EndReason::Abandoned),
            }
        }
        if self.engine.shared().completion.poll_asked(cx) {
            self.engine.trigger(now)?;
        }
        Ok(())
    }

    /// Takes what the stream has; whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>, now: Timestamp) -> Result<bool, EndReason> {
        for _ in 0..BATCH {
            match self.stream.as_mut().try_poll_next(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Some(Ok(record))) => self.engine.handle_record(now, record)?,
                Poll::Ready(Some(Err(error))) => return Err(path(error)),
                Poll::Ready(None) => return Err(self.outlet.broken_by().unwrap_or(EndReason::PathEnded)),
            }
        }
        Ok(true)
    }

    /// Gives the sink what it takes; whether there may be more for it.
    fn write(&mut self, cx: &mut Context<'_>, now: Timestamp) -> Result<bool, EndReason> {
        for _ in 0..BATCH {
            if !self.engine.has_output() || !self.outlet.poll_ready(cx, now, self.announce_deadline) {
                self.outlet.poll_flush(cx, now, self.announce_deadline);
                return Ok(false);
            }
            match self.engine.next_record()? {
                Some(record) => self.outlet.send(record, now, self.announce_deadline),
                None => break,
            }
        }
        self.outlet.poll_flush(cx, now, self.announce_deadline);
        Ok(self.engine.has_output())
    }

    /// The close record if the reason is one to tell, then the sink's own end.
    async fn last_words(&mut self, reason: &EndReason) {
        let sink = &mut self.outlet.sink;
        if let Some(code) = reason.parting_code() {
            let ready = std::future::poll_fn(|cx| sink.as_mut().poll_ready(cx)).await;
            if let (Ok(()), Some(record)) = (ready, self.engine.close_record(code)) {
                // The close below reports nothing either: nobody is left to tell.
                let _refused = sink.as_mut().start_send(record);
            }
        }
        let _closed = std::future::poll_fn(|cx| sink.as_mut().poll_close(cx)).await;
    }
}

fn path(error: impl Into<BoxError>) -> EndReason {
    EndReason::Path(Arc::from(error.into()))
}

/// The sink. When it breaks, what the stream still holds is read first: it may say why.
struct Outlet<Si> {
    sink: Pin<Box<Si>>,
    unflushed: bool,
    broken: Option<(EndReason, Timestamp)>,
}

impl<Si: Sink<Bytes>> Outlet<Si>
where
    Si::Error: Into<BoxError>,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>, now: Timestamp, patience: Duration) -> bool {
        if self.broken.is_some() {
            return false;
        }
        match self.sink.as_mut().poll_ready(cx) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.broken = Some((path(error), now + patience));
                false
            }
            Poll::Pending => false,
        }
    }

    fn send(&mut self, record: Bytes, now: Timestamp, patience: Duration) {
        match self.sink.as_mut().start_send(record) {
            Ok(()) => self.unflushed = true,
            Err(error) => self.broken = Some((path(error), now + patience)),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, now: Timestamp, patience: Duration) {
        if !self.unflushed || self.broken.is_some() {
            return;
        }
        match self.sink.as_mut().poll_flush(cx) {
            Poll::Ready(Ok(())) => self.unflushed = false,
            Poll::Ready(Err(error)) => self.broken = Some((path(error), now + patience)),
            Poll::Pending => {}
        }
    }

    fn broken_by(&self) -> Option<EndReason> {
        self.broken.as_ref().map(|(reason, _)| reason.clone())
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.broken.as_ref().map(|(_, until)| *until)
    }

    /// `Err` when a broken sink's stream said nothing for long enough.
    fn give_up(&self, now: Timestamp) -> Result<(), EndReason> {
        match &self.broken {
            Some((reason, until)) if *until <= now => Err(reason.clone()),
            _ => Ok(()),
        }
    }
}

/// The one place that reads a clock.
struct Clock {
    origin: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this driver is where time enters")]
    fn start() -> Self {
        Self { origin: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "this driver is where time enters")]
    fn now(&self) -> Timestamp {
        Timestamp::ZERO + Instant::now().saturating_duration_since(self.origin)
    }

    fn instant(&self, at: Timestamp) -> Instant {
        self.origin + at.since(Timestamp::ZERO).min(FAR)
    }
}

/// Further than any deadline, near enough for any clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The one timer. It only wakes; what is due is asked of the engine. An armed time that is too early is left
/// alone: the task wakes once for nothing, which is cheaper than moving the timer in every round.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Timestamp,
}

impl Alarm {
    fn new(clock: &Clock) -> Self {
        let at = Timestamp::ZERO + FAR;
        Self { sleep: Box::pin(tokio::time::sleep_until(clock.instant(at))), at }
    }

    /// Arms for `next`; whether it has passed already.
    fn arm(&mut self, next: Option<Timestamp>, clock: &Clock, now: Timestamp, cx: &mut Context<'_>) -> bool {
        let next = next.unwrap_or(Timestamp::ZERO + FAR);
        if next < self.at || self.at <= now {
            self.at = next;
            self.sleep.as_mut().reset(clock.instant(next));
        }
        self.sleep.as_mut().poll(cx).is_ready()
    }
}

/// Says the end, also when the task is dropped with its runtime.
struct Farewell(Arc<Shared>);

impl Farewell {
    fn say(&self, reason: EndReason) {
        self.0.life.send_replace(Life::Ended(reason));
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let over = matches!(*self.0.life.borrow(), Life::Ended(_));
        if !over {
            log::debug!(target: "citadel::rekey", "the task of a manager was dropped before its end");
            self.0.end(&EndReason::Cancelled);
            self.say(EndReason::Cancelled);
        }
    }
}
