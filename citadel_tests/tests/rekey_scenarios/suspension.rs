//! 9, 13: an end that does not run for ten minutes, clocks that jump.

use super::{A, B, ms};
use citadel_crypt::ratchets::rekey::Version;
use citadel_tests::rekey_world::{CallError, Setup, World};
use core::time::Duration;

// 9
#[test]
fn an_end_suspended_for_ten_minutes_at_any_moment_of_a_round_resumes() {
    for setup in [Setup::RELIABLE, Setup::LOSSY] {
        for who in [A, B] {
            for at in 0..40 {
                let mut world = World::new(setup);
                let calls = [(A, world.call(A)), (B, world.call(B))];
                world.run(ms(at));
                world.suspend(who);
                for _ in 0..10 {
                    world.send(who.peer(), 1);
                    world.run(Duration::from_secs(60));
                }
                world.resume(who);
                world.settle();
                for (side, call) in calls {
                    match world.end(side).result(call).expect("ended") {
                        Ok(outcome) => assert!(outcome.version >= Version(1)),
                        Err(error) => assert_eq!(error, CallError::TimedOut),
                    }
                    assert!(world.end(side).machine().latest() >= Version(1), "{who:?} at {at} ms");
                }
                let call = world.call(who);
                world.settle();
                assert!(world.end(who).result(call).expect("ended").is_ok());
                world.finish();
            }
        }
    }
}

// 13
#[test]
fn clock_jumps_on_either_side_change_nothing_but_when_timers_fire() {
    for setup in [Setup::RELIABLE, Setup::LOSSY] {
        for who in [A, B] {
            let mut world = World::new(setup);
            for round in 0..40 {
                let calls = [world.call(A), world.call(B)];
                world.run(ms(round % 13));
                match round % 3 {
                    0 => world.jump(who, Duration::from_secs(600)),
                    1 => world.jump(who, Duration::from_secs(7 * 24 * 3600)),
                    _ => {}
                }
                world.settle();
                for (side, call) in [A, B].into_iter().zip(calls) {
                    let outcome = world.end(side).result(call).expect("ended").expect("served");
                    assert!(outcome.version > world.end(side).calls[call.0].from);
                }
            }
            world.finish();
        }
    }
}

#[test]
fn a_clock_that_jumps_back_delays_timers_but_no_round_on_a_reliable_path() {
    let mut world = World::new(Setup::RELIABLE);
    world.jump(A, Duration::from_secs(30));
    world.call(A);
    world.run(ms(7));
    world.jump_back(A);
    world.run(ms(20));
    assert_eq!(world.end(A).machine().latest(), Version(1));
    world.finish();
}
