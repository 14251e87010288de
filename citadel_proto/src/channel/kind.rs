//! What a channel is for, as its name says, and what limits follow from that.

use bytes::Bytes;

/// What the name of every service channel starts with. The zero byte keeps it from applications.
pub const SERVICE_PREFIX: &[u8] = b"\0citadel/";

/// Service channels that one end may have opened and alive at a time. Above the 64 relay lanes that a server gives a session
/// and the services of nodes; each end holds the other to it, so it is the same in all.
pub const MAX_SERVICE_CHANNELS: usize = 80;

/// The code of a service channel that was reset because [`MAX_SERVICE_CHANNELS`] of its opener are alive. Codes from 0x100 on
/// are the session's; those of services are below.
pub const SERVICE_LIMIT: u32 = 0x100;

/// Service channels given up at once whose opener has not confirmed that it knows. A correct one has at most
/// [`MAX_SERVICE_CHANNELS`] alive, and as many more for each path that was lost since with its confirmations.
pub(super) const MAX_REFUSED: usize = 4 * MAX_SERVICE_CHANNELS;

/// What a channel is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Whatever the application says. Channel 0 is one.
    Application,
    /// Requests between nodes.
    Service,
}

impl Kind {
    /// By the name, on both ends alike.
    pub(super) fn of(name: &[u8]) -> Self {
        if name.first() == Some(&0) { Self::Service } else { Self::Application }
    }

    /// The name of a service's channels.
    pub(super) fn service_name(service: &str) -> Bytes {
        [SERVICE_PREFIX, service.as_bytes()].concat().into()
    }

    /// Whether no application opens or sees it.
    pub(super) fn is_reserved(self) -> bool {
        self != Self::Application
    }
}
