//! The application at one end of a session: it does what it is told, and waits for events like a handle of the driver.
//!
//! A sender that found no room asks again only when told that there is some, a reader that found nothing only when told
//! of something: a wakeup that never comes is a message that never goes.

use super::book::Book;
use super::{Dice, Log, Side};
use bytes::Bytes;
use citadel_crypt::Timestamp;
use citadel_proto::session::{SessionMachine, Tell};
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelEvent, ChannelId, OpenError, SendError, Taken, TrySendError};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

/// `send` futures that one sender holds at once.
const MAX_WAITING: usize = 6;

/// How a reader reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// At once, all there is.
    Eager,
    /// One message in this many milliseconds.
    Millis(u64),
    /// Not at all.
    Stalled,
}

/// The handles that the application holds.
#[derive(Default)]
pub(super) struct App {
    pub(super) channels: BTreeMap<ChannelId, Halves>,
    /// `open` futures that wait for a slot.
    pub(super) opening: usize,
}

/// The halves of one channel.
pub(super) struct Halves {
    pub(super) has_sender: bool,
    /// `send` futures that wait, by the length of their message.
    pub(super) waiting: VecDeque<usize>,
    pub(super) reader: Option<Reader>,
}

pub(super) struct Reader {
    pub(super) pace: Pace,
    /// A reader with a pace takes its next message then.
    is_scheduled: bool,
}

impl Halves {
    fn new(pace: Pace) -> Self {
        let reader = Some(Reader { pace, is_scheduled: false });
        Self { has_sender: true, waiting: VecDeque::new(), reader }
    }
}

/// What an application sees of the world while it acts.
pub(super) struct Context<'a> {
    pub(super) now: Timestamp,
    pub(super) side: Side,
    pub(super) name: &'a str,
    pub(super) machine: &'a mut SessionMachine,
    pub(super) book: &'a mut Book,
    pub(super) log: &'a Log,
    pub(super) dice: &'a mut Dice,
    /// Readers come back then.
    pub(super) reads: &'a mut Vec<(Timestamp, ChannelId)>,
    /// An operation gave the session's task something to do.
    pub(super) is_woken: &'a mut bool,
}

macro_rules! say {
    ($cx:expr, $($text:tt)*) => {
        $cx.log.line($cx.now, format_args!("{} {}", $cx.name, format_args!($($text)*)))
    };
}

impl App {
    /// The channel with that index, counted round.
    pub(super) fn nth(&self, index: usize) -> Option<ChannelId> {
        let count = self.channels.len();
        (count > 0).then(|| self.channels.keys().nth(index % count).copied())?
    }

    /// Takes channel 0.
    pub(super) fn start(&mut self, cx: &mut Context<'_>, pace: Pace) {
        let zero = cx.machine.take_channel_zero().expect("nobody took it");
        self.channels.insert(zero, Halves::new(pace));
        self.read(cx, zero);
    }

    pub(super) fn on_event(&mut self, cx: &mut Context<'_>, event: ChannelEvent) {
        match event {
            ChannelEvent::Readable(id) => self.read(cx, id),
            ChannelEvent::Writable(id) => self.send_waiting(cx, id),
            ChannelEvent::Incoming | ChannelEvent::IncomingService => self.accept(cx),
            ChannelEvent::Slot => {
                for _ in 0..core::mem::take(&mut self.opening) {
                    self.open(cx);
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, cx: &mut Context<'_>) {
        while let Some(id) = cx.machine.accept_channel().or_else(|| cx.machine.accept_service_channel()) {
            let pace = match cx.dice.below(10) {
                0 => Pace::Stalled,
                1..=3 => Pace::Millis(cx.dice.between(1, 60)),
                _ => Pace::Eager,
            };
            say!(cx, "accepts channel {id}, reads {pace:?}");
            assert_eq!(cx.machine.channel_name(id), cx.book.names[&id], "the name of channel {id}");
            assert!(cx.book.shared.insert(id), "channel {id} came twice");
            assert!(self.channels.insert(id, Halves::new(pace)).is_none(), "channel {id} is an own one");
            self.read(cx, id);
        }
    }

    pub(super) fn open(&mut self, cx: &mut Context<'_>) {
        let name = Bytes::from(format!("channel {}", cx.book.names.len()));
        match cx.machine.open_channel(name.clone()) {
            Ok(id) => {
                say!(cx, "opens channel {id}");
                cx.book.names.insert(id, name);
                self.channels.insert(id, Halves::new(Pace::Eager));
                *cx.is_woken = true;
                self.read(cx, id);
            }
            Err(OpenError::Limit) => self.opening = (self.opening + 1).min(3),
            Err(OpenError::Closed(_)) => self.opening = 0,
            Err(error) => unreachable!("{error}"),
        }
    }

    pub(super) fn open_lane(&mut self, cx: &mut Context<'_>) {
        match cx.machine.open_service_channel("relay") {
            Ok(id) => {
                say!(cx, "opens lane {id}");
                cx.book.names.insert(id, Bytes::from_static(b"\0citadel/relay"));
                self.channels.insert(id, Halves::new(Pace::Eager));
                *cx.is_woken = true;
                self.read(cx, id);
            }
            Err(OpenError::Closed(_)) => {}
            Err(error) => unreachable!("{error}"),
        }
    }

    /// The session closes: what relays on lanes ends soon, or never.
    pub(super) fn on_closing(&mut self, cx: &mut Context<'_>) {
        let ids: Vec<ChannelId> = self.channels.keys().copied().filter(|id| cx.book.is_lane(*id)).collect();
        for id in ids {
            match cx.dice.below(10) {
                0..=5 => self.finish(cx, id),
                6..=7 => self.drop_sender(cx, id),
                _ => {}
            }
        }
    }

    /// Sends, or waits for its turn.
    pub(super) fn send(&mut self, cx: &mut Context<'_>, id: ChannelId, len: usize) {
        let len = len.min(cx.book.longest(id));
        let Some(halves) = self.channels.get_mut(&id) else { return };
        if halves.has_sender && halves.waiting.len() < MAX_WAITING {
            halves.waiting.push_back(len);
            if halves.waiting.len() == 1 {
                self.send_waiting(cx, id);
            }
        }
    }

    fn send_waiting(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        let Some(halves) = self.channels.get_mut(&id) else { return };
        while let Some(len) = halves.waiting.front().copied() {
            let body = cx.book.next_body(id, cx.side, len);
            match cx.machine.try_send(id, body) {
                Ok(()) => {
                    let stage = cx.machine.stage();
                    assert!(stage == Stage::Running || stage <= Stage::Flushing && cx.book.is_lane(id));
                    say!(cx, "sends {len} bytes on channel {id}");
                    cx.book.accept(id, cx.side, len);
                    *cx.is_woken = true;
                    halves.waiting.pop_front();
                }
                Err(TrySendError::Full(_)) => return,
                Err(TrySendError::Send(error)) => {
                    say!(cx, "cannot send on channel {id}: {error}");
                    self.on_send_error(cx, id, &error);
                    return;
                }
                Err(other) => unreachable!("{other}"),
            }
        }
    }

    /// An error is true, and every `send` that waits gets it.
    fn on_send_error(&mut self, cx: &mut Context<'_>, id: ChannelId, error: &SendError) {
        let open = if cx.book.is_lane(id) { Stage::Flushing } else { Stage::Running };
        let (is_closing, side) = (cx.machine.stage() > open, cx.side);
        let lane = cx.book.lane(id, side);
        match error {
            SendError::Closed(_) => assert!(is_closing),
            // A peer that closes refuses channels that come then.
            SendError::Stopped { code } => {
                assert!(lane.stop == Some(*code) || *code == 0, "stopped by nobody")
            }
            SendError::Finished => assert!(lane.is_finished || lane.reset.is_some(), "finished by nobody"),
            other => unreachable!("{other}"),
        }
        if let Some(halves) = self.channels.get_mut(&id) {
            halves.waiting.clear();
        }
    }

    /// The reader of a channel looks, at its pace.
    pub(super) fn read(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        let Some(reader) = self.channels.get_mut(&id).and_then(|halves| halves.reader.as_mut()) else {
            return;
        };
        match reader.pace {
            Pace::Stalled => {}
            Pace::Eager => while self.take(cx, id) {},
            Pace::Millis(_) if reader.is_scheduled => {}
            Pace::Millis(millis) => {
                reader.is_scheduled = true;
                cx.reads.push((cx.now + Duration::from_millis(millis), id));
            }
        }
    }

    /// The time of a reader with a pace has come.
    pub(super) fn on_read_due(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        let Some(reader) = self.channels.get_mut(&id).and_then(|halves| halves.reader.as_mut()) else {
            return;
        };
        reader.is_scheduled = false;
        if self.take(cx, id) {
            self.read(cx, id);
        }
    }

    /// One look of a reader. True if there may be more.
    pub(super) fn take(&mut self, cx: &mut Context<'_>, id: ChannelId) -> bool {
        if self.channels.get(&id).is_none_or(|halves| halves.reader.is_none()) {
            return false;
        }
        let (taken, tell) = cx.machine.take(|| cx.now, id);
        *cx.is_woken |= tell != Tell::Nothing;
        let sender = cx.side.other();
        let was_seen = cx.book.lane(id, sender).seen.is_some();
        if taken != Taken::Pending && !was_seen {
            say!(cx, "reads channel {id}: {taken:?}");
        }
        cx.book.take(id, sender, &taken)
    }

    pub(super) fn finish(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        let Some(halves) = self.channels.get_mut(&id).filter(|halves| halves.has_sender) else { return };
        halves.waiting.clear();
        match cx.machine.finish(id) {
            Ok(()) => {
                say!(cx, "finishes channel {id}");
                let open = if cx.book.is_lane(id) { Stage::Flushing } else { Stage::Running };
                let is_open = cx.machine.stage() <= open;
                let lane = cx.book.lane(id, cx.side);
                // A half that the close has ended already is finished by the close.
                lane.is_finished |= is_open && lane.reset.is_none();
            }
            Err(error) => self.on_send_error(cx, id, &error),
        }
        *cx.is_woken = true;
    }

    pub(super) fn reset(&mut self, cx: &mut Context<'_>, id: ChannelId, code: u32) {
        let Some(halves) = self.channels.get_mut(&id).filter(|halves| halves.has_sender) else { return };
        say!(cx, "resets channel {id} with {code}");
        halves.waiting.clear();
        cx.machine.reset(id, code);
        cx.book.lane(id, cx.side).reset.get_or_insert(code);
        *cx.is_woken = true;
    }

    pub(super) fn drop_sender(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        let Some(halves) = self.channels.get_mut(&id).filter(|halves| halves.has_sender) else { return };
        say!(cx, "drops the sender of channel {id}");
        halves.has_sender = false;
        halves.waiting.clear();
        cx.machine.drop_sender(id);
        let lane = cx.book.lane(id, cx.side);
        if !lane.is_finished {
            lane.reset.get_or_insert(0);
        }
        *cx.is_woken = true;
    }

    pub(super) fn drop_reader(&mut self, cx: &mut Context<'_>, id: ChannelId, code: u32) {
        let Some(halves) = self.channels.get_mut(&id).filter(|halves| halves.reader.is_some()) else {
            return;
        };
        say!(cx, "drops the reader of channel {id} with {code}");
        halves.reader = None;
        cx.machine.drop_receiver(id, code);
        cx.book.lane(id, cx.side.other()).stop = Some(code);
        *cx.is_woken = true;
    }

    /// Futures that wait to send are dropped: their messages were never accepted.
    pub(super) fn drop_futures(&mut self, cx: &mut Context<'_>, id: ChannelId) {
        if let Some(halves) = self.channels.get_mut(&id)
            && !halves.waiting.is_empty()
        {
            say!(cx, "drops {} futures that wait to send on channel {id}", halves.waiting.len());
            halves.waiting.clear();
        }
    }

    /// Every handle of a channel goes.
    pub(super) fn drop_all(&mut self, cx: &mut Context<'_>) {
        self.opening = 0;
        let ids: Vec<ChannelId> = self.channels.keys().copied().collect();
        for id in ids {
            self.drop_sender(cx, id);
            self.drop_reader(cx, id, 0);
        }
    }

    pub(super) fn set_pace(&mut self, cx: &mut Context<'_>, id: ChannelId, pace: Pace) {
        let Some(reader) = self.channels.get_mut(&id).and_then(|halves| halves.reader.as_mut()) else {
            return;
        };
        if reader.pace != pace {
            say!(cx, "reads channel {id} {pace:?} from now on");
            reader.pace = pace;
            self.read(cx, id);
        }
    }
}
