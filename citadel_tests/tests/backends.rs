//! Backends: one suite for both implementations, a model, sealing, old files, crashes and kills.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "backends/accounts.rs"]
mod accounts;
#[path = "backends/crash.rs"]
mod crash;
#[path = "backends/items.rs"]
mod items;
#[path = "backends/killed.rs"]
mod killed;
#[path = "backends/migration.rs"]
mod migration;
#[path = "backends/model.rs"]
mod model;
#[path = "backends/pairs.rs"]
mod pairs;
#[path = "backends/sealing.rs"]
mod sealing;
#[path = "backends/setup.rs"]
mod setup;
