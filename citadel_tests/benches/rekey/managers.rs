//! Rounds through two managers in memory, in alternation with the machines alone.

use crate::pair;
use citadel_crypt::SecrecyMode;
use citadel_crypt::ratchets::ratchet_manager::RatchetManager;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::{CryptoProvider, Native, Suite};
use citadel_tests::measure::{Target, median, percentile};
use citadel_tests::memory_managers::memory_managers;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Builder;

const TURNS: usize = 9;
const ROUNDS: usize = 1_000;

/// Microseconds of each call, and versions per second.
#[derive(Default)]
struct Turn {
    micros: Vec<f64>,
    rate: f64,
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

fn machines() -> f64 {
    let pair = pair();
    let begin = now();
    for _ in 0..ROUNDS {
        pair.borrow_mut().round(Side::Initiator);
    }
    ROUNDS as f64 / begin.elapsed().as_secs_f64()
}

async fn turn(managers: &[RatchetManager; 2], simultaneous: bool) -> Turn {
    let [one, other] = managers;
    let (begin, from) = (now(), one.version());
    let mut micros = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let call = now();
        if simultaneous {
            let (one, other) = tokio::join!(one.rekey(), other.rekey());
            assert!(one.is_ok() && other.is_ok());
        } else {
            assert!(one.rekey().await.is_ok());
        }
        micros.push(call.elapsed().as_secs_f64() * 1e6);
    }
    let versions = one.version().0 - from.0;
    Turn { micros, rate: versions as f64 / begin.elapsed().as_secs_f64() }
}

/// All turns of one way to ask.
#[derive(Default)]
struct Way {
    micros: Vec<f64>,
    rates: Vec<f64>,
    ratios: Vec<f64>,
}

impl Way {
    fn take(&mut self, turn: Turn, machines: f64) {
        self.micros.extend(turn.micros);
        self.rates.push(turn.rate);
        self.ratios.push(turn.rate / machines);
    }

    fn print(self, name: &str) -> String {
        let (p50, p99) = (percentile(self.micros.clone(), 0.5), percentile(self.micros, 0.99));
        let rate = median(self.rates);
        println!("{name:<48} {rate:>9.0} {p50:>9.1} {p99:>9.1} {:>9.2}", p99 / p50);
        Target::AtLeast(0.7).row(&format!("rate {name} / rate of the machines alone"), median(self.ratios))
    }
}

/// Prints rates and percentiles of one thread that runs both managers.
pub(crate) fn table() {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
    let managers =
        runtime.block_on(async { memory_managers(&provider, Suite::DEFAULT, SecrecyMode::BestEffort) });
    let (mut alone, mut uncontended, mut simultaneous) = (Vec::new(), Way::default(), Way::default());
    machines();
    runtime.block_on(turn(&managers, true));
    for _ in 0..TURNS {
        let rate = machines();
        alone.push(rate);
        uncontended.take(runtime.block_on(turn(&managers, false)), rate);
        simultaneous.take(runtime.block_on(turn(&managers, true)), rate);
    }
    println!("\ntwo managers in memory, one thread               rounds/s    p50 us    p99 us   p99/p50");
    println!("{:<48} {:>9.0}", "machines alone", median(alone));
    let rows = [uncontended.print("one end asks"), simultaneous.print("both ends ask at once")];
    println!();
    for row in rows {
        println!("{row}");
    }
    for end in &managers {
        let stats = end.stats().rekey;
        println!(
            "led {}, followed {}, cancelled {}, repeated {}",
            stats.led, stats.followed, stats.cancelled, stats.repeated
        );
    }
}
