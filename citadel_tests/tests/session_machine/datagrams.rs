//! Datagrams of two machines: in records and in packets, at most once, never edited, never in a channel's way.

use super::ZERO;
use super::resume::resumable;
use bytes::{Bytes, BytesMut};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_crypt::ratchets::KeyLimits;
use citadel_proto::session::{Input, RekeyPolicy, SessionConfig};
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, DatagramError, DatagramStats, Fault, Taken};
use citadel_tests::session_world::{Rogue, Side, World};
use proptest::prelude::*;
use rstest::rstest;
use std::collections::BTreeSet;
use std::time::Duration;

/// Longest datagram of all, what always fits, and what a packet has beside its datagram.
const LONGEST: usize = 16 * 1024;
const ALWAYS: usize = 1_024;
const OVERHEAD: usize = 1 + 8 + 16;
/// Longest packet of a path that has them.
const PACKET: usize = 1_200;

/// Both ends want datagrams.
fn asked(mode: SecrecyMode, config: &SessionConfig) -> World {
    let mut world = World::new(1, mode, config);
    for side in [Side::A, Side::B] {
        world.end(side).machine.ask_for_datagrams().unwrap();
    }
    world
}

/// The same on a path that has packets.
fn in_packets(mode: SecrecyMode, config: &SessionConfig) -> World {
    let mut world = asked(mode, config);
    has_packets(&mut world);
    world
}

fn has_packets(world: &mut World) {
    for side in [Side::A, Side::B] {
        world.end(side).machine.carry_packets(Some(PACKET));
    }
}

fn numbered(number: u32) -> Bytes {
    number.to_be_bytes().to_vec().into()
}

fn send(world: &mut World, side: Side, datagram: Bytes) {
    world.end(side).machine.send_datagram(datagram).unwrap();
}

fn taken(world: &mut World, side: Side) -> Vec<Bytes> {
    std::iter::from_fn(|| world.end(side).machine.take_datagram()).collect()
}

/// The packets that an end has to send.
fn packets(world: &mut World, side: Side) -> Vec<Bytes> {
    let now = world.now;
    std::iter::from_fn(|| world.end(side).machine.poll_packet(now)).collect()
}

/// One packet, sealed now.
fn packet(world: &mut World, side: Side, number: u32) -> Bytes {
    send(world, side, numbered(number));
    let mut packets = packets(world, side);
    assert_eq!(packets.len(), 1);
    packets.remove(0)
}

fn give(world: &mut World, side: Side, packet: &[u8]) {
    let now = world.now;
    world.end(side).machine.handle(now, Input::Packet(BytesMut::from(packet)));
}

fn stats(world: &mut World, side: Side) -> DatagramStats {
    world.end(side).machine.stats().datagrams
}

fn ends_clean(mut world: World) {
    world.close(Side::A, CloseReason::GoingAway);
    let (a, b) = world.finish();
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[rstest]
fn datagrams_travel_in_records_in_both_directions(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let mut world = asked(mode, &SessionConfig::default());
    let lens = [0, 1, ALWAYS, LONGEST];
    for len in lens {
        send(&mut world, Side::A, vec![1; len].into());
        send(&mut world, Side::B, vec![2; len].into());
    }
    world.run();
    for (side, byte) in [(Side::A, 2), (Side::B, 1)] {
        assert_eq!(taken(&mut world, side), lens.map(|len| Bytes::from(vec![byte; len])));
        let stats = stats(&mut world, side);
        assert_eq!((stats.sent, stats.received, stats.late, stats.overrun), (4, 4, 0, 0));
    }
    ends_clean(world);
}

#[test]
fn how_long_a_datagram_may_be_is_the_paths_to_say() {
    let mut world = asked(SecrecyMode::BestEffort, &resumable());
    for (longest, path) in [(LONGEST, None), (PACKET - OVERHEAD, Some(PACKET)), (LONGEST, Some(ALWAYS))] {
        world.a.machine.carry_packets(path);
        assert_eq!(world.a.machine.longest_datagram(), longest);
        let too_long = world.a.machine.send_datagram(vec![0; longest + 1].into());
        assert_eq!(too_long, Err(DatagramError::TooLong { len: longest + 1, limit: longest }));
        send(&mut world, Side::A, vec![0; longest].into());
    }
    world.cut();
    assert_eq!(world.a.machine.longest_datagram(), ALWAYS);
}

#[test]
fn nothing_is_kept_where_nobody_asks_any_more_or_ever_did() {
    for asks in [false, true] {
        let mut world = World::simple(1);
        if asks {
            world.b.machine.ask_for_datagrams().unwrap();
            send(&mut world, Side::A, numbered(0));
            world.run();
            world.b.machine.leave_datagrams();
        }
        world.a.machine.carry_packets(Some(PACKET));
        let dropped = packet(&mut world, Side::A, 1);
        give(&mut world, Side::B, &dropped);
        world.a.machine.carry_packets(None);
        for number in 2..100 {
            send(&mut world, Side::A, numbered(number));
            world.run();
        }
        world.b.machine.ask_for_datagrams().unwrap();
        assert_eq!(taken(&mut world, Side::B), Vec::<Bytes>::new());
        assert_eq!(
            (stats(&mut world, Side::B).unwanted, stats(&mut world, Side::B).overrun),
            (99, asks.into())
        );
        ends_clean(world);
    }
}

#[test]
fn a_flood_takes_a_quarter_of_each_record_from_a_channel_and_is_not_starved_by_it() {
    const LEN: usize = 600_000;
    let mut world = asked(SecrecyMode::BestEffort, &SessionConfig::default());
    world.send(Side::A, ZERO, vec![7; LEN]);
    let before = world.a.machine.stats().records_sent;
    let message = loop {
        for _ in 0..300 {
            send(&mut world, Side::A, vec![1; 1_000].into());
        }
        world.turn();
        if let Taken::Message(message) = world.take(Side::B, ZERO) {
            break message;
        }
    };
    assert_eq!(message.len(), LEN);
    // 48 KiB of each record are the message's; the path has the next record when its last byte arrives.
    let records = world.a.machine.stats().records_sent - before;
    let needed = (LEN as u64).div_ceil(48 * 1024);
    assert!((needed..=needed + 3).contains(&records), "{records} records, {needed} needed");
    assert!(stats(&mut world, Side::A).sent >= needed * 15, "{:?}", stats(&mut world, Side::A));
    world.run();
    ends_clean(world);
}

#[test]
fn the_oldest_go_when_a_path_or_a_reader_is_late_while_a_channel_loses_none() {
    const COUNT: u32 = 1_000;
    let config = SessionConfig { datagram_buffer: 100 * (64 + 4), ..SessionConfig::default() };
    let mut world = asked(SecrecyMode::BestEffort, &config);
    world.stalled = Some(Side::A);
    for number in 0..COUNT {
        send(&mut world, Side::A, numbered(number));
        world.send(Side::A, ZERO, numbered(number));
        if number == 10 {
            world.run();
        }
    }
    world.stalled = None;
    world.run();
    let heard = taken(&mut world, Side::B);
    assert_eq!(heard, (COUNT - 100..COUNT).map(numbered).collect::<Vec<_>>());
    let (sender, reader) = (stats(&mut world, Side::A), stats(&mut world, Side::B));
    assert_eq!(sender.sent + sender.late, COUNT.into());
    assert_eq!((reader.received, reader.overrun), (sender.sent, sender.sent - 100));
    for number in 0..COUNT {
        assert_eq!(world.message(Side::B, ZERO), numbered(number));
    }
    ends_clean(world);
}

/// What the network does: gives one of the packets, or one with a byte that is another.
#[derive(Clone, Copy, Debug)]
struct Delivery {
    which: prop::sample::Index,
    edit: Option<(prop::sample::Index, u8)>,
}

fn deliveries() -> impl Strategy<Value = Vec<Delivery>> {
    let edit = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), 1..=255_u8));
    let one = (any::<prop::sample::Index>(), edit).prop_map(|(which, edit)| Delivery { which, edit });
    proptest::collection::vec(one, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Exactly those of which an unedited copy came, in whatever order, and each once: an edited one takes no number away.
    #[test]
    fn packets_in_any_order_and_number_arrive_at_most_once_and_as_they_were(
        is_perfect in any::<bool>(), count in 1..400_u32, deliveries in deliveries(),
    ) {
        let mode = if is_perfect { SecrecyMode::Perfect } else { SecrecyMode::BestEffort };
        let mut world = in_packets(mode, &SessionConfig::default());
        let sealed: Vec<Bytes> = (0..count).map(|number| packet(&mut world, Side::A, number)).collect();
        let mut expected = BTreeSet::new();
        for Delivery { which, edit } in &deliveries {
            let which = which.index(sealed.len());
            let mut bytes = sealed[which].to_vec();
            match edit {
                Some((at, change)) => {
                    let at = at.index(bytes.len());
                    bytes[at] ^= change;
                }
                None => {
                    expected.insert(numbered(u32::try_from(which).unwrap()));
                }
            }
            give(&mut world, Side::B, &bytes);
        }
        let heard = taken(&mut world, Side::B);
        prop_assert_eq!(heard.len(), expected.len(), "none twice");
        prop_assert_eq!(heard.into_iter().collect::<BTreeSet<_>>(), expected);
        let stats = stats(&mut world, Side::B);
        prop_assert_eq!(stats.received + stats.rejected, deliveries.len() as u64);
        prop_assert_eq!(world.b.machine.stage(), Stage::Running);
    }
}

#[rstest]
fn a_packet_of_another_path_direction_or_kind_is_dropped(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let mut world = in_packets(mode, &resumable());
    let seen = packet(&mut world, Side::A, 0);
    give(&mut world, Side::B, &seen);
    let unseen = packet(&mut world, Side::A, 1);
    let in_a_record = {
        // Sent, and lost with its path: it is not repeated.
        world.a.machine.carry_packets(None);
        send(&mut world, Side::A, numbered(2));
        let (mut out, now) = (BytesMut::new(), world.now);
        assert!(world.a.machine.poll_transmit(now, &mut out, 1));
        world.a.machine.carry_packets(Some(PACKET));
        out
    };
    send(&mut world, Side::A, numbered(3));
    world.cut();
    world.attach();
    world.run();
    has_packets(&mut world);
    let reflected = packet(&mut world, Side::B, 4);
    let mut hostile = vec![seen.to_vec(), unseen.to_vec(), in_a_record.to_vec(), reflected.to_vec()];
    hostile.extend((0..60).map(|len| vec![0; len]));
    hostile.extend([vec![0xff; PACKET], vec![0; OVERHEAD + LONGEST], vec![0; OVERHEAD + LONGEST + 1]]);
    // A record body where a packet belongs, under a number that may come.
    hostile.push([&[0; 9][..], &in_a_record[4..]].concat());
    for packet in &hostile {
        give(&mut world, Side::B, packet);
    }
    assert_eq!(stats(&mut world, Side::B).rejected, hostile.len() as u64);
    assert_eq!(stats(&mut world, Side::A).late, 1, "it waited when the path went");
    let next = packet(&mut world, Side::A, 5);
    give(&mut world, Side::B, &next);
    assert_eq!(taken(&mut world, Side::B), [numbered(0), numbered(5)]);
    ends_clean(world);
}

#[rstest]
fn renewed_keys_take_what_was_under_way_for_the_drain_and_no_longer(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let config = SessionConfig { rekey: RekeyPolicy::Explicit, ..SessionConfig::default() };
    let mut world = in_packets(mode, &config);
    let [early, late] = [0, 1].map(|number| packet(&mut world, Side::A, number));
    world.trigger(Side::A);
    // In the middle of a round, under whatever version seals then.
    let mut between = Vec::new();
    for number in 2..40 {
        between.push(packet(&mut world, Side::A, number));
        between.push(packet(&mut world, Side::B, number));
        world.turn();
    }
    world.run();
    assert_eq!((world.a.rounds, world.b.rounds), (1, 1));
    let renewed = packet(&mut world, Side::A, 40);
    assert_eq!((early[0], renewed[0]), (0, 1), "the versions that sealed them");
    for packet in between.iter().step_by(2).chain([&renewed, &early]) {
        give(&mut world, Side::B, packet);
    }
    between.iter().skip(1).step_by(2).for_each(|packet| give(&mut world, Side::A, packet));
    let heard = taken(&mut world, Side::B);
    assert_eq!(heard, (2..=40).chain([0]).map(numbered).collect::<Vec<_>>());
    assert_eq!(taken(&mut world, Side::A), (2..40).map(numbered).collect::<Vec<_>>());
    world.pass(Duration::from_secs(31));
    give(&mut world, Side::B, &late);
    assert_eq!((taken(&mut world, Side::B), stats(&mut world, Side::B).rejected), (vec![], 1));
    ends_clean(world);
}

#[rstest]
fn the_hard_limit_of_a_key_stops_packets_until_a_round_and_never_the_session(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let key_limits = KeyLimits { hard_records: 16, ..KeyLimits::default() };
    let rekey = RekeyPolicy::Explicit;
    let mut world = in_packets(mode, &SessionConfig { key_limits, rekey, ..SessionConfig::default() });
    for number in 0..20 {
        send(&mut world, Side::A, numbered(number));
    }
    let sealed = packets(&mut world, Side::A);
    assert_eq!(sealed.len(), 16);
    sealed.iter().for_each(|packet| give(&mut world, Side::B, packet));
    assert_eq!((stats(&mut world, Side::A).sent, stats(&mut world, Side::A).late), (16, 4));
    world.trigger(Side::A);
    world.run();
    let next = packet(&mut world, Side::A, 20);
    give(&mut world, Side::B, &next);
    assert_eq!(taken(&mut world, Side::B), (0..16).chain([20]).map(numbered).collect::<Vec<_>>());
    ends_clean(world);
}

#[test]
fn packets_wear_a_key_and_a_round_is_due_for_them_alone() {
    let key_limits = KeyLimits { soft_records: 10, ..KeyLimits::default() };
    let mut world =
        in_packets(SecrecyMode::BestEffort, &SessionConfig { key_limits, ..SessionConfig::default() });
    for number in 0..10 {
        packet(&mut world, Side::A, number);
    }
    world.run();
    assert_eq!((world.a.rounds, world.b.rounds), (1, 1));
    ends_clean(world);
}

#[test]
fn a_gap_too_long_for_a_chain_ends_with_the_round_that_its_packets_made_due() {
    let mut world = in_packets(SecrecyMode::Perfect, &SessionConfig::default());
    let lost: Vec<Bytes> = (0..1_100).map(|number| packet(&mut world, Side::A, number)).collect();
    give(&mut world, Side::B, &lost[1_099]);
    assert_eq!(stats(&mut world, Side::B).rejected, 1);
    world.pass(Duration::from_secs(1));
    assert!(world.b.rounds > 0);
    let next = packet(&mut world, Side::A, 1_100);
    give(&mut world, Side::B, &next);
    assert_eq!(taken(&mut world, Side::B), [numbered(1_100)]);
    ends_clean(world);
}

#[rstest]
fn fix_0069_a_reader_that_missed_more_packets_than_a_chain_jumps_hears_again_by_itself(
    #[values(true, false)] asks_late: bool,
) {
    let config = SessionConfig { rekey: RekeyPolicy::Explicit, ..SessionConfig::default() };
    let mut world = World::new(1, SecrecyMode::Perfect, &config);
    world.a.machine.ask_for_datagrams().unwrap();
    if !asks_late {
        world.b.machine.ask_for_datagrams().unwrap();
    }
    has_packets(&mut world);
    let unheard: Vec<Bytes> = (0..1_100).map(|number| packet(&mut world, Side::A, number)).collect();
    if asks_late {
        unheard.iter().for_each(|packet| give(&mut world, Side::B, packet));
        world.b.machine.ask_for_datagrams().unwrap();
    }
    let before = stats(&mut world, Side::B).rejected;
    give(&mut world, Side::B, &unheard[1_099]);
    assert_eq!(stats(&mut world, Side::B).rejected, before + 1, "too far ahead of all that came");
    world.run();
    let next = packet(&mut world, Side::A, 1_100);
    give(&mut world, Side::B, &next);
    assert_eq!(taken(&mut world, Side::B), [numbered(1_100)]);
    assert_eq!((world.a.rounds, world.b.rounds), (1, 1));
    ends_clean(world);
}

/// What makes a round due is what the sender has sealed. The number in a packet is anybody's claim.
#[rstest]
fn half_of_what_a_chain_jumps_wears_the_senders_packets_and_nobodys_claim_does(
    #[values(SecrecyMode::BestEffort, SecrecyMode::Perfect)] mode: SecrecyMode,
) {
    let config = SessionConfig { rekey: RekeyPolicy::Explicit, ..SessionConfig::default() };
    let mut world = in_packets(mode, &config);
    for number in 0..511 {
        packet(&mut world, Side::A, number);
    }
    let mut claim = packet(&mut world, Side::B, 0).to_vec();
    for number in [511_u64, 512, 1_023, u64::MAX] {
        claim[1..9].copy_from_slice(&number.to_be_bytes());
        give(&mut world, Side::A, &claim);
    }
    world.run();
    assert_eq!((world.a.rounds, stats(&mut world, Side::A).rejected), (0, 4));
    packet(&mut world, Side::A, 511);
    world.run();
    let due = u64::from(mode == SecrecyMode::Perfect);
    assert_eq!((world.a.rounds, world.b.rounds), (due, due));
    // Under the new keys they count from the beginning.
    for number in 0..511 {
        packet(&mut world, Side::A, number);
    }
    world.run();
    assert_eq!(world.a.rounds, due);
    ends_clean(world);
}

#[test]
fn a_close_drops_what_waits_and_leaves_what_came() {
    for in_packets in [false, true] {
        let mut world = asked(SecrecyMode::BestEffort, &SessionConfig::default());
        send(&mut world, Side::A, numbered(0));
        world.run();
        if in_packets {
            has_packets(&mut world);
        }
        world.send(Side::A, ZERO, numbered(1));
        send(&mut world, Side::A, numbered(2));
        send(&mut world, Side::B, numbered(3));
        world.close(Side::A, CloseReason::GoingAway);
        assert_eq!(packets(&mut world, Side::A), Vec::<Bytes>::new());
        let closed = Err(DatagramError::Closed(CloseReason::GoingAway));
        assert_eq!(world.a.machine.send_datagram(numbered(4)), closed);
        assert_eq!(world.a.machine.ask_for_datagrams(), closed);
        world.run();
        assert_eq!(world.message(Side::B, ZERO), numbered(1));
        world.pass(Duration::from_secs(1));
        assert_eq!(taken(&mut world, Side::B), [numbered(0)]);
        assert_eq!(taken(&mut world, Side::A), Vec::<Bytes>::new());
        assert_eq!(stats(&mut world, Side::A).late, 1);
        let (a, b) = world.finish();
        assert!(a.clean && b.clean, "{a} / {b}");
    }
}

#[test]
fn datagrams_keep_a_session_from_idling_where_they_are_wanted_alone() {
    for is_wanted in [true, false] {
        let idle_after = Some(Duration::from_secs(10));
        let config = SessionConfig { idle_after, ..SessionConfig::default() };
        let mut world = World::new(1, SecrecyMode::BestEffort, &config);
        if is_wanted {
            world.b.machine.ask_for_datagrams().unwrap();
        }
        for number in 0..6 {
            // The session may be closing by now.
            let _sent = world.a.machine.send_datagram(numbered(number));
            world.pass(Duration::from_secs(5));
        }
        assert_eq!(world.b.closed.is_none(), is_wanted, "{:?}", world.b.closed);
    }
}

fn frame(datagram: &[u8]) -> Vec<u8> {
    let len = u32::try_from(datagram.len()).unwrap() | 0x8000_0000;
    [&[0x40][..], &len.to_be_bytes(), datagram].concat()
}

#[test]
fn a_hostile_peer_fills_its_victims_queue_and_no_more() {
    let mut rogue = Rogue::new(Limits::default());
    rogue.victim.ask_for_datagrams().unwrap();
    for _ in 0..20 {
        rogue.send(&[frame(&[]), frame(&[1; LONGEST])].concat());
        rogue.send(&frame(&[]).repeat(10_000));
    }
    assert!(rogue.is_unharmed());
    let kept: Vec<Bytes> = std::iter::from_fn(|| rogue.victim.take_datagram()).collect();
    assert!(kept.iter().map(|datagram| 64 + datagram.len()).sum::<usize>() <= 256 << 10);
    assert_eq!(kept.len(), 4_096);
}

#[test]
fn a_datagram_that_is_too_long_or_cut_is_a_malformed_frame() {
    for bytes in [frame(&[1; LONGEST + 1]), frame(&[1; 100])[..100].to_vec(), vec![0x40]] {
        let mut rogue = Rogue::new(Limits::default());
        rogue.send(&bytes);
        assert_eq!(rogue.reason(), CloseReason::Fatal(Fault::MalformedFrame));
    }
}
