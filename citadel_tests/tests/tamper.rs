//! Spoilt handshakes: whatever is changed on the way, both ends never both believe in a session, nothing panics, nobody
//! is shown or asked too early. One seeded bit of every byte here; every bit by `--example tamper`.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "tamper/flights.rs"]
mod flights;
#[path = "tamper/insiders.rs"]
mod insiders;
#[path = "tamper/negotiation.rs"]
mod negotiation;
#[path = "tamper/shares.rs"]
mod shares;
