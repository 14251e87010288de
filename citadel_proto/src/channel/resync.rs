//! A new path: what of the channels is told again, from state (R-SES-5, -6).
//!
//! Everything told here is idempotent at the peer: it ignores an `Open` that it knows, takes the larger of two credits or
//! acknowledgements, and discards what it has.

use super::{Channels, MAX_SERVICE_CHANNELS, Opening};
use crate::frames::{self, ChannelId};
use bytes::BytesMut;
use citadel_crypt::handshake::Limits;
use std::collections::{BTreeMap, VecDeque};

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
#[derive(Debug)]
pub(super) struct Departed {
    last: VecDeque<(ChannelId, LastWord)>,
    /// To be said again.
    owed: BTreeMap<ChannelId, LastWord>,
    /// No correct peer has more halves to end than it may have channels, and those that were over within a flight.
    most_owed: usize,
}

/// The last word on a half of the peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastWord {
    pub(super) received: u64,
    pub(super) consumed: u64,
    /// The reader left and did not take all, with this code.
    pub(super) stop: Option<u32>,
}

/// Channels remembered. More than are ever over within one flight at a path's pace; one more costs its sender an
/// honest "nobody reads" in the place of the acknowledgement, never a wrong one.
const REMEMBERED: usize = 128;

impl Departed {
    pub(super) fn new(own: &Limits, peer: &Limits) -> Self {
        let channels = u64::from(own.max_channels) + u64::from(peer.max_channels);
        let services = 2 * MAX_SERVICE_CHANNELS + REMEMBERED;
        let most_owed = usize::try_from(channels).unwrap_or(usize::MAX).saturating_add(services);
        Self { last: VecDeque::new(), owed: BTreeMap::new(), most_owed }
    }

    pub(super) fn remember(&mut self, id: ChannelId, word: LastWord) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((id, word));
    }

    /// The peer ends a half again that is over here.
    pub(super) fn on_end(&mut self, id: ChannelId, offset: u64) {
        let known = self.last.iter().find(|(departed, _)| *departed == id);
        // It is over, so all was received; whether a reader took it is not known any more.
        let forgotten = LastWord { received: offset + 1, consumed: 0, stop: Some(0) };
        let word = known.map_or(forgotten, |(_, word)| *word);
        if self.owed.len() < self.most_owed {
            self.owed.insert(id, word);
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
            self.credit.of(channel.kind).follow(&mut channel.send, super::SendSide::rewind);
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
                frames::put_session_credit(out, self.credit.session.tell());
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
            let Some((id, word)) = self.departed.owed.pop_first() else { return };
            if let Some(code) = word.stop {
                frames::put_stop(out, id, code);
            }
            frames::put_ack(out, id, word.received, word.consumed);
        }
    }
}
