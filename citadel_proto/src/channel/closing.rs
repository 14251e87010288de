//! What the end of a session does to channels, and waits for.

use super::kind::Kind;
use super::send::End;
use super::{Channel, ChannelEvent, Channels};
use crate::frames::{ChannelId, FinishedBy};
use crate::shutdown::Unconfirmed;
use std::collections::VecDeque;

impl Channels {
    /// The session closes: every own half ends behind what was accepted, but those of lanes, which carry what others still have
    /// to say (R-SHUT-2). A lane that nobody accepted is given up.
    pub(crate) fn finish_all_but_lanes(&mut self) {
        for channel in self.map.values_mut().filter(|channel| channel.kind != Kind::Lane) {
            channel.send.finish(FinishedBy::Closing);
        }
        let Some(services) = &mut self.services else { return };
        let waiting = core::mem::take(services);
        let (lanes, others): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|id| self.map.get(id).is_some_and(Channel::is_lane));
        *services = others;
        lanes.into_iter().for_each(|id| self.refuse(id, 0));
    }

    /// Lanes have had their time: they end as the others did. Senders that wait are told.
    pub(crate) fn finish_lanes(&mut self) {
        let mut ended = Vec::new();
        for (id, channel) in &mut self.map {
            if channel.is_lane() && channel.send.end() == End::Open {
                channel.send.finish(FinishedBy::Closing);
                ended.push(*id);
            }
        }
        ended.into_iter().for_each(|id| self.event(ChannelEvent::Writable(id)));
    }

    /// Whether a channel is a relay lane.
    pub(crate) fn is_lane(&self, id: ChannelId) -> bool {
        self.map.get(&id).is_some_and(Channel::is_lane)
    }

    /// Whether every own half ended and the peer's session has all of it.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.map.values().all(|channel| channel.send.is_done())
    }

    /// Whether every half of the peer ended.
    pub(crate) fn is_peer_finished(&self) -> bool {
        !self.map.values().any(|channel| channel.receive.is_open())
    }

    /// What the peer's session did not acknowledge, by channel.
    pub(crate) fn unconfirmed(&self) -> Vec<Unconfirmed> {
        let of = |(id, channel): (&ChannelId, &Channel)| {
            let messages = channel.send.unconfirmed();
            (messages > 0).then_some(Unconfirmed { channel: id.0, messages })
        };
        self.map.iter().filter_map(of).collect()
    }

    /// The session is over: what waits to be sent goes, what was received stays for its readers.
    pub(crate) fn release(&mut self) {
        for channel in self.map.values_mut() {
            channel.send.release();
        }
    }
}

impl Channel {
    fn is_lane(&self) -> bool {
        self.kind == Kind::Lane
    }
}
