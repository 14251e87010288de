//! What channels owe the peer, written into records: control first, then data, in turn.

use super::resync::Resync;
use super::send::Wrote;
use super::{Channel, Channels, Opening};
use crate::frames::{self, ChannelId, MAX_NAME};
use bytes::BytesMut;

/// What [`Channels::write_data`] came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filled {
    /// There is no data that may go.
    Nothing,
    /// All of it that may go.
    All,
    /// What fits; there is more.
    Full {
        /// Some did.
        any: bool,
    },
}

impl Filled {
    pub(crate) const fn is_any(self) -> bool {
        matches!(self, Self::All | Self::Full { any: true })
    }
}

/// Room that the control frames of one channel may take.
pub(crate) const CHANNEL_CONTROL: usize =
    (1 + 8 + 2 + MAX_NAME) + (1 + 8 + 8) + (1 + 8 + 8 + 8) + (1 + 8 + 8);

impl Channels {
    /// Writes opens, stops, credit and, if `with_acks`, acknowledgements, as far as they fit below `end` bytes of `out`.
    pub(crate) fn write_control(&mut self, out: &mut BytesMut, end: usize, with_acks: bool) {
        if self.resync != Resync::Done {
            self.write_resync(out, end);
        }
        self.write_session_control(out, end);
        self.write_departed(out, end);
        let mut done = Vec::new();
        for (id, channel) in &mut self.map {
            if end.saturating_sub(out.len()) < CHANNEL_CONTROL {
                break;
            }
            if channel.write_open_and_stop(*id, out) {
                done.push(*id);
            }
            if let Some(limit) = channel.receive.credit_to_send() {
                frames::put_credit(out, *id, limit);
            }
            if (with_acks || channel.receive.is_ack_due())
                && let Some((received, consumed)) = channel.receive.ack_to_send()
            {
                frames::put_ack(out, *id, received, consumed);
                done.push(*id);
            }
        }
        done.into_iter().for_each(|id| self.forget_if_done(id));
    }

    fn write_session_control(&mut self, out: &mut BytesMut, end: usize) {
        if end.saturating_sub(out.len()) < CHANNEL_CONTROL {
            return;
        }
        if self.credit.session.is_due() {
            frames::put_session_credit(out, self.credit.session.tell());
        }
        if self.peer.limit > self.peer_told {
            self.peer_told = self.peer.limit;
            frames::put_channel_credit(out, self.peer_told);
        }
    }

    /// Whether credit or an acknowledgement is owed at once.
    pub(crate) fn is_control_due(&self) -> bool {
        self.credit.session.is_due()
            || self.resync != Resync::Done
            || self.departed.is_owed()
            || self
                .map
                .values()
                .any(|channel| channel.receive.is_ack_due() || channel.receive.is_credit_due())
    }

    /// Whether the peer is still to hear of a channel.
    pub(crate) fn owes_open(&self) -> bool {
        self.map.values().any(|channel| channel.opening == Opening::Owed)
    }

    /// Whether something was received or consumed that no acknowledgement has told.
    pub(crate) fn has_unannounced(&self) -> bool {
        self.map.values().any(|channel| channel.receive.unannounced() > 0)
    }

    /// Writes messages and ends of channels, one channel after the other, as far as they fit below `end` bytes of `out`.
    pub(crate) fn write_data(&mut self, out: &mut BytesMut, end: usize) -> Filled {
        let start = out.len();
        let mut id = self.cursor;
        for _ in 0..self.map.len() {
            let after = (core::ops::Bound::Excluded(id), core::ops::Bound::Unbounded);
            let next = self.map.range(after).next().or_else(|| self.map.first_key_value());
            let Some((next, _)) = next else { break };
            id = *next;
            let Some(channel) = self.map.get_mut(&id).filter(|channel| channel.opening != Opening::Owed)
            else {
                continue;
            };
            let credit = self.credit.of(channel.kind);
            loop {
                let space = end.saturating_sub(out.len());
                let session_left = credit.send_limit.saturating_sub(credit.sent);
                let before = channel.send.promised();
                let promised = credit.promised - before;
                match channel.send.write(id, out, space, session_left, promised) {
                    Wrote::Units(units) => {
                        credit.sent += units;
                        credit.promised = promised + channel.send.promised();
                        self.cursor = id;
                    }
                    Wrote::RecordFull => return Filled::Full { any: out.len() > start },
                    Wrote::Nothing => break,
                }
            }
        }
        if out.len() > start { Filled::All } else { Filled::Nothing }
    }
}

impl Channel {
    /// Writes the `Open` and the `Stop` that are owed. True for a `Stop`: it may have been all that held the entry.
    pub(super) fn write_open_and_stop(&mut self, id: ChannelId, out: &mut BytesMut) -> bool {
        if self.opening == Opening::Owed {
            self.opening = Opening::Sent;
            frames::put_open(out, id, &self.name);
        }
        let stop = self.receive.stop_to_send();
        if let Some(code) = stop {
            frames::put_stop(out, id, code);
        }
        stop.is_some()
    }
}
