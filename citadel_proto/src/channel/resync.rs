//! A new path: what of the channels is told again, from state (R-SES-5, -6).
//!
//! Everything told here is idempotent at the peer: it ignores an `Open` that it knows, takes the larger of two credits or
//! acknowledgements, and discards what it has.

use super::{Channels, Opening};
use crate::frames::{self, ChannelId};
use bytes::BytesMut;
use std::collections::VecDeque;

/// How much the peer was told on the path in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resync {
    /// All of it: from here on only what changes.
    Done,
    /// Nothing yet.
    Owed,
    /// Everything but the channels from this one on.
    From(ChannelId),
}

/// What was last said of channels that are over and forgotten. The peer ends its half again if that was lost with a path.
#[derive(Default, Debug)]
pub(super) struct Departed {
    last: VecDeque<(ChannelId, (u64, u64))>,
    /// To be said again.
    owed: VecDeque<(ChannelId, LastWord)>,
}

/// The last word on a half of the peer.
#[derive(Clone, Copy, Debug)]
enum LastWord {
    Ack((u64, u64)),
    /// All was received; whether a reader took it is no longer known here. The peer's sender learns that nobody reads.
    Received(u64),
}

/// Channels remembered. More than are ever over within one flight at a path's pace; one more costs its sender an
/// honest "nobody reads" in the place of the acknowledgement, never a wrong one.
const REMEMBERED: usize = 128;

impl Departed {
    pub(super) fn remember(&mut self, id: ChannelId, acknowledged: (u64, u64)) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((id, acknowledged));
    }

    /// The peer ends a half again that is over here.
    pub(super) fn on_end(&mut self, id: ChannelId, offset: u64) {
        let known = self.last.iter().find(|(departed, _)| *departed == id);
        let word =
            known.map_or(LastWord::Received(offset + 1), |(_, acknowledged)| LastWord::Ack(*acknowledged));
        // A correct peer asks once for each channel and path.
        if self.owed.len() < REMEMBERED {
            self.owed.push_back((id, word));
        }
    }

    pub(super) fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }
}

impl Channels {
    /// Another path carries the session: what the peer may not have is owed again.
    pub(crate) fn on_path(&mut self) {
        for channel in self.map.values_mut() {
            self.credit.follow(&mut channel.send, super::SendSide::rewind);
            channel.receive.on_path();
            if channel.opening == Opening::Sent {
                channel.opening = Opening::Owed;
            }
        }
        self.departed.owed.clear();
        self.resync = Resync::Owed;
    }

    /// Writes what is still to be told of the state, as far as it fits below `end` bytes of `out`.
    pub(super) fn write_resync(&mut self, out: &mut BytesMut, end: usize) {
        let from = match self.resync {
            Resync::Done => return,
            Resync::From(id) => id,
            Resync::Owed => {
                if end.saturating_sub(out.len()) < super::transmit::CHANNEL_CONTROL {
                    return;
                }
                self.credit.receive_limit = self.credit.credited + self.credit.window;
                frames::put_session_credit(out, self.credit.receive_limit);
                self.peer_told = self.peer.limit;
                frames::put_channel_credit(out, self.peer_told);
                ChannelId(0)
            }
        };
        let mut done = Vec::new();
        self.resync = Resync::Done;
        for (id, channel) in self.map.range_mut(from..) {
            if end.saturating_sub(out.len()) < super::transmit::CHANNEL_CONTROL {
                self.resync = Resync::From(*id);
                break;
            }
            channel.write_open_and_stop(*id, out);
            let (credit, (received, consumed)) = channel.receive.retell();
            if let Some(limit) = credit {
                frames::put_credit(out, *id, limit);
            }
            frames::put_ack(out, *id, received, consumed);
            done.push(*id);
        }
        done.into_iter().for_each(|id| self.forget_if_done(id));
    }

    /// Says again what was said last of channels that are over.
    pub(super) fn write_departed(&mut self, out: &mut BytesMut, end: usize) {
        while end.saturating_sub(out.len()) >= super::transmit::CHANNEL_CONTROL {
            let Some((id, word)) = self.departed.owed.pop_front() else { return };
            match word {
                LastWord::Ack((received, consumed)) => frames::put_ack(out, id, received, consumed),
                LastWord::Received(received) => {
                    frames::put_stop(out, id, 0);
                    frames::put_ack(out, id, received, 0);
                }
            }
        }
    }
}
