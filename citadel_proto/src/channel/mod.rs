//! The channels of one session: order, flow control, acknowledgement (R-SES-3, -4, -5, -9).
//!
//! Owns: queues of messages on their way out and in, offsets, credit per channel and for the session, channel ids and their limit.
//! Never: records, keys, wakers, clocks; what is due by time is told by the session machine.
//!
//! Units: an offset counts what messages cost a reader, their bytes and 64 more each. A message of `n` bytes at
//! offset `o` ends at `o + 64 + n`; the end of a half (finish, reset) takes one unit that needs no credit.
//!
//! Invariants: `send` accepts only what can no longer fail, into a queue bounded by credit and by the own buffer limit; a peer can
//! fill nothing beyond the credit that it was given; credit, acknowledgements and limits never fall; an entry goes when
//! both halves are done and no handle is left, so ids and memory are bounded by the limits of the handshake; a new path
//! repeats only what is state, and what it repeats changes nothing where it was known.

mod closing;
mod credit;
mod frames_in;
mod kind;
mod receive;
mod reserve;
mod resync;
mod send;
mod transmit;

pub use kind::{LANE_WINDOW, MAX_SERVICE_CHANNELS, RELAY, SERVICE_LIMIT, SERVICE_PREFIX};
pub use receive::Taken;
pub use reserve::Reservation;
pub(crate) use transmit::{CHANNEL_CONTROL, Filled};

use crate::errors::{OpenError, SendError, TrySendError};
use crate::frames::{ChannelId, FinishedBy};
use bytes::Bytes;
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::rekey::Side;
use credit::Credit;
use kind::Kind;
use receive::{Reassembly, ReceiveSide};
use resync::{Departed, Resync};
use send::SendSide;
use std::collections::{BTreeMap, VecDeque};

/// What a waiting handle may want to look at again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChannelEvent {
    /// A reader may find something.
    Readable(ChannelId),
    /// A sender may find room.
    Writable(ChannelId),
    /// The peer's reader took more.
    Consumed(ChannelId),
    /// The peer opened a channel.
    Incoming,
    /// The peer opened a service channel.
    IncomingService,
    /// The peer takes another channel.
    Slot,
}

/// One channel.
struct Channel {
    name: Bytes,
    kind: Kind,
    send: SendSide,
    receive: ReceiveSide,
    opening: Opening,
    /// A handle to the sending half exists, or can still be made.
    has_sender: bool,
    /// The same of the receiving half.
    has_receiver: bool,
    /// Nobody here took it: it was given up as it came, and its opener has not confirmed that.
    is_refused: bool,
}

/// Whether the peer knows of a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opening {
    /// An `Open` is owed; nothing of the channel goes before it.
    Owed,
    /// It went, and nothing shows that it arrived.
    Sent,
    /// The peer opened it, or spoke of it.
    Known,
}

/// Ids of one end's channels, and how many of applications it may open.
struct Ids {
    next: u64,
    /// Of applications, ever.
    opened: u64,
    limit: u64,
}

/// All channels of a session.
pub(crate) struct Channels {
    map: BTreeMap<ChannelId, Channel>,
    own: Ids,
    peer: Ids,
    /// The number of applications' channels that the peer was told it may have opened.
    peer_told: u64,
    /// Opened by the peer and not accepted by the application.
    incoming: VecDeque<ChannelId>,
    /// The same of service channels; none where the session has no services.
    services: Option<VecDeque<ChannelId>>,
    is_zero_taken: bool,
    own_limits: Limits,
    peer_limits: Limits,
    send_buffer: u64,
    credit: Credit,
    budget: Reassembly,
    /// The channel that wrote last: the next one goes first.
    cursor: ChannelId,
    resync: Resync,
    departed: Departed,
    /// Each at most once, however often frames bring it about: a peer fills nothing with cheap frames. Sorted; mostly one
    /// or two, so that a set would only cost an allocation for each.
    events: VecDeque<ChannelEvent>,
}

impl Channels {
    /// Channel 0 alone.
    pub(crate) fn new(
        side: Side,
        own_limits: Limits,
        peer_limits: Limits,
        send_buffer: u64,
        services: bool,
    ) -> Self {
        let (own_first, peer_first) = match side {
            Side::Initiator => (2, 1),
            Side::Responder => (1, 2),
        };
        let ids = |next, limit: u32| Ids { next, opened: 0, limit: limit.into() };
        let zero = ChannelId(0);
        let mut channels = Self {
            map: BTreeMap::new(),
            own: ids(own_first, peer_limits.max_channels),
            peer: ids(peer_first, own_limits.max_channels),
            peer_told: own_limits.max_channels.into(),
            incoming: VecDeque::new(),
            services: services.then(VecDeque::new),
            is_zero_taken: false,
            own_limits,
            peer_limits,
            send_buffer,
            credit: Credit::new(&own_limits, &peer_limits),
            budget: Reassembly::new(own_limits.max_message.saturating_add(crate::frames::MESSAGE_UNITS)),
            cursor: zero,
            resync: Resync::Done,
            departed: Departed::new(&own_limits, &peer_limits),
            events: VecDeque::new(),
        };
        channels.insert(zero, Bytes::new(), Opening::Known);
        channels
    }

    fn insert(&mut self, id: ChannelId, name: Bytes, opening: Opening) {
        let kind = Kind::of(&name);
        let send = SendSide::new(kind.window(&self.peer_limits), kind.comfortable(&self.peer_limits));
        let receive = ReceiveSide::new(kind.window(&self.own_limits));
        let (has_sender, has_receiver) = (true, true);
        let channel =
            Channel { name, kind, send, receive, opening, has_sender, has_receiver, is_refused: false };
        self.map.insert(id, channel);
    }

    /// The next event for waiting handles.
    pub(crate) fn poll_event(&mut self) -> Option<ChannelEvent> {
        self.events.pop_front()
    }

    pub(crate) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }

    fn event(&mut self, event: ChannelEvent) {
        if let Err(place) = self.events.binary_search(&event) {
            self.events.insert(place, event);
        }
    }

    /// Channel 0, once.
    pub(crate) fn take_zero(&mut self) -> Result<ChannelId, OpenError> {
        if core::mem::replace(&mut self.is_zero_taken, true) {
            return Err(OpenError::Taken);
        }
        Ok(ChannelId(0))
    }

    /// Opens a channel of an application if the peer takes one.
    pub(crate) fn open(&mut self, name: Bytes) -> Result<ChannelId, OpenError> {
        if Kind::of(&name).is_reserved() {
            return Err(OpenError::NameReserved);
        }
        if name.len() > crate::frames::MAX_NAME {
            return Err(OpenError::NameTooLong);
        }
        if self.own.opened >= self.own.limit {
            return Err(OpenError::Limit);
        }
        self.own.opened += 1;
        Ok(self.add_own(name))
    }

    /// Opens a channel of the nodes themselves.
    pub(crate) fn open_service(&mut self, service: &str) -> Result<ChannelId, OpenError> {
        let name = Kind::service_name(service);
        if name.len() > crate::frames::MAX_NAME {
            return Err(OpenError::NameTooLong);
        }
        if self.services_of(self.own.next).count() >= MAX_SERVICE_CHANNELS {
            return Err(OpenError::Limit);
        }
        Ok(self.add_own(name))
    }

    fn add_own(&mut self, name: Bytes) -> ChannelId {
        let id = ChannelId(self.own.next);
        self.own.next += 2;
        self.insert(id, name, Opening::Owed);
        id
    }

    /// The service channels alive of the end that opens `number`.
    fn services_of(&self, number: u64) -> impl Iterator<Item = &Channel> {
        let opened = self.map.iter().filter(move |(id, _)| id.0 % 2 == number % 2);
        opened.map(|(_, channel)| channel).filter(|channel| channel.kind.is_reserved())
    }

    /// The next channel of the peer that nobody has accepted.
    pub(crate) fn accept(&mut self) -> Option<ChannelId> {
        self.incoming.pop_front()
    }

    /// The next service channel of the peer that nobody has accepted.
    pub(crate) fn accept_service(&mut self) -> Option<ChannelId> {
        self.services.as_mut()?.pop_front()
    }

    /// Whether the peer has opened any, of whatever kind.
    pub(crate) const fn has_peer_opened(&self) -> bool {
        // The first of either end is 1 or 2.
        self.peer.next > 2
    }

    /// Whether the application has not taken a channel or a message of the peer.
    pub(crate) fn has_unread(&self) -> bool {
        let applications = self.map.values().filter(|channel| channel.kind == Kind::Application);
        !self.incoming.is_empty() || applications.into_iter().any(|channel| channel.receive.has_message())
    }

    /// The name that the opener gave.
    pub(crate) fn name(&self, id: ChannelId) -> Bytes {
        self.map.get(&id).map(|channel| channel.name.clone()).unwrap_or_default()
    }

    /// Accepts `body` into the channel's order if there is room.
    pub(crate) fn try_send(&mut self, id: ChannelId, body: Bytes) -> Result<(), TrySendError> {
        let Some(channel) = self.map.get_mut(&id) else { return Err(SendError::Finished.into()) };
        let (limit, credit) = (channel.kind.longest(&self.peer_limits), self.credit.of(channel.kind));
        channel.send.check_open()?;
        if body.len() as u64 > limit {
            return Err(SendError::TooLong { len: body.len(), limit }.into());
        }
        if !channel.send.has_room(body.len() as u64, credit.send_left(), self.send_buffer) {
            return Err(TrySendError::Full(body));
        }
        credit.follow(&mut channel.send, |send| send.accept(body));
        Ok(())
    }

    /// Longest message that the peer takes on a channel.
    pub(crate) fn longest_message(&self, id: ChannelId) -> u64 {
        let kind = self.map.get(&id).map_or(Kind::Application, |channel| channel.kind);
        kind.longest(&self.peer_limits)
    }

    /// What the reader of a channel gets now.
    pub(crate) fn take(&mut self, id: ChannelId) -> Taken {
        let Some(channel) = self.map.get_mut(&id) else { return Taken::Finished };
        let (taken, session) = channel.receive.take(&mut self.budget);
        let ahead = channel.receive.pay_ahead(&mut self.budget);
        self.credit.of(channel.kind).credited += session + ahead;
        // A lane has nothing of the budget.
        if channel.kind != Kind::Lane
            && let Taken::Message(_) = taken
        {
            self.pay_others_ahead();
        }
        taken
    }

    /// A long message made room in the budget, or a reader made room in its queue: another may be paid for now.
    fn pay_others_ahead(&mut self) {
        for channel in self.map.values_mut() {
            self.credit.of(channel.kind).credited += channel.receive.pay_ahead(&mut self.budget);
        }
    }

    /// Half-closes; nothing if the half ended before.
    pub(crate) fn finish(&mut self, id: ChannelId) -> Result<(), SendError> {
        let Some(channel) = self.map.get_mut(&id) else { return Ok(()) };
        if let send::End::Resetting { code, stopped: true, .. } = channel.send.end() {
            return Err(SendError::Stopped { code });
        }
        channel.send.finish(FinishedBy::Application);
        Ok(())
    }

    /// Gives up the sending half.
    pub(crate) fn reset(&mut self, id: ChannelId, code: u32) {
        if let Some(channel) = self.map.get_mut(&id) {
            self.credit.of(channel.kind).follow(&mut channel.send, |send| send.reset(code, false));
        }
    }

    /// The sending handle is gone: a half that was not finished is reset.
    pub(crate) fn drop_sender(&mut self, id: ChannelId) {
        if let Some(channel) = self.map.get_mut(&id) {
            channel.has_sender = false;
            if channel.send.end() == send::End::Open {
                self.reset(id, 0);
            }
        }
        self.forget_if_done(id);
    }

    /// The reading handle is gone: the sender is told to stop.
    pub(crate) fn drop_receiver(&mut self, id: ChannelId, code: u32) {
        if let Some(channel) = self.map.get_mut(&id) {
            channel.has_receiver = false;
            self.credit.of(channel.kind).credited += channel.receive.leave(code, &mut self.budget);
            self.pay_others_ahead();
        }
        self.forget_if_done(id);
    }

    /// Whether the peer's reader took every message that was accepted.
    pub(crate) fn is_consumed(&self, id: ChannelId) -> Result<bool, SendError> {
        let Some(channel) = self.map.get(&id) else { return Ok(true) };
        match channel.send.end() {
            _ if channel.send.is_consumed() => Ok(true),
            send::End::Resetting { code, stopped: true, .. }
            | send::End::Finishing { stopped: Some(code), .. } => Err(SendError::Stopped { code }),
            send::End::Resetting { .. } => Err(SendError::Finished),
            _ => Ok(false),
        }
    }

    /// Wakes every handle: something about all of them changed.
    pub(crate) fn wake_all(&mut self) {
        let ids: Vec<ChannelId> = self.map.keys().copied().collect();
        // In their order: each is added at the end.
        for of_one in [ChannelEvent::Readable, ChannelEvent::Writable, ChannelEvent::Consumed] {
            ids.iter().for_each(|id| self.event(of_one(*id)));
        }
        let of_all = [ChannelEvent::Incoming, ChannelEvent::IncomingService, ChannelEvent::Slot];
        of_all.into_iter().for_each(|event| self.event(event));
    }

    /// Channels alive, and how many of them are of services.
    pub(crate) fn count(&self) -> (usize, usize) {
        let services = self.map.values().filter(|channel| channel.kind.is_reserved()).count();
        (self.map.len(), services)
    }

    /// An entry goes when both halves are done and no handle is left; if it was an application's, the peer may then open
    /// another.
    fn forget_if_done(&mut self, id: ChannelId) {
        let is_done = self.map.get(&id).is_some_and(|channel| {
            let has_handle = channel.has_sender || channel.has_receiver;
            !has_handle && channel.send.is_done() && channel.receive.is_done()
        });
        if is_done {
            let Some(Channel { receive, kind, .. }) = self.map.remove(&id) else { return };
            self.departed.remember(id, receive.last_word());
            if kind == Kind::Application && id.0 != 0 && id.0 % 2 == self.peer.next % 2 {
                self.peer.limit += 1;
            }
        }
    }
}
