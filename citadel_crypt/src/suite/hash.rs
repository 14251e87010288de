//! SHA-3 (FIPS 202) by AWS-LC, for transcripts and fingerprints. The inputs are public; nothing here is wiped.

use aws_lc_rs::digest::{Context, SHA3_256, SHA3_512};

/// A running SHA3-256.
#[derive(Clone)]
pub struct Hasher(Context);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self(Context::new(&SHA3_256))
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything added.
    pub fn finish(self) -> [u8; 32] {
        copy_of(self.0)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

/// SHA3-512 of the concatenated `parts`.
pub fn sha3_512(parts: &[&[u8]]) -> [u8; 64] {
    let mut context = Context::new(&SHA3_512);
    for part in parts {
        context.update(part);
    }
    copy_of(context)
}

/// `N` is the digest's length.
fn copy_of<const N: usize>(context: Context) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(context.finish().as_ref());
    out
}
