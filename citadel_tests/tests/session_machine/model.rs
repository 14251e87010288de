//! Random lists of operations against a naive model: every accepted message arrives exactly once and in order, unless its
//! half or its reader gave up; at the end nothing is left.

use super::ZERO;
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::session::{RekeyPolicy, SessionConfig};
use citadel_proto::{ChannelId, CloseReason, Taken, TrySendError};
use citadel_tests::session_world::{Side, World};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Open(Side),
    Send(Side, usize, usize),
    Read(Side, usize),
    Finish(Side, usize),
    Reset(Side, usize),
    Stop(Side, usize),
    Drop(Side, usize),
    Rekey(Side),
    Cut,
    Heal,
    Close(Side),
    Turn(usize),
    Pass(u64),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::A), Just(Side::B)]
}

fn op() -> impl Strategy<Value = Op> {
    let channel = || 0..6_usize;
    let len = prop_oneof![0..10_usize, 0..2_000_usize, 0..40_000_usize, Just(300_000_usize)];
    prop_oneof![
        2 => side().prop_map(Op::Open),
        12 => (side(), channel(), len).prop_map(|(side, channel, len)| Op::Send(side, channel, len)),
        12 => (side(), channel()).prop_map(|(side, channel)| Op::Read(side, channel)),
        1 => (side(), channel()).prop_map(|(side, channel)| Op::Finish(side, channel)),
        1 => (side(), channel()).prop_map(|(side, channel)| Op::Reset(side, channel)),
        1 => (side(), channel()).prop_map(|(side, channel)| Op::Stop(side, channel)),
        1 => (side(), channel()).prop_map(|(side, channel)| Op::Drop(side, channel)),
        3 => side().prop_map(Op::Rekey),
        8 => (1..5_usize).prop_map(Op::Turn),
        4 => (0..60_u64).prop_map(Op::Pass),
    ]
}

/// What one direction of one channel should carry.
#[derive(Default)]
struct Lane {
    accepted: VecDeque<(u64, usize)>,
    sent: u64,
    is_ended: bool,
    is_given_up: bool,
    /// Nobody reads any more.
    is_unread: bool,
    saw_end: bool,
}

struct Model {
    world: World,
    channels: Vec<ChannelId>,
    lanes: BTreeMap<(ChannelId, bool), Lane>,
    is_closing: bool,
}

/// A message that names itself.
fn message(number: u64, len: usize) -> Bytes {
    number.to_le_bytes().iter().copied().cycle().take(len).collect()
}

impl Model {
    fn new(seed: u64) -> Self {
        let limits = Limits {
            max_message: 400_000,
            session_credit: 64 << 10,
            channel_credit: 16 << 10,
            max_channels: 4,
        };
        let rekey = RekeyPolicy::Background { records: 8, bytes: 20_000, interval: Duration::from_millis(5) };
        let resume = Duration::from_secs(60);
        let config = SessionConfig { limits, rekey, resume, ..SessionConfig::default() };
        let world = World::new(seed, SecrecyMode::Perfect, &config);
        Self { world, channels: vec![ZERO], lanes: BTreeMap::new(), is_closing: false }
    }

    /// The direction that `side` sends in.
    fn lane(&mut self, side: Side, channel: ChannelId) -> &mut Lane {
        self.lanes.entry((channel, side == Side::A)).or_default()
    }

    fn pick(&self, index: usize) -> ChannelId {
        self.channels[index % self.channels.len()]
    }

    /// A path if both ends wait for one.
    fn heal(&mut self) {
        if self.world.is_detached()
            && let Some(path) = self.world.a.machine.next_path_id()
            && self.world.b.machine.accepts_path(path).is_ok()
        {
            self.world.attach();
        }
    }

    fn apply(&mut self, op: Op) {
        let is_over = self.is_closing
            && !matches!(op, Op::Read(..) | Op::Turn(_) | Op::Pass(_) | Op::Cut | Op::Heal | Op::Close(_));
        if is_over {
            return;
        }
        match op {
            Op::Open(side) => {
                if self.world.is_detached() {
                    return;
                }
                if let Ok(id) = self.world.end(side).machine.open_channel(Bytes::new()) {
                    self.channels.push(id);
                    // The peer learns of it before it uses it.
                    self.world.run();
                }
            }
            Op::Send(side, index, len) => self.send(side, self.pick(index), len),
            Op::Read(side, index) => {
                self.read(side, self.pick(index));
            }
            Op::Finish(side, index) => {
                let channel = self.pick(index);
                let finished = self.world.end(side).machine.finish(channel);
                let lane = self.lane(side, channel);
                assert!(finished.is_ok() || lane.is_given_up);
                lane.is_ended = true;
            }
            Op::Reset(side, index) => {
                let channel = self.pick(index);
                self.world.end(side).machine.reset(channel, 1);
                let lane = self.lane(side, channel);
                lane.is_given_up = true;
                lane.is_ended = true;
            }
            Op::Stop(side, index) => {
                let channel = self.pick(index);
                self.world.end(side).machine.drop_receiver(channel, 2);
                let lane = self.lane(side.other(), channel);
                lane.is_given_up = true;
                lane.is_unread = true;
            }
            Op::Drop(side, index) => {
                let channel = self.pick(index);
                self.world.end(side).machine.drop_sender(channel);
                let lane = self.lane(side, channel);
                lane.is_given_up |= !lane.is_ended;
                lane.is_ended = true;
            }
            Op::Rekey(side) => self.world.trigger(side),
            Op::Cut => self.world.cut(),
            Op::Heal => self.heal(),
            Op::Close(side) => {
                self.world.close(side, CloseReason::GoingAway);
                self.is_closing = true;
            }
            Op::Turn(turns) => {
                for _ in 0..turns {
                    self.world.turn();
                }
            }
            Op::Pass(millis) => self.world.pass(Duration::from_millis(millis)),
        }
    }

    fn send(&mut self, side: Side, channel: ChannelId, len: usize) {
        let number = self.lane(side, channel).sent;
        let sent = self.world.end(side).machine.try_send(channel, message(number, len));
        let lane = self.lane(side, channel);
        match sent {
            Ok(()) => {
                assert!(!lane.is_ended, "accepted after the end");
                lane.accepted.push_back((number, len));
                lane.sent += 1;
            }
            Err(TrySendError::Full(_)) => {}
            Err(error) => assert!(lane.is_ended || lane.is_given_up, "{error}"),
        }
    }

    /// Whether anything was read.
    fn read(&mut self, side: Side, channel: ChannelId) -> bool {
        if self.lane(side.other(), channel).is_unread {
            return false;
        }
        let taken = self.world.take(side, channel);
        let lane = self.lane(side.other(), channel);
        match taken {
            Taken::Message(body) => {
                let (number, len) = lane.accepted.pop_front().expect("nothing that was not sent arrives");
                assert!(body == message(number, len), "message {number} of {len} bytes");
                true
            }
            Taken::Finished => {
                assert!(lane.is_ended && lane.accepted.is_empty(), "{} are missing", lane.accepted.len());
                lane.saw_end = true;
                false
            }
            Taken::Reset(_) => {
                assert!(lane.is_given_up);
                lane.saw_end = true;
                false
            }
            Taken::Pending => false,
            Taken::Cut if self.is_closing => false,
            other => panic!("{other:?}"),
        }
    }

    /// Everything still to come is read, by readers that wait; then the close is clean.
    fn settle(mut self) {
        self.heal();
        for _ in 0..2_000 {
            self.world.pass(Duration::from_millis(30));
            let mut any = false;
            for channel in self.channels.clone() {
                for side in [Side::A, Side::B] {
                    any |= self.read(side, channel);
                }
            }
            let is_owed = self.lanes.values().any(|lane| !lane.is_given_up && !lane.accepted.is_empty());
            if !any && !is_owed {
                break;
            }
        }
        for ((channel, from_a), lane) in &self.lanes {
            let missing = if lane.is_given_up { 0 } else { lane.accepted.len() };
            assert_eq!(missing, 0, "messages of channel {channel}, from A: {from_a}, never arrived");
            assert!(!lane.is_ended || lane.saw_end || lane.is_given_up);
        }
        self.world.pass(Duration::from_secs(1));
        assert_eq!(self.world.a.machine.version(), self.world.b.machine.version());
        self.world.close(Side::A, CloseReason::GoingAway);
        let (a, b) = self.world.finish();
        assert!(a.clean && b.clean, "{a} / {b}");
    }

    /// The close runs to its end, whatever it finds: what is not read is reported by its sender.
    fn run_out(mut self) {
        self.heal();
        for _ in 0..4_000 {
            self.world.pass(Duration::from_millis(30));
            let read = |model: &mut Self, side| {
                model.channels.clone().into_iter().any(|channel| model.read(side, channel))
            };
            let any = read(&mut self, Side::A) || read(&mut self, Side::B);
            let is_over = self.world.a.closed.is_some() && self.world.b.closed.is_some();
            if is_over && !any {
                break;
            }
        }
        let (a, b) = self.world.finish();
        for ((channel, from_a), lane) in &self.lanes {
            let report = if *from_a { &a } else { &b };
            let of_channel = report.unconfirmed.iter().find(|one| one.channel == channel.0);
            let reported = of_channel.map_or(0, |one| one.messages);
            let missing = if lane.is_given_up { 0 } else { lane.accepted.len() };
            assert!(missing as u64 <= reported, "{missing} of channel {channel} are missing: {report}");
        }
    }
}

/// The same, with paths that end and others that follow.
fn op_with_cuts() -> impl Strategy<Value = Op> {
    prop_oneof![12 => op(), 1 => Just(Op::Cut), 2 => Just(Op::Heal)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepted_messages_arrive_once_and_in_order(seed in any::<u64>(), ops in proptest::collection::vec(op(), 1..150)) {
        let mut model = Model::new(seed);
        for op in ops {
            model.apply(op);
        }
        model.settle();
    }

    #[test]
    fn accepted_messages_arrive_once_and_in_order_over_paths_that_end(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op_with_cuts(), 1..200),
    ) {
        let mut model = Model::new(seed);
        for op in ops {
            model.apply(op);
        }
        model.settle();
    }

    #[test]
    fn accepted_messages_arrive_or_are_reported_when_someone_closes(
        seed in any::<u64>(),
        ops in proptest::collection::vec(op_with_cuts(), 1..80),
        closer in side(),
        then in proptest::collection::vec(op_with_cuts(), 1..40),
    ) {
        let mut model = Model::new(seed);
        for op in ops.into_iter().chain([Op::Close(closer)]).chain(then) {
            model.apply(op);
        }
        model.run_out();
    }
}
