//! Worlds without end: `world_soak [--accounts] [--seeds N] [--from N] [--log]` runs that many seeds from there on, of
//! sessions or of accounts, and with `--log` prints what happened in each. Exits with 1 at the first failure and prints its log's tail and its replay command.

use citadel_tests::accounts_world;
use citadel_tests::world::{Log, Setup, run_seed, script};
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
    if arguments.iter().any(|argument| argument == "--accounts") {
        return accounts(from, seeds, is_told, start);
    }
    let (mut sessions, mut delivered, mut paths, mut versions, mut events) = (0, 0, 0, 0, 0);
    for seed in from..from.saturating_add(seeds) {
        if is_told {
            let setup = Setup::of(seed);
            println!("{setup:#?}\n{:#?}", script(&setup));
        }
        match run_seed(seed) {
            Ok(report) => {
                tell(is_told, &report.log);
                sessions += report.sessions;
                delivered += report.delivered;
                paths += report.paths;
                versions += report.versions;
                events += report.events;
            }
            Err(failure) => {
                tell(is_told, &failure.log);
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds in {seconds:.1} s, {:.0} a second: {sessions} sessions, {paths} paths, {delivered} messages \
         delivered, {versions} rounds, {events} events",
        seeds as f64 / seconds
    );
    ExitCode::SUCCESS
}

/// The same with worlds of accounts.
fn accounts(from: u64, seeds: u64, is_told: bool, start: Instant) -> ExitCode {
    let (mut granted, mut refused, mut unanswered, mut revoked) = (0, 0, 0, 0);
    for seed in from..from.saturating_add(seeds) {
        match accounts_world::run_seed(seed) {
            Ok(report) => {
                tell(is_told, &report.log);
                granted += report.granted;
                refused += report.refused;
                unanswered += report.unanswered;
                revoked += report.revoked;
            }
            Err(failure) => {
                tell(is_told, &failure.log);
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds of accounts in {seconds:.1} s, {:.0} a second: {granted} sessions granted, {refused} refused, \
         {unanswered} without an answer, {revoked} devices and accounts shut out",
        seeds as f64 / seconds
    );
    ExitCode::SUCCESS
}

fn tell(is_told: bool, log: &Log) {
    if is_told {
        log.lines().iter().for_each(|line| println!("{line}"));
    }
}
