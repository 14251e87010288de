//! Credit of a session, both ways: one account for what applications and services send, one for lanes.
//!
//! Lanes have an account of their own so that those of them that nobody reads leave everything else its credit. Nobody gives
//! credit on it: each lane has its window, and there are so many lanes at most, so it is bounded without.

use super::kind::Kind;
use super::send::SendSide;
use citadel_crypt::handshake::Limits;

/// Sums over all halves of an account.
pub(super) struct SessionCredit {
    pub(super) sent: u64,
    pub(super) send_limit: u64,
    /// Unsent units that were accepted on the promise of credit.
    pub(super) promised: u64,
    pub(super) received: u64,
    pub(super) credited: u64,
    pub(super) receive_limit: u64,
    window: u64,
}

impl SessionCredit {
    const fn new(send_limit: u64, window: u64) -> Self {
        Self { sent: 0, send_limit, promised: 0, received: 0, credited: 0, receive_limit: window, window }
    }

    /// Lets a half move, and the sums over all halves with it.
    pub(super) fn follow<R>(&mut self, send: &mut SendSide, step: impl FnOnce(&mut SendSide) -> R) -> R {
        let (sent, promised) = (self.sent - send.sent(), self.promised - send.promised());
        let result = step(send);
        (self.sent, self.promised) = (sent + send.sent(), promised + send.promised());
        result
    }

    /// What no message has and none was promised.
    pub(super) const fn send_left(&self) -> u64 {
        self.send_limit.saturating_sub(self.sent + self.promised)
    }

    /// What may still come.
    pub(super) const fn receive_left(&self) -> u64 {
        self.receive_limit.saturating_sub(self.received)
    }

    /// Whether the peer may be told of so much more that it is worth a frame.
    pub(super) fn is_due(&self) -> bool {
        self.credited + self.window - self.receive_limit >= (self.window / 4).max(1)
    }

    /// The credit to tell the peer.
    pub(super) const fn tell(&mut self) -> u64 {
        self.receive_limit = self.credited + self.window;
        self.receive_limit
    }
}

/// Both accounts.
pub(super) struct Credit {
    /// What frames about the session's credit speak of.
    pub(super) session: SessionCredit,
    lanes: SessionCredit,
}

impl Credit {
    pub(super) const fn new(own: &Limits, peer: &Limits) -> Self {
        let session = SessionCredit::new(peer.session_credit, own.session_credit);
        Self { session, lanes: SessionCredit::new(u64::MAX, u64::MAX) }
    }

    /// The account of a channel.
    pub(super) fn of(&mut self, kind: Kind) -> &mut SessionCredit {
        match kind {
            Kind::Application | Kind::Service => &mut self.session,
            Kind::Lane => &mut self.lanes,
        }
    }
}
