//! A world of nodes on a virtual clock and a seeded network: real handshakes, real session machines, scripted trouble.
//!
//! Owns: the network (delay, jitter, cuts at any byte, changed, repeated, copied and forged bytes), what a client does to get its session
//! a path again, applications that send, read and drop, and a naive model of what all of them were promised. Key
//! agreement is stood in for unless the world is real; records are sealed and handshakes run in any case. Never: sockets,
//! tasks, wall time. The same seed gives the same log, real keys or not.
//!
//! Checked in every run: what `send` accepted is delivered exactly once and in order, or its channel reports it; `Closed`
//! comes once, last; keys agree at every version; credit and acknowledgements are what was taken and what arrived, to the
//! unit; what was copied or forged opens nowhere; no wakeup is lost; nothing is left.

mod app;
mod book;
pub(crate) mod crypto;
mod dice;
mod end;
mod epilogue;
mod establish;
mod forge;
mod ledger;
mod log;
mod path;
mod run;
mod script;
mod setup;
mod step;
mod tap;
mod task;
mod wire;
mod workload;
#[expect(clippy::module_inception, reason = "the world itself")]
mod world;

pub use app::Pace;
pub use dice::Dice;
pub use log::Log;
pub use run::{Failure, Report, run_script, run_seed};
pub use setup::Setup;
pub use step::{CutSeen, Op, Step};
pub use workload::script;
pub use world::World;

/// An end of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// Who dials.
    Client,
    /// Who is dialled.
    Server,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Server => 1,
        }
    }
}
