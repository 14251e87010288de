//! The establishment handshake between real machines: what must succeed, what must be refused, and how.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "handshake/agreement.rs"]
mod agreement;
#[path = "handshake/cookies.rs"]
mod cookies;
#[path = "handshake/keys.rs"]
mod keys;
#[path = "handshake/lifecycle.rs"]
mod lifecycle;
#[path = "handshake/parsers.rs"]
mod parsers;
#[path = "handshake/refusals.rs"]
mod refusals;
#[path = "handshake/requests.rs"]
mod requests;
#[path = "handshake/resumption.rs"]
mod resumption;
#[path = "handshake/setup.rs"]
mod setup;
