//! The key schedule against a second, naive one of other libraries, and against frozen vectors.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "key_schedule/by_hand.rs"]
mod by_hand;
#[path = "key_schedule/second_schedule.rs"]
mod second_schedule;
#[path = "key_schedule/session.rs"]
mod session;
#[path = "key_schedule/vectors.rs"]
mod vectors;
