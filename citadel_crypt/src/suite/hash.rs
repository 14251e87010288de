//! SHA-3 (FIPS 202), for transcripts and fingerprints. The inputs are public; nothing here is wiped.

use sha3::{Digest, Sha3_256, Sha3_512};

/// A running SHA3-256.
#[derive(Clone, Default)]
pub struct Hasher(Sha3_256);

impl Hasher {
    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything added.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// SHA3-512 of the concatenated `parts`.
pub fn sha3_512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha3_512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
