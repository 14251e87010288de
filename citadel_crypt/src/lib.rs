//! Post-quantum ratchets: hybrid suites, the establishment handshake, the rekey machine and its manager.

pub mod labels;
pub mod ratchets;
pub mod secret;
pub mod suite;

pub use ratchets::rekey::Timestamp;
