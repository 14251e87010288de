//! 6, 8: any one message lost, doubled, late or overtaken, at every step and in both roles.

use super::{A, B, ms};
use citadel_crypt::ratchets::rekey::{MessageKind, Side, Version};
use citadel_tests::rekey_world::{CallError, Fate, Link, Setup, World};
use core::time::Duration;
use std::cell::Cell;
use std::rc::Rc;

/// What happens before the round at hand: who triggers, and whether both do.
#[derive(Clone, Copy, Debug)]
enum Story {
    One(Side),
    Both,
    /// Triggered, answered, withdrawn, and triggered by the other.
    Withdrawn(Side),
}

const STORIES: [Story; 5] =
    [Story::One(A), Story::One(B), Story::Both, Story::Withdrawn(A), Story::Withdrawn(B)];

/// An unordered path that loses nothing but what the script takes.
const SCRIPTED: Setup =
    Setup { link: Link { delay: ms(5), spread: Duration::ZERO, loss: 0, ordered: false }, ..Setup::RELIABLE };

fn tell(world: &mut World, story: Story) {
    match story {
        Story::One(side) => {
            world.call(side);
        }
        Story::Both => {
            world.call(A);
            world.call(B);
        }
        Story::Withdrawn(side) => {
            world.call(side);
            world.run(ms(7));
            world.withdraw(side);
            world.call(side.peer());
        }
    }
}

/// How many rekey messages each side sends when nothing goes wrong.
fn undisturbed(setup: Setup, story: Story) -> [usize; 2] {
    let counts = Rc::new(Cell::new([0, 0]));
    let mut world = World::new(setup);
    let counted = counts.clone();
    world.network.set_script(move |sent| {
        let mut counts = counted.get();
        counts[usize::from(sent.from.number())] += usize::from(sent.kind.is_some());
        counted.set(counts);
        Fate::Deliver
    });
    tell(&mut world, story);
    world.settle();
    world.finish();
    counts.get()
}

/// Tells every story once for each message of it, with `fate` for that one.
fn disturb_each(setup: Setup, fate: Fate) -> usize {
    let mut told = 0;
    for story in STORIES {
        let counts = undisturbed(setup, story);
        for side in [A, B] {
            for nth in 0..counts[usize::from(side.number())] {
                let mut world = World::new(setup);
                world.network.set_script(move |sent| {
                    if sent.from == side && sent.kind.is_some() && sent.nth == nth {
                        fate
                    } else {
                        Fate::Deliver
                    }
                });
                tell(&mut world, story);
                world.settle();
                let what = format!("{story:?}, message {nth} of {side:?}: {fate:?}");
                for end in [A, B] {
                    for call in &world.end(end).calls {
                        let is_served = match call.result {
                            Some(Ok(outcome)) => outcome.version > call.from,
                            Some(Err(error)) => error == CallError::Withdrawn,
                            None => false,
                        };
                        assert!(is_served, "{what}: {call:?}");
                    }
                }
                assert!(world.end(A).machine().latest() >= Version(1), "{what}");
                for end in [A, B] {
                    let before = world.end(end).machine().latest();
                    let call = world.call(end);
                    world.settle();
                    let outcome =
                        world.end(end).result(call).expect("ended").expect("the next trigger succeeds");
                    assert!(outcome.version > before, "{what}");
                }
                world.finish();
                told += 1;
            }
        }
    }
    told
}

#[test]
fn any_one_message_lost() {
    assert!(disturb_each(SCRIPTED, Fate::Drop) >= 25);
    // A path that calls itself reliable and is not still ends at the slow pace.
    assert!(disturb_each(Setup::RELIABLE, Fate::Drop) >= 25);
}

#[test]
fn any_one_message_doubled() {
    for gap in [0, 1, 11, 400] {
        assert!(disturb_each(SCRIPTED, Fate::Twice(ms(gap))) >= 25);
    }
}

#[test]
fn any_one_message_overtaken_or_delayed_past_the_next_round() {
    for delay in [6, 12, 30, 120, 700, 3000] {
        assert!(disturb_each(SCRIPTED, Fate::Delay(ms(delay))) >= 25);
    }
}

#[test]
fn every_message_of_one_kind_lost_three_times() {
    let kinds = [
        MessageKind::AliceToBob,
        MessageKind::BobToAlice,
        MessageKind::Finish,
        MessageKind::LeaderCanFinish,
        MessageKind::Cancel,
        MessageKind::CancelAck,
    ];
    for kind in kinds {
        for story in STORIES {
            let mut world = World::new(SCRIPTED);
            let mut lost = 0;
            world.network.set_script(move |sent| {
                if sent.kind == Some(kind) && lost < 3 {
                    lost += 1;
                    return Fate::Drop;
                }
                Fate::Deliver
            });
            tell(&mut world, story);
            world.settle();
            let served = [A, B]
                .iter()
                .flat_map(|s| &world.end(*s).calls)
                .all(|c| c.result.is_some_and(|r| r.is_ok() || r == Err(CallError::Withdrawn)));
            assert!(served, "{kind:?} in {story:?}");
            world.finish();
        }
    }
}

#[test]
fn rounds_go_on_over_a_path_that_loses_every_fifth_packet() {
    for seed in 1..=20 {
        let link = Link { loss: 200, ..Link::LOSSY };
        let mut world = World::new(Setup { link, seed, ..Setup::RELIABLE });
        for _ in 0..20 {
            let calls = [world.call(A), world.call(B)];
            world.send(A, 5);
            world.send(B, 5);
            world.settle();
            for (side, call) in [A, B].into_iter().zip(calls) {
                let result = world.end(side).result(call).expect("ended");
                assert!(result.is_ok(), "seed {seed}: {result:?}");
            }
        }
        world.finish();
    }
}

// 8
#[test]
fn a_peer_that_falls_silent_after_any_message_costs_the_caller_only_its_deadline() {
    for story in STORIES {
        for silent in [A, B] {
            for after in 0..undisturbed(SCRIPTED, story)[usize::from(silent.number())] {
                let mut world = World::new(SCRIPTED);
                world.network.set_script(move |sent| {
                    if sent.from == silent && sent.nth >= after { Fate::Drop } else { Fate::Deliver }
                });
                tell(&mut world, story);
                let heard = silent.peer();
                for _ in 0..11 {
                    world.send(heard, 1);
                    assert_eq!(world.end(heard).waiting_data(), 0, "sends go on");
                    world.run(Duration::from_secs(1));
                }
                for side in [A, B] {
                    for call in &world.end(side).calls {
                        assert!(
                            call.result.is_some(),
                            "{story:?} {silent:?} {after}: a waiter outlives its deadline"
                        );
                    }
                    assert_eq!(world.end(side).closed, None, "the rekey never ends the session");
                }
                // Heard again, the round ends by itself.
                world.network.set_script(|_| Fate::Deliver);
                world.finish();
            }
        }
    }
}
