//! 7, 14, 14a, 14b: how rounds and ends stop.

use super::{A, B, ms};
use citadel_crypt::ratchets::rekey::{Lifecycle, MessageKind, Phase, Refusal, Side, Verdict, Version};
use citadel_tests::rekey_world::{CallError, Fate, Setup, World};
use core::time::Duration;

// 7
#[test]
fn an_offer_is_cancelled_at_any_moment_and_the_next_trigger_of_either_side_succeeds() {
    for setup in [Setup::RELIABLE, Setup::LOSSY] {
        for owner in [A, B] {
            for at in 0..30 {
                for next in [A, B] {
                    let mut world = World::new(setup);
                    let call = world.call(owner);
                    world.run(ms(at));
                    match world.withdraw(owner) {
                        Verdict::Done => {
                            assert_eq!(world.end(owner).result(call), Some(Err(CallError::Withdrawn)));
                        }
                        Verdict::Refused(why) => {
                            assert!(matches!(why, Refusal::AlreadyCommitted | Refusal::NoRound));
                            assert!(world.end(owner).result(call).is_some_and(|r| r.is_ok()));
                        }
                        other => panic!("{other:?}"),
                    }
                    let call = world.call(next);
                    world.settle();
                    let outcome = world.end(next).result(call).expect("ended").expect("served");
                    assert!(outcome.version > world.end(next).calls[call.0].from);
                    world.finish();
                }
            }
        }
    }
}

#[test]
fn a_cancel_that_crosses_the_answer_or_is_lost_ends_the_round_for_both() {
    for lost in 0..4 {
        for at in [0, 4, 6, 9] {
            let mut world = World::new(Setup::RELIABLE);
            let mut left = lost;
            world.network.set_script(move |sent| {
                if sent.kind == Some(MessageKind::Cancel) && left > 0 {
                    left -= 1;
                    return Fate::Drop;
                }
                Fate::Deliver
            });
            world.call(A);
            world.run(ms(at));
            assert_eq!(world.withdraw(A), Verdict::Done);
            world.settle();
            for side in [A, B] {
                assert_eq!(world.end(side).machine().latest(), Version(0));
                assert_eq!(world.end(side).machine().view().phase, Phase::Idle { held: None });
            }
            world.finish();
        }
    }
}

/// Runs until `side` is in the phase that the test names.
fn reach(world: &mut World, side: Side, is_it: fn(&Phase) -> bool) {
    world.run_until(|w| is_it(&w.end(side).machine().view().phase));
    assert!(is_it(&world.end(side).machine().view().phase));
}

/// Phases of `A`, and how to get there.
fn in_phase(name: &str) -> World {
    let mut world = World::new(Setup::RELIABLE);
    match name {
        "Idle" => {}
        "Offered" => {
            world.call(A);
        }
        "Confirming" => {
            world.call(A);
            reach(&mut world, A, |p| matches!(p, Phase::Confirming { .. }));
        }
        "Answered" => {
            world.call(B);
            reach(&mut world, A, |p| matches!(p, Phase::Answered { .. }));
        }
        "Withdrawing" => {
            world.call(A);
            world.withdraw(A);
        }
        other => unreachable!("no phase {other}"),
    }
    world
}

const PHASES: [&str; 5] = ["Idle", "Offered", "Confirming", "Answered", "Withdrawing"];

// 14
#[test]
fn a_halt_in_each_phase_ends_in_halted_once() {
    for phase in PHASES {
        let mut world = in_phase(phase);
        let before = world.end(A).machine().latest();
        assert_eq!(world.halt(A), Verdict::Done);
        world.run(Duration::from_secs(30));
        let view = world.end(A).machine().view();
        assert_eq!((view.lifecycle, world.end(A).halted), (Lifecycle::Halted, 1), "{phase}");
        assert_eq!(world.end(A).machine().poll_timeout(), None);
        let is_committed = matches!(phase, "Confirming" | "Answered");
        assert_eq!(world.end(A).machine().latest() > before, phase == "Answered", "{phase}");
        assert_eq!(world.end(B).machine().latest().0, u64::from(is_committed), "{phase}");
        let refused = world.call(A);
        assert_eq!(world.end(A).result(refused), Some(Err(CallError::Halted)));
        world.finish();
    }
}

#[test]
fn both_ends_halt_at_once_in_each_phase() {
    for phase in PHASES {
        for lag in [0, 1, 5, 7, 11] {
            let mut world = in_phase(phase);
            world.halt(A);
            world.run(ms(lag));
            world.halt(B);
            world.run(Duration::from_secs(30));
            for side in [A, B] {
                assert_eq!(world.end(side).halted, 1, "{phase} {lag} {side:?}");
            }
            world.finish();
        }
    }
}

#[test]
fn both_ends_halt_while_both_offer() {
    for at in 0..25 {
        let mut world = World::new(Setup::RELIABLE);
        world.call(A);
        world.call(B);
        world.run(ms(at));
        world.halt(A);
        world.halt(B);
        world.finish();
    }
}

#[test]
fn a_halted_peer_leaves_the_offerers_waiter_its_deadline_and_nothing_else() {
    let mut world = World::new(Setup::RELIABLE);
    world.halt(B);
    let call = world.call(A);
    world.run(Duration::from_secs(11));
    assert_eq!(world.end(A).result(call), Some(Err(CallError::TimedOut)));
    assert_eq!(world.withdraw(A), Verdict::Done);
    world.finish();
}

// 14a
#[test]
fn data_of_a_confirming_peer_opens_after_a_halt_in_answered() {
    let mut world = World::new(Setup::LOSSY);
    world.network.set_script(|sent| match sent.kind {
        // The finish never arrives as such: the data is the finish.
        Some(MessageKind::Finish) => Fate::Drop,
        _ => Fate::Deliver,
    });
    world.call(B);
    reach(&mut world, A, |p| matches!(p, Phase::Answered { .. }));
    world.halt(A);
    reach(&mut world, B, |p| matches!(p, Phase::Confirming { .. }));
    assert_eq!(world.end(A).machine().candidate_version(), Some(Version(1)), "the candidate stays");
    world.send(B, 101);
    world.run(Duration::from_secs(5));
    assert_eq!(world.end(A).unopened, 0);
    assert!(world.end(A).delivered.len() > 80, "all but what the path lost");
    assert_eq!((world.end(A).machine().latest(), world.end(A).halted), (Version(1), 1));
    world.finish();
}

// 14b
#[test]
fn an_offer_that_arrives_while_withdrawing_is_answered_after_the_acknowledgement() {
    let mut world = World::new(Setup::RELIABLE);
    world.call(A);
    world.run(ms(2));
    world.withdraw(A);
    let call = world.call(B);
    reach(&mut world, A, |p| matches!(p, Phase::Withdrawing { held: Some(_), .. }));
    world.run(ms(40));
    let outcome = world.end(B).result(call).expect("ended by messages alone").expect("served");
    assert_eq!((outcome.version, outcome.round.side), (Version(1), B));
    world.finish();
}

// 14b. The responder wins version 1.
#[test]
fn the_losers_caller_is_served_when_the_winner_withdraws_after_it_yielded() {
    for at in [5, 6, 9] {
        let mut world = World::new(Setup::RELIABLE);
        let call = world.call(A);
        world.call(B);
        world.run(ms(at));
        assert!(matches!(world.end(A).machine().view().phase, Phase::Answered { .. }));
        assert_eq!(world.withdraw(B), Verdict::Done);
        world.run(ms(60));
        let outcome = world.end(A).result(call).expect("ended by messages alone").expect("served");
        assert_eq!((outcome.version, outcome.round.side), (Version(1), A));
        world.finish();
    }
}
