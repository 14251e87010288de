//! A session's moves from one path to another, which a redial waits for.

use super::shared::Shared;
use crate::session::Link;

/// A move to another path, while it is under way.
pub(super) struct Moving<'a> {
    shared: &'a Shared,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        self.shared.moves.send_modify(|count| *count -= 1);
    }
}

impl Shared {
    /// Notes a move to another path, until the result is dropped.
    pub(super) fn begin_move(&self) -> Moving<'_> {
        self.moves.send_modify(|count| *count += 1);
        Moving { shared: self }
    }

    /// Waits until no move is under way, as long as the session has no path. The other end may have made the move, and left the
    /// path that this end has lost; but a session waits for none any more when half of the time that it may be without a path has
    /// gone by since it was lost.
    pub(super) async fn settle(&self) {
        let Link::Detached { until, .. } = self.look(|core| core.machine.link()) else { return };
        let mut moves = self.moves.subscribe();
        let settled = moves.wait_for(|count| *count == 0);
        let latest = self.clock.instant(until) - self.about.resume / 2;
        // Late or not: what follows looks at the session.
        let _late = tokio::time::timeout_at(latest, settled).await;
    }
}
