//! The one task of a session: reads, writes, arms one timer, until the machine says `Closed`. It has at most one path; when
//! the machine has lost it, the stream goes and the task waits for another, which resumptions hand over through `Shared`.

use super::buffers::{BUFFER_LEN, Buffers};
use super::quic::Packets;
use super::shared::{Shared, Wake};
use super::transport::{BoxedIo, Halves, ReadHalf};
use super::writer::{TURNS, Writer};
use crate::record;
use crate::session::{Input, SessionMachine};
use crate::shutdown::{PathLoss, Stage};
use bytes::{Bytes, BytesMut};
use citadel_crypt::Timestamp;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use tokio::task::unconstrained;
use tokio::time::Sleep;
use tokio_util::io::poll_read_buf;

/// How long a path may take to end after its session has: as long as its last bytes may need on a poor network.
const GOODBYE: Duration = Duration::from_secs(3);

/// Packets that a turn takes, and that it sends.
const PACKETS: usize = 32;

/// What the last read brought, not yet told to the machine.
enum Arrived {
    Nothing,
    Bytes,
    Lost(PathLoss),
}

/// What the task has to do, by the machine.
enum Standing {
    Attached,
    Detached,
    Over,
}

/// What the machine said at the end of a step.
struct Turn {
    /// A resumption brought another path, and the machine took it.
    path: Option<(ReadHalf, Option<Packets>)>,
    standing: Standing,
    /// The path takes nothing any more, and something came: there may be more to hear before it is lost.
    is_broken: bool,
    /// It waits for what was sealed to leave this end.
    awaits_flush: bool,
    timeout: Option<Timestamp>,
    /// A handle was woken.
    has_woken: bool,
}

/// Drives one session. Resolves when the session is over.
///
/// A turn: read, then one step of the machine under its lock (what came, what is due, what goes next), then write. When a
/// step woke a handle and more has come, the task lets the handle run first: a reader that takes what came gives credit while
/// more is on its way, and does not find a window's worth at once after its sender has stopped.
pub(super) struct SessionTask {
    /// The path; none while the session waits for one.
    io: Option<ReadHalf>,
    /// The path's packets, if it has them.
    packets: Option<Packets>,
    /// Packets that came, not yet told to the machine.
    came: Vec<Bytes>,
    /// The path's other half, while the task writes.
    writer: Option<Writer>,
    shared: Arc<Shared>,
    buffers: Arc<Buffers>,
    arrived: Arrived,
    /// Bytes that came and are no whole record.
    read: BytesMut,
    /// Never later than the machine's deadline; an earlier one costs a look.
    timer: Option<(Timestamp, Pin<Box<Sleep>>)>,
    /// Ends the wait for the path's end.
    goodbye: Option<Pin<Box<Sleep>>>,
}

impl SessionTask {
    pub(super) fn new(io: BoxedIo, shared: Arc<Shared>, buffers: Arc<Buffers>) -> Self {
        let remote = io.remote_addr();
        let Halves { read, write, packets } = io.into_halves();
        shared.act(|core, _| {
            core.remote = remote;
            core.machine.carry_packets(packets.as_ref().and_then(Packets::longest));
            (core.replace_writer(Some(write)), Wake::Nobody)
        });
        Self {
            io: Some(read),
            packets,
            came: Vec::new(),
            writer: None,
            shared,
            buffers,
            arrived: Arrived::Nothing,
            read: BytesMut::new(),
            timer: None,
            goodbye: None,
        }
    }

    /// Puts `io` in the place of the path before it. What was read and written of that is of no use on another.
    fn replace_io(&mut self, path: Option<(ReadHalf, Option<Packets>)>) {
        (self.io, self.packets) = path.map_or((None, None), |(io, packets)| (Some(io), packets));
        self.came.clear();
        self.arrived = Arrived::Nothing;
        self.buffers.take_back(&mut self.read);
        if let Some(mut writer) = self.writer.take() {
            self.buffers.take_back(&mut writer.buffer);
        }
    }

    fn give(&self, input: Input) {
        self.shared.act(|core, clock| {
            core.machine.handle(clock.now(), input);
            ((), Wake::Nobody)
        });
    }

    fn lose(&mut self, error: &io::Error) {
        self.shared.note(error);
        self.arrived = Arrived::Lost(PathLoss::Io);
    }

    /// Reads what is there.
    fn poll_read(&mut self, cx: &mut Context<'_>) {
        let (Some(io), Arrived::Nothing) = (&mut self.io, &self.arrived) else { return };
        if self.read.capacity() == 0 {
            self.read = self.buffers.take();
        }
        if self.read.capacity() - self.read.len() < record::missing(&self.read).max(1024) {
            self.read.reserve(BUFFER_LEN - self.read.len().min(BUFFER_LEN / 2));
        }
        match poll_read_buf(Pin::new(io), cx, &mut self.read) {
            Poll::Pending if self.read.is_empty() => self.buffers.take_back(&mut self.read),
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => self.arrived = Arrived::Lost(PathLoss::Ended),
            Poll::Ready(Ok(_)) => self.arrived = Arrived::Bytes,
            Poll::Ready(Err(error)) => self.lose(&error),
        }
    }

    /// Tells the machine what came and what is due, and takes what goes next.
    fn step(&mut self, cx: &Context<'_>, is_due: bool) -> Turn {
        let armed = self.timer.as_ref().map(|(at, _)| *at);
        let Self { shared, packets, came, arrived, read, writer, .. } = self;
        let arrived = core::mem::replace(arrived, Arrived::Nothing);
        let ((mut turn, _stale), has_woken) = shared.act_and_tell(|core, clock| {
            let now = clock.now();
            let path = core.take_path(now).map(|io| io.into_halves());
            let machine = &mut core.machine;
            match arrived {
                // What is left of the path before it is of no use any more.
                _ if path.is_some() => {}
                Arrived::Nothing if core.desk.is_broken() => {
                    machine.handle(now, Input::PathLost(PathLoss::Io));
                }
                Arrived::Nothing => {}
                Arrived::Bytes => take_records(machine, now, read),
                Arrived::Lost(loss) => machine.handle(now, Input::PathLost(loss)),
            }
            if path.is_none() {
                came.drain(..).for_each(|packet| machine.handle(now, Input::Packet(packet.into())));
                // It may have changed with what the network was found to carry. To ask takes the connection's lock.
                if let Some(packets) = packets
                    && machine.wants_datagrams()
                {
                    machine.carry_packets(packets.longest());
                }
            }
            if is_due {
                machine.handle(now, Input::Timeout);
            }
            let standing = match machine.stage() {
                Stage::Closed => Standing::Over,
                _ if machine.path().is_some() => Standing::Attached,
                _ => Standing::Detached,
            };
            let mut stale = None;
            let path = match path {
                Some(Halves { read, write, packets }) => {
                    stale = core.replace_writer(Some(write));
                    core.machine.carry_packets(packets.as_ref().and_then(Packets::longest));
                    Some((read, packets))
                }
                None => {
                    match standing {
                        Standing::Detached => stale = core.replace_writer(None),
                        Standing::Attached => core.send_by_task(now, writer),
                        Standing::Over => {}
                    }
                    None
                }
            };
            let (is_broken, awaits_flush) =
                (core.desk.is_broken(), core.machine.stage() == Stage::Announcing);
            let timeout = core.machine.poll_timeout().map(|(at, _)| at);
            core.armed = timeout.map(|at| armed.map_or(at, |armed| armed.min(at)));
            core.attend(cx.waker());
            let turn = Turn { path, standing, is_broken, awaits_flush, timeout, has_woken: false };
            ((turn, stale), Wake::Nobody)
        });
        turn.has_woken = has_woken;
        turn
    }

    /// Writes what is sealed. True if the machine has to be asked again.
    fn poll_write(&mut self, cx: &mut Context<'_>, turn: &Turn) -> bool {
        let Some(mut writer) = self.writer.take() else { return false };
        match writer.poll_write(cx) {
            Poll::Pending => {
                self.writer = Some(writer);
                return false;
            }
            Poll::Ready(Ok(())) => {
                self.writer = Some(writer);
                // Nothing is sealed behind the `Close` that this may have been.
                if turn.awaits_flush {
                    self.give(Input::PathFlushed);
                }
            }
            Poll::Ready(Err(error)) => {
                self.shared.note(&error);
                self.shared.give_up(writer);
            }
        }
        true
    }

    /// Takes what packets came; what there is beyond a turn's worth, in the next one.
    fn poll_came(&mut self, cx: &mut Context<'_>) {
        let Some(packets) = &mut self.packets else { return };
        while self.came.len() < PACKETS
            && let Poll::Ready(Some(packet)) = packets.poll_next(cx)
        {
            self.came.push(packet);
        }
    }

    /// Sends packets as long as the path takes them. True if the machine has to be asked again.
    fn poll_packets(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(packets) = &mut self.packets else { return false };
        let mut any = false;
        for _ in 0..PACKETS {
            if packets.poll_ready(cx).is_pending() {
                return any;
            }
            let next = self.shared.act(|core, clock| {
                let has_one = core.machine.has_packet();
                (has_one.then(|| core.machine.poll_packet(clock.now())).flatten(), Wake::Nobody)
            });
            let Some(packet) = next else { return any };
            packets.send(packet);
            any = true;
        }
        true
    }

    /// Whether the timer has fired.
    fn take_due(&mut self) -> bool {
        // It has this task's waker since it was armed.
        let is_due = self.timer.as_ref().is_some_and(|(_, sleep)| sleep.is_elapsed());
        if is_due {
            self.timer = None;
        }
        is_due
    }

    /// Sees to it that the timer fires at `timeout` or before. Deadlines mostly move away, and moving the timer each time
    /// costs more than a look when it fires. True if it has fired.
    fn arm(&mut self, timeout: Option<Timestamp>, cx: &mut Context<'_>) -> bool {
        let Some(at) = timeout else {
            self.timer = None;
            return false;
        };
        let instant = self.shared.clock.instant(at);
        match &mut self.timer {
            Some((armed, _)) if *armed <= at => return false,
            Some((armed, sleep)) => {
                *armed = at;
                sleep.as_mut().reset(instant);
            }
            None => self.timer = Some((at, Box::pin(tokio::time::sleep_until(instant)))),
        }
        // Out of budget, it would not be set by this poll, and there may be no other.
        let timer = self.timer.as_mut().map(|(_, sleep)| sleep.as_mut());
        timer.is_some_and(|sleep| Pin::new(&mut unconstrained(sleep)).poll(cx).is_ready())
    }

    /// Best effort: what was sealed was flushed or given up; this only says that nothing follows, and waits for a path that
    /// brings the last of it by itself (QUIC). TCP is ready at once.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (has_none, taken) =
            self.shared.act(|core, _| ((core.desk.is_over(), core.desk.take()), Wake::Nobody));
        if self.io.is_none() || has_none {
            return Poll::Ready(());
        }
        self.writer = self.writer.take().or(taken);
        if let Some(writer) = &mut self.writer
            && writer.poll_shutdown(cx).is_ready()
        {
            return Poll::Ready(());
        }
        let goodbye = self.goodbye.get_or_insert_with(|| {
            #[expect(clippy::disallowed_methods, reason = "the driver's own wait: the machine is closed")]
            Box::pin(tokio::time::sleep(GOODBYE))
        });
        goodbye.as_mut().poll(cx)
    }
}

/// Gives the machine every whole record of `read`.
fn take_records(machine: &mut SessionMachine, now: Timestamp, read: &mut BytesMut) {
    loop {
        match record::split(read) {
            Ok(Some(raw)) => machine.handle(now, Input::Record(raw)),
            Ok(None) => return,
            Err(_) => return machine.handle(now, Input::PathLost(PathLoss::Malformed)),
        }
    }
}

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        let (mut has_woken, mut must_look) = (false, true);
        for _ in 0..TURNS {
            task.poll_read(cx);
            task.poll_came(cx);
            let has_arrived = !matches!(task.arrived, Arrived::Nothing) || !task.came.is_empty();
            if has_woken && has_arrived {
                break;
            }
            let is_due = task.take_due();
            if !must_look && !has_arrived && !is_due {
                return Poll::Pending;
            }
            let mut turn = task.step(cx, is_due);
            let path = turn.path.take();
            let has_path = path.is_some();
            match turn.standing {
                Standing::Attached if has_path => task.replace_io(path),
                Standing::Attached => {}
                Standing::Detached => task.replace_io(None),
                Standing::Over => return task.poll_goodbye(cx),
            }
            let has_more = task.poll_write(cx, &turn) | task.poll_packets(cx);
            let has_fired = task.arm(turn.timeout, cx);
            must_look = has_path || has_more || has_fired || turn.is_broken;
            if !must_look && !has_arrived {
                return Poll::Pending;
            }
            has_woken |= turn.has_woken;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for SessionTask {
    /// A task that is dropped before its session's end (with its runtime) ends it: nobody waits for ever.
    fn drop(&mut self) {
        self.replace_io(None);
        let writer = self.shared.act(|core, clock| {
            core.machine.handle(clock.now(), Input::Abandoned(PathLoss::Ended));
            (core.replace_writer(None), Wake::Nobody)
        });
        drop(writer);
    }
}
