//! One direction of a channel: what is sent, how it ends, how it is read; and what became of it, as far as its users know.

use citadel_crypt::handshake::Instance;
use core::time::Duration;

/// A direction of a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct FlowId {
    /// The channel, by its number in the world.
    pub(super) lane: u64,
    /// From who accepted it to who opened it.
    pub(super) is_back: bool,
}

/// What both users of a direction do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Messages.
    pub count: u64,
    /// Bytes of each beside its head.
    pub len: usize,
    /// Pause between them.
    pub gap: Duration,
    /// What follows the last one.
    pub ending: Ending,
    /// How they are read.
    pub pace: Pace,
}

/// How a writer ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It finishes and waits until everything was taken.
    Finish,
    /// It gives up with this code.
    Reset(u32),
    /// It is dropped.
    Drop,
}

/// How a reader reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// As fast as it can.
    Eager,
    /// With a pause before each message.
    Slow(Duration),
    /// Waits this long before the first, then as fast as it can.
    Stalled(Duration),
    /// Stops after so many.
    Stops(u64),
}

/// What is known of a direction.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) plan: Plan,
    /// The session, and the channel's id in it, once it is open.
    pub(super) session: Instance,
    pub(super) channel: u64,
    pub(super) writer: usize,
    pub(super) reader: usize,
    /// Messages given to `send`, and those that it accepted.
    pub(super) offered: u64,
    pub(super) accepted: u64,
    /// Messages that the reader took.
    pub(super) taken: u64,
    pub(super) write_end: Option<WriteEnd>,
    pub(super) read_end: Option<ReadEnd>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WriteEnd {
    Finished,
    GivenUp,
    /// The session is over.
    Failed,
    /// It was told that nobody reads, or reads on.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReadEnd {
    Finished,
    Reset,
    Closed,
    Stopped,
}

impl FlowId {
    /// Its message of that number.
    pub(super) fn message(self, number: u64, len: usize) -> Vec<u8> {
        let head = [&self.lane.to_le_bytes()[..], &[u8::from(self.is_back)], &number.to_le_bytes()].concat();
        let mut message = crate::canary::marked(head);
        message.resize(message.len() + len, number as u8);
        message
    }
}

impl Flow {
    /// Whether all of what the writer's end cannot vouch for is within what its report names.
    pub(super) const fn missing(&self) -> u64 {
        self.accepted.saturating_sub(self.taken)
    }
}
