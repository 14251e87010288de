//! Heap of an idle manager: `cargo run --release -p citadel_tests --example idle_heap`.
//!
//! Pairs of managers complete a few rounds and then wait. dhat counts what Rust allocated for them, queues of the path
//! included. AWS-LC's own allocations are not Rust's: the growth of resident memory, which has them, is printed beside.

use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_crypt::suite::{CryptoProvider, Native, Suite};
use citadel_tests::measure::{Target, resident_kib};
use citadel_tests::memory_managers::memory_managers;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const PAIRS: usize = 256;
const ROUNDS: usize = 6;
const LIMIT_KIB: f64 = 16.0;

async fn idle_managers(mode: SecrecyMode) -> Vec<[RatchetManager; 2]> {
    let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        let pair = memory_managers(&provider, Suite::DEFAULT, mode);
        for _ in 0..ROUNDS {
            let (one, other) = tokio::join!(pair[0].rekey(), pair[1].rekey());
            assert!(one.is_ok() && other.is_ok(), "a round in memory completes");
        }
        pairs.push(pair);
    }
    pairs
}

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    // Everything stays alive to the end: memory that one mode gave back would hide what the next one takes.
    let mut alive = Vec::new();
    for mode in [SecrecyMode::BestEffort, SecrecyMode::Perfect] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let (before, resident) = (dhat::HeapStats::get().curr_bytes, resident_kib());
        let pairs = runtime.block_on(idle_managers(mode));
        let bytes = dhat::HeapStats::get().curr_bytes - before;
        let managers = (2 * pairs.len()) as f64;
        let heap = bytes as f64 / 1024.0 / managers;
        println!(
            "{}",
            Target::AtMost(LIMIT_KIB).row(&format!("{mode:?}: KiB of heap per idle manager"), heap)
        );
        if let (Some(before), Some(after)) = (resident, resident_kib()) {
            let resident = (after - before) / managers;
            println!("{:<64} {resident:>8.3}", format!("{mode:?}: KiB of resident memory per idle manager"));
        }
        alive.push((runtime, pairs));
    }
}
