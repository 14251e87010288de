//! What each frame of an end may say, by sums over what the applications did and what arrived. It knows the rules of
//! credit (R-SES-3, -4, -5) and nothing of how the machine follows them.
//!
//! Relay lanes have windows of their own and nothing of the session's credit. Credit is what the reader took and one window,
//! neither more nor less; but a message that a reader waits for may be
//! paid for as it comes: on the session's account, and a long one (over half a window) on the channel's too.

use super::Side;
use super::book::{Book, Lane};
use super::tap::{Seen, frames};
use citadel_proto::ChannelId;
use citadel_proto::frames::{Data, Frame};
use std::collections::BTreeMap;

/// What a message takes beside its bytes.
pub(super) const UNITS: u64 = 64;

/// What one end said and was told.
#[derive(Default, Debug)]
pub(super) struct Ledger {
    sending: BTreeMap<ChannelId, Sending>,
    receiving: BTreeMap<ChannelId, Receiving>,
    /// The session's credit that it was told beyond the window.
    session_limit: u64,
    /// Highest offsets of all its lanes.
    sent: u64,
    /// Channels that it said the peer may have opened, and was told that it may.
    slots: (u64, u64),
    /// It opened a record of this path.
    has_heard: bool,
    /// It said on this path that it closes.
    is_closing_said: bool,
    /// It said its last.
    has_closed: bool,
}

/// A lane to its sender.
#[derive(Default, Debug)]
struct Sending {
    /// The highest credit that it was told.
    limit: u64,
    /// Everything below was in a record.
    reached: u64,
    /// The same of the path in use.
    on_path: u64,
    acked: u64,
}

/// A lane to its receiver.
#[derive(Default, Debug)]
struct Receiving {
    /// Everything below arrived, or was left out by a reset.
    next: u64,
    /// What a reset left out.
    skipped: u64,
    is_over: bool,
}

/// What may have been given back of a lane: by the reader's hand at least, with what may be paid ahead at most.
struct Given {
    least: u64,
    channel: u64,
    session: u64,
}

impl Ledger {
    /// Another path carries the session.
    pub(super) fn on_path(&mut self) {
        (self.has_heard, self.is_closing_said) = (false, false);
        self.sending.values_mut().for_each(|lane| lane.on_path = 0);
    }
}

impl Book {
    /// Checks what an end sealed and opened; `is_first` on the first path of a session, which carries messages at once.
    pub(super) fn read_tape(&mut self, side: Side, is_first: bool, tape: Vec<Seen>) {
        for seen in tape {
            match seen {
                Seen::Sealed(body) => frames(&body).for_each(|frame| {
                    assert!(!self.ledgers[side.index()].has_closed, "{side:?}: {frame:?} after its Close");
                    self.on_sealed(side, is_first, &frame);
                }),
                Seen::Opened(body) => {
                    frames(&body).for_each(|frame| self.on_opened(side, &frame));
                    self.ledgers[side.index()].has_heard = true;
                }
            }
        }
    }

    pub(super) fn ledger(&mut self, side: Side) -> &mut Ledger {
        &mut self.ledgers[side.index()]
    }

    /// A message is accepted on credit that is there, and while the buffer has room.
    pub(super) fn check_accepted(&mut self, id: ChannelId, side: Side, units: u64) {
        let start = self.lane(id, side).accepted_units();
        let (window, comfortable) = (self.window(id), self.comfortable(id));
        let sending = self.ledgers[side.index()].sending.entry(id).or_default();
        let limit = sending.limit.max(window);
        // A longer one is accepted on any credit, and goes as more comes.
        let is_comfortable = units <= comfortable;
        let needed = if is_comfortable { start + units } else { start + 1 };
        assert!(needed <= limit, "channel {id}: {units} units accepted at {start}, credit {limit}");
        assert!(
            start - sending.acked.min(start) < self.send_buffer,
            "channel {id}: accepted over a full buffer"
        );
    }

    fn on_sealed(&mut self, side: Side, is_first: bool, frame: &Frame) {
        match frame {
            Frame::Data(data) => {
                assert!(
                    is_first || self.ledgers[side.index()].has_heard,
                    "messages before the peer was heard"
                );
                self.on_data_sealed(side, data);
            }
            Frame::Finish { channel, offset, .. } => {
                let accepted = self.lane(*channel, side).accepted_units();
                assert_eq!(*offset, accepted, "channel {channel}: finished elsewhere than at its end");
            }
            Frame::Reset { channel, offset, .. } => {
                let reached = self.ledgers[side.index()].sending.entry(*channel).or_default().reached;
                assert_eq!(*offset, reached, "channel {channel}: reset elsewhere than behind what went");
            }
            Frame::Ack { channel, received, consumed } => {
                let got = self.ledgers[side.index()].receiving.entry(*channel).or_default();
                let all = got.next + u64::from(got.is_over);
                let lane = self.lane(*channel, side.other());
                let taken = if lane.seen.is_some() { all } else { lane.read };
                assert_eq!(
                    (*received, *consumed),
                    (all, taken),
                    "{side:?}: acknowledged on channel {channel}"
                );
            }
            Frame::Credit { channel, limit } => {
                let (given, window) = (self.given(*channel, side), self.window(*channel));
                let right = given.least + window..=given.channel + window;
                assert!(
                    right.contains(limit),
                    "{side:?}: credit {limit} on channel {channel}, not {right:?}"
                );
            }
            Frame::SessionCredit { limit } => {
                let right = self.session_given(side);
                assert!(right.contains(limit), "{side:?}: credit {limit} of the session, not {right:?}");
            }
            Frame::Closing { .. } => {
                let was_said = core::mem::replace(&mut self.ledgers[side.index()].is_closing_said, true);
                assert!(!was_said, "{side:?} says twice on a path that it closes");
            }
            Frame::Close { .. } => self.ledgers[side.index()].has_closed = true,
            Frame::ChannelCredit { count } => self.ledgers[side.index()].slots.0 = *count,
            _ => {}
        }
    }

    /// Within both credits, of what was accepted, without a gap, and never what the peer has or what this path carried.
    fn on_data_sealed(&mut self, side: Side, data: &Data) {
        let Data { channel, offset, part, payload } = data;
        let (offset, end) = (*offset, offset + part.units(payload.len() as u64));
        let accepted = self.lane(*channel, side).accepted_units();
        let (window, is_lane) = (self.window(*channel), self.is_lane(*channel));
        let ledger = &mut self.ledgers[side.index()];
        let sending = ledger.sending.entry(*channel).or_default();
        let limit = sending.limit.max(window);
        assert!(end <= limit, "{side:?}: sent up to {end} on channel {channel}, credit {limit}");
        assert!(end <= accepted, "channel {channel}: sent up to {end}, accepted {accepted}");
        assert!(offset <= sending.reached, "channel {channel}: a gap before {offset}");
        assert!(offset >= sending.on_path, "channel {channel}: {offset} twice on one path");
        assert!(end > sending.acked, "channel {channel}: {offset} again, and the peer has it");
        sending.on_path = end;
        ledger.sent += if is_lane { 0 } else { end.saturating_sub(sending.reached) };
        sending.reached = sending.reached.max(end);
        let limit = ledger.session_limit.max(self.limits.session_credit);
        assert!(ledger.sent <= limit, "{side:?}: {} units sent, session's credit {limit}", ledger.sent);
    }

    fn on_opened(&mut self, side: Side, frame: &Frame) {
        let ledger = &mut self.ledgers[side.index()];
        match frame {
            Frame::Data(Data { channel, offset, part, payload }) => {
                let got = ledger.receiving.entry(*channel).or_default();
                assert!(*offset <= got.next, "channel {channel}: a gap arrived");
                got.next = got.next.max(offset + part.units(payload.len() as u64));
                self.check_held(*channel, side);
            }
            Frame::Finish { channel, offset, .. } | Frame::Reset { channel, offset, .. } => {
                let got = ledger.receiving.entry(*channel).or_default();
                got.skipped += offset.saturating_sub(got.next);
                (got.next, got.is_over) = (got.next.max(*offset), true);
            }
            Frame::Ack { channel, received, .. } => {
                let sending = ledger.sending.entry(*channel).or_default();
                sending.acked = sending.acked.max(*received);
            }
            Frame::Credit { channel, limit } => {
                let sending = ledger.sending.entry(*channel).or_default();
                sending.limit = sending.limit.max(*limit);
            }
            Frame::SessionCredit { limit } => ledger.session_limit = ledger.session_limit.max(*limit),
            Frame::ChannelCredit { count } => ledger.slots.1 = *count,
            _ => {}
        }
    }

    /// What waits for a reader is a window, and what was paid ahead.
    fn check_held(&mut self, id: ChannelId, side: Side) {
        let next = self.ledgers[side.index()].receiving.entry(id).or_default().next;
        let most = self.given(id, side).channel + self.window(id);
        assert!(next <= most, "{side:?}: {next} units on channel {id}, of {most}");
    }

    /// What this receiver may have given back of a lane.
    fn given(&mut self, id: ChannelId, receiver: Side) -> Given {
        let is_own = match receiver {
            Side::Client => id.0.is_multiple_of(2),
            Side::Server => id.0 % 2 == 1 || id.0 == 0,
        };
        // A peer that closes refuses channels that come then.
        let has_reader = is_own || self.shared.contains(&id);
        let Receiving { next, skipped, .. } = *self.ledger(receiver).receiving.entry(id).or_default();
        let window = self.window(id);
        let lane = self.lane(id, receiver.other());
        if !has_reader || lane.stop.is_some() || lane.seen.is_some() {
            return Given { least: next, channel: next, session: next };
        }
        let least = lane.read + skipped;
        let ahead = lane.awaited_units().min(next - least);
        let is_long = lane.awaited_units() > window / 2;
        Given { least, channel: least + if is_long { ahead } else { 0 }, session: least + ahead }
    }

    fn session_given(&mut self, receiver: Side) -> core::ops::RangeInclusive<u64> {
        let ids = self.ledgers[receiver.index()].receiving.keys();
        let lanes: Vec<ChannelId> = ids.copied().filter(|id| !self.is_lane(*id)).collect();
        let window = self.limits.session_credit;
        lanes.into_iter().fold(window..=window, |sum, id| {
            let Given { least, session, .. } = self.given(id, receiver);
            sum.start() + least..=sum.end() + session
        })
    }

    /// Nothing is to happen any more: no credit is missing but what is not worth a frame.
    pub(super) fn check_credit(&mut self, receiver: Side) {
        let worth = |window: u64| (window / 4).max(1);
        let lanes: Vec<ChannelId> = self.ledger(receiver).receiving.keys().copied().collect();
        for id in lanes {
            let least = self.given(id, receiver).least;
            let is_over = self.ledger(receiver).receiving.entry(id).or_default().is_over;
            let told = self.ledger(receiver.other()).sending.entry(id).or_default().limit;
            let window = self.window(id);
            let has = told.max(window) + worth(window);
            assert!(is_over || has > least + window, "{receiver:?}: channel {id} lost credit");
        }
        let (said, heard) =
            (self.ledgers[receiver.index()].slots.0, self.ledgers[receiver.other().index()].slots.1);
        assert_eq!(said, heard, "{receiver:?}: the peer did not hear how many channels it may open");
        let least = *self.session_given(receiver).start();
        let told = self.ledger(receiver.other()).session_limit.max(self.limits.session_credit);
        assert!(
            told + worth(self.limits.session_credit) > least,
            "{receiver:?}: the session lost credit: {told}"
        );
    }
}

impl Book {
    /// What was accepted on credit that is there has arrived, whether or not its reader reads: all messages of a lane before
    /// the first that goes only as more credit comes.
    pub(super) fn check_arrived(&mut self, receiver: Side) {
        for ((id, sender), lane) in &self.lanes {
            let comfortable = self.comfortable(*id);
            let got = self.ledgers[receiver.index()].receiving.get(id);
            let next = got.map_or(0, |got| got.next);
            let mut end = lane.read;
            for len in lane.accepted.iter().skip(lane.delivered) {
                end += UNITS + *len as u64;
                if *sender == receiver
                    || lane.is_given_up()
                    || end > next && UNITS + *len as u64 > comfortable
                {
                    break;
                }
                assert!(
                    end <= next,
                    "{receiver:?}: a message on channel {id} was accepted and does not come"
                );
            }
        }
    }
}

impl Ledger {
    /// Whoever closes in order says so in the first record of each path.
    pub(super) fn check_closing(&self) {
        assert!(
            self.is_closing_said || self.has_closed,
            "records of an end that closes, and does not say so"
        );
    }
}

impl Lane {
    fn accepted_units(&self) -> u64 {
        self.read + self.unread
    }

    /// Units of the message that its reader asked for and did not find.
    fn awaited_units(&self) -> u64 {
        let next = self.accepted.get(self.delivered).filter(|_| self.is_awaited);
        next.map_or(0, |len| UNITS + *len as u64)
    }
}
