//! The receiving half: whole messages for the reader, and the credit that the reader's hand gives.
//!
//! ```text
//! Open ─ finish ─▶ Finished ─ reader took all ─▶ done
//!   └──── reset ─▶ Reset ─── reader was told ──▶ done
//! ```
//! Two facts are kept apart (R-SES-4): *received* frees the sender's memory, *consumed* moves credit. A message longer than half
//! the window could never be completed by credit for what was consumed; such a one is paid for in advance, as it comes, once its
//! reader waits for it and the session's budget for that has room for all of it.

use super::resync::LastWord;
use crate::frames::{Data, FinishedBy, MESSAGE_UNITS, Part};
use crate::shutdown::Fault;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// The receiving half of a channel.
pub(super) struct ReceiveSide {
    /// Everything below was received. The end counts one unit.
    next: u64,
    /// Everything below was taken by the reader.
    consumed: u64,
    /// Units given back to the sender's credit.
    credited: u64,
    /// The credit that the sender was told.
    limit: u64,
    window: u64,
    queue: VecDeque<Message>,
    partial: Option<Partial>,
    end: End,
    reader: Reader,
    /// What the last acknowledgement said.
    acked: (u64, u64),
}

/// A whole message and what of it was paid for in advance.
struct Message {
    body: Bytes,
    units: u64,
    paid: Paid,
}

/// Units given back before the reader took them.
#[derive(Clone, Copy, Default, Debug)]
struct Paid {
    channel: u64,
    session: u64,
}

struct Partial {
    body: BytesMut,
    /// Length of the whole message.
    total: u64,
    /// Bytes that came.
    have: u64,
    paid: Paid,
    /// Whether the budget holds room for all of it.
    is_reserved: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Open,
    Finished(FinishedBy),
    Reset(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    /// Has not asked since the last message.
    Away,
    /// Asked and found nothing.
    Waiting,
    /// Will never ask: what comes is thrown away and paid for at once. A `Stop` with this code says so.
    Gone { code: u32, is_stop_sent: bool },
}

/// What a reader gets. `Debug` tells the length of a message, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub enum Taken {
    /// A message.
    Message(Bytes),
    /// Nothing yet.
    Pending,
    /// The peer's application finished the channel.
    Finished,
    /// The peer's session closed before its application finished the channel.
    Cut,
    /// The peer reset the channel.
    Reset(u32),
}

impl core::fmt::Debug for Taken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Message(message) => write!(f, "Message({} bytes)", message.len()),
            Self::Pending => f.write_str("Pending"),
            Self::Finished => f.write_str("Finished"),
            Self::Cut => f.write_str("Cut"),
            Self::Reset(code) => write!(f, "Reset({code})"),
        }
    }
}

/// Limits that a piece is checked against.
pub(super) struct Bounds {
    /// Longest message.
    pub(super) max_message: u64,
    /// Units that the session may still receive.
    pub(super) session_left: u64,
}

/// Budget of a session for messages that are paid for in advance.
pub(super) struct Reassembly {
    left: u64,
}

impl Reassembly {
    pub(super) const fn new(budget: u64) -> Self {
        Self { left: budget }
    }
}

impl ReceiveSide {
    pub(super) fn new(window: u64) -> Self {
        Self {
            next: 0,
            consumed: 0,
            credited: 0,
            limit: window,
            window,
            queue: VecDeque::new(),
            partial: None,
            end: End::Open,
            reader: Reader::Away,
            acked: (0, 0),
        }
    }

    /// Whether the sender may still send.
    pub(super) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Whether a whole message waits for the reader.
    pub(super) fn has_message(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether nothing of this half is open: its end was told, and acknowledged.
    pub(super) fn is_done(&self) -> bool {
        let is_taken =
            self.consumed == self.next || matches!(self.reader, Reader::Gone { is_stop_sent: true, .. });
        !self.is_open() && is_taken && self.acked == (self.next, self.consumed)
    }

    /// A piece of a message. Returns the units that it took and those given back to the session at once.
    pub(super) fn on_data(&mut self, data: Data, bounds: &Bounds) -> Result<(u64, u64), Fault> {
        let Data { mut offset, mut part, mut payload, .. } = data;
        let mut units = part.units(payload.len() as u64);
        if offset + units <= self.next {
            return Ok((0, 0));
        }
        if offset < self.next {
            // Another path cuts a message elsewhere than the one before: what is here of the piece is skipped.
            (part, payload) = rest_of(part, payload, self.next - offset).ok_or(Fault::ChannelOrder)?;
            (offset, units) = (self.next, payload.len() as u64);
        }
        let len = payload.len() as u64;
        if offset != self.next || !self.is_open() {
            return Err(Fault::ChannelOrder);
        }
        if units > self.limit.saturating_sub(self.next) || units > bounds.session_left {
            return Err(Fault::FlowControl);
        }
        self.check_part(part, len, bounds.max_message)?;
        self.next += units;
        if let Reader::Gone { .. } = self.reader {
            self.note_discarded(part, len);
            return Ok((units, self.discard(units)));
        }
        match part {
            Part::Whole => self.push(Bytes::copy_from_slice(&payload), units, Paid::default()),
            Part::First { total } => {
                let body = BytesMut::from(&payload[..]);
                self.partial =
                    Some(Partial { body, total, have: len, paid: Paid::default(), is_reserved: false });
            }
            Part::Middle | Part::Last => {
                if let Some(partial) = &mut self.partial {
                    partial.body.extend_from_slice(&payload);
                    partial.have += len;
                }
            }
        }
        if part == Part::Last
            && let Some(Partial { body, total, paid, .. }) = self.partial.take()
        {
            self.push(body.freeze(), MESSAGE_UNITS + total, paid);
        }
        Ok((units, 0))
    }

    fn check_part(&self, part: Part, len: u64, max: u64) -> Result<(), Fault> {
        let total = match (part, &self.partial) {
            (Part::Whole, None) => len,
            (Part::First { total }, None) if total > len => total,
            (Part::Middle, Some(partial)) if len < partial.total - partial.have => partial.total,
            (Part::Last, Some(partial)) if len == partial.total - partial.have => partial.total,
            _ => return Err(Fault::ChannelOrder),
        };
        if total > max { Err(Fault::MessageTooLong) } else { Ok(()) }
    }

    /// Follows the pieces of a message that is thrown away.
    fn note_discarded(&mut self, part: Part, len: u64) {
        match (part, &mut self.partial) {
            (Part::First { total }, _) => {
                let body = BytesMut::new();
                self.partial =
                    Some(Partial { body, total, have: len, paid: Paid::default(), is_reserved: false });
            }
            (Part::Middle, Some(partial)) => partial.have += len,
            (Part::Last, _) => self.partial = None,
            _ => {}
        }
    }

    /// Units that no reader will take: paid for, never consumed.
    const fn discard(&mut self, units: u64) -> u64 {
        self.credited += units;
        units
    }

    fn push(&mut self, body: Bytes, units: u64, paid: Paid) {
        self.queue.push_back(Message { body, units, paid });
    }

    /// The sender's end. Two of them, or one elsewhere than where the data ends, break the order; but a reset after the
    /// loss of a path may leave out what was lost with it. Returns those units, which no reader will take.
    pub(super) fn on_end(&mut self, offset: u64, end: End, session_left: u64) -> Result<u64, Fault> {
        if !self.is_open() {
            return if offset + 1 == self.next { Ok(0) } else { Err(Fault::ChannelOrder) };
        }
        let skipped = offset.checked_sub(self.next).ok_or(Fault::ChannelOrder)?;
        let is_finish = matches!(end, End::Finished(_));
        if is_finish && (skipped > 0 || self.partial.is_some()) {
            return Err(Fault::ChannelOrder);
        }
        if skipped > self.limit.saturating_sub(self.next) || skipped > session_left {
            return Err(Fault::FlowControl);
        }
        self.next = offset + 1;
        self.credited += skipped;
        self.end = end;
        Ok(skipped)
    }

    /// What the reader gets now, and the units given back to the session. `budget` gets back what a long message held.
    pub(super) fn take(&mut self, budget: &mut Reassembly) -> (Taken, u64) {
        if let Some(Message { body, units, paid }) = self.queue.pop_front() {
            if self.reader == Reader::Waiting {
                self.reader = Reader::Away;
            }
            if self.queue.is_empty() {
                self.queue.shrink_to(0);
            }
            self.consumed += units;
            self.credited += units - paid.channel;
            // Only a reserved message is paid for on the channel's account.
            if paid.channel > 0 {
                budget.left += units;
            }
            return (Taken::Message(body), units - paid.session);
        }
        let taken = match self.end {
            End::Open => {
                if self.reader == Reader::Away {
                    self.reader = Reader::Waiting;
                }
                Taken::Pending
            }
            End::Finished(by) => {
                self.consumed = self.next;
                match by {
                    FinishedBy::Application => Taken::Finished,
                    FinishedBy::Closing => Taken::Cut,
                }
            }
            End::Reset(code) => {
                self.consumed = self.next;
                Taken::Reset(code)
            }
        };
        (taken, self.drop_cut_partial(budget))
    }

    /// A message that its sender will never complete holds neither memory nor budget. Returns what is given back.
    fn drop_cut_partial(&mut self, budget: &mut Reassembly) -> u64 {
        if self.is_open() {
            return 0;
        }
        let Some(partial) = self.partial.take() else { return 0 };
        if partial.is_reserved {
            budget.left += MESSAGE_UNITS + partial.total;
        }
        MESSAGE_UNITS + partial.have - partial.paid.session
    }

    /// Pays in advance for a message in pieces that its reader waits for. Returns the units given back to the session.
    pub(super) fn pay_ahead(&mut self, budget: &mut Reassembly) -> u64 {
        let (Reader::Waiting, true, Some(partial)) = (self.reader, self.queue.is_empty(), &mut self.partial)
        else {
            return 0;
        };
        let whole = MESSAGE_UNITS + partial.total;
        if !partial.is_reserved && whole > self.window / 2 && whole <= budget.left {
            budget.left -= whole;
            partial.is_reserved = true;
        }
        let have = MESSAGE_UNITS + partial.have;
        if partial.is_reserved {
            self.credited += have - partial.paid.channel;
            partial.paid.channel = have;
        }
        let session = have - partial.paid.session;
        partial.paid.session = have;
        session
    }

    /// The reader is gone. Returns the units given back to the session.
    pub(super) fn leave(&mut self, code: u32, budget: &mut Reassembly) -> u64 {
        if let Reader::Gone { .. } = self.reader {
            return 0;
        }
        let consumed = self.consumed;
        let mut session = 0;
        loop {
            let (taken, units) = self.take(budget);
            session += units;
            if !matches!(taken, Taken::Message(_)) {
                break;
            }
        }
        if let Some(partial) = &mut self.partial {
            if partial.is_reserved {
                budget.left += MESSAGE_UNITS + partial.total;
                partial.is_reserved = false;
            }
            let have = MESSAGE_UNITS + partial.have;
            self.credited += have - partial.paid.channel;
            session += have - partial.paid.session;
            partial.paid = Paid { channel: have, session: have };
            partial.body = BytesMut::new();
        }
        self.consumed = consumed;
        self.reader = Reader::Gone { code, is_stop_sent: !self.is_stop_needed() };
        session
    }

    /// Whether a sender may wait for a reader that is gone: it sends, or it finished and not all of it was taken.
    fn is_stop_needed(&self) -> bool {
        match self.end {
            End::Open => true,
            End::Finished(_) => self.consumed + 1 < self.next,
            End::Reset(_) => false,
        }
    }

    /// The `Stop` that is owed, once.
    pub(super) fn stop_to_send(&mut self) -> Option<u32> {
        match &mut self.reader {
            Reader::Gone { code, is_stop_sent: is_sent @ false } => {
                *is_sent = true;
                Some(*code)
            }
            _ => None,
        }
    }

    /// Whether the sender may be told of so much more credit that it is worth a frame.
    pub(super) fn is_credit_due(&self) -> bool {
        let more = self.credited + self.window - self.limit;
        self.is_open() && more >= (self.window / 4).max(1)
    }

    /// The credit to tell the sender, if it is worth telling.
    pub(super) fn credit_to_send(&mut self) -> Option<u64> {
        if !self.is_credit_due() {
            return None;
        }
        self.limit = self.credited + self.window;
        Some(self.limit)
    }

    /// Another path: the peer may have missed the `Stop`, and what credit and acknowledgement said.
    pub(super) fn on_path(&mut self) {
        let is_stop_needed = self.is_stop_needed();
        if let Reader::Gone { is_stop_sent, .. } = &mut self.reader {
            *is_stop_sent = !is_stop_needed;
        }
    }

    /// Credit and acknowledgement as they are, whether or not they were told before.
    pub(super) fn retell(&mut self) -> (Option<u64>, (u64, u64)) {
        self.limit = self.credited + self.window;
        self.acked = (self.next, self.consumed);
        (self.is_open().then_some(self.limit), self.acked)
    }

    /// What there is to say of a half that is over.
    pub(super) fn last_word(&self) -> LastWord {
        let stop = match self.reader {
            Reader::Gone { code, .. } if self.is_stop_needed() => Some(code),
            _ => None,
        };
        LastWord { received: self.next, consumed: self.consumed, stop }
    }

    /// Units received or consumed that no acknowledgement has told.
    pub(super) const fn unannounced(&self) -> u64 {
        (self.next - self.acked.0) + (self.consumed - self.acked.1)
    }

    /// Whether an acknowledgement is owed at once: of the end, or of much.
    pub(super) fn is_ack_due(&self) -> bool {
        let unannounced = self.unannounced();
        unannounced > 0 && (!self.is_open() || unannounced >= self.window / 4)
    }

    /// The acknowledgement to send, if it says something new.
    pub(super) fn ack_to_send(&mut self) -> Option<(u64, u64)> {
        let now = (self.next, self.consumed);
        if now == self.acked {
            return None;
        }
        self.acked = now;
        Some(now)
    }
}

/// What is left of a piece behind its first `skip` units, as if the message had been cut there. None if that cuts the
/// units that a message takes beside its bytes, which no correct sender does.
fn rest_of(part: Part, mut payload: Bytes, skip: u64) -> Option<(Part, Bytes)> {
    let (head, rest) = match part {
        Part::Whole => (MESSAGE_UNITS, Part::Last),
        Part::First { .. } => (MESSAGE_UNITS, Part::Middle),
        Part::Middle | Part::Last => (0, part),
    };
    let bytes = usize::try_from(skip.checked_sub(head)?).ok()?;
    (bytes < payload.len()).then(|| (rest, payload.split_off(bytes)))
}
