//! What goes into the machine and what comes out of it.

use crate::channel::ChannelEvent;
use crate::datagram::DatagramStats;
use crate::record::RawRecord;
use crate::shutdown::{CloseReason, CloseReport, PathLoss, Stage};
use bytes::BytesMut;
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::{self, RekeyOutcome, RekeyStats};
use core::time::Duration;
use std::net::SocketAddr;

/// An input.
#[derive(Debug)]
pub enum Input {
    /// One record, as it came.
    Record(RawRecord),
    /// One packet, as it came: a datagram of the peer, or anything.
    Packet(BytesMut),
    /// The active path ended or failed. Where the session may be resumed it is detached and waits for another.
    PathLost(PathLoss),
    /// A resumption was proven and carries the session from here on; the path before it, if there is one, is dropped by
    /// the driver. Does nothing where [`accepts_path`](super::SessionMachine::accepts_path) refuses.
    PathAttached {
        /// Its id, higher than every one before.
        path: PathId,
    },
    /// There is no path, and none will come: the session ends with this loss, whatever time it would have had.
    Abandoned(PathLoss),
    /// All that `poll_transmit` gave out has left this end.
    PathFlushed,
    /// The time of `poll_timeout` has come. Early or spurious ones do nothing.
    Timeout,
}

/// An output, in the order in which it must be acted on.
#[derive(Debug)]
pub enum Output {
    /// A waiting handle may want to look again.
    Channel(ChannelEvent),
    /// Somebody who waits for datagrams may want to look again.
    Datagram,
    /// A round was committed; its keys are in use already.
    Rekeyed(RekeyOutcome),
    /// A milestone of a round; no effect.
    Round(rekey::Event),
    /// The path is lost: the driver drops it. Handles go on working and wait.
    Detached {
        /// How it was lost.
        loss: PathLoss,
        /// The session ends then, unless a path is attached before.
        until: Timestamp,
    },
    /// This path carries the session now.
    Attached {
        /// Which one.
        path: PathId,
    },
    /// The session is closing: no new channel, no new message.
    Closing(CloseReason),
    /// It is over. Last output.
    Closed(CloseReport),
}

/// When the peer is to learn of what a reader took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tell {
    /// `poll_transmit` has something for it.
    Now,
    /// When a deadline that is new has come.
    ByTimer,
    /// There is no news, or it waits for a deadline of before.
    Nothing,
}

/// What carries a session now, or did last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum PathKind {
    /// A stream that somebody dialled, accepted or brought.
    #[default]
    Given,
    /// A lane through the server that introduced the two.
    Relayed,
    /// QUIC from one end to the other.
    Direct(SocketAddr),
    /// TCP from one end to the other, within one network.
    DirectTcp(SocketAddr),
}

impl PathKind {
    /// Whether the bytes go from one end to the other without a server.
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::Direct(_) | Self::DirectTcp(_))
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum TimerReason {
    /// Acknowledgements have waited long enough for company.
    Acknowledge,
    /// The rekey machine's.
    Rekey(rekey::TimerReason),
    /// A background round, or one because of the version's age.
    RoundDue,
    /// The version is too old.
    VersionExpired,
    /// The peer is silent: ask it.
    Ping,
    /// The peer was silent for too long.
    Dead,
    /// No message for the configured time.
    Idle,
    /// No path for the longest time.
    Resume,
    /// A stage of the close.
    Stage(Stage),
}

/// Counters of a session.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct SessionStats {
    /// Records sealed.
    pub records_sent: u64,
    /// Records opened.
    pub records_received: u64,
    /// Bytes of records sealed, headers included.
    pub bytes_sent: u64,
    /// Bytes of records opened, headers included.
    pub bytes_received: u64,
    /// Smoothed round trip time, if one was measured.
    pub round_trip: Option<Duration>,
    /// Channels alive.
    pub channels: usize,
    /// How many of them are service channels, of either end.
    pub service_channels: usize,
    /// Datagrams.
    pub datagrams: DatagramStats,
    /// Rounds.
    pub rekey: RekeyStats,
    /// What carries it. The machine does not know; its driver says so.
    pub path_kind: PathKind,
}
