//! A session that is none yet: its handshake has made it, and its peer may give it up without a word.

use super::shared::{Shared, Wake};
use crate::shutdown::CloseReason;

impl Shared {
    /// Keeps it, unless it ended otherwise than in order: one that the peer closes as soon as it has it is a session as any.
    pub(super) fn keep(&self) {
        self.act(|core, _| {
            core.is_kept |= core.is_running() || core.machine.reason().is_orderly();
            ((), Wake::Nobody)
        });
    }

    /// Aborts it unless the peer has opened a channel; says whether it has. Of one that is aborted nothing more is taken.
    pub(super) fn abort_unless_heard(&self) -> bool {
        self.act(|core, clock| {
            let is_heard = core.machine.has_peer_opened();
            if !is_heard {
                core.machine.close(clock.now(), CloseReason::Aborted);
            }
            (is_heard, Wake::Task)
        })
    }

    /// Ends it with `reason` if it runs, and says no. Else says whether it closes, or has closed, in order: what the peer said is in it then.
    pub(super) fn end_unless_in_order(&self, reason: CloseReason) -> bool {
        self.act(|core, clock| {
            if core.is_running() {
                let reason = if core.is_kept { reason } else { CloseReason::Aborted };
                core.machine.close(clock.now(), reason);
                return (false, Wake::Task);
            }
            (core.machine.reason().is_orderly(), Wake::Nobody)
        })
    }

    /// Ends it unless it is kept.
    pub(super) fn end_attempt(&self) {
        self.act(|core, clock| {
            if !core.is_kept {
                core.machine.close(clock.now(), CloseReason::Aborted);
            }
            ((), Wake::Task)
        });
    }

    pub(super) fn is_kept(&self) -> bool {
        self.look(|core| core.is_kept)
    }
}
