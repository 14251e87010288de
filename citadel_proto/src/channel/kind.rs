//! What a channel is for, as its name says, and what limits follow from that.

use crate::frames::MESSAGE_UNITS;
use bytes::Bytes;
use citadel_crypt::handshake::Limits;

/// What the name of every service channel starts with. The zero byte keeps it from applications.
pub const SERVICE_PREFIX: &[u8] = b"\0citadel/";

/// The service whose channels are relay lanes: the bytes of another session. They have windows of their own beside the
/// session's credit, and stay open while a session that closes in order flushes.
pub const RELAY: &str = "relay";

/// Service channels that one end may have opened and alive at a time. Above the 64 relay lanes that a server gives a session
/// and the services of nodes; each end holds the other to it, so it is the same in all.
pub const MAX_SERVICE_CHANNELS: usize = 80;

/// Most units that a relay lane holds for its reader: 256 KiB, 20 ms of 100 Mbit/s. An end that gives channels less gives
/// lanes no more.
pub const LANE_WINDOW: u64 = 256 << 10;

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
    /// Bytes of another session.
    Lane,
}

impl Kind {
    /// By the name, on both ends alike.
    pub(super) fn of(name: &[u8]) -> Self {
        match name.strip_prefix(SERVICE_PREFIX) {
            Some(service) if service == RELAY.as_bytes() => Self::Lane,
            _ if name.first() == Some(&0) => Self::Service,
            _ => Self::Application,
        }
    }

    /// The name of a service's channels.
    pub(super) fn service_name(service: &str) -> Bytes {
        [SERVICE_PREFIX, service.as_bytes()].concat().into()
    }

    /// Whether no application opens or sees it.
    pub(super) fn is_reserved(self) -> bool {
        self != Self::Application
    }

    /// Most units that a reader with these limits lets wait.
    pub(super) fn window(self, limits: &Limits) -> u64 {
        match self {
            Self::Application | Self::Service => limits.channel_credit,
            Self::Lane => limits.channel_credit.min(LANE_WINDOW),
        }
    }

    /// Half the smaller of the windows that a message to such a reader must fit.
    pub(super) fn comfortable(self, limits: &Limits) -> u64 {
        match self {
            Self::Application | Self::Service => limits.channel_credit.min(limits.session_credit) / 2,
            Self::Lane => self.window(limits) / 2,
        }
    }

    /// Longest message that such a reader takes. On a lane it is one that never needs to be paid for in advance: the budget
    /// for that is the applications'.
    pub(super) fn longest(self, limits: &Limits) -> u64 {
        match self {
            Self::Application | Self::Service => limits.max_message,
            Self::Lane => limits.max_message.min(self.comfortable(limits).saturating_sub(MESSAGE_UNITS)),
        }
    }
}
