//! Sessions over paths: records, frames, channels, shutdown ordering and transports.

pub mod accounts;
pub mod backend;
mod channel;
mod datagram;
pub mod driver;
pub mod errors;
pub mod frames;
pub mod peers;
pub mod record;
pub mod session;
pub mod shutdown;

pub use channel::{ChannelEvent, Reservation, Taken};
pub use channel::{LANE_WINDOW, MAX_SERVICE_CHANNELS, RELAY, SERVICE_LIMIT, SERVICE_PREFIX};
pub use datagram::{DatagramStats, MIN_DATAGRAM};
pub use errors::{DatagramError, OpenError, RecvError, RekeyError, SendError, TryRecvError, TrySendError};
pub use frames::{ChannelId, MAX_DATAGRAM};
pub use session::{PathKind, RekeyPolicy, SessionConfig, SessionStats};
pub use shutdown::{CloseReason, CloseReport, Fault, PathLoss, Unconfirmed};
