//! Two messengers in memory: simultaneous rounds with messages in both directions, real keys, real time.
//!
//! `soak [--rounds N]` (default 100,000). Exits with 1 on a timeout, a gap, a version below the rounds or memory
//! that grows; prints resident memory at start, middle and end.

use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::messenger::{MessageReceiver, MessageSender};
use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_tests::manager_world::{Setting, messengers};
use citadel_tests::measure;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Messages each way beside one round.
const BURST: u64 = 8;
/// Resident memory may grow by this much between middle and end: an allocator's fragments, no leak of 100 bytes a round.
const SLACK_KIB: u64 = 4 * 1024;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rounds() -> Result<u64, BoxError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(100_000),
        ["--rounds", n] => Ok(n.parse()?),
        _ => Err("usage: soak [--rounds N]".into()),
    }
}

async fn run() -> Result<(), BoxError> {
    let rounds = rounds()?;
    let world = messengers(&Setting { mode: SecrecyMode::Perfect, ..Setting::default() });
    let managers = [&world.initiator, &world.responder].map(|peer| peer.handle.manager().clone());
    let secrets = [&world.initiator, &world.responder].map(|peer| Arc::clone(&peer.secrets));
    let ends = [world.initiator.handle.split(), world.responder.handle.split()];
    let memory = soak(rounds, &managers, ends).await?;
    let versions = managers.each_ref().map(RatchetManager::version);
    let stats = managers.each_ref().map(|manager| manager.stats().rekey);
    println!(
        "versions: {} and {}; led {} and {}; cancelled {} and {}; repeated {} and {}",
        versions[0],
        versions[1],
        stats[0].led,
        stats[1].led,
        stats[0].cancelled,
        stats[1].cancelled,
        stats[0].repeated,
        stats[1].repeated
    );
    for (when, kib) in &memory {
        println!("resident memory at {when}: {kib} KiB");
    }
    let reason = managers[0].close().await;
    println!("closed: {reason}");
    check(versions[0] == versions[1], "the ends disagree about the version")?;
    check(versions[0].0 >= rounds, "fewer versions than rounds")?;
    check(managers[0].outcomes().len() == managers[1].outcomes().len(), "the ends remember other rounds")?;
    check(secrets.iter().all(|s| s.most() <= 1 && s.alive() == 0), "more than one round secret at an end")?;
    check(memory[2].1 <= memory[1].1 + SLACK_KIB, "memory grows")
}

/// `rounds` rounds, each asked for by both ends at once beside a burst of messages each way.
async fn soak(
    rounds: u64,
    managers: &[RatchetManager; 2],
    [(a_out, mut a_in), (b_out, mut b_in)]: [(MessageSender, MessageReceiver); 2],
) -> Result<[(&'static str, u64); 3], BoxError> {
    let start = now();
    // Written once before memory is read: pages touched on the way would look like growth.
    let mut times = vec![Duration::MAX; usize::try_from(rounds)?];
    times.clear();
    let at_start = resident_kib();
    let mut at_middle = at_start;
    for round in 0..rounds {
        let (_, _, _, _, took) = tokio::try_join!(
            burst(&a_out, round),
            burst(&b_out, round),
            collect(&mut b_in, round),
            collect(&mut a_in, round),
            both_ask(managers),
        )?;
        times.push(took);
        if round + 1 == rounds / 2 {
            at_middle = resident_kib();
        }
    }
    let took = start.elapsed().as_secs_f64();
    let at_end = resident_kib();
    times.sort_unstable();
    let [p50, p99] =
        [times.len() / 2, times.len() * 99 / 100].map(|i| times.get(i).copied().unwrap_or_default());
    println!(
        "{rounds} rounds with {} messages each way in {took:.1} s; a round p50 {p50:?}, p99 {p99:?}",
        rounds * BURST
    );
    Ok([("start", at_start), ("middle", at_middle), ("end", at_end)])
}

/// A round asked for by both ends at once, and how long the later answer took.
async fn both_ask(managers: &[RatchetManager; 2]) -> Result<Duration, BoxError> {
    let began = now();
    let (a, b) = tokio::try_join!(managers[0].rekey(), managers[1].rekey())?;
    check(a.version.0.abs_diff(b.version.0) <= 1, "one round, two versions")?;
    Ok(began.elapsed())
}

async fn burst(sender: &MessageSender, round: u64) -> Result<(), BoxError> {
    for n in 0..BURST {
        sender.send((round * BURST + n).to_le_bytes().to_vec()).await?;
    }
    Ok(())
}

async fn collect(receiver: &mut MessageReceiver, round: u64) -> Result<(), BoxError> {
    for n in 0..BURST {
        let message = receiver.recv().await?.ok_or("the peer finished")?;
        check(message[..] == (round * BURST + n).to_le_bytes(), "a gap in the messages")?;
    }
    Ok(())
}

fn check(holds: bool, what: &str) -> Result<(), BoxError> {
    if holds { Ok(()) } else { Err(what.into()) }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch beside the rounds, not in them")]
fn now() -> Instant {
    Instant::now()
}

/// Resident memory of this process; 0 where the system does not say it.
fn resident_kib() -> u64 {
    measure::resident_kib().unwrap_or_default() as u64
}
