//! A world of peers: clients and their server with its switchboard and lanes, on a virtual clock and a seeded network.
//!
//! Owns: what users and the network do by chance, and a naive model of what the users were promised. The drivers run as they
//! are (hub, accounts, switchboard, peers), on the paused clock of one thread and the seeded network of
//! `citadel_proto::driver::memory`, one network for each client, so that one is cut and the others are not. Key agreement is
//! stood in for but in every 25th world; handshakes are signed and records sealed in any case. Never: sockets, wall time, a
//! decision of a machine. Direct paths have a place in `Route`, and none yet.
//!
//! Checked in every run: what `send` accepted is delivered exactly once and in order, or its channel reports it; what was
//! acknowledged was taken; two devices show one session at a time, the same at both ends; `Closed` comes once, last; peers'
//! sessions close before the server's in an orderly end; keys agree at every version; who was connected and is healed gets a
//! session again; nothing is left, no lane, no party, no task.

mod app;
mod client;
mod crypto;
mod ending;
mod epilogue;
mod flow;
mod ledger;
mod run;
mod script;
mod server;
mod setup;
mod step;
mod world;

pub use flow::{Ending, Pace, Plan};
pub use run::{Failure, Report, run_seed};
pub use script::{Step, script};
pub use setup::Setup;

/// What carries a session of peers. Direct paths come beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// A lane of the server.
    Relayed,
}
