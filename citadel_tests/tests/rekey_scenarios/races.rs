//! Both ends at once: offsets, storms, floods, and what the fix log tells of superseded rounds.

use super::{A, B, ms};
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::{CancelCause, Event, MessageKind, Phase, Role, Side, Version};
use citadel_tests::rekey_world::{Fate, Link, Setup, World};

// 1, fix 1: the lost notification.
#[test]
fn a_wait_registered_after_the_round_is_over_resolves_at_once() {
    let mut world = World::new(Setup::RELIABLE);
    world.call(A);
    world.settle();
    for side in [A, B] {
        let late = world.wait_for(side, Version(1));
        let outcome = world.end(side).result(late).expect("resolved at once").expect("with the outcome");
        assert_eq!(outcome.version, Version(1));
    }
    world.finish();
}

/// 100 rounds with both ends triggering, the second `lag` after the first, turn about.
fn both_ends_trigger(setup: Setup, lag: u64) {
    let mut world = World::new(setup);
    for round in 0..100 {
        let before = world.end(A).machine().latest();
        let (first, second) = if round % 2 == 0 { (A, B) } else { (B, A) };
        let one = world.call(first);
        world.run(ms(lag));
        let other = world.call(second);
        world.run_until(|w| w.end(first).result(one).is_some() && w.end(second).result(other).is_some());
        for (side, call) in [(first, one), (second, other)] {
            let outcome = world.end(side).result(call).expect("ended").expect("served");
            assert!(outcome.version > world.end(side).calls[call.0].from, "{setup:?} {round}");
        }
        world.settle();
        let after = world.end(A).machine().latest();
        assert!(after > before);
        assert_eq!(after, world.end(B).machine().latest());
        let (one, other) = (world.end(first).result(one), world.end(second).result(other));
        let (one, other) = (one.expect("ended").expect("served"), other.expect("ended").expect("served"));
        if one.version == other.version {
            assert_eq!(one.round, other.round);
            assert_ne!(one.role, other.role);
        }
    }
    world.finish();
}

// 2
#[test]
fn both_ends_trigger_at_the_same_moment() {
    both_ends_trigger(Setup::RELIABLE, 0);
    both_ends_trigger(Setup::LOSSY, 0);
}

#[test]
fn both_ends_trigger_1_ms_apart() {
    both_ends_trigger(Setup::RELIABLE, 1);
    both_ends_trigger(Setup::LOSSY, 1);
}

#[test]
fn both_ends_trigger_10_ms_apart() {
    both_ends_trigger(Setup::RELIABLE, 10);
    both_ends_trigger(Setup::LOSSY, 10);
}

#[test]
fn both_ends_trigger_100_ms_apart() {
    both_ends_trigger(Setup::RELIABLE, 100);
    both_ends_trigger(Setup::LOSSY, 100);
}

#[test]
fn both_ends_trigger_500_ms_apart() {
    both_ends_trigger(Setup::RELIABLE, 500);
    both_ends_trigger(Setup::LOSSY, 500);
}

const UNORDERED: Setup =
    Setup { link: Link { ordered: false, loss: 0, ..Link::RELIABLE }, ..Setup::RELIABLE };

// 3, fix 5. The responder wins version 1, so the initiator's offer is the superseded one.
#[test]
fn the_leader_gets_the_losers_superseded_offer_late() {
    for late in [1, 8, 30, 300, 3000] {
        let mut world = World::new(UNORDERED);
        world.network.set_script(move |sent| match (sent.from, sent.kind, sent.nth) {
            (Side::Initiator, Some(MessageKind::AliceToBob), 0) => Fate::Delay(ms(late)),
            _ => Fate::Deliver,
        });
        let (a, b) = (world.call(A), world.call(B));
        world.settle();
        for (side, call, role) in [(A, a, Role::Loser), (B, b, Role::Leader)] {
            let outcome = world.end(side).result(call).expect("ended").expect("served");
            assert_eq!((outcome.version, outcome.role), (Version(1), role), "{late} ms");
        }
        world.finish();
    }
}

// 3, the twin: the initiator's offer was answered, then withdrawn and superseded; the answer comes late.
#[test]
fn the_loser_gets_an_answer_to_its_superseded_offer_late() {
    for late in [8, 30, 300, 3000] {
        let mut world = World::new(UNORDERED);
        world.network.set_script(move |sent| match (sent.from, sent.kind) {
            (Side::Responder, Some(MessageKind::BobToAlice))
                if sent.round.is_some_and(|r| r.attempt.0 == 1) =>
            {
                Fate::Delay(ms(late))
            }
            _ => Fate::Deliver,
        });
        world.call(A);
        world.run(ms(7));
        assert!(matches!(world.end(B).machine().view().phase, Phase::Answered { .. }));
        world.withdraw(A);
        let b = world.call(B);
        world.settle();
        assert!(world.end(B).result(b).expect("ended").is_ok(), "{late} ms");
        world.finish();
    }
}

// 4, fix 6: the superseded secret is gone before the next one is made; `World` counts secrets by their drops.
#[test]
fn a_superseded_constructor_never_serves_a_later_round() {
    let mut world = World::new(Setup::RELIABLE);
    for _ in 0..50 {
        world.call(A);
        world.call(B);
        world.run(ms(3));
        world.withdraw(A);
        world.withdraw(B);
        world.run(ms(4));
        world.call(B);
        world.call(A);
        world.settle();
    }
    for side in [A, B] {
        assert_eq!((world.end(side).secrets().now(), world.end(side).secrets().most()), (0, 1));
    }
    assert!(world.end(A).machine().latest() >= Version(50));
    world.finish();
}

// 5, fix 6, part 2.
#[test]
fn an_idle_end_without_a_constructor_answers_a_fresh_offer() {
    let mut world = World::new(Setup::RELIABLE);
    world.call(B);
    world.run(ms(1));
    world.withdraw(B);
    world.settle();
    assert_eq!(world.end(B).secrets().now(), 0);
    let call = world.call(A);
    world.settle();
    let outcome = world.end(A).result(call).expect("ended").expect("served");
    assert_eq!((outcome.version, world.end(B).history[0].role), (Version(1), Role::Loser));
    world.finish();
}

// 10
#[test]
fn a_storm_of_a_thousand_triggers_on_each_side_makes_a_few_rounds() {
    for setup in [Setup::RELIABLE, Setup::LOSSY] {
        let mut world = World::new(setup);
        for _ in 0..1000 {
            world.call(A);
            world.call(B);
        }
        world.settle();
        let rounds = world.end(A).machine().latest().0;
        assert!((1..=2).contains(&rounds), "{rounds} rounds for one moment's triggers");
        // Now spread over 2 s: one round takes about two round trips, each trigger adds at most one.
        for _ in 0..1000 {
            world.call(A);
            world.call(B);
            world.run(ms(2));
        }
        world.settle();
        let spread = world.end(A).machine().latest().0 - rounds;
        assert!(spread <= 2000 / 10, "{spread} rounds in 2 s of 10 ms round trips");
        for side in [A, B] {
            assert_eq!(world.end(side).calls.len(), 2000);
            assert!(world.end(side).calls.iter().all(|c| c.result.is_some_and(|r| r.is_ok())));
        }
        world.finish();
    }
}

// 11
#[test]
fn floods_both_ways_during_a_thousand_simultaneous_rounds() {
    for mode in [SecrecyMode::BestEffort, SecrecyMode::Perfect] {
        flood(Setup { mode, ..Setup::RELIABLE });
    }
}

fn flood(setup: Setup) {
    let mut world = World::new(setup);
    let mut sent = 0;
    while world.end(A).machine().latest().0 < 1000 {
        let is_idle = |side| world.end(side).machine().view().phase == Phase::Idle { held: None };
        if is_idle(A) && is_idle(B) {
            world.call(A);
            world.call(B);
        }
        for side in [A, B] {
            world.send(side, 3);
            assert_eq!(world.end(side).waiting_data(), 0, "a send waited for a round");
        }
        sent += 3;
        world.run(ms(1));
    }
    world.settle();
    let all: Vec<u64> = (0..sent).collect();
    for side in [A, B] {
        assert!(world.end(side).delivered == all, "lost, doubled or reordered");
    }
    world.finish();
}

#[test]
fn the_offer_that_loses_the_tie_is_reported_and_its_caller_served() {
    for (version, loser) in [(1, A), (2, B)] {
        let mut world = World::new(Setup::RELIABLE);
        while world.end(A).machine().latest().0 + 1 < version {
            world.call(A);
            world.settle();
        }
        let call = world.call(loser);
        world.call(loser.peer());
        world.settle();
        let yielded = |e: &Event| matches!(e, Event::Cancelled { reason: CancelCause::Yielded, .. });
        assert_eq!(world.end(loser).events.iter().filter(|e| yielded(e)).count(), 1);
        assert!(!world.end(loser.peer()).events.iter().any(yielded));
        let outcome = world.end(loser).result(call).expect("ended").expect("served");
        assert_eq!((outcome.version.0, outcome.role), (version, Role::Loser));
        world.finish();
    }
}
