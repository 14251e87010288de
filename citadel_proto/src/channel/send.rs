//! The sending half: what was accepted and is not acknowledged, and how far it went.
//!
//! ```text
//! Open ─ finish ─▶ Finishing ─ received past the end ─▶ done
//!   └─── reset, the peer's stop ─▶ Resetting ─ received past the end ─▶ done
//! ```
//! On a new path the half goes back to what was received ([`SendSide::rewind`]); an acknowledgement of more moves it
//! forward again, so that nothing is sent twice that the peer says it has.

use crate::errors::SendError;
use crate::frames::{self, ChannelId, FinishedBy, MAX_DATA_HEADER, MESSAGE_UNITS, Part};
use crate::record::MAX_PAYLOAD;
use crate::shutdown::Fault;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// A message of this length goes into one record, if the record is empty.
const WHOLE_MAX: usize = MAX_PAYLOAD - MAX_DATA_HEADER;
/// No piece shorter than this is cut off just to fill a record.
const MIN_PIECE: usize = 4 * 1024;

/// What [`SendSide::write`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrote {
    /// One frame of this many units.
    Units(u64),
    /// The record has no room for the next frame.
    RecordFull,
    /// Nothing to send, or no credit for it.
    Nothing,
}

/// The sending half of a channel.
pub(super) struct SendSide {
    /// Accepted and not acknowledged, in order.
    items: VecDeque<Item>,
    /// How many of `items` are in records entirely.
    in_records: usize,
    /// Offset after the last message that will be sent.
    next: u64,
    /// Offset after the last accepted message: above `next` if some were given up.
    accepted: u64,
    /// Everything below is in records of the path in use, or was received.
    sent: u64,
    /// Everything below was in records at some time: the peer may have it.
    reached: u64,
    /// Everything below was received by the peer's session. The end counts one unit.
    received: u64,
    /// Everything below was taken by the peer's reader.
    consumed: u64,
    /// The peer's credit.
    limit: u64,
    /// Half the smaller window of the peer. A message within it is accepted when credit for all of it is there, so it
    /// arrives whether or not its reader reads; a longer one is accepted on any credit and goes as more comes.
    comfortable: u64,
    /// Units to be sent whose credit is kept for them: of messages within `comfortable`, and what went on an earlier path.
    promised: u64,
    end: End,
}

struct Item {
    start: u64,
    body: Bytes,
}

impl Item {
    fn end(&self) -> u64 {
        self.start + MESSAGE_UNITS + self.body.len() as u64
    }
}

/// How the half ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Open,
    /// `stopped`: the peer's reader left afterwards, with this code, and did not take all.
    Finishing {
        by: FinishedBy,
        went: Went,
        stopped: Option<u32>,
    },
    Resetting {
        code: u32,
        stopped: bool,
        went: Went,
    },
}

/// Whether the end of a half is in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Went {
    /// In none.
    No,
    /// In one of an earlier path: the peer may have it, and gets it again.
    Before,
    /// In one of the path in use.
    Now,
}

impl SendSide {
    pub(super) fn new(limit: u64, comfortable: u64) -> Self {
        Self {
            items: VecDeque::new(),
            in_records: 0,
            next: 0,
            accepted: 0,
            sent: 0,
            reached: 0,
            received: 0,
            consumed: 0,
            limit,
            comfortable,
            promised: 0,
            end: End::Open,
        }
    }

    pub(super) const fn end(&self) -> End {
        self.end
    }

    /// Whether a message of `len` bytes may be accepted now: there is credit for it here and in the session, and no more
    /// than `buffer` units wait for their acknowledgement.
    pub(super) const fn has_room(&self, len: u64, session_left: u64, buffer: u64) -> bool {
        let needed = if self.is_comfortable(len) { MESSAGE_UNITS + len } else { 1 };
        self.has_units(needed, session_left, buffer)
    }

    /// The same by units.
    pub(super) const fn has_units(&self, needed: u64, session_left: u64, buffer: u64) -> bool {
        let left = self.limit.saturating_sub(self.next);
        let left = if left < session_left { left } else { session_left };
        needed <= left && self.next.saturating_sub(self.received) < buffer
    }

    /// The most credit that a message of at most `len` bytes needs to be accepted.
    pub(super) const fn most_needed(&self, len: u64) -> u64 {
        if self.is_comfortable(len) {
            MESSAGE_UNITS + len
        } else if self.comfortable == 0 {
            1
        } else {
            self.comfortable
        }
    }

    /// Whether messages are still taken.
    pub(super) const fn check_open(&self) -> Result<(), SendError> {
        match self.end {
            End::Open => Ok(()),
            End::Resetting { code, stopped: true, .. } => Err(SendError::Stopped { code }),
            _ => Err(SendError::Finished),
        }
    }

    const fn is_comfortable(&self, len: u64) -> bool {
        MESSAGE_UNITS + len <= self.comfortable
    }

    /// Accepts a message: from here on it has its place in the order.
    pub(super) fn accept(&mut self, body: Bytes) {
        let len = body.len() as u64;
        if self.is_comfortable(len) {
            self.promised += MESSAGE_UNITS + len;
        }
        let item = Item { start: self.next, body };
        self.next = item.end();
        self.accepted = self.next;
        self.items.push_back(item);
    }

    /// Unsent units that were accepted on the promise that their credit is there.
    pub(super) const fn promised(&self) -> u64 {
        self.promised
    }

    /// How far it went on the path in use.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Half-closes after what was accepted; nothing if the half ended before.
    pub(super) fn finish(&mut self, by: FinishedBy) {
        if self.end == End::Open {
            self.end = End::Finishing { by, went: Went::No, stopped: None };
        }
    }

    /// Gives up what is not in records. True if that ended an open or finishing half.
    pub(super) fn reset(&mut self, code: u32, stopped: bool) -> bool {
        let over = match self.end {
            End::Open => false,
            End::Finishing { went, .. } => went != Went::No,
            End::Resetting { .. } => true,
        };
        if !over {
            self.items.clear();
            self.in_records = 0;
            // The peer may have any part of what ever went; the end stands behind all of it.
            (self.next, self.sent) = (self.reached, self.reached);
            self.promised = 0;
            self.end = End::Resetting { code, stopped, went: Went::No };
        }
        !over
    }

    /// The peer's reader is gone. True if that is news to someone who waits here.
    pub(super) fn on_stop(&mut self, code: u32) -> bool {
        if let End::Finishing { went: Went::Now | Went::Before, stopped, .. } = &mut self.end {
            return stopped.replace(code).is_none();
        }
        self.reset(code, true)
    }

    /// Whether the end was acknowledged: nothing of this half is open.
    pub(super) const fn is_done(&self) -> bool {
        self.is_end_sent() && self.received > self.next
    }

    const fn is_end_sent(&self) -> bool {
        match self.end {
            End::Open => false,
            End::Finishing { went, .. } | End::Resetting { went, .. } => !matches!(went, Went::No),
        }
    }

    /// Whether the peer's reader has taken every message that was accepted.
    pub(super) const fn is_consumed(&self) -> bool {
        self.consumed >= self.accepted
    }

    /// Messages without an acknowledgement.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.items.len() as u64
    }

    /// The session is over: nothing here is of use any more.
    pub(super) fn release(&mut self) {
        self.items = VecDeque::new();
        self.in_records = 0;
    }

    /// New credit. True if it is more than before.
    pub(super) fn on_credit(&mut self, limit: u64) -> bool {
        let more = limit > self.limit;
        self.limit = self.limit.max(limit);
        more
    }

    /// An acknowledgement. True if it said something new.
    pub(super) fn on_ack(&mut self, received: u64, consumed: u64) -> Result<bool, Fault> {
        if received > self.reached + u64::from(self.is_end_sent()) || consumed > received {
            return Err(Fault::FalseAcknowledgement);
        }
        let news = received > self.received || consumed > self.consumed;
        self.received = self.received.max(received);
        self.consumed = self.consumed.max(consumed);
        while self.items.front().is_some_and(|item| item.end() <= self.received) {
            self.items.pop_front();
            self.in_records = self.in_records.saturating_sub(1);
        }
        if self.items.is_empty() {
            self.items.shrink_to(0);
        }
        let is_cut_apart = |item: &Item| {
            let begun = self.received.saturating_sub(item.start);
            (1..=MESSAGE_UNITS).contains(&begun)
        };
        if self.items.front().is_some_and(is_cut_apart) {
            // No piece ends there.
            return Err(Fault::FalseAcknowledgement);
        }
        if self.received > self.sent {
            self.skip_received();
        }
        Ok(news)
    }

    /// Another path: all that was not received goes again, under the credit that was taken for it.
    pub(super) fn rewind(&mut self) {
        if !self.items.is_empty() {
            self.promised += self.sent.saturating_sub(self.received);
            self.sent = self.sent.min(self.received);
        }
        self.in_records = 0;
        if let End::Finishing { went, .. } | End::Resetting { went, .. } = &mut self.end
            && *went == Went::Now
            && (self.received <= self.next || self.consumed < self.accepted)
        {
            // Also when it was received: the peer may have forgotten the channel, and its last word, that all was read,
            // went with the path. It says that again when it sees the end again.
            *went = Went::Before;
        }
    }

    /// The peer has more than this path has carried.
    fn skip_received(&mut self) {
        let to = self.received.min(self.reached).max(self.sent);
        self.promised = self.promised.saturating_sub(to - self.sent);
        self.sent = to;
    }

    /// Writes the next frame if it fits `space` bytes and both credits. `session_left` is the session's credit, of which
    /// `promised` is kept for messages that were accepted on it.
    pub(super) fn write(
        &mut self,
        id: ChannelId,
        out: &mut BytesMut,
        space: usize,
        session_left: u64,
        promised: u64,
    ) -> Wrote {
        let Some(item) = self.items.get(self.in_records) else { return self.write_end(id, out, space) };
        let len = item.body.len();
        let is_comfortable = self.is_comfortable(len as u64);
        let session_left = if is_comfortable { session_left } else { session_left.saturating_sub(promised) };
        let left = self.limit.saturating_sub(self.sent).min(session_left);
        let done = usize::try_from(self.sent.saturating_sub(item.start + MESSAGE_UNITS)).unwrap_or(len);
        let is_start = self.sent == item.start;
        let payable = if is_start { left.checked_sub(MESSAGE_UNITS) } else { Some(left) };
        let Some(payable) = payable else { return Wrote::Nothing };
        let (rest, room) = (len - done, space.saturating_sub(MAX_DATA_HEADER));
        let least = if is_start && len <= WHOLE_MAX { len } else { rest.min(MIN_PIECE) };
        if space < MAX_DATA_HEADER || room < least {
            return Wrote::RecordFull;
        }
        let take = rest.min(usize::try_from(payable).unwrap_or(usize::MAX)).min(room);
        if take == 0 && rest > 0 {
            return Wrote::Nothing;
        }
        let part = match (is_start, take == rest) {
            (true, true) => Part::Whole,
            (true, false) => Part::First { total: len as u64 },
            (false, true) => Part::Last,
            (false, false) => Part::Middle,
        };
        frames::put_data(out, id, self.sent, part, item.body.get(done..done + take).unwrap_or_default());
        let units = part.units(take as u64);
        let kept = if is_comfortable { units } else { units.min(self.reached.saturating_sub(self.sent)) };
        self.promised = self.promised.saturating_sub(kept);
        self.sent += units;
        self.reached = self.reached.max(self.sent);
        self.in_records += usize::from(take == rest);
        Wrote::Units(units)
    }

    fn write_end(&mut self, id: ChannelId, out: &mut BytesMut, space: usize) -> Wrote {
        if space < MAX_DATA_HEADER {
            return Wrote::RecordFull;
        }
        match &mut self.end {
            End::Finishing { by, went: went @ (Went::No | Went::Before), .. } => {
                *went = Went::Now;
                frames::put_finish(out, id, self.sent, *by);
                Wrote::Units(0)
            }
            End::Resetting { code, went: went @ (Went::No | Went::Before), .. } => {
                *went = Went::Now;
                frames::put_reset(out, id, self.sent, *code);
                Wrote::Units(0)
            }
            _ => Wrote::Nothing,
        }
    }
}
