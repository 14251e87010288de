//! Sessions that peers opened and nobody has taken yet.

use super::super::Party;
use super::meetings::PeerSession;
use crate::driver::Session;
use citadel_crypt::addr::PeerId;
use std::collections::VecDeque;

/// Most that wait, of all and of one party; beyond them who connects is told that there is no room.
const MOST: (usize, usize) = (64, 8);

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Arrivals {
    waiting: VecDeque<Arrival>,
}

/// One of them. It may be over: what was received on it is in it.
struct Arrival {
    met: PeerSession,
    /// Callers wait for it: it is theirs.
    is_awaited: bool,
}

impl Arrival {
    fn session(&self) -> &Session {
        &self.met.session
    }

    /// What is over, and has nothing to read, is no loss to anybody.
    fn is_spent(&self) -> bool {
        self.session().closing().is_some() && !self.session().has_unread()
    }
}

impl Arrivals {
    /// Whether another one of `party` may wait; what is spent makes room.
    pub(super) fn has_room(&mut self, party: Party) -> bool {
        if !self.fits(party) {
            self.waiting.retain(|arrival| !arrival.is_spent());
        }
        self.fits(party)
    }

    fn fits(&self, party: Party) -> bool {
        let of_party = self.waiting.iter().filter(|arrival| arrival.met.party == party).count();
        self.waiting.len() < MOST.0 && of_party < MOST.1
    }

    pub(super) fn push(&mut self, met: PeerSession, is_awaited: bool) {
        self.waiting.push_back(Arrival { met, is_awaited });
    }

    /// The next one that callers do not wait for.
    pub(super) fn take(&mut self, is_wanted: impl Fn(&PeerSession) -> bool) -> Option<PeerSession> {
        let is_next = |arrival: &Arrival| !arrival.is_awaited && is_wanted(&arrival.met);
        let place = self.waiting.iter().position(is_next)?;
        self.waiting.remove(place).map(|arrival| arrival.met)
    }

    /// Somebody has it.
    pub(super) fn taken(&mut self, session: &Session) {
        self.waiting.retain(|arrival| arrival.session().instance() != session.instance());
    }

    /// Nobody waits for sessions with that device any more: who did has left its sessions to whoever takes them.
    pub(super) fn leave(&mut self, device: PeerId) {
        let of_device = self.waiting.iter_mut().filter(|arrival| arrival.session().peer_id() == device);
        of_device.for_each(|arrival| arrival.is_awaited = false);
    }

    /// What `party` opened is not given out any more. Sessions may end by the drop of what is returned.
    pub(super) fn forget(&mut self, party: Party) -> impl Drop + use<> {
        let all = core::mem::take(&mut self.waiting);
        let (gone, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|arrival| arrival.met.party == party);
        self.waiting = others.into();
        gone
    }
}
