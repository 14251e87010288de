//! A mixed workload from a seed: the parts of a world, and a script for it.

use super::{CutSeen, Dice, Op, Pace, Setup, Side, Step};
use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::CloseReason;
use citadel_proto::session::{RekeyPolicy, SessionConfig};
use core::time::Duration;

/// Every seed with this remainder has real key agreement.
const REAL_EVERY: u64 = 20;

impl Setup {
    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 10);
        let limits = dice.pick(&[Self::TIGHT, Self::TIGHT, Self::MEDIUM, Limits::default()]);
        let rekey = match dice.below(3) {
            0 => RekeyPolicy::Explicit,
            1 => RekeyPolicy::ByMode,
            _ => RekeyPolicy::Background { records: 16, bytes: 100_000, interval: Duration::from_millis(20) },
        };
        let config = SessionConfig {
            limits,
            send_buffer: dice.pick(&[32 << 10, 256 << 10, 1 << 20]),
            resume: Duration::from_secs(dice.pick(&[0, 2, 10, 10, 20])),
            idle_after: dice.percent(5).then_some(Duration::from_secs(8)),
            ack_delay: Duration::from_millis(dice.pick(&[0, 5, 25])),
            rekey,
            services: has_lanes(seed),
            ..SessionConfig::default()
        };
        Self {
            seed,
            is_real: seed.is_multiple_of(REAL_EVERY),
            clients: 1 + dice.index(3),
            lines: 1 + dice.index(2),
            mode: dice.pick(&[SecrecyMode::BestEffort, SecrecyMode::Perfect]),
            config,
            delay: Duration::from_micros(dice.pick(&[100, 1_000, 5_000, 30_000, 80_000])),
            jitter: Duration::from_micros(dice.pick(&[0, 100, 3_000, 20_000])),
            capacity: dice.pick(&[4 << 10, 32 << 10, 256 << 10]),
        }
    }
}

/// Whether sessions of a seed have relay lanes: half of them.
fn has_lanes(seed: u64) -> bool {
    Dice::new(seed, 12).percent(50)
}

/// The script of a seed.
pub fn script(setup: &Setup) -> Vec<Step> {
    let mut steps = plain_script(setup);
    if has_lanes(setup.seed) {
        let mut dice = Dice::new(setup.seed, 13);
        for step in &mut steps {
            let opens = match step {
                Step::At(_, _, Op::Open) => dice.percent(40),
                Step::At(_, _, Op::Send(..)) => dice.percent(3),
                _ => false,
            };
            if let (true, Step::At(_, _, op)) = (opens, step) {
                *op = Op::OpenLane;
            }
        }
    }
    steps
}

fn plain_script(setup: &Setup) -> Vec<Step> {
    let mut dice = Dice::new(setup.seed, 11);
    let lines = setup.clients * setup.lines;
    let mut steps: Vec<Step> = (0..lines).map(Step::Dial).collect();
    // Worlds without cuts have their own laws: nothing but a close ends a session.
    let is_rough = dice.percent(75);
    let habit = match setup.seed % 8 {
        3 => Habit::Steady,
        5 => Habit::Hasty,
        _ => Habit::Mixed,
    };
    let count = if habit == Habit::Mixed { dice.between(40, 160) } else { dice.between(120, 240) };
    steps.push(Step::Pass(setup.delay * 16 + Duration::from_millis(50)));
    for _ in 0..count {
        let line = dice.index(lines);
        let roll = dice.below(100);
        steps.push(match roll {
            0..=11 if is_rough => trouble(&mut dice, setup, line),
            12..=14 => Step::Dial(line),
            15..=16 => Step::RekeyBoth(line),
            _ => Step::At(line, side(&mut dice), habit.operation(&mut dice)),
        });
        if dice.percent(60) {
            steps.push(Step::Pass(gap(&mut dice)));
        }
    }
    steps
}

/// What the applications of a world mostly do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Everything.
    Mixed,
    /// Long messages on few channels, and no close: what leaks, however slowly, is used up.
    Steady,
    /// Channels that are opened, used once and left.
    Hasty,
}

impl Habit {
    fn operation(self, dice: &mut Dice) -> Op {
        match (self, dice.below(10)) {
            (Self::Mixed, _) => operation(dice),
            (Self::Steady, 0..=6) => Op::Send(dice.index(2), 8_000 + dice.index(24_000)),
            (Self::Steady, 7 | 8) => Op::Read(dice.index(2), Pace::Eager),
            (Self::Steady, _) => Op::Rekey,
            (Self::Hasty, 0 | 1) => Op::Open,
            (Self::Hasty, 2 | 3) => Op::Send(dice.index(8), dice.index(2_000)),
            (Self::Hasty, 4 | 5) => Op::Finish(dice.index(8)),
            (Self::Hasty, 6 | 7) => Op::DropSender(dice.index(8)),
            (Self::Hasty, _) => Op::DropReader(dice.index(8), dice.below(1000) as u32),
        }
    }
}

fn side(dice: &mut Dice) -> Side {
    if dice.percent(50) { Side::Client } else { Side::Server }
}

fn gap(dice: &mut Dice) -> Duration {
    match dice.below(100) {
        0..=59 => dice.time(Duration::from_millis(15)),
        60..=89 => dice.time(Duration::from_millis(150)),
        90..=97 => dice.time(Duration::from_secs(3)),
        _ => dice.time(Duration::from_secs(45)),
    }
}

fn trouble(dice: &mut Dice, setup: &Setup, line: usize) -> Step {
    let client = dice.index(setup.clients);
    match dice.below(25) {
        0..=6 => Step::Cut(line, CutSeen::Both, dice.between(0, 1000)),
        7..=8 => Step::Cut(line, dice.pick(&CutSeen::ALL), dice.between(0, 1000)),
        9..=10 => Step::Flip(line, side(dice)),
        11 => Step::Repeat(line, side(dice)),
        12..=14 => Step::Redial(line),
        15..=16 => Step::Down(client, dice.pick(&CutSeen::ALL)),
        17..=19 => Step::Heal(client),
        20..=22 => Step::Copy(line, side(dice)),
        _ => Step::Forge(line, side(dice)),
    }
}

fn operation(dice: &mut Dice) -> Op {
    let channel = dice.index(8);
    match dice.below(100) {
        0..=7 => Op::Open,
        8..=59 => Op::Send(channel, len(dice)),
        60..=69 => Op::Read(channel, pace(dice)),
        70..=74 => Op::Recv(channel),
        75..=79 => Op::Finish(channel),
        80..=82 => Op::Reset(channel, 1 + dice.below(1000) as u32),
        83..=85 => Op::DropSender(channel),
        86..=88 => Op::DropReader(channel, dice.below(1000) as u32),
        89..=90 => Op::DropFuture(channel),
        91..=97 => Op::Rekey,
        98 => Op::Close(reason(dice)),
        _ => Op::DropSession,
    }
}

fn len(dice: &mut Dice) -> usize {
    match dice.below(100) {
        0..=4 => 0,
        5..=39 => dice.index(200),
        40..=69 => dice.index(4_000),
        70..=92 => dice.index(40_000),
        // Around what one record holds.
        93..=95 => 65_500 + dice.index(100),
        _ => dice.index(200 * 1024),
    }
}

fn pace(dice: &mut Dice) -> Pace {
    match dice.below(4) {
        0 => Pace::Stalled,
        1 => Pace::Millis(dice.between(1, 100)),
        _ => Pace::Eager,
    }
}

fn reason(dice: &mut Dice) -> CloseReason {
    match dice.below(8) {
        0 => CloseReason::GoingAway,
        1 => CloseReason::Idle,
        2 => CloseReason::Aborted,
        3 => CloseReason::HandlerPanicked,
        4 => CloseReason::Superseded,
        5 => CloseReason::Revoked,
        _ => CloseReason::application(dice.below(100) as u32, "done"),
    }
}
