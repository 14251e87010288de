//! The rekey machine: moves both ends of a session from version n to n + 1, whoever starts, both at once too.
//!
//! Owns: rounds, roles, windows, floors, retransmission, the decision what is committed and what is evicted.
//! Never: sockets, tasks, clocks, randomness, any crypto crate (keys come through [`KeyAgreement`]), serialization.
//! It builds from the standard library alone, so that it can be explored and mutated by itself.
//!
//! Invariants: one round secret per endpoint at most, none in Idle; commit only with the peer's confirmation;
//! versions, attempts and floors never fall; every state but Idle and Halted has an armed timer.
//! The protocol, its rule ids and its table are in `docs/protocol/rekey.md`.

mod agreement;
mod config;
mod confirm;
mod finish;
mod ids;
mod io;
mod machine;
mod message;
mod offers;
mod owed;
mod phase;
mod reauth;
mod receive;
mod rising;
mod stats;
mod time;
mod timeout;
mod timers;
mod tokens;
mod view;
mod window;
mod withdraw_halt;

#[cfg(test)]
mod tests;

pub use agreement::{AgreementError, KeyAgreement};
pub use config::{Fatal, Reauth, RekeyConfig, Timing, TokenBucket, Violation};
pub use ids::{Attempt, Role, RoundId, Side, Version};
pub use io::{CancelCause, Event, Ignored, Input, Output, Refusal, RekeyOutcome, Verdict};
pub use machine::RekeyMachine;
pub use message::{Body, CancelReason, Header, Message, MessageKind};
pub use owed::Owed;
pub use stats::RekeyStats;
pub use time::Timestamp;
pub use timeout::TimerReason;
pub use view::{Lifecycle, Phase, View};
