//! Accounts: who may have a session, and what its user may do with the account.
//!
//! Owns: registration, login and further devices as decisions on proven identities; passwords and what they become; rate
//! limits; the authorization table; requests of a session about its account, on the service channel, both ends. Never:
//! proving identities (the handshake does), storing (the backend does), sessions and channels (the hub's).
//!
//! `entry.rs` and `service.rs` are machines: they decide, and ask (`step.rs`) for what they need to know or to have done.
//! `driver/` answers them: it asks the backend, hashes away from the async threads, draws ids, closes sessions.
//!
//! Invariants: a yes follows the durable write that it speaks of. All authorization asks one table. No answer for
//! credentials tells which of them was wrong, by code, size or count of hashes. Passwords are never compared, stored or
//! logged as they are. Contract and limits of all this: `docs/accounts.md`.

mod authorize;
mod config;
mod driver;
mod entry;
mod limits;
mod message;
mod password;
mod service;
mod step;
pub mod wire;

pub use authorize::{Action, Actor, Denied, Resource, authorize};
pub use config::{AccountsConfig, Hashing, Policy, Rate, RateLimits};
pub(crate) use driver::Watcher;
pub use driver::{
    AccountClient, Accounts, AccountsClock, AccountsSetupError, AdminError, AdmitError, CallError, SERVICE,
    SystemClock,
};
pub use entry::Decision;
pub use message::{AskError, Profile, RequestBody, ResponseBody};
pub use password::{Argon2Params, Argon2id, HashError, ParamsOutOfRange, PasswordHasher, SALT_LEN, Verified};
