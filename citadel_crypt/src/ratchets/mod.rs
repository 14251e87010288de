//! Ratchets: keys by version, the machine that renews them, and the manager that drives it.

pub mod initial;
pub mod rekey;

pub use initial::InitialSecrets;

#[expect(dead_code, reason = "the manager that uses it lands next")]
mod completion;
#[expect(dead_code, reason = "the manager that uses it lands next")]
mod snapshot;
mod sync;
