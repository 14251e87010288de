//! Sessions over paths: records, frames, channels, shutdown ordering and transports.
