//! Room that is kept for a message before the message is there.

use super::kind::Kind;
use super::{ChannelEvent, Channels};
use crate::errors::SendError;
use crate::frames::ChannelId;
use bytes::Bytes;

/// Room for one message. Whoever has it sends or gives it back: until then the session's credit for it is no one else's.
#[derive(Debug)]
pub struct Reservation {
    channel: ChannelId,
    /// Longest message that has room.
    max_len: u64,
    /// Units of the session's credit that are kept.
    units: u64,
    /// Whose.
    kind: Kind,
}

impl Reservation {
    /// Longest message that has room, bytes.
    pub const fn max_len(&self) -> u64 {
        self.max_len
    }

    /// The channel that it is on.
    pub(crate) const fn channel(&self) -> ChannelId {
        self.channel
    }
}

impl Channels {
    /// Keeps room for a message of at most `len` bytes; none if there is none now.
    pub(crate) fn reserve(&mut self, id: ChannelId, len: u64) -> Result<Option<Reservation>, SendError> {
        let Some(channel) = self.map.get(&id) else { return Err(SendError::Finished) };
        let kind = channel.kind;
        let (limit, credit) = (kind.longest(&self.peer_limits), self.credit.of(kind));
        channel.send.check_open()?;
        if len > limit {
            return Err(SendError::TooLong { len: usize::try_from(len).unwrap_or(usize::MAX), limit });
        }
        // A shorter message than the one asked for may need credit for all of it where the longer one does not.
        let units = channel.send.most_needed(len);
        if !channel.send.has_units(units, credit.send_left(), self.send_buffer) {
            return Ok(None);
        }
        credit.promised += units;
        Ok(Some(Reservation { channel: id, max_len: len, units, kind }))
    }

    /// Accepts `body` into the room that was kept for it.
    pub(crate) fn send_reserved(&mut self, room: Reservation, body: Bytes) -> Result<(), SendError> {
        let (id, max_len) = (room.channel, room.max_len);
        if body.len() as u64 > max_len {
            let len = body.len();
            self.unreserve(room);
            return Err(SendError::TooLong { len, limit: max_len });
        }
        let credit = self.credit.of(room.kind);
        credit.promised = credit.promised.saturating_sub(room.units);
        let Some(channel) = self.map.get_mut(&id) else { return Err(SendError::Finished) };
        channel.send.check_open()?;
        credit.follow(&mut channel.send, |send| send.accept(body));
        Ok(())
    }

    /// Gives room back: others may find it.
    pub(crate) fn unreserve(&mut self, room: Reservation) {
        let credit = self.credit.of(room.kind);
        credit.promised = credit.promised.saturating_sub(room.units);
        let ids: Vec<ChannelId> = self.map.keys().copied().collect();
        ids.into_iter().for_each(|id| self.event(ChannelEvent::Writable(id)));
    }
}
