//! Frames of an authenticated peer without manners, drawn at random, over several paths: no panic, bounded memory, one end.

use super::ZERO;
use bytes::{Bytes, BytesMut};
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::Limits;
use citadel_proto::frames::{self, FinishedBy, Part};
use citadel_proto::session::SessionConfig;
use citadel_proto::{ChannelId, Taken};
use citadel_tests::session_world::Rogue;
use proptest::prelude::*;
use std::time::Duration;

const LIMITS: Limits =
    Limits { max_message: 100_000, session_credit: 40_000, channel_credit: 20_000, max_channels: 3 };

#[derive(Clone, Debug)]
enum Op {
    /// The peer's.
    Open(u64),
    Data(u64, u64, Part, usize),
    Finish(u64, u64),
    Reset(u64, u64),
    Stop(u64),
    Ack(u64, u64, u64),
    Credit(u64, u64),
    Attach,
    /// The victim's.
    Send(u64, usize),
    Take(u64),
    End(u64, usize),
    Speak,
}

/// Offsets that matter: where messages of 0, 10 and 1,000 bytes begin, continue and end, give or take one.
fn offset() -> impl Strategy<Value = u64> {
    let edges = prop::sample::select(vec![0, 64, 74, 128, 138, 148, 1_064, 1_074, 1_128, 2_128, 20_000]);
    prop_oneof![8 => edges.clone(), 2 => edges.prop_map(|at| at + 1), 1 => 0..u64::from(u32::MAX)]
}

fn part() -> impl Strategy<Value = Part> {
    let first = prop::sample::select(vec![10, 20, 1_010]).prop_map(|total| Part::First { total });
    prop_oneof![4 => Just(Part::Whole), 2 => first, 2 => Just(Part::Middle), 2 => Just(Part::Last)]
}

fn op() -> impl Strategy<Value = Op> {
    let channel = || prop_oneof![6 => Just(0_u64), 1 => Just(1), 2 => Just(2), 1 => Just(4)];
    let len = || prop::sample::select(vec![0_usize, 10, 1_000]);
    prop_oneof![
        2 => channel().prop_map(Op::Open),
        10 => (channel(), offset(), part(), len()).prop_map(|(c, at, part, len)| Op::Data(c, at, part, len)),
        2 => (channel(), offset()).prop_map(|(c, at)| Op::Finish(c, at)),
        2 => (channel(), offset()).prop_map(|(c, at)| Op::Reset(c, at)),
        2 => channel().prop_map(Op::Stop),
        6 => (channel(), offset(), offset()).prop_map(|(c, a, b)| Op::Ack(c, a.max(b), a.min(b))),
        2 => (channel(), offset()).prop_map(|(c, at)| Op::Credit(c, at)),
        4 => Just(Op::Attach),
        10 => (channel(), len()).prop_map(|(c, len)| Op::Send(c, len)),
        4 => channel().prop_map(Op::Take),
        2 => (channel(), 0..4_usize).prop_map(|(c, how)| Op::End(c, how)),
        8 => Just(Op::Speak),
    ]
}

fn frame(op: &Op) -> Option<BytesMut> {
    let mut out = BytesMut::new();
    match *op {
        Op::Open(c) => frames::put_open(&mut out, ChannelId(c), b"name"),
        Op::Data(c, at, part, len) => frames::put_data(&mut out, ChannelId(c), at, part, &vec![1; len]),
        Op::Finish(c, at) => frames::put_finish(&mut out, ChannelId(c), at, FinishedBy::Application),
        Op::Reset(c, at) => frames::put_reset(&mut out, ChannelId(c), at, 7),
        Op::Stop(c) => frames::put_stop(&mut out, ChannelId(c), 7),
        Op::Ack(c, received, consumed) => frames::put_ack(&mut out, ChannelId(c), received, consumed),
        Op::Credit(c, at) => frames::put_credit(&mut out, ChannelId(c), at),
        _ => return None,
    }
    Some(out)
}

fn apply(rogue: &mut Rogue, op: &Op) {
    if let Some(frame) = frame(op) {
        return rogue.send(&frame);
    }
    let now = Timestamp::ZERO;
    match *op {
        Op::Attach => rogue.attach(),
        Op::Send(c, len) => drop(rogue.victim.try_send(ChannelId(c), Bytes::from(vec![2; len]))),
        Op::Take(c) => drop(rogue.victim.take(|| now, ChannelId(c))),
        Op::End(c, 0) => drop(rogue.victim.finish(ChannelId(c))),
        Op::End(c, 1) => rogue.victim.reset(ChannelId(c), 1),
        Op::End(c, 2) => rogue.victim.drop_sender(ChannelId(c)),
        Op::End(c, _) => rogue.victim.drop_receiver(ChannelId(c), 1),
        _ => rogue.let_it_speak(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_peer_without_manners_brings_about_a_typed_end_at_most(ops in prop::collection::vec(op(), 1..120)) {
        let resume = Duration::from_secs(60);
        let mut rogue = Rogue::with_config(&SessionConfig { limits: LIMITS, resume, ..SessionConfig::default() });
        let _own = rogue.victim.open_channel(Bytes::new());
        for op in &ops {
            if !rogue.is_unharmed() {
                break;
            }
            apply(&mut rogue, op);
        }
        let mut kept = 0;
        for channel in [ZERO, ChannelId(1), ChannelId(2), ChannelId(4)] {
            while let Taken::Message(message) = rogue.victim.take(Timestamp::default, channel).0 {
                kept += message.len() as u64 + 64;
            }
        }
        // What readers made room for while it came may have come as well.
        prop_assert!(kept <= LIMITS.session_credit + LIMITS.channel_credit, "{kept} units kept");
        if !rogue.is_unharmed() {
            rogue.reason();
        }
    }
}
