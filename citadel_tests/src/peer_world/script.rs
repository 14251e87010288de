//! What happens in the world of a seed, before the epilogue.

use super::flow::{Ending, Pace, Plan};
use super::setup::Setup;
use crate::world::Dice;
use core::time::Duration;

/// A step. Clients are named by their numbers.
#[derive(Clone, Debug)]
pub enum Step {
    /// Time passes.
    Pass(Duration),
    /// The first wants a session with the second; gives up after a while, or never.
    Connect(usize, usize, Option<Duration>),
    /// Both do, at once.
    ConnectBoth(usize, usize),
    /// The first connects, opens a channel, says what it can say at once, and closes, before it waits for anything.
    Call(usize, usize, [Plan; 2]),
    /// The first opens a channel in their session: what is sent there, and back.
    Open(usize, usize, [Plan; 2]),
    /// The first renews the keys of their session.
    Rekey(usize, usize),
    /// A client renews the keys of its session with the server.
    RekeyServer(usize),
    /// The first closes their session.
    Close(usize, usize, u32),
    /// Both do, at once.
    CloseBoth(usize, usize),
    /// The first aborts it.
    Abort(usize, usize),
    /// The paths of a client are cut.
    Cut(usize),
    /// They are cut and there are no new ones.
    Down(usize),
    /// There are.
    Heal(usize),
    /// New paths of a client are cut within so many bytes.
    Weather(usize, u64),
    /// The server ends, in order or not, is away for a while, and comes again with what it stored.
    Restart(bool, Duration),
    /// A client ends in order.
    Leave(usize),
    /// A client ends at once.
    Kill(usize),
    /// A client ends at once, comes again at once, and wants a session with the second, who may not have noticed.
    Reborn(usize, usize),
    /// It comes again.
    Come(usize),
    /// The first is no peer of the second any more.
    Part(usize, usize),
    /// The first asks the second to be peers.
    Befriend(usize, usize),
    /// No packet gets from one to the other any more but by the server.
    CutDirect(usize, usize),
    /// They do again.
    HealDirect(usize, usize),
    /// A client is in another network, with other addresses; its paths to the server break. Whether it is told so.
    Relocate(usize, bool),
}

/// The script of a seed.
pub fn script(setup: &Setup) -> Vec<Step> {
    let mut dice = Dice::new(setup.seed, 0x201);
    // Of its own: worlds with direct paths are like those without, and more happens in them.
    let mut air = Dice::new(setup.seed, 0x204);
    // Likewise: calls come on top.
    let mut calls = Dice::new(setup.seed, 0x206);
    let count = dice.between(15, 60);
    let mut steps = Vec::new();
    // Something to disturb.
    let (a, b) = pair(&mut dice, setup);
    steps.push(Step::ConnectBoth(a, b));
    steps.push(Step::Pass(setup.delay.end().saturating_mul(20) + Duration::from_millis(20)));
    for _ in 0..count {
        let (a, b) = pair(&mut dice, setup);
        steps.push(match dice.below(100) {
            0..=17 if setup.is_rough => trouble(&mut dice, a, b),
            0..=21 => connect(&mut dice, setup, a, b),
            22..=27 => Step::ConnectBoth(a, b),
            28..=79 => Step::Open(a, b, [plan(&mut dice), plan(&mut dice)]),
            80..=88 => Step::Rekey(a, b),
            89..=91 => Step::RekeyServer(a),
            92..=95 => Step::Close(a, b, dice.below(100) as u32),
            96..=97 => Step::CloseBoth(a, b),
            _ => Step::Abort(a, b),
        });
        if dice.percent(70) {
            steps.push(Step::Pass(gap(&mut dice)));
        }
        if calls.percent(4) {
            let (a, b) = pair(&mut calls, setup);
            steps.push(Step::Call(a, b, [plan(&mut calls), plan(&mut calls)]));
        }
        if setup.air.is_some() {
            steps.extend(direct_trouble(&mut air, setup));
        }
    }
    steps
}

fn pair(dice: &mut Dice, setup: &Setup) -> (usize, usize) {
    let a = dice.index(setup.clients);
    let b = (a + 1 + dice.index(setup.clients - 1)) % setup.clients;
    (a, b)
}

fn connect(dice: &mut Dice, setup: &Setup, a: usize, b: usize) -> Step {
    let gives_up = setup.is_rough && dice.percent(25);
    Step::Connect(a, b, gives_up.then(|| dice.time(Duration::from_millis(200))))
}

fn trouble(dice: &mut Dice, a: usize, b: usize) -> Step {
    match dice.below(40) {
        0..=10 => Step::Cut(a),
        11..=14 => Step::Down(a),
        15..=22 => Step::Heal(a),
        23..=25 => Step::Weather(a, dice.between(100, 60_000)),
        26 => Step::Restart(true, dice.time(Duration::from_secs(2))),
        27..=28 => Step::Restart(false, dice.time(Duration::from_secs(2))),
        29 => Step::Leave(a),
        30 => Step::Kill(a),
        31 => Step::Reborn(a, b),
        32..=35 => Step::Come(a),
        36 => Step::Part(a, b),
        _ => Step::Befriend(a, b),
    }
}

fn direct_trouble(dice: &mut Dice, setup: &Setup) -> Vec<Step> {
    let (a, b) = pair(dice, setup);
    let step = match dice.below(100) {
        // Time for an attempt.
        0..=7 => return vec![Step::Pass(dice.time(Duration::from_secs(4)))],
        8..=12 if setup.is_rough => Step::CutDirect(a, b),
        13..=16 if setup.is_rough => Step::HealDirect(a, b),
        17..=20 if setup.is_rough => Step::Relocate(a, dice.percent(60)),
        _ => return Vec::new(),
    };
    // Time to be noticed.
    let passes = dice.percent(40).then(|| Step::Pass(dice.time(Duration::from_secs(30))));
    [step].into_iter().chain(passes).collect()
}

fn gap(dice: &mut Dice) -> Duration {
    match dice.below(100) {
        0..=59 => dice.time(Duration::from_millis(30)),
        60..=89 => dice.time(Duration::from_millis(400)),
        90..=97 => dice.time(Duration::from_secs(4)),
        _ => dice.time(Duration::from_secs(45)),
    }
}

fn plan(dice: &mut Dice) -> Plan {
    let short = Duration::from_millis(60);
    Plan {
        count: dice.pick(&[0, 1, 1, 3, 3, 10, 30]),
        len: match dice.below(100) {
            0..=49 => dice.index(200),
            50..=84 => dice.index(4_000),
            85..=97 => dice.index(30_000),
            _ => dice.index(150_000),
        },
        gap: if dice.percent(30) { dice.time(short) } else { Duration::ZERO },
        ending: match dice.below(10) {
            0 => Ending::Reset(1 + dice.below(100) as u32),
            1 => Ending::Drop,
            _ => Ending::Finish,
        },
        pace: match dice.below(10) {
            0 => Pace::Slow(dice.time(short)),
            1 => Pace::Stalled(dice.time(Duration::from_secs(8))),
            2 => Pace::Stops(dice.below(4)),
            _ => Pace::Eager,
        },
    }
}
