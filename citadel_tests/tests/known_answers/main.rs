//! The primitives against published vectors, and the native backend against the pure-Rust one.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cross;
