//! What is sent next, sealed at the last moment: rekey messages, control, then messages of channels.

use super::SessionMachine;
use super::keys::Keys;
use super::policy::AckDelay;
use crate::channel::{CHANNEL_CONTROL, Filled};
use crate::frames;
use crate::record::MAX_PAYLOAD;
use crate::shutdown::Stage;
use bytes::BytesMut;
use citadel_crypt::Timestamp;

/// What a record came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrote {
    /// There was nothing to send.
    Nothing,
    /// It has all that there was.
    All,
    /// Another may be needed.
    WithMore,
}

impl SessionMachine {
    /// Appends sealed records to `out` until it holds at least `fill` bytes or nothing is left to send; says whether it
    /// appended any. A record is at most [`MAX_RECORD`](crate::record::MAX_RECORD) long.
    pub fn poll_transmit(&mut self, now: Timestamp, out: &mut BytesMut, fill: usize) -> bool {
        self.now = self.now.max(now);
        let before = out.len();
        loop {
            let start = out.len();
            while out.len() < fill && self.write_record(out) == Wrote::WithMore {}
            if out.len() == start {
                break;
            }
            self.settle();
            // The records may have made a round due, which begins with a message.
            if !self.keys.as_ref().is_some_and(Keys::owes) {
                break;
            }
        }
        out.len() > before
    }

    fn write_record(&mut self, out: &mut BytesMut) -> Wrote {
        if self.plan.stage() >= Stage::Releasing || self.announcement.is_over() || !self.link.is_attached() {
            return Wrote::Nothing;
        }
        let now = self.now;
        let Some(keys) = &mut self.keys else { return Wrote::Nothing };
        let start = Keys::begin_record(out);
        let first = out.len();
        let end = first + MAX_PAYLOAD;
        if keys.owes() {
            keys.write_owed(out);
        }
        if let Some(number) = self.liveness.take_pong() {
            frames::put_pong(out, number);
        }
        if let Some(number) = self.liveness.take_ping(now) {
            frames::put_ping(out, number);
        }
        let is_closing = self.announcement.is_closing_owed() || self.announcement.is_close_owed();
        let with_acks = is_closing || self.ack.is_over(now);
        self.channels.write_control(out, end, with_acks);
        // The peer takes no channel that it hears of later, and those that are owed were opened before the close.
        if !self.channels.owes_open()
            && let Some(reason) = self.announcement.take_closing()
        {
            frames::put_closing(out, &reason, self.instance);
        }
        let (mut data, mut has_datagrams) = (Filled::Nothing, false);
        if let Some(reason) = self.announcement.take_close() {
            frames::put_close(out, &reason, self.instance);
        } else {
            // A share of the record before messages, and what these leave of it: neither waits for the other to be done.
            has_datagrams = self.datagrams.write_share(out, end);
            // What a close ends is not told to be ended before the close itself is told.
            if self.link.carries_items() && !self.announcement.is_closing_owed() {
                data = self.channels.write_data(out, end);
            }
            has_datagrams |= self.datagrams.write(out, end);
        }
        if data.is_any() || has_datagrams {
            self.clock.on_record(out.len() - first);
            self.liveness.on_message(now);
            // They travel with the data if there is room.
            self.channels.write_control(out, end, true);
        }
        if !self.channels.has_unannounced() {
            self.ack = AckDelay::None;
        }
        if out.len() == first {
            out.truncate(start);
            return Wrote::Nothing;
        }
        let has_more = matches!(data, Filled::Full { .. }) || self.datagrams.has_for_record();
        let is_full = has_more || end.saturating_sub(out.len()) < CHANNEL_CONTROL;
        match self.seal(out, start) {
            false => Wrote::Nothing,
            // What a close owes follows in an order of its own.
            true if is_full || self.plan.stage() != Stage::Running => Wrote::WithMore,
            true => Wrote::All,
        }
    }

    fn seal(&mut self, out: &mut BytesMut, start: usize) -> bool {
        let Some(keys) = &mut self.keys else { return false };
        match keys.seal_record(out, start) {
            Ok(()) => {
                self.stats.records_sent += 1;
                self.stats.bytes_sent += (out.len() - start) as u64;
                true
            }
            Err(fault) => {
                self.fatal(fault);
                self.settle();
                false
            }
        }
    }
}
