//! Post-quantum ratchets: hybrid suites, the establishment handshake, the rekey machine and its manager.

pub mod addr;
pub mod handshake;
pub mod identity;
pub mod labels;
pub mod private_file;
pub mod ratchets;
pub mod secret;
pub mod suite;
pub mod transcript;
pub mod wire;

pub use ratchets::SecrecyMode;
pub use ratchets::rekey::Timestamp;
