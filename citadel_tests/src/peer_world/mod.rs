//! A world of peers: clients and their server with its switchboard and lanes, on a virtual clock and a seeded network.
//!
//! Owns: what users and the network do by chance, and a naive model of what the users were promised. The drivers run as they
//! are (hub, accounts, switchboard, peers), on the paused clock of one thread and the seeded network of
//! `citadel_proto::driver::memory`, one network for each client, so that one is cut and the others are not. Key agreement is
//! stood in for but in every 25th world; handshakes are signed and records sealed in any case. In every fourth world direct paths are sought: each client
//! is behind a translator or none, and UDP goes over a seeded network as well (`internet.rs`), QUIC and its TLS as they are. Never:
//! sockets, wall time, a decision of a machine.
//!
//! Checked in every run: what `send` accepted is delivered exactly once and in order, or its channel reports it; what was
//! acknowledged was taken; two devices show one session at a time, the same at both ends; `Closed` comes once, last; peers'
//! sessions close before the server's in an orderly end; keys agree at every version; who was connected and is healed gets a
//! session again, and a direct path where both want one and their translators allow it; who wants none sends and gets no packet;
//! nothing is left, no lane, no party, no task, no socket.

mod air;
mod app;
mod client;
mod crypto;
mod ending;
mod epilogue;
mod flow;
mod internet;
mod ledger;
mod run;
mod script;
mod server;
mod setup;
mod step;
mod world;

pub use air::{Air, Place};
pub use flow::{Ending, Pace, Plan};
pub use run::{Failure, Report, run_seed};
pub use script::{Step, script};
pub use setup::Setup;
