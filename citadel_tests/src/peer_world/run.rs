//! Runs of worlds: a seed to its end, and what is said when something does not hold.

use super::ledger::Ledger;
use super::script::script;
use super::setup::Setup;
use super::world::{World, pass};
use core::cell::Cell;
use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once, OnceLock};

/// Lines of the log that a failure shows.
const TAIL: usize = 80;

thread_local! {
    /// Panics on this thread. Those of tasks are caught by the runtime, and told to nobody.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// A run in which everything held.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub lines: Vec<String>,
    /// Ends of sessions that were shown to users.
    pub met: usize,
    /// Wishes for a session that came to nothing.
    pub not_met: usize,
    /// Messages that were taken.
    pub delivered: u64,
    /// Times that an end got another path.
    pub resumed: usize,
    /// Versions that an end came to.
    pub rounds: usize,
    /// Times that an end came to a direct path.
    pub direct: usize,
    /// Times that an end came from a direct path to a lane.
    pub fallen: usize,
}

/// Something did not hold.
#[derive(Debug)]
pub struct Failure {
    /// Of the world.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened before.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, lines } = self;
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {seed}: {what}")?;
        write!(f, "replay: cargo run --example peer_world_soak -- --from {seed} --seeds 1 --log")
    }
}

/// Runs the world of a seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    count_panics();
    let (before, kept) = (PANICS.get(), OnceLock::new());
    let ran = catch_unwind(AssertUnwindSafe(|| run(seed, &kept)));
    let (what, lines) = match ran {
        Ok((ledger, left)) => {
            let what = ledger.fault().or_else(|| {
                let panics = PANICS.get() - before;
                (panics > 0).then(|| format!("{panics} tasks have panicked"))
            });
            match what.or_else(|| (left > 0).then(|| format!("{left} tasks are left"))) {
                None => return Ok(report(&ledger)),
                Some(what) => (what, ledger.lines()),
            }
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let lines = kept.get().map(|ledger: &Arc<Ledger>| ledger.lines()).unwrap_or_default();
            (text.unwrap_or_else(|| "panic".to_owned()), lines)
        }
    };
    Err(Failure { seed, what, lines })
}

/// To the end, or to the first thing that does not hold. The tasks that are left, too.
fn run(seed: u64, kept: &OnceLock<Arc<Ledger>>) -> (Arc<Ledger>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a thread can be had");
    runtime.block_on(async {
        let ledger = Arc::clone(kept.get_or_init(|| Arc::new(Ledger::new())));
        let setup = Setup::of(seed);
        let steps = script(&setup);
        let world = World::new(setup, Arc::clone(&ledger));
        world.begin().await;
        for step in &steps {
            world.apply(step).await;
            if ledger.fault().is_some() {
                return (ledger, 0);
            }
        }
        world.finish().await;
        if ledger.fault().is_some() {
            return (ledger, 0);
        }
        let internet = world.internet.clone();
        drop(world);
        // The last of what has ended by itself.
        pass(Duration::from_secs(120)).await;
        if let Some(internet) = internet {
            let (sockets, unwanted) = (internet.sockets(), internet.unwanted());
            ledger.check(sockets == 0, format_args!("{sockets} sockets of direct paths are left"));
            ledger.check(
                unwanted.is_empty(),
                format_args!("packets to or from somebody who wants no direct paths: {unwanted:?}"),
            );
        }
        (ledger, tokio::runtime::Handle::current().metrics().num_alive_tasks())
    })
}

fn report(ledger: &Ledger) -> Report {
    ledger
        .with(|state| Report {
            lines: Vec::new(),
            met: state.met,
            not_met: state.not_met,
            delivered: state.delivered,
            resumed: state.resumed,
            rounds: state.rounds,
            direct: state.direct,
            fallen: state.fallen,
        })
        .with_lines(ledger.lines())
}

impl Report {
    fn with_lines(self, lines: Vec<String>) -> Self {
        Self { lines, ..self }
    }
}

/// Notes every panic of a thread, and leaves it to whoever took it before.
fn count_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}
