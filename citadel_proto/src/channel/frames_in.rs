//! What the peer's frames do to channels. A fault changes nothing that matters: it ends the session.

use super::kind::{Kind, MAX_REFUSED, MAX_SERVICE_CHANNELS, SERVICE_LIMIT};
use super::receive::{Bounds, End};
use super::{Channel, ChannelEvent, Channels, Opening};
use crate::frames::{ChannelId, Data, FinishedBy};
use crate::shutdown::Fault;
use bytes::Bytes;

impl Channels {
    /// The entry of a channel that the peer names. None for one that is over and forgotten: such frames are late, not wrong.
    fn named(&mut self, id: ChannelId) -> Result<Option<&mut Channel>, Fault> {
        let was_opened = match id.0 {
            0 => true,
            n if n % 2 == self.own.next % 2 => n < self.own.next,
            n => n < self.peer.next,
        };
        if !was_opened {
            return Err(Fault::UnknownChannel);
        }
        let Some(channel) = self.map.get_mut(&id) else { return Ok(None) };
        channel.opening = Opening::Known;
        Ok(Some(channel))
    }

    /// The peer opened a channel, or says again that it did. When the session is closing, and for a service that the
    /// session has not, nobody will accept it.
    pub(crate) fn on_open(&mut self, id: ChannelId, name: Bytes, is_closing: bool) -> Result<(), Fault> {
        if id.0 > 0 && id.0 % 2 == self.peer.next % 2 && id.0 < self.peer.next {
            return Ok(());
        }
        if id.0 != self.peer.next {
            return Err(Fault::UnknownChannel);
        }
        let kind = Kind::of(&name);
        let has_place = self.has_place(kind)?;
        self.peer.next += 2;
        self.peer.opened += u64::from(kind == Kind::Application);
        self.insert(id, Bytes::copy_from_slice(&name), Opening::Known);
        match (kind, &mut self.services) {
            _ if is_closing => self.refuse(id, 0),
            (Kind::Application, _) => {
                self.incoming.push_back(id);
                self.event(ChannelEvent::Incoming);
            }
            (_, None) => self.refuse(id, 0),
            (_, Some(_)) if !has_place => self.refuse(id, SERVICE_LIMIT),
            (_, Some(services)) => {
                services.push_back(id);
                self.event(ChannelEvent::IncomingService);
            }
        }
        Ok(())
    }

    /// Whether the peer may have another channel of that kind. It was told how many of applications: one more is a fault. Of
    /// services it counts those that it has not forgotten, and this end may not have forgotten others.
    fn has_place(&self, kind: Kind) -> Result<bool, Fault> {
        if kind == Kind::Application {
            return if self.peer.opened < self.peer_told { Ok(true) } else { Err(Fault::ChannelLimit) };
        }
        let (refused, taken) = self.services_of(self.peer.next).fold((0, 0), |(refused, taken), channel| {
            if channel.is_refused { (refused + 1, taken) } else { (refused, taken + 1) }
        });
        if refused < MAX_REFUSED { Ok(taken < MAX_SERVICE_CHANNELS) } else { Err(Fault::ChannelLimit) }
    }

    /// Gives up both halves of a channel that nobody here has.
    pub(super) fn refuse(&mut self, id: ChannelId, code: u32) {
        if let Some(channel) = self.map.get_mut(&id) {
            channel.is_refused = true;
        }
        self.drop_receiver(id, code);
        self.reset(id, code);
        self.drop_sender(id);
    }

    /// A piece of a message.
    pub(crate) fn on_data(&mut self, data: Data) -> Result<(), Fault> {
        let id = data.channel;
        self.named(id)?;
        let Some(channel) = self.map.get_mut(&id) else { return Ok(()) };
        let credit = self.credit.of(channel.kind);
        let max_message = channel.kind.longest(&self.own_limits);
        let bounds = Bounds { max_message, session_left: credit.receive_left() };
        let (units, credited) = channel.receive.on_data(data, &bounds)?;
        credit.received += units;
        credit.credited += credited + channel.receive.pay_ahead(&mut self.budget);
        self.event(ChannelEvent::Readable(id));
        Ok(())
    }

    /// The peer's half ends here.
    pub(crate) fn on_finish(&mut self, id: ChannelId, offset: u64, by: FinishedBy) -> Result<(), Fault> {
        self.on_end(id, offset, End::Finished(by))
    }

    /// The peer gave its half up.
    pub(crate) fn on_reset(&mut self, id: ChannelId, offset: u64, code: u32) -> Result<(), Fault> {
        self.on_end(id, offset, End::Reset(code))
    }

    fn on_end(&mut self, id: ChannelId, offset: u64, end: End) -> Result<(), Fault> {
        self.named(id)?;
        let Some(channel) = self.map.get_mut(&id) else {
            self.departed.on_end(id, offset);
            return Ok(());
        };
        let credit = self.credit.of(channel.kind);
        let skipped = channel.receive.on_end(offset, end, credit.receive_left())?;
        credit.received += skipped;
        credit.credited += skipped;
        self.event(ChannelEvent::Readable(id));
        Ok(())
    }

    /// The peer's reader is gone.
    pub(crate) fn on_stop(&mut self, id: ChannelId, code: u32) -> Result<(), Fault> {
        self.named(id)?;
        let Some(channel) = self.map.get_mut(&id) else { return Ok(()) };
        if self.credit.of(channel.kind).follow(&mut channel.send, |send| send.on_stop(code)) {
            self.event(ChannelEvent::Writable(id));
            self.event(ChannelEvent::Consumed(id));
        }
        Ok(())
    }

    /// The peer has, and its reader took, this much.
    pub(crate) fn on_ack(&mut self, id: ChannelId, received: u64, consumed: u64) -> Result<(), Fault> {
        self.named(id)?;
        let Some(channel) = self.map.get_mut(&id) else { return Ok(()) };
        let credit = self.credit.of(channel.kind);
        if credit.follow(&mut channel.send, |send| send.on_ack(received, consumed))? {
            self.event(ChannelEvent::Writable(id));
            self.event(ChannelEvent::Consumed(id));
            self.forget_if_done(id);
        }
        Ok(())
    }

    /// More credit for one channel.
    pub(crate) fn on_credit(&mut self, id: ChannelId, limit: u64) -> Result<(), Fault> {
        let Some(channel) = self.named(id)? else { return Ok(()) };
        if channel.send.on_credit(limit) {
            self.event(ChannelEvent::Writable(id));
        }
        Ok(())
    }

    /// More credit for all of them.
    pub(crate) fn on_session_credit(&mut self, limit: u64) {
        if limit > self.credit.session.send_limit {
            self.credit.session.send_limit = limit;
            let ids: Vec<ChannelId> = self.map.keys().copied().collect();
            ids.into_iter().for_each(|id| self.event(ChannelEvent::Writable(id)));
        }
    }

    /// More channels.
    pub(crate) fn on_channel_credit(&mut self, count: u64) {
        if count > self.own.limit {
            self.own.limit = count;
            self.event(ChannelEvent::Slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use citadel_crypt::handshake::Limits;
    use citadel_crypt::ratchets::rekey::Side;

    #[test]
    fn fix_0011_cheap_frames_of_the_peer_fill_no_queue_of_events() {
        let limits = Limits { session_credit: 0, channel_credit: 0, ..Limits::default() };
        let mut channels = Channels::new(Side::Responder, limits, limits, 1 << 20, false);
        for id in 1..=16 {
            channels.on_open(ChannelId(2 * id), Bytes::new(), false).unwrap();
        }
        for limit in 1..=10_000 {
            channels.on_session_credit(limit);
            channels.on_channel_credit(limit);
            channels.on_credit(ChannelId(0), limit).unwrap();
        }
        let events = core::iter::from_fn(|| channels.poll_event()).count();
        assert_eq!(events, 17 + 2, "each channel, a slot, an incoming one");
    }
}
