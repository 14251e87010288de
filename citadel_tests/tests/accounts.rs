//! Accounts: who gets a session, what its user may ask for, what the answers tell. Real handshakes, real Argon2id.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "accounts/admin.rs"]
mod admin;
#[path = "accounts/answers.rs"]
mod answers;
#[path = "accounts/canary.rs"]
mod canary;
#[path = "accounts/durable.rs"]
mod durable;
#[path = "accounts/life.rs"]
mod life;
#[path = "accounts/limits.rs"]
mod limits;
#[path = "accounts/psk.rs"]
mod psk;
#[path = "accounts/races.rs"]
mod races;
#[path = "accounts/resume.rs"]
mod resume;
#[path = "accounts/service.rs"]
mod service;
#[path = "accounts/support.rs"]
mod support;
#[path = "accounts/table.rs"]
mod table;
