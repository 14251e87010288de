//! Two session machines on a virtual clock, then the same over tokio: order, flow control, rekey under load, every way to end.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests spawn as applications do, and fail by panicking"
)]

#[path = "session_machine/channels.rs"]
mod channels;
#[path = "session_machine/closing.rs"]
mod closing;
#[path = "session_machine/datagrams.rs"]
mod datagrams;
#[path = "session_machine/driver.rs"]
mod driver;
#[path = "session_machine/establish.rs"]
mod establish;
#[path = "session_machine/flow.rs"]
mod flow;
#[path = "session_machine/found.rs"]
mod found;
#[path = "session_machine/hostile.rs"]
mod hostile;
#[path = "session_machine/lanes.rs"]
mod lanes;
#[path = "session_machine/model.rs"]
mod model;
#[path = "session_machine/rekey.rs"]
mod rekey;
#[path = "session_machine/resume.rs"]
mod resume;
#[path = "session_machine/retell.rs"]
mod retell;
#[path = "session_machine/rogue.rs"]
mod rogue;
#[path = "session_machine/services.rs"]
mod services;

/// The channel that exists from the start.
const ZERO: citadel_proto::ChannelId = citadel_proto::ChannelId(0);
