//! The sending half: what was accepted and is not acknowledged, and how far it went.
//!
//! ```text
//! Open ─ finish ─▶ Finishing ─ received past the end ─▶ done
//!   └─── reset, the peer's stop ─▶ Resetting ─ received past the end ─▶ done
//! ```

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
#[derive(Debug)]
pub(super) struct SendSide {
    /// Accepted and not acknowledged, in order.
    items: VecDeque<Item>,
    /// How many of `items` are in records entirely.
    in_records: usize,
    /// Offset after the last accepted message.
    next: u64,
    /// Everything below is in records.
    sent: u64,
    /// Everything below was received by the peer's session. The end counts one unit.
    received: u64,
    /// Everything below was taken by the peer's reader.
    consumed: u64,
    /// The peer's credit.
    limit: u64,
    end: End,
}

#[derive(Debug)]
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
    Finishing { by: FinishedBy, is_sent: bool },
    Resetting { code: u32, stopped: bool, is_sent: bool },
}

impl SendSide {
    pub(super) fn new(limit: u64) -> Self {
        let items = VecDeque::new();
        Self { items, in_records: 0, next: 0, sent: 0, received: 0, consumed: 0, limit, end: End::Open }
    }

    pub(super) const fn end(&self) -> End {
        self.end
    }

    /// Whether a message may be accepted now: the credit is not used up, and no more than `buffer` units wait here for
    /// their acknowledgement.
    pub(super) const fn has_room(&self, buffer: u64) -> bool {
        self.next < self.limit && self.next.saturating_sub(self.received) < buffer
    }

    /// Accepts a message: from here on it has its place in the order.
    pub(super) fn accept(&mut self, body: Bytes) {
        let item = Item { start: self.next, body };
        self.next = item.end();
        self.items.push_back(item);
    }

    /// Half-closes after what was accepted; nothing if the half ended before.
    pub(super) fn finish(&mut self, by: FinishedBy) {
        if self.end == End::Open {
            self.end = End::Finishing { by, is_sent: false };
        }
    }

    /// Gives up what is not in records. True if that ended an open or finishing half.
    pub(super) fn reset(&mut self, code: u32, stopped: bool) -> bool {
        let over = match self.end {
            End::Open => false,
            End::Finishing { is_sent, .. } => is_sent,
            End::Resetting { .. } => true,
        };
        if !over {
            self.items.clear();
            self.in_records = 0;
            self.next = self.sent;
            self.end = End::Resetting { code, stopped, is_sent: false };
        }
        !over
    }

    /// Whether the end was acknowledged: nothing of this half is open.
    pub(super) const fn is_done(&self) -> bool {
        self.is_end_sent() && self.received > self.next
    }

    const fn is_end_sent(&self) -> bool {
        matches!(self.end, End::Finishing { is_sent: true, .. } | End::Resetting { is_sent: true, .. })
    }

    /// Whether the peer's reader has taken every message that was accepted.
    pub(super) const fn is_consumed(&self) -> bool {
        self.consumed >= self.next
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
        if received > self.sent + u64::from(self.is_end_sent()) || consumed > received {
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
        Ok(news)
    }

    /// Writes the next frame if it fits `space` bytes and both credits. `comfortable` is half the smaller window of the
    /// peer: a message within it waits for credit for all of it, a longer one goes as credit comes.
    pub(super) fn write(
        &mut self,
        id: ChannelId,
        out: &mut BytesMut,
        space: usize,
        session_left: u64,
        comfortable: u64,
    ) -> Wrote {
        let Some(item) = self.items.get(self.in_records) else { return self.write_end(id, out, space) };
        let left = self.limit.saturating_sub(self.sent).min(session_left);
        let len = item.body.len();
        let done = usize::try_from(self.sent.saturating_sub(item.start + MESSAGE_UNITS)).unwrap_or(len);
        let is_start = self.sent == item.start;
        let room = space.saturating_sub(MAX_DATA_HEADER);
        let payable = if is_start { left.checked_sub(MESSAGE_UNITS) } else { Some(left) };
        let Some(payable) = payable else { return Wrote::Nothing };
        let payable = usize::try_from(payable).unwrap_or(usize::MAX);
        let rest = len - done;
        if is_start && len <= WHOLE_MAX && MESSAGE_UNITS + len as u64 <= comfortable {
            if payable < len {
                return Wrote::Nothing;
            }
            if room < len {
                return Wrote::RecordFull;
            }
        }
        if space < MAX_DATA_HEADER || room < rest.min(MIN_PIECE) {
            return Wrote::RecordFull;
        }
        let take = rest.min(payable).min(room);
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
        self.sent += units;
        self.in_records += usize::from(take == rest);
        Wrote::Units(units)
    }

    fn write_end(&mut self, id: ChannelId, out: &mut BytesMut, space: usize) -> Wrote {
        if space < MAX_DATA_HEADER {
            return Wrote::RecordFull;
        }
        match &mut self.end {
            End::Finishing { by, is_sent: is_sent @ false } => {
                *is_sent = true;
                frames::put_finish(out, id, self.sent, *by);
                Wrote::Units(0)
            }
            End::Resetting { code, is_sent: is_sent @ false, .. } => {
                *is_sent = true;
                frames::put_reset(out, id, self.sent, *code);
                Wrote::Units(0)
            }
            _ => Wrote::Nothing,
        }
    }
}
