//! What a script may do to a world. A schedule is a list of these, and reads like one.

use super::{Pace, Side};
use citadel_proto::CloseReason;
use core::time::Duration;

/// One line of a script. Sessions are named by the client's line, channels by their index at that end, counted round;
/// a step that finds nothing to act on does nothing.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Time passes.
    Pass(Duration),
    /// The client opens a session on a line whose last one is over.
    Dial(usize),
    /// Something at one end of the session on a line.
    At(usize, Side, Op),
    /// The path of a line is cut: this much of a thousand of what is in flight still arrives.
    Cut(usize, CutSeen, u64),
    /// One bit of what is in flight from an end is changed.
    Flip(usize, Side),
    /// A piece in flight from an end arrives twice.
    Repeat(usize, Side),
    /// A record that an end wrote into an earlier path arrives on the one in use, or first on the next.
    Copy(usize, Side),
    /// What looks like a record of an end arrives.
    Forge(usize, Side),
    /// The client takes another path although it has one.
    Redial(usize),
    /// All paths of a client are cut, and none can be had until it heals.
    Down(usize, CutSeen),
    /// The client's network works again.
    Heal(usize),
    /// Both ends of a line ask for new keys in the same moment.
    RekeyBoth(usize),
    /// Both ends of a line close in the same moment.
    CloseBoth(usize),
}

/// What an application does.
#[derive(Clone, PartialEq, Debug)]
pub enum Op {
    /// Opens a channel, or waits for a slot.
    Open,
    /// Opens a relay lane.
    OpenLane,
    /// Sends that many bytes on a channel, or waits for room.
    Send(usize, usize),
    /// Reads a channel once.
    Recv(usize),
    /// Reads a channel at another pace from now on.
    Read(usize, Pace),
    /// Half-closes a channel.
    Finish(usize),
    /// Gives up sending on a channel.
    Reset(usize, u32),
    /// Drops the sending half.
    DropSender(usize),
    /// Drops the reading half, with a code.
    DropReader(usize, u32),
    /// Drops the futures that wait to send on a channel.
    DropFuture(usize),
    /// Asks for new keys.
    Rekey,
    /// Closes.
    Close(CloseReason),
    /// Drops every handle of the session.
    DropSession,
}

/// Who learns of a cut at once. Who does not finds out by silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CutSeen {
    /// Both ends.
    Both,
    /// The client alone.
    Client,
    /// The server alone.
    Server,
    /// Nobody.
    Nobody,
}

impl CutSeen {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Both, Self::Client, Self::Server, Self::Nobody];

    pub(super) const fn by(self, side: Side) -> bool {
        matches!((self, side), (Self::Both, _) | (Self::Client, Side::Client) | (Self::Server, Side::Server))
    }
}
