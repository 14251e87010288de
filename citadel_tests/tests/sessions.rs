//! Sessions that lose their path and come back, and what their handles do meanwhile and afterwards.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]
#![allow(
    clippy::disallowed_methods,
    reason = "time is tokio's paused clock, the network of a test is a task of its own"
)]

#[path = "sessions/closed.rs"]
mod closed;
#[path = "sessions/datagrams.rs"]
mod datagrams;
#[path = "sessions/doors.rs"]
mod doors;
#[path = "sessions/handles.rs"]
mod handles;
#[path = "sessions/lanes.rs"]
mod lanes;
#[path = "sessions/pace.rs"]
mod pace;
#[path = "sessions/refusals.rs"]
mod refusals;
#[path = "sessions/resume.rs"]
mod resume;
#[path = "sessions/tcp.rs"]
mod tcp;
