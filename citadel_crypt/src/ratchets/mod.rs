//! Ratchets: keys by version, the machine that renews them, and the manager that drives it.

pub mod rekey;

mod agreement;
#[expect(dead_code, reason = "the manager that uses it lands next")]
mod completion;
mod ratchet;
mod schedule;
#[expect(dead_code, reason = "the manager that uses it lands next")]
mod snapshot;
mod sync;
mod toolset;

pub use agreement::{
    Candidate, ConfirmTag, HybridAgreement, HybridAnswer, HybridOffer, Identities, OfferSecret,
};
pub use ratchet::{
    KeyLimits, OpenError, OpenPath, PathId, Ratchet, RatchetConfig, SealError, SealPath, Sealed, SecrecyMode,
};
pub use schedule::{ExportError, Exporter, FINGERPRINT_LEN, InitialSecrets};
pub use toolset::{PathReused, Toolset};
