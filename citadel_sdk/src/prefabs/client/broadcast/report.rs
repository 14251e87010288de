//! What became of a broadcast, receiver by receiver.

use super::super::meet::PeerFailure;
use citadel_proto::CloseReason;
use core::fmt;
use std::sync::Arc;

/// What each receiver was sent. Prints as a line for each.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The receivers in the order in which the kernel was told of them.
    pub receivers: Vec<ReceiverReport>,
}

/// What one receiver was sent. Messages from before it came are not among these.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceiverReport {
    /// By the name that the kernel was given.
    pub name: String,
    /// Messages that were sent while it was there: those taken by its session, those that wait and those that were dropped.
    pub offered: u64,
    /// Messages that its session took.
    pub sent: u64,
    /// Of these, those whose arrival is unknown; known when the session is over.
    pub unconfirmed: u64,
    /// Messages that it did not get because it was too slow, or because its session ended.
    pub dropped: u64,
    /// Where it stands.
    pub state: ReceiverState,
}

/// Where a receiver stands.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReceiverState {
    /// It has not come yet, or never did.
    Awaited,
    /// It is there.
    Here,
    /// It was there to the end of the broadcast.
    Done,
    /// Its queue was full, or did not empty in time after the end, and its policy is
    /// [`DisconnectSlowest`](super::BackPressure::DisconnectSlowest).
    TooSlow,
    /// It reads no more, with this code of its application.
    Stopped(u32),
    /// Its session is over.
    Lost(CloseReason),
    /// It will not come.
    NotMet(Arc<PeerFailure>),
}

impl ReceiverReport {
    pub(super) const fn new(name: String) -> Self {
        Self { name, offered: 0, sent: 0, unconfirmed: 0, dropped: 0, state: ReceiverState::Awaited }
    }

    /// Messages that its session is known to have; of one that [stopped](ReceiverState::Stopped) reading, that were sent.
    pub const fn delivered(&self) -> u64 {
        self.sent.saturating_sub(self.unconfirmed)
    }

    /// Messages that wait for it.
    pub const fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.sent).saturating_sub(self.dropped)
    }
}

impl fmt::Display for BroadcastReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, receiver) in self.receivers.iter().enumerate() {
            let sign = if position == 0 { "" } else { "\n" };
            write!(f, "{sign}{receiver}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ReceiverReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, offered, dropped, unconfirmed, state, .. } = self;
        write!(f, "{name}: {} of {offered} delivered", self.delivered())?;
        if *dropped > 0 {
            write!(f, ", {dropped} dropped")?;
        }
        if *unconfirmed > 0 {
            write!(f, ", {unconfirmed} unconfirmed")?;
        }
        match state {
            ReceiverState::Done => Ok(()),
            ReceiverState::Awaited => f.write_str("; not there"),
            ReceiverState::Here => write!(f, ", {} waiting", self.waiting()),
            ReceiverState::TooSlow => f.write_str("; too slow"),
            ReceiverState::Stopped(code) => write!(f, "; reads no more (code {code})"),
            ReceiverState::Lost(reason) => write!(f, "; {reason}"),
            ReceiverState::NotMet(failure) => write!(f, "; {failure}"),
        }
    }
}
