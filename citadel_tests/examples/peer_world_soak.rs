//! Worlds of peers without end: `peer_world_soak [--seeds N] [--from N] [--log]` runs that many seeds from there on, and with
//! `--log` prints what happened in each. Exits with 1 at the first failure and prints its log's tail and its replay command.

use citadel_tests::peer_world::{Setup, run_seed, script};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let (from, seeds) = (number("--from", 0), number("--seeds", 1000));
    let is_told = arguments.iter().any(|argument| argument == "--log");
    #[expect(clippy::disallowed_methods, reason = "a stopwatch beside the worlds, not in them")]
    let start = Instant::now();
    let (mut met, mut not_met, mut delivered, mut resumed, mut rounds) = (0, 0, 0, 0, 0);
    let (mut direct, mut fallen) = (0, 0);
    for seed in from..from.saturating_add(seeds) {
        if is_told {
            let setup = Setup::of(seed);
            println!("{setup:#?}\n{:#?}", script(&setup));
        }
        match run_seed(seed) {
            Ok(report) => {
                tell(is_told, &report.lines);
                met += report.met;
                not_met += report.not_met;
                delivered += report.delivered;
                resumed += report.resumed;
                rounds += report.rounds;
                direct += report.direct;
                fallen += report.fallen;
            }
            Err(failure) => {
                tell(is_told, &failure.lines);
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds of peers in {seconds:.1} s, {:.0} a second: {met} ends of sessions, {not_met} wishes in vain, {resumed} \
         paths, {delivered} messages, {rounds} rounds, {direct} times to a direct path, {fallen} back",
        seeds as f64 / seconds
    );
    ExitCode::SUCCESS
}

fn tell(is_told: bool, lines: &[String]) {
    if is_told {
        lines.iter().for_each(|line| println!("{line}"));
    }
}
