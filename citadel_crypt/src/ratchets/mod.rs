//! Ratchets: keys by version, the machine that renews them, and the manager that drives it.

pub mod end;
pub mod manager_config;
pub mod messenger;
pub mod ratchet_manager;
pub mod record;
pub mod rekey;

mod agreement;
mod completion;
mod credit;
mod driver;
mod engine;
mod pace;
mod ratchet;
mod schedule;
mod sealing;
mod shared;
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
