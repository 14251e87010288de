//! Room for messages that are yet to come.

use super::SessionMachine;
use crate::channel::Reservation;
use crate::errors::SendError;
use crate::frames::ChannelId;
use crate::shutdown::Stage;
use bytes::Bytes;

impl SessionMachine {
    /// Keeps room for a message of at most `len` bytes on a channel; none if there is none now.
    ///
    /// # Errors
    /// [`SendError`], when there never will be.
    pub fn reserve(&mut self, id: ChannelId, len: u64) -> Result<Option<Reservation>, SendError> {
        self.refuse_message_if_closing(id)?;
        self.channels.reserve(id, len)
    }

    /// Accepts a message into the room that was kept for it; from then on it can no longer fail but by the end of the session.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session began to close meanwhile, [`SendError::Stopped`] if the peer's reader went,
    /// [`SendError::TooLong`] for a message that is longer than the room.
    pub fn send_reserved(&mut self, room: Reservation, message: Bytes) -> Result<(), SendError> {
        if let Err(error) = self.refuse_message_if_closing(room.channel()) {
            self.unreserve(room);
            return Err(error);
        }
        self.channels.send_reserved(room, message)
    }

    /// Gives room back. After the end there is nobody left to have it.
    pub fn unreserve(&mut self, room: Reservation) {
        if self.plan.stage() < Stage::Releasing {
            self.channels.unreserve(room);
        }
    }
}
