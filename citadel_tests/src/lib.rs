//! What the workspace is proven with: stand-ins, explorer, models and helpers of the test matrices. Ships nothing.

pub mod accounts_world;
pub mod backend_script;
pub mod canary;
pub mod cancel;
pub mod crash_disk;
pub mod direct_world;
pub mod explorer;
pub mod fuzz_entries;
pub mod manager_world;
pub mod measure;
pub mod meeting_world;
pub mod memory_managers;
pub mod memory_pair;
pub mod mutants;
pub mod nat;
pub mod peer_scene;
pub mod peer_world;
mod quick_hasher;
pub mod rekey_world;
pub mod resumable;
pub mod schema_1;
pub mod schema_2;
pub mod schema_3;
pub mod seeded;
pub mod session_world;
pub mod sources;
pub mod tamper;
pub mod watched_backend;
pub mod world;

/// The machine under exploration; the explorer names it `crate::rekey`, so that a mutant can stand in its place.
pub use citadel_crypt::ratchets::rekey;
/// The same for two devices that want one session.
pub use citadel_proto::peers::meeting;
