//! What is left to say when a session is over.

use super::{CloseReason, Summary};
use citadel_crypt::handshake::Instance;
use core::fmt;

/// How one session ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CloseReport {
    /// Which session.
    pub instance: Instance,
    /// The own reason.
    pub local: CloseReason,
    /// The peer's, if it said one.
    pub peer: Option<CloseReason>,
    /// What cut an orderly close short.
    pub cut_short: Option<CloseReason>,
    /// Everything that `send` accepted was received by the peer's session, but for channels that the peer refused or reset, whose
    /// `acknowledged` says so, and both ends said so in order.
    pub clean: bool,
    /// Channels with messages whose arrival is unknown.
    pub unconfirmed: Vec<Unconfirmed>,
}

/// Messages of one channel that `send` accepted and the peer's session did not acknowledge: it may have them or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unconfirmed {
    /// The channel.
    pub channel: u64,
    /// Number of messages.
    pub messages: u64,
}

impl CloseReport {
    /// The report of `instance`.
    pub(crate) fn new(instance: Instance, summary: Summary, unconfirmed: Vec<Unconfirmed>) -> Self {
        let Summary { local, peer, cut_short, clean } = summary;
        Self { instance, local, peer, cut_short, clean, unconfirmed }
    }

    /// The reason that says most: what the peer closed with if this end only followed, else the own one.
    pub fn reason(&self) -> &CloseReason {
        match (&self.local, &self.peer) {
            (CloseReason::PeerClosing, Some(peer)) => peer,
            (local, _) => local,
        }
    }
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}: {}", self.instance, self.local)?;
        if let Some(peer) = &self.peer {
            write!(f, "; peer: {peer}")?;
        }
        if let Some(cause) = &self.cut_short {
            write!(f, "; cut short: {cause}")?;
        }
        let messages: u64 = self.unconfirmed.iter().map(|one| one.messages).sum();
        if messages > 0 {
            write!(f, "; {messages} messages unconfirmed")?;
        }
        write!(f, "; clean: {}", if self.clean { "yes" } else { "no" })
    }
}
