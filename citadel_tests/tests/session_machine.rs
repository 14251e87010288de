//! Two session machines on a virtual clock, then the same over tokio: order, flow control, rekey under load, every way to end.

#[path = "session_machine/driver.rs"]
mod driver;
