//! What a round costs: against the sum of the primitives it cannot do without, and through two managers in memory.
//!
//! `cargo bench -p citadel_tests --bench rekey`. The tables with targets are measured in alternation and printed first;
//! criterion's absolute times follow.

mod managers;
mod primitives;

use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::{CryptoProvider, Native, Suite};
use citadel_tests::measure::{Body, Target, alternate};
use citadel_tests::memory_pair::MemoryPair;
use criterion::Criterion;
use primitives::Primitives;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(150);

const SUM: &str = "sum of the primitives";
const ROUND: &str = "round, machines only, both ends";
const CONTENDED: &str = "round that both ends ask for at once, machines only";

fn pair() -> RefCell<MemoryPair> {
    let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
    RefCell::new(MemoryPair::new(&provider, Suite::DEFAULT, SecrecyMode::BestEffort))
}

/// Prints the primitives and the round.
fn machine_table() {
    let primitives = Primitives::new();
    let (one, both) = (pair(), pair());
    let parts = primitives.parts();
    let times: Vec<u32> = parts.iter().map(|(times, _)| *times).collect();
    let mut bodies: Vec<Body<'_>> = parts.into_iter().map(|(_, body)| body).collect();
    bodies.push(Body::new(SUM, || primitives.sum()));
    bodies.push(Body::new(ROUND, || one.borrow_mut().round(Side::Initiator)));
    bodies.push(Body::new(CONTENDED, || both.borrow_mut().contended_round()));
    let turns = alternate(TURNS, TURN, bodies);

    println!("\nprimitives of one unsigned round, both ends (aws-lc-rs)            ns each   times");
    for (name, times) in turns.names().zip(times) {
        println!("{name:<64} {:>9.0} {times:>7}", turns.nanos(name));
    }
    println!("\nround                                                                ns");
    for name in [SUM, ROUND, CONTENDED] {
        println!("{name:<64} {:>9.0}", turns.nanos(name));
    }
    println!("\n{}", Target::AtMost(1.15).row("round / sum of the primitives", turns.ratio(ROUND, SUM)));
    println!("{:<64} {:>8.3}", "contended round / round", turns.ratio(CONTENDED, ROUND));
}

fn criterion_times(criterion: &mut Criterion) {
    let primitives = Primitives::new();
    let (one, both) = (pair(), pair());
    let mut group = criterion.benchmark_group("rekey");
    group.bench_function("sum_of_primitives", |b| b.iter(|| primitives.sum()));
    group.bench_function("machine_round", |b| b.iter(|| one.borrow_mut().round(Side::Responder)));
    group.bench_function("machine_round_contended", |b| b.iter(|| both.borrow_mut().contended_round()));
    group.finish();
}

fn main() {
    machine_table();
    managers::table();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    criterion_times(&mut criterion);
    criterion.final_summary();
}
