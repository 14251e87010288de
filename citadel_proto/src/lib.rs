//! Sessions over paths: records, frames, channels, shutdown ordering and transports.

pub mod accounts;
pub mod backend;
mod channel;
pub mod driver;
pub mod errors;
pub mod frames;
pub mod peers;
pub mod record;
pub mod session;
pub mod shutdown;

pub use channel::{ChannelEvent, MAX_SERVICE_CHANNELS, Reservation, SERVICE_LIMIT, SERVICE_PREFIX, Taken};
pub use errors::{OpenError, RecvError, RekeyError, SendError, TryRecvError, TrySendError};
pub use frames::ChannelId;
pub use session::{RekeyPolicy, SessionConfig, SessionStats};
pub use shutdown::{CloseReason, CloseReport, Fault, PathLoss, Unconfirmed};
