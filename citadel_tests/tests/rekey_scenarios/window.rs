//! 12, 14c: what stays readable, what goes, and that the window never grows past its limit.

use super::{A, B, ms};
use citadel_crypt::ratchets::rekey::{MessageKind, Phase, Version};
use citadel_tests::rekey_world::{Fate, Link, Packet, Setup, World};
use core::time::Duration;

/// Unordered, nothing lost.
fn unordered(window: u8) -> Setup {
    // 1 ms on the way: sixteen rounds are over before the first drain is.
    Setup { link: Link { ordered: false, delay: ms(1), ..Link::RELIABLE }, window, ..Setup::RELIABLE }
}

/// Data that `A` sealed under its latest version, taken out of the network.
fn hold_one(world: &mut World) -> Packet {
    world.send(A, 1);
    world.network.in_flight_mut().pop().expect("the packet just sent")
}

// 12, 14c. Rounds follow each other faster than drains end.
#[test]
fn messages_under_readable_versions_open_and_older_ones_are_rejected() {
    for window in [2, 4, 16] {
        let mut world = World::new(unordered(window));
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(hold_one(&mut world));
            let before = world.end(B).machine().latest();
            world.call(A);
            world.run_until(|w| w.end(A).machine().latest() > before && w.network.is_empty());
            for side in [A, B] {
                let live = world.end(side).keys().live();
                assert!(live.len() <= usize::from(window), "W {window}: {live:?}");
            }
        }
        let earliest = world.end(B).machine().earliest().0;
        assert_eq!(earliest, 21 - u64::from(window));
        let readable: Vec<u64> = (0..20).filter(|v| *v >= earliest).collect();
        for packet in held {
            world.deliver(packet);
        }
        assert_eq!(world.end(B).delivered, readable);
        assert_eq!(world.end(B).expired, 20 - readable.len() as u64);
        world.finish();
    }
}

// 14c
#[test]
fn earliest_and_candidate_are_live_at_once() {
    for window in [2, 4, 16] {
        let mut world = World::new(unordered(window));
        let mut held = Vec::new();
        for _ in 0..window {
            held.push(hold_one(&mut world));
            if held.len() == usize::from(window) {
                break;
            }
            let before = world.end(B).machine().latest();
            world.call(A);
            world.run_until(|w| w.end(A).machine().latest() > before && w.network.is_empty());
        }
        world.network.set_script(|sent| match sent.kind {
            Some(MessageKind::Finish) => Fate::Delay(ms(20)),
            _ => Fate::Deliver,
        });
        world.call(A);
        let version = Version(u64::from(window));
        world.run_until(|w| w.end(A).machine().latest() == version);
        let candidate = hold_one(&mut world);
        assert_eq!(world.end(B).machine().candidate_version(), Some(version));
        assert_eq!(world.end(B).machine().earliest(), Version(0));
        let first = held.remove(0);
        world.deliver(first);
        assert_eq!(world.end(B).machine().candidate_version(), Some(version), "an old record is no finish");
        world.deliver(candidate);
        assert_eq!(world.end(B).machine().latest(), version, "a record under the candidate is one");
        for packet in held {
            world.deliver(packet);
        }
        assert_eq!(world.end(B).delivered.len(), usize::from(window) + 1);
        world.finish();
    }
}

// 14c
#[test]
fn records_of_a_peer_suspended_ten_minutes_open_while_confirming() {
    for window in [2, 4, 16] {
        let mut world = World::new(unordered(window));
        for _ in 0..window {
            world.call(B);
            world.settle();
        }
        let call = world.call(B);
        // What the peer sealed before it saw the finish: on its way for ten minutes.
        world.run_until(|w| matches!(w.end(A).machine().view().phase, Phase::Answered { .. }));
        let old = hold_one(&mut world);
        world.run_until(|w| matches!(w.end(B).machine().view().phase, Phase::Confirming { .. }));
        world.suspend(A);
        world.run(Duration::from_secs(600));
        assert!(
            world.end(B).result(call).is_some_and(|r| r.is_ok()),
            "committed here, so the caller is served"
        );
        world.deliver(old);
        assert_eq!(world.end(B).delivered, [0]);
        world.resume(A);
        world.finish();
    }
}

#[test]
fn a_full_window_is_announced_by_truncate() {
    let mut world = World::new(Setup { window: 2, ..Setup::RELIABLE });
    for _ in 0..10 {
        let before = world.end(A).machine().latest();
        world.call(A);
        world.run_until(|w| w.end(A).machine().latest() > before && w.network.is_empty());
    }
    for side in [A, B] {
        assert_eq!(world.end(side).machine().earliest(), Version(9));
        assert_eq!(world.end(side).keys().live(), [Version(9), Version(10)]);
    }
    world.finish();
}
