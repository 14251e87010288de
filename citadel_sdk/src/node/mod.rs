//! Nodes: a kernel, an identity, and the sessions that the kernel's callbacks run.
//!
//! Owns: the builder, the node's tasks and their end, the handle that callbacks use. Never: a protocol decision, or what an
//! application does with a session (kernels and prefabs).
//!
//! ```text
//! NodeBuilder ─start─▶ main task ─┬─ accept loops ── one task per arriving session: handshake, then its handler
//!                                 ├─ kernel.run
//!                                 └─ shutdown: driver/end.rs: the plan of citadel_proto::shutdown, carried out
//! ```
//! Invariants: every task is in one tracker; a callback's panic is seen at its `JoinHandle`; nothing a callback does
//! delays another one; the main task ends last and gives the kernel back.

mod builder;
mod driver;
mod error;
mod handlers;
mod reload;
mod remote;

pub use builder::{NodeBuilder, Transport};
pub use driver::Node;
pub use error::NodeError;
pub use handlers::SessionEnd;
pub use reload::Reload;
pub use remote::{NodeRemote, Who};
