//! Bytes from nobody, and frames from an authenticated peer that no correct one sends: typed ends, no panic, bounded cost.

use super::ZERO;
use bytes::BytesMut;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{Instance, Limits};
use citadel_proto::frames::{self, FinishedBy, Part};
use citadel_proto::session::Input;
use citadel_proto::shutdown::Stage;
use citadel_proto::{ChannelId, CloseReason, Fault, PathLoss, Taken};
use citadel_tests::session_world::{Chunks, Rogue, Side, World};
use rstest::rstest;

const LIMITS: Limits =
    Limits { max_message: 100_000, session_credit: 40_000, channel_credit: 20_000, max_channels: 3 };

fn data(channel: u64, offset: u64, part: Part, len: usize) -> Vec<u8> {
    let mut out = BytesMut::new();
    frames::put_data(&mut out, ChannelId(channel), offset, part, &vec![1; len]);
    out.to_vec()
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

fn open(channel: u64) -> Vec<u8> {
    written(|out| frames::put_open(out, ChannelId(channel), b""))
}

fn finish(offset: u64) -> Vec<u8> {
    written(|out| frames::put_finish(out, ZERO, offset, FinishedBy::Application))
}

/// The credit of a channel is 20,000, the session's 40,000; each message takes 64 beside its bytes.
#[rstest]
#[case::one_unit_over_a_channels_credit(vec![data(0, 0, Part::Whole, 20_000 - 63)], Fault::FlowControl)]
#[case::over_a_channels_credit_in_pieces(
    vec![data(0, 0, Part::First { total: 90_000 }, 15_000), data(0, 15_064, Part::Middle, 5_000)],
    Fault::FlowControl
)]
#[case::over_the_sessions_credit(
    vec![
        open(2),
        open(4),
        data(0, 0, Part::Whole, 19_000),
        data(2, 0, Part::Whole, 19_000),
        data(4, 0, Part::Whole, 2_000),
    ],
    Fault::FlowControl
)]
#[case::over_the_sessions_credit_behind_a_reset_that_skipped_some(
    vec![
        open(2),
        open(4),
        written(|out| frames::put_reset(out, ZERO, 19_000, 0)),
        data(2, 0, Part::Whole, 19_000),
        data(4, 0, Part::Whole, 2_000),
    ],
    Fault::FlowControl
)]
#[case::a_reset_beyond_the_credit(
    vec![written(|out| frames::put_reset(out, ZERO, 20_001, 0))],
    Fault::FlowControl
)]
#[case::a_reset_within_what_came(
    vec![data(0, 0, Part::Whole, 10), written(|out| frames::put_reset(out, ZERO, 73, 0))],
    Fault::ChannelOrder
)]
#[case::a_message_over_the_limit(
    vec![data(0, 0, Part::First { total: 100_001 }, 10)],
    Fault::MessageTooLong
)]
#[case::a_gap(vec![data(0, 1, Part::Whole, 10)], Fault::ChannelOrder)]
#[case::half_an_old_message(
    vec![data(0, 0, Part::Whole, 10), data(0, 70, Part::Whole, 10)],
    Fault::ChannelOrder
)]
#[case::a_middle_without_a_start(vec![data(0, 0, Part::Middle, 10)], Fault::ChannelOrder)]
#[case::an_end_without_a_start(vec![data(0, 0, Part::Last, 10)], Fault::ChannelOrder)]
#[case::a_whole_message_within_another(
    vec![data(0, 0, Part::First { total: 90 }, 10), data(0, 74, Part::Whole, 10)],
    Fault::ChannelOrder
)]
#[case::a_start_that_is_everything(vec![data(0, 0, Part::First { total: 10 }, 10)], Fault::ChannelOrder)]
#[case::a_middle_that_is_too_long(
    vec![data(0, 0, Part::First { total: 20 }, 10), data(0, 74, Part::Middle, 10)],
    Fault::ChannelOrder
)]
#[case::an_end_that_is_too_short(
    vec![data(0, 0, Part::First { total: 20 }, 10), data(0, 74, Part::Last, 9)],
    Fault::ChannelOrder
)]
#[case::data_after_the_end(vec![finish(0), data(0, 1, Part::Whole, 1)], Fault::ChannelOrder)]
#[case::an_end_elsewhere(vec![finish(1)], Fault::ChannelOrder)]
#[case::an_end_within_a_message(
    vec![data(0, 0, Part::First { total: 20 }, 10), finish(74)],
    Fault::ChannelOrder
)]
#[case::data_on_a_channel_never_opened(vec![data(2, 0, Part::Whole, 1)], Fault::UnknownChannel)]
#[case::data_on_a_channel_of_ours(vec![data(1, 0, Part::Whole, 1)], Fault::UnknownChannel)]
#[case::a_channel_out_of_turn(vec![open(4)], Fault::UnknownChannel)]
#[case::a_channel_with_our_number(vec![open(1)], Fault::UnknownChannel)]
#[case::one_channel_too_many(vec![open(2), open(4), open(6), open(8)], Fault::ChannelLimit)]
#[case::an_acknowledgement_of_nothing(
    vec![written(|out| frames::put_ack(out, ZERO, 1, 0))],
    Fault::FalseAcknowledgement
)]
#[case::consumed_before_received(
    vec![written(|out| frames::put_ack(out, ZERO, 0, 1))],
    Fault::FalseAcknowledgement
)]
#[case::a_close_of_another_session(
    vec![written(|out| frames::put_close(out, &CloseReason::GoingAway, Instance([9; 16])))],
    Fault::WrongInstance
)]
#[case::a_closing_of_another_session(
    vec![written(|out| frames::put_closing(out, &CloseReason::GoingAway, Instance([9; 16])))],
    Fault::WrongInstance
)]
#[case::an_unknown_frame(vec![vec![0x3f]], Fault::UnknownFrame)]
#[case::a_rekey_message_that_is_none(
    vec![written(|out| frames::put_rekey(out, b"not a message"))],
    Fault::MalformedFrame
)]
#[case::a_frame_cut_short(vec![data(0, 0, Part::Whole, 100)[..50].to_vec()], Fault::MalformedFrame)]
#[case::an_empty_piece(vec![data(0, 0, Part::First { total: 9 }, 0)], Fault::MalformedFrame)]
fn what_no_correct_peer_sends_ends_the_session_typed(#[case] records: Vec<Vec<u8>>, #[case] fault: Fault) {
    let mut rogue = Rogue::new(LIMITS);
    for frames in records {
        assert!(rogue.is_unharmed(), "{fault:?} came too early");
        rogue.send(&frames);
    }
    assert_eq!(rogue.reason(), CloseReason::Fatal(fault));
}

#[test]
fn a_channel_opened_twice_is_opened_once() {
    let mut rogue = Rogue::new(LIMITS);
    for frames in [open(2), open(2), open(4), open(2)] {
        rogue.send(&frames);
    }
    assert!(rogue.is_unharmed());
    let accepted: Vec<_> = core::iter::from_fn(|| rogue.victim.accept_channel()).collect();
    assert_eq!(accepted, [ChannelId(2), ChannelId(4)]);
}

/// What another path may bring: the same message, cut elsewhere.
#[rstest]
#[case::whole_over_its_start(&[(0, Part::First { total: 90 }, 10), (0, Part::Whole, 90)])]
#[case::a_longer_start(&[(0, Part::First { total: 90 }, 10), (0, Part::First { total: 90 }, 40), (104, Part::Last, 50)])]
#[case::a_middle_over_a_middle(
    &[(0, Part::First { total: 90 }, 10), (74, Part::Middle, 20), (80, Part::Middle, 30), (110, Part::Last, 44)]
)]
#[case::an_end_over_everything(&[(0, Part::First { total: 90 }, 10), (74, Part::Middle, 20), (74, Part::Last, 80)])]
#[case::all_of_it_twice(&[(0, Part::Whole, 90), (0, Part::First { total: 90 }, 10), (74, Part::Last, 80)])]
fn a_piece_that_overlaps_what_came_adds_only_what_is_new(#[case] pieces: &[(u64, Part, usize)]) {
    let mut rogue = Rogue::new(LIMITS);
    for (offset, part, len) in pieces {
        let head = if matches!(part, Part::Whole | Part::First { .. }) { 0 } else { 64 };
        let start = usize::try_from(*offset).unwrap().saturating_sub(head);
        let body: Vec<u8> = (start..start + len).map(|byte| byte as u8).collect();
        rogue.send(&written(|out| frames::put_data(out, ZERO, *offset, *part, &body)));
        assert!(rogue.is_unharmed());
    }
    let message: Vec<u8> = (0..90).collect();
    let taken = |rogue: &mut Rogue| rogue.victim.take(Timestamp::default, ZERO).0;
    assert_eq!(taken(&mut rogue), Taken::Message(message.into()));
    assert_eq!(taken(&mut rogue), Taken::Pending, "once");
}

#[test]
fn a_record_of_another_kind_is_refused() {
    let mut rogue = Rogue::new(LIMITS);
    let raw = rogue.seal(2, b"");
    rogue.give(raw);
    assert_eq!(rogue.reason(), CloseReason::Fatal(Fault::MalformedFrame));
}

#[test]
fn what_a_later_version_may_add_is_skipped() {
    let mut rogue = Rogue::new(LIMITS);
    rogue.send(&[0x40, 3, 1, 2, 3, 0x7f, 0]);
    rogue.send(&[]);
    rogue.send(&[&[0x55, 1, 9][..], &data(0, 0, Part::Whole, 5)].concat());
    assert!(rogue.is_unharmed());
    assert!(
        matches!(rogue.victim.take(Timestamp::default, ZERO).0, Taken::Message(message) if message.len() == 5)
    );
}

#[test]
fn what_was_received_before_is_not_received_again() {
    let mut rogue = Rogue::new(LIMITS);
    rogue.send(&data(0, 0, Part::Whole, 10));
    for _ in 0..100 {
        rogue.send(&data(0, 0, Part::Whole, 10));
    }
    assert!(rogue.is_unharmed());
    assert!(matches!(rogue.victim.take(Timestamp::default, ZERO).0, Taken::Message(_)));
    assert_eq!(rogue.victim.take(Timestamp::default, ZERO).0, Taken::Pending);
}

#[test]
fn a_million_questions_cost_one_answer() {
    let mut rogue = Rogue::new(LIMITS);
    for batch in 0..1_000_u64 {
        let pings = written(|out| (0..1_000).for_each(|i| frames::put_ping(out, batch * 1_000 + i)));
        rogue.send(&pings);
    }
    let mut out = BytesMut::new();
    rogue.victim.poll_transmit(Default::default(), &mut out, 1 << 20);
    assert!(out.len() < 100, "{} bytes", out.len());
    assert!(rogue.is_unharmed());
}

#[test]
fn credit_that_falls_and_frames_for_what_is_over_change_nothing() {
    let mut rogue = Rogue::new(LIMITS);
    rogue.send(&written(|out| {
        frames::put_credit(out, ZERO, 5);
        frames::put_session_credit(out, 5);
        frames::put_channel_credit(out, 0);
        frames::put_pong(out, 77);
        frames::put_stop(out, ZERO, 1);
        frames::put_stop(out, ZERO, 2);
    }));
    assert!(rogue.is_unharmed());
    assert_eq!(rogue.victim.open_channel(Default::default()), Ok(ChannelId(1)));
    let refused = rogue.victim.try_send(ZERO, Default::default()).unwrap_err();
    assert_eq!(refused.to_string(), "the peer reads no more (code 1)");
}

#[test]
fn authenticated_noise_never_panics() {
    let mut ends = [0_u32; 2];
    for seed in 0..60_u64 {
        let mut rogue = Rogue::new(LIMITS);
        let mut noise = Chunks::new(0x9e37_79b9_7f4a_7c15 ^ (seed << 20));
        for _ in 0..200 {
            let len = noise.below(60);
            let mut frames: Vec<u8> = (0..len).map(|_| noise.below(256) as u8).collect();
            if let Some(kind) = frames.first_mut() {
                *kind = [
                    1, 2, 3, 4, 5, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
                    0x1c,
                ][noise.below(18)];
            }
            rogue.send(&frames);
            if !rogue.is_unharmed() {
                break;
            }
        }
        ends[usize::from(rogue.is_unharmed())] += 1;
    }
    assert!(ends[0] > 0, "the noise says nothing");
}

#[rstest]
#[case::in_the_header(0)]
#[case::in_the_length(3)]
#[case::in_the_kind(4)]
#[case::in_the_middle(12)]
#[case::in_the_tag(usize::MAX)]
fn a_changed_byte_ends_the_path_and_tells_nothing(#[case] at: usize) {
    let mut world = World::simple(3);
    world.send(Side::A, ZERO, "fine");
    world.run();
    world.send(Side::A, ZERO, "changed on the way");
    let now = world.now;
    world.a.machine.poll_transmit(now, &mut world.a.out, 1);
    let at = at.min(world.a.out.len() - 1);
    world.a.out[at] ^= 1;
    world.run();
    world.pass(std::time::Duration::from_secs(31));
    let reason = world.b.closed.as_ref().map(|report| report.local.clone());
    let Some(CloseReason::PathLost(loss)) = reason else { panic!("{reason:?}") };
    assert!(matches!(loss, PathLoss::NotAuthentic | PathLoss::Silent | PathLoss::Malformed), "{loss:?}");
    assert_eq!(world.message(Side::B, ZERO), "fine");
    assert_eq!(world.take(Side::B, ZERO), Taken::Pending);
    world.cut();
    world.finish();
}

#[test]
fn noise_on_the_path_ends_the_path() {
    for seed in 1..40_u64 {
        let mut world = World::simple(seed);
        let mut noise = Chunks::new(seed << 7);
        let bytes: Vec<u8> = (0..5_000).map(|_| noise.below(256) as u8).collect();
        world.a.out.extend_from_slice(&bytes);
        world.run();
        world.pass(std::time::Duration::from_secs(40));
        assert_eq!(world.b.machine.stage(), Stage::Closed);
        assert!(matches!(world.b.closed.as_ref().map(|r| &r.local), Some(CloseReason::PathLost(_))));
        world.cut();
        world.finish();
    }
}

#[test]
fn a_replayed_record_ends_the_path() {
    let mut rogue = Rogue::new(LIMITS);
    let raw = rogue.seal(citadel_proto::record::KIND_FRAMES, &data(0, 0, Part::Whole, 5));
    let again = citadel_proto::record::RawRecord { header: raw.header, body: raw.body.clone() };
    rogue.give(raw);
    assert!(rogue.is_unharmed());
    rogue.give(again);
    assert_eq!(rogue.reason(), CloseReason::PathLost(PathLoss::NotAuthentic));
}

#[test]
fn after_a_close_nothing_more_is_heard() {
    let mut rogue = Rogue::new(LIMITS);
    let close = written(|out| frames::put_close(out, &CloseReason::Aborted, rogue.instance));
    rogue.send(&[close, vec![0x3f]].concat());
    rogue.victim.handle(Default::default(), Input::PathFlushed);
    let report_reason = rogue.reason();
    assert_eq!(report_reason, CloseReason::PeerClosing);
}
