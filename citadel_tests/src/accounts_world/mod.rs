//! A world of accounts: devices that register, log in, join, revoke each other and go, over a network that breaks.
//!
//! Owns: what devices do by chance, and a naive model of what they were promised. The driver runs as it is, on the
//! paused clock of one thread and the seeded network of `citadel_proto::driver::memory`; key agreement is stood in for
//! and a password costs one hash. Never: sockets, wall time, the machines of accounts themselves.
//!
//! Checked: a device that is known to be revoked has no session, nor has a removed account; a device has one session of
//! an account at most; what was acknowledged stays (registration, membership, the last value); what was not answered is
//! there whole or not at all, and asking again is answered, as it must be; no refusal without its cause; nothing is left.

mod device;
mod epilogue;
mod model;
mod scene;

use crate::world::{Dice, Log};
use core::fmt;
use scene::Scene;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Lines of the log that a failure shows.
const TAIL: usize = 60;

/// A run in which everything held.
#[derive(Clone, Debug)]
pub struct Report {
    /// What happened.
    pub log: Log,
    /// Sessions that devices got.
    pub granted: usize,
    /// Times that a device was told no.
    pub refused: usize,
    /// Attempts and requests without an answer.
    pub unanswered: usize,
    /// Devices that were shut out, with accounts that went.
    pub revoked: usize,
}

/// Something did not hold.
#[derive(Debug)]
pub struct Failure {
    /// Of the world.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened before.
    pub log: Log,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.log.tail(TAIL) {
            writeln!(f, "{line}")?;
        }
        let Self { seed, what, .. } = self;
        writeln!(f, "seed {seed}: {what}")?;
        write!(f, "replay: cargo run --example world_soak -- --accounts --from {seed} --seeds 1 --log")
    }
}

/// Runs the world of a seed.
///
/// # Errors
/// What did not hold.
pub fn run_seed(seed: u64) -> Result<Report, Failure> {
    let log = Log::default();
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a thread can be had");
        runtime.block_on(async {
            let scene = Scene::new(seed, log.clone()).await;
            scene.play().await
        })
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failure { seed, what: text.unwrap_or_else(|| "panic".to_owned()), log: log.clone() }
    })
}

/// The chance of one purpose.
fn dice(seed: u64, purpose: u64) -> Dice {
    Dice::new(seed, 0x100 + purpose)
}
