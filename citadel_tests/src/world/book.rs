//! The naive model of one session: what was accepted, what was delivered, which keys were seen. It knows no protocol.

use super::Side;
use super::ledger::{Ledger, UNITS};
use bytes::Bytes;
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::FINGERPRINT_LEN;
use citadel_crypt::ratchets::rekey::Version;
use citadel_proto::session::SessionConfig;
use citadel_proto::{ChannelId, Taken};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Longest message of a world.
pub(super) const MAX_LEN: usize = 200 * 1024;
/// Most units that wait for the reader of a relay lane.
const LANE_WINDOW: u64 = 256 << 10;
/// What bodies are cut from.
const PAD_LEN: usize = 1 << 20;

/// What both ends of a session did, seen from outside.
pub(super) struct Book {
    /// Of both ends.
    pub(super) limits: Limits,
    pub(super) send_buffer: u64,
    /// By channel and sender.
    pub(super) lanes: BTreeMap<(ChannelId, Side), Lane>,
    /// As the opener gave them.
    pub(super) names: BTreeMap<ChannelId, Bytes>,
    /// Channels that both applications have. A peer that closes refuses others, and resets its half of them.
    pub(super) shared: BTreeSet<ChannelId>,
    /// By end.
    pub(super) ledgers: [Ledger; 2],
    fingerprints: BTreeMap<Version, [u8; FINGERPRINT_LEN]>,
    /// The network did something that no ordered path does, or cut: losses of paths have a cause.
    pub(super) is_disturbed: bool,
}

/// One direction of one channel.
#[derive(Default)]
pub(super) struct Lane {
    /// Length of every message that `send` accepted.
    pub(super) accepted: Vec<usize>,
    pub(super) delivered: usize,
    pub(super) is_finished: bool,
    pub(super) reset: Option<u32>,
    /// The reader left with this code.
    pub(super) stop: Option<u32>,
    pub(super) seen: Option<Seen>,
    /// Units delivered.
    pub(super) read: u64,
    /// Units accepted and not delivered.
    pub(super) unread: u64,
    /// The reader asked, and found nothing yet.
    pub(super) is_awaited: bool,
}

/// The end that a reader saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    Finished,
    Cut,
    Reset,
}

impl Lane {
    /// Sender or reader gave up: messages may be missing at the end, and both know.
    pub(super) const fn is_given_up(&self) -> bool {
        self.reset.is_some() || self.stop.is_some()
    }

    pub(super) const fn missing(&self) -> usize {
        self.accepted.len() - self.delivered
    }
}

impl Book {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            limits: config.limits,
            send_buffer: config.send_buffer,
            lanes: BTreeMap::new(),
            names: BTreeMap::new(),
            shared: BTreeSet::new(),
            ledgers: [Ledger::default(), Ledger::default()],
            fingerprints: BTreeMap::new(),
            is_disturbed: false,
        }
    }

    /// Whether a channel is a relay lane.
    pub(super) fn is_lane(&self, id: ChannelId) -> bool {
        self.names.get(&id).is_some_and(|name| name == "\0citadel/relay")
    }

    /// Most units that wait for a channel's reader.
    pub(super) fn window(&self, id: ChannelId) -> u64 {
        let of_channels = self.limits.channel_credit;
        if self.is_lane(id) { of_channels.min(LANE_WINDOW) } else { of_channels }
    }

    /// Most units of a message that is accepted only when it will arrive whether or not its reader reads.
    pub(super) fn comfortable(&self, id: ChannelId) -> u64 {
        let window = self.window(id);
        if self.is_lane(id) { window / 2 } else { window.min(self.limits.session_credit) / 2 }
    }

    /// Longest message that a channel takes, in a world.
    pub(super) fn longest(&self, id: ChannelId) -> usize {
        let of_lanes = usize::try_from(self.comfortable(id) - UNITS).unwrap_or(MAX_LEN);
        if self.is_lane(id) { of_lanes.min(MAX_LEN) } else { MAX_LEN }
    }

    pub(super) fn lane(&mut self, id: ChannelId, sender: Side) -> &mut Lane {
        self.lanes.entry((id, sender)).or_default()
    }

    /// The body of the next message in a lane.
    pub(super) fn next_body(&mut self, id: ChannelId, sender: Side, len: usize) -> Bytes {
        let number = self.lane(id, sender).accepted.len();
        body(id, sender, number, len)
    }

    pub(super) fn accept(&mut self, id: ChannelId, sender: Side, len: usize) {
        self.check_accepted(id, sender, UNITS + len as u64);
        let lane = self.lane(id, sender);
        assert!(!lane.is_finished && lane.reset.is_none(), "channel {id}: accepted after the end");
        lane.accepted.push(len);
        lane.unread += UNITS + len as u64;
    }

    /// What a reader of `sender`'s messages was given. True if it may ask again.
    pub(super) fn take(&mut self, id: ChannelId, sender: Side, taken: &Taken) -> bool {
        let lane = self.lane(id, sender);
        let at = (lane.delivered, lane.accepted.len());
        assert!(lane.stop.is_none(), "channel {id}: a reader that left was given something");
        if let Some(seen) = lane.seen {
            assert!(!matches!(taken, Taken::Message(_)), "channel {id}: {taken:?} after {seen:?}");
        }
        match taken {
            Taken::Pending => {
                lane.is_awaited = true;
                return false;
            }
            Taken::Message(message) => {
                let len = *lane.accepted.get(at.0).expect("nothing arrives that was not accepted");
                assert!(
                    *message == body(id, sender, at.0, len),
                    "channel {id} from {sender:?}: message {} of {len} bytes came as {taken:?}",
                    at.0
                );
                lane.delivered += 1;
                lane.unread -= UNITS + len as u64;
                lane.read += UNITS + len as u64;
                lane.is_awaited = false;
                return true;
            }
            Taken::Finished => {
                assert!(lane.is_finished, "channel {id}: finished by nobody");
                assert_eq!(at.0, at.1, "channel {id} from {sender:?}: finished before all was delivered");
                lane.seen = Some(Seen::Finished);
            }
            Taken::Cut => {
                assert_eq!(at.0, at.1, "channel {id} from {sender:?}: cut before all was delivered");
                lane.seen = Some(Seen::Cut);
            }
            Taken::Reset(code) => {
                let is_refused = *code == 0 && id.0 > 0 && !self.shared.contains(&id);
                let lane = self.lane(id, sender);
                assert!(
                    is_refused || lane.reset == Some(*code),
                    "channel {id} from {sender:?}: reset by nobody"
                );
                lane.seen = Some(Seen::Reset);
            }
        }
        false
    }

    /// A version was committed at one end: the other end's keys for it are the same.
    pub(super) fn on_version(&mut self, version: Version, fingerprint: [u8; FINGERPRINT_LEN]) {
        let known = self.fingerprints.entry(version).or_insert(fingerprint);
        assert_eq!(*known, fingerprint, "keys of version {} differ", version.0);
    }
}

/// A message that names its lane and its place.
fn body(id: ChannelId, sender: Side, number: usize, len: usize) -> Bytes {
    static PAD: OnceLock<Bytes> = OnceLock::new();
    let pad = PAD.get_or_init(|| {
        let mut dice = super::Dice::new(0, 0);
        (0..PAD_LEN / 8).flat_map(|_| dice.draw().to_le_bytes()).collect()
    });
    let mark = id.0 << 33 | (number as u64) << 1 | u64::from(sender == Side::Client);
    let start = super::Dice::new(mark, 1).index(PAD_LEN - MAX_LEN);
    pad.slice(start..start + len.min(MAX_LEN))
}
