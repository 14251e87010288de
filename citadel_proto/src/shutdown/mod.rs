//! How a session ends, and a node with all of its sessions: pure plans, driven by facts and deadlines, never by sleeps.
//!
//! ```text
//! Running ─▶ Refusing ─▶ Flushing ─▶ HaltingRekey ─▶ Announcing ─▶ AwaitingPeer ─▶ Releasing ─▶ Closed
//! ```
//!
//! Owns: the order of the stages, which of them a reason passes through, when each is left, the reasons and the
//! report. Never: frames, keys, queues, clocks (they are facts and arguments from the session machine).
//!
//! Invariants: stages only go forward; the reason is fixed once; every stage that waits has a deadline; `Closed` is the
//! last output and comes exactly once. The table is `docs/shutdown.md`, and [`Course::of`] is its second half.

mod members;
mod node;
mod plan;
mod reason;
mod report;
pub mod routes;

pub use node::{
    ClientNodePlan, Member, NodeInput, NodeOutput, NodeShutdownConfig, NodeStage, NodeSummary, ServerNodePlan,
};
pub use plan::{Announce, Course, Facts, Input, Output, SessionPlan, ShutdownConfig, Stage, Summary};
pub use reason::{CloseReason, Fault, PathLoss};
pub use report::{CloseReport, Unconfirmed};
pub use routes::{Route, Routes};
