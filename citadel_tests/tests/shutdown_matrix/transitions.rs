//! Every state of a session × every input, on real machines, drawn into `tests/data/session_transitions.txt`.

use super::ZERO;
use bytes::BytesMut;
use citadel_crypt::SecrecyMode;
use citadel_proto::record::{self, RawRecord};
use citadel_proto::session::{Input, Link, Output, SessionConfig, TimerReason};
use citadel_proto::shutdown::Stage;
use citadel_proto::{CloseReason, PathLoss};
use citadel_tests::session_world::{Side, World};
use std::fmt::Write;
use std::time::Duration;

/// A stage and what is under it.
type State = (Stage, &'static str);

const STATES: [State; 14] = [
    (Stage::Running, "Carrying"),
    (Stage::Running, "Greeting"),
    (Stage::Running, "Detached"),
    (Stage::Flushing, "Carrying"),
    (Stage::Flushing, "Greeting"),
    (Stage::Flushing, "Detached"),
    (Stage::HaltingRekey, "Carrying"),
    (Stage::HaltingRekey, "Greeting"),
    (Stage::HaltingRekey, "Detached"),
    (Stage::Announcing, "Carrying"),
    (Stage::Announcing, "Greeting"),
    (Stage::AwaitingPeer, "Carrying"),
    (Stage::AwaitingPeer, "Greeting"),
    (Stage::Closed, "Gone"),
];

const INPUTS: [&str; 13] = [
    "a record of the peer",
    "a record with Closing",
    "a record with Close",
    "a record that does not open",
    "PathLost",
    "PathAttached, a new one",
    "PathAttached, a used one",
    "Abandoned",
    "PathFlushed",
    "Timeout of the stage or the wait",
    "close in order",
    "abort",
    "transmit, PathFlushed",
];

fn config() -> SessionConfig {
    let never = Duration::from_secs(1 << 20);
    // Only the deadlines that the table is about.
    SessionConfig {
        resume: Duration::from_secs(60),
        reauth: None,
        ping_after: never,
        dead_after: never,
        version_age: never * 4,
        ..SessionConfig::default()
    }
}

/// Lets timers of A come, and nothing else happen, until it stands at `stage`.
fn wait_for(world: &mut World, stage: Stage) {
    for _ in 0..1_000 {
        if world.a.machine.stage() == stage {
            return;
        }
        let (at, _) = world.a.machine.poll_timeout().expect("a stage has a deadline");
        world.now = world.now.max(at);
        world.a.machine.handle(world.now, Input::Timeout);
    }
    panic!("A never came to {stage:?}");
}

/// A session whose initiator is in `state`. The responder has heard nothing of the close.
fn bring_to((stage, link): State) -> World {
    let mut world = World::new(1, SecrecyMode::BestEffort, &config());
    world.run();
    world.send(Side::A, ZERO, "never acknowledged");
    if stage > Stage::Running {
        world.trigger(Side::A);
    }
    if link != "Carrying" && stage < Stage::Closed {
        world.cut();
    }
    if link == "Greeting" {
        world.attach();
    }
    match stage {
        Stage::Running => {}
        Stage::AwaitingPeer => {
            world.a.machine.close(world.now, CloseReason::GoingAway);
            wait_for(&mut world, Stage::Announcing);
            transmit(&mut world);
        }
        Stage::Closed => {
            world.a.machine.close(world.now, CloseReason::GoingAway);
            world.a.machine.handle(world.now, Input::Abandoned(PathLoss::Io));
        }
        _ => {
            world.a.machine.close(world.now, CloseReason::GoingAway);
            wait_for(&mut world, stage);
        }
    }
    while world.a.machine.poll_output().is_some() {}
    assert_eq!(name(&world), format!("{stage:?}/{link}"));
    world
}

/// Writes everything that A has to say into the void.
fn transmit(world: &mut World) {
    let now = world.now;
    let mut void = BytesMut::new();
    while world.a.machine.poll_transmit(now, &mut void, 1 << 20) {
        void.clear();
    }
    world.a.machine.handle(now, Input::PathFlushed);
}

/// The next record of B; one that does not open if it has no path.
fn record_of_b(world: &mut World) -> RawRecord {
    let mut out = BytesMut::new();
    world.b.machine.poll_transmit(world.now, &mut out, 1);
    let forged = || RawRecord { header: [0, 0, 0, 40], body: BytesMut::from(&[0; 40][..]) };
    record::split(&mut out).ok().flatten().unwrap_or_else(forged)
}

fn apply(world: &mut World, input: &str) {
    let now = world.now;
    let loss = PathLoss::Io;
    let given = match input {
        "a record of the peer" => {
            world.send(Side::B, ZERO, "hello");
            Input::Record(record_of_b(world))
        }
        "a record with Closing" => {
            world.b.machine.close(now, CloseReason::Idle);
            Input::Record(record_of_b(world))
        }
        "a record with Close" => {
            world.b.machine.close(now, CloseReason::Revoked);
            Input::Record(record_of_b(world))
        }
        "a record that does not open" => {
            Input::Record(RawRecord { header: [0, 0, 0, 40], body: BytesMut::from(&[0; 40][..]) })
        }
        "PathLost" => Input::PathLost(loss),
        "PathAttached, a new one" => Input::PathAttached { path: citadel_crypt::ratchets::PathId(9) },
        "PathAttached, a used one" => Input::PathAttached { path: citadel_crypt::ratchets::PathId(0) },
        "Abandoned" => Input::Abandoned(loss),
        "PathFlushed" => Input::PathFlushed,
        "Timeout of the stage or the wait" => return time_out(world),
        "close in order" => return world.a.machine.close(now, CloseReason::Idle),
        "abort" => return world.a.machine.close(now, CloseReason::Aborted),
        _ => return transmit(world),
    };
    world.a.machine.handle(world.now, given);
}

/// Lets the deadline of the stage, or of the wait for a path, come, with the timers before it.
fn time_out(world: &mut World) {
    let until = world.now + Duration::from_secs(100);
    while let Some((at, reason)) = world.a.machine.poll_timeout().filter(|(at, _)| *at < until) {
        world.now = world.now.max(at);
        world.a.machine.handle(world.now, Input::Timeout);
        if matches!(reason, TimerReason::Stage(_) | TimerReason::Resume) {
            return;
        }
    }
}

fn name(world: &World) -> String {
    let link = match world.a.machine.link() {
        Link::Carrying(_) => "Carrying",
        Link::Greeting(_) => "Greeting",
        Link::Detached { .. } => "Detached",
        Link::Gone => "Gone",
    };
    format!("{:?}/{link}", world.a.machine.stage())
}

fn outputs(world: &mut World) -> String {
    let outputs = std::iter::from_fn(|| world.a.machine.poll_output());
    let names: Vec<_> = outputs
        .filter_map(|output| match output {
            Output::Channel(_) | Output::Datagram | Output::Round(_) | Output::Rekeyed(_) => None,
            Output::Detached { loss, .. } => Some(format!("Detached({loss:?})")),
            Output::Attached { path } => Some(format!("Attached({path})")),
            Output::Closing(reason) => Some(format!("Closing({reason})")),
            Output::Closed(report) => Some(format!("Closed({report})")),
        })
        .collect();
    // What differs from run to run.
    let instance = world.a.machine.instance().to_string();
    names.join(", ").replace(&instance, "…")
}

fn table() -> String {
    let mut text = String::new();
    for state in STATES {
        let _ = writeln!(text, "{:?}/{}", state.0, state.1);
        for input in INPUTS {
            let mut world = bring_to(state);
            let before = name(&world);
            apply(&mut world, input);
            let after = name(&world);
            let outputs = outputs(&mut world);
            if after != before || !outputs.is_empty() {
                let _ = writeln!(text, "    {input:<34} -> {after:<22} {outputs}").map(|()| ());
            }
        }
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_transitions_of_a_session_are_those_of_the_drawn_table() {
    let drawn = include_str!("../data/session_transitions.txt");
    let (head, drawn) = drawn.split_once("\n\n").expect("a head, an empty line, the table");
    assert!(head.lines().all(|line| line.starts_with('#')));
    let table = table();
    assert!(table == drawn, "the table is now:\n{table}");
}
