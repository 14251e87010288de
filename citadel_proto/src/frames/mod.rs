//! The frames inside an opened record, and the one place that parses them (R-SES-2).
//!
//! Owns: frame types, their bytes, bounds. Never: what a frame means (that is the session's and the channels').
//! All numbers are variable-length as in QUIC (RFC 9000, section 16), so none exceeds 2^62 − 1 and no sum of two of
//! them overflows. Bytes are authenticated but not trusted: a frame that does not parse is a [`FrameError`], nothing
//! here panics, nothing is reserved by a peer's word. Payloads are slices of the opened record, never copied.
//!
//! Types 0x40 ..= 0x7f carry their own length and are skipped when unknown, so that a later version can add to them.
//! Datagrams are among them: an end that knows none loses them, which they may be anyway.

mod codec;
mod write;

pub use codec::{FrameError, Frames};
pub use write::{
    put_ack, put_channel_credit, put_close, put_closing, put_credit, put_data, put_datagram, put_finish,
    put_open,
};
pub use write::{put_ping, put_pong, put_rekey, put_reset, put_session_credit, put_stop};

use crate::shutdown::CloseReason;
use bytes::Bytes;
use citadel_crypt::handshake::Instance;

/// Id of a channel: 0 exists from the start, the initiator opens 2, 4, …, the responder 1, 3, ….
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelId(pub u64);

impl core::fmt::Display for ChannelId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Longest name of a channel, bytes.
pub const MAX_NAME: usize = 255;
/// Longest rekey message. ML-KEM-1024, X25519 and a hybrid signature take under 6 KiB.
pub const MAX_REKEY: usize = 16 * 1024;
/// Longest datagram. 16 KiB: a quarter of a record, so that one of them delays messages by no more than that.
pub const MAX_DATAGRAM: usize = 16 * 1024;
/// Most bytes of a datagram's frame beside the datagram.
pub const MAX_DATAGRAM_HEADER: usize = 1 + 4;
/// Most bytes of a data frame beside its payload.
pub const MAX_DATA_HEADER: usize = 1 + 8 + 8 + 8 + 4;

/// One frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// One rekey message, encoded.
    Rekey(Bytes),
    /// Asks for a [`Frame::Pong`] with the same number.
    Ping(u64),
    /// Answers a ping.
    Pong(u64),
    /// Opens a channel.
    Open {
        /// Its id, the next one of its opener.
        channel: ChannelId,
        /// Its name, may be empty.
        name: Bytes,
    },
    /// A piece of a channel's messages.
    Data(Data),
    /// The sender's half of a channel ends here.
    Finish {
        /// The channel.
        channel: ChannelId,
        /// Where: all before it is data.
        offset: u64,
        /// Who ended it: its application, or its session because it closes.
        by: FinishedBy,
    },
    /// The sender's half of a channel ends here without having finished.
    Reset {
        /// The channel.
        channel: ChannelId,
        /// All that was sent.
        offset: u64,
        /// The application's code.
        code: u32,
    },
    /// The receiver of a channel reads no more; the sender answers with a reset.
    Stop {
        /// The channel.
        channel: ChannelId,
        /// The application's code.
        code: u32,
    },
    /// What became of a channel's items at their receiver.
    Ack {
        /// The channel.
        channel: ChannelId,
        /// The receiver's session has all below.
        received: u64,
        /// The receiver's reader has taken all below.
        consumed: u64,
    },
    /// The sender of a channel may send below this offset.
    Credit {
        /// The channel.
        channel: ChannelId,
        /// The offset, never falling.
        limit: u64,
    },
    /// The sender may send, over all channels together, less than this.
    SessionCredit {
        /// The sum, never falling.
        limit: u64,
    },
    /// The other end may have opened this many channels since the start.
    ChannelCredit {
        /// The number, never falling.
        count: u64,
    },
    /// The sender is closing: no new channels, no new messages.
    Closing {
        /// Why.
        reason: CloseReason,
        /// Which session.
        instance: Instance,
    },
    /// The sender's last frame.
    Close {
        /// Why.
        reason: CloseReason,
        /// Which session.
        instance: Instance,
    },
    /// A datagram, which is not repeated.
    Datagram(Bytes),
    /// An unknown frame of the skippable range.
    Skipped(u8),
}

/// Who half-closed a channel: only the application's word says that nothing is missing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FinishedBy {
    /// The application.
    Application,
    /// The session, in its Flushing stage.
    Closing,
}

/// A piece of a channel's messages. Offsets count units: each message takes [`MESSAGE_UNITS`] and its bytes. `Debug`
/// tells the payload's length, never its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Data {
    /// The channel.
    pub channel: ChannelId,
    /// Offset of the piece's first unit.
    pub offset: u64,
    /// Which piece.
    pub part: Part,
    /// The bytes.
    pub payload: Bytes,
}

impl core::fmt::Debug for Data {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { channel, offset, part, payload } = self;
        write!(f, "Data({channel}, {part:?} at {offset}, {} bytes)", payload.len())
    }
}

/// Which piece of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its start.
    First {
        /// Length of the whole message.
        total: u64,
    },
    /// Neither start nor end.
    Middle,
    /// Its end.
    Last,
}

/// Units that a message takes beside its bytes: about what an entry in a queue costs, so that credit bounds the memory of
/// a reader also when messages are small or empty.
pub const MESSAGE_UNITS: u64 = 64;

impl Part {
    /// Units that a piece with `len` bytes takes.
    pub const fn units(self, len: u64) -> u64 {
        match self {
            Self::Whole | Self::First { .. } => MESSAGE_UNITS + len,
            Self::Middle | Self::Last => len,
        }
    }
}

/// Frame types.
mod kind {
    pub(super) const REKEY: u8 = 0x01;
    pub(super) const PING: u8 = 0x02;
    pub(super) const PONG: u8 = 0x03;
    pub(super) const CLOSING: u8 = 0x04;
    pub(super) const CLOSE: u8 = 0x05;
    pub(super) const OPEN: u8 = 0x10;
    pub(super) const DATA_WHOLE: u8 = 0x11;
    pub(super) const DATA_FIRST: u8 = 0x12;
    pub(super) const DATA_MIDDLE: u8 = 0x13;
    pub(super) const DATA_LAST: u8 = 0x14;
    pub(super) const FINISH: u8 = 0x15;
    pub(super) const RESET: u8 = 0x16;
    pub(super) const STOP: u8 = 0x17;
    pub(super) const ACK: u8 = 0x18;
    pub(super) const CREDIT: u8 = 0x19;
    pub(super) const SESSION_CREDIT: u8 = 0x1a;
    pub(super) const CHANNEL_CREDIT: u8 = 0x1b;
    pub(super) const FINISH_CLOSING: u8 = 0x1c;
    pub(super) const DATAGRAM: u8 = 0x40;
    pub(super) const SKIPPABLE: core::ops::RangeInclusive<u8> = 0x40..=0x7f;
}
