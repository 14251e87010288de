//! What carries the records now, and what happens when that changes (R-SES-6, -7).

use super::keys::HIGHEST_PATH;
use super::policy::AckDelay;
use super::{Output, SessionMachine};
use crate::shutdown::{self, PathLoss, Stage};
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey;

/// The path of a session.
///
/// ```text
///     ┌───────────────────── attach: the peer is back before the loss was seen ──┐
///     │                                                                           ▼
///  Carrying ──── lose ────▶ Detached ──── attach ────▶ Greeting ◀── attach ── (Greeting)
///     ▲                        ▲                        │    │
///     │                        └──────── lose ──────────┘    │
///     └──────────────────────── hear ────────────────────────┘
///
///  every one of them ── lose where nothing may follow, expire, abandon ──▶ Gone
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// Everything goes.
    Carrying(PathId),
    /// The peer was not heard on this path yet: control goes, items wait until the peer has said what it has.
    Greeting(PathId),
    /// No path, and another may come.
    Detached {
        /// How the last one was lost.
        loss: PathLoss,
        /// The longest wait.
        until: Timestamp,
    },
    /// No path, and none will come.
    Gone,
}

impl Link {
    pub(super) const fn path(self) -> Option<PathId> {
        match self {
            Self::Carrying(path) | Self::Greeting(path) => Some(path),
            Self::Detached { .. } | Self::Gone => None,
        }
    }

    pub(super) const fn is_attached(self) -> bool {
        self.path().is_some()
    }

    /// Whether messages and ends of channels may go, not control alone.
    pub(super) const fn carries_items(self) -> bool {
        matches!(self, Self::Carrying(_))
    }

    pub(super) const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Detached { until, .. } => Some(until),
            _ => None,
        }
    }

    /// A record of the peer opened.
    pub(super) const fn hear(&mut self) {
        if let Self::Greeting(path) = *self {
            *self = Self::Carrying(path);
        }
    }
}

/// Why a path cannot carry the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathRefused {
    /// The session has said its last, or is about to.
    #[error("the session is closing")]
    Closing,
    /// Its id does not come after every one before.
    #[error("a path with this id was used before")]
    Reused,
    /// The session was made without a time to resume.
    #[error("the session is not to be resumed")]
    NotResumable,
}

impl SessionMachine {
    /// How the session stands with its path, for tests and diagnostics.
    pub const fn link(&self) -> Link {
        self.link
    }

    /// The path that carries the session now; none while it is detached and once it is over.
    pub const fn path(&self) -> Option<PathId> {
        self.link.path()
    }

    /// Whether the session has lost its path and waits for another.
    pub const fn is_detached(&self) -> bool {
        matches!(self.link, Link::Detached { .. })
    }

    /// An id for the next attempt to resume: above every path so far and every id that this gave out, for an attempt
    /// whose outcome never arrived may have used its own. None where no path would be taken.
    pub fn next_path_id(&mut self) -> Option<PathId> {
        let next = self.keys.as_ref()?.next_path().max(self.next_path);
        self.accepts_path(next).ok()?;
        self.next_path = PathId(next.0 + 1);
        Some(next)
    }

    /// Whether [`next_path_id`](Self::next_path_id) has given out an id above `path`, which it gave out as well.
    pub fn has_given_above(&self, path: PathId) -> bool {
        self.next_path.0 > path.0 + 1
    }

    /// Whether [`Input::PathAttached`](super::Input::PathAttached) with `path` would be taken.
    ///
    /// # Errors
    /// [`PathRefused`].
    pub fn accepts_path(&self, path: PathId) -> Result<(), PathRefused> {
        match &self.keys {
            _ if self.plan.stage() >= Stage::Announcing => Err(PathRefused::Closing),
            None => Err(PathRefused::Closing),
            Some(_) if self.resume.is_zero() => Err(PathRefused::NotResumable),
            Some(keys) if path < keys.next_path() || path > HIGHEST_PATH => Err(PathRefused::Reused),
            Some(_) => Ok(()),
        }
    }

    /// The path in use is of no use any more; its keys are wiped, for it never comes back.
    pub(super) fn lose(&mut self, loss: PathLoss) {
        if !self.link.is_attached() {
            return;
        }
        if let Some(keys) = &mut self.keys {
            keys.drop_path();
        }
        self.datagrams.on_lost();
        if self.resume.is_zero() || self.plan.stage() >= Stage::Announcing {
            return self.abandon(loss);
        }
        let until = self.now + self.resume;
        self.link = Link::Detached { loss, until };
        self.ack = AckDelay::None;
        self.outputs.push_back(Output::Detached { loss, until });
    }

    /// A new path in the place of the one in use or of none. Everything that the peer may not have is owed again.
    pub(super) fn attach(&mut self, path: PathId) {
        let Some(keys) = &mut self.keys else { return };
        if self.resume.is_zero() || self.plan.stage() >= Stage::Announcing || keys.replace_path(path).is_err()
        {
            return;
        }
        self.link = Link::Greeting(path);
        self.ack = AckDelay::None;
        self.liveness.on_path(self.now);
        self.channels.on_path();
        self.datagrams.on_path();
        self.announcement.on_path();
        self.outputs.push_back(Output::Attached { path });
        self.rekey(rekey::Input::PathReplaced { reauthenticate: true });
    }

    /// No path carries the session, and none will.
    pub(super) fn abandon(&mut self, loss: PathLoss) {
        self.link = Link::Gone;
        self.plan.handle(self.now, shutdown::Input::PathLost(loss));
    }

    /// The longest wait for a path may be over.
    pub(super) fn expire(&mut self) {
        if let Link::Detached { loss, until } = self.link
            && until <= self.now
        {
            self.abandon(loss);
        }
    }

    /// Whether the close came to where it needs a path and there is none: from `Announcing` on that is the end.
    pub(super) fn is_stranded(&mut self) -> bool {
        let Link::Detached { loss, .. } = self.link else { return false };
        let is_stranded = self.plan.stage() >= Stage::Announcing;
        if is_stranded {
            self.abandon(loss);
        }
        is_stranded
    }
}
