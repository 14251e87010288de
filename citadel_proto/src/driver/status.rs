//! What is published of a session: what carries it, and how far its end is. State, not messages: whoever looks late sees
//! where the session stands, and two threads that publish at once cannot turn it back.

use super::shared::Shared;
use crate::session::PathKind;
use crate::shutdown::{CloseReason, CloseReport, PathLoss};
use citadel_crypt::ratchets::PathId;
use citadel_crypt::ratchets::rekey::Version;
use futures::Stream;
use tokio::sync::watch;

/// Where a session stands.
#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) carrier: Carrier,
    pub(super) end: End,
}

/// What carries a session, or did last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Carrier {
    pub(super) path: PathId,
    /// How it was lost; none while it carries.
    pub(super) lost: Option<PathLoss>,
    pub(super) kind: PathKind,
}

impl Carrier {
    /// Rises with every change: a path carries, is lost, and a higher one takes its place.
    const fn order(self) -> (u64, bool) {
        (self.path.0, self.lost.is_some())
    }
}

/// How far the end of a session is.
#[derive(Clone, Debug)]
pub(super) enum End {
    Open,
    Closing(CloseReason),
    Closed(CloseReport),
}

impl Status {
    /// Of a session on its first path, which is of that kind.
    pub(super) const fn new(kind: PathKind) -> Self {
        Self { carrier: Carrier { path: PathId::FIRST, lost: None, kind }, end: End::Open }
    }
}

/// What an operation changed.
#[derive(Default)]
pub(super) struct Change {
    pub(super) carrier: Option<Carrier>,
    pub(super) end: Option<End>,
}

impl Change {
    pub(super) const fn is_any(&self) -> bool {
        self.carrier.is_some() || self.end.is_some()
    }
}

impl Status {
    /// Takes over what goes forward; true if anything does.
    pub(super) fn advance(&mut self, change: Change) -> bool {
        let carrier = change.carrier.filter(|carrier| carrier.order() > self.carrier.order());
        let end = change.end.filter(|next| match (&self.end, next) {
            (End::Closed(_), _) | (_, End::Open) | (End::Closing(_), End::Closing(_)) => false,
            (End::Open, _) | (_, End::Closed(_)) => true,
        });
        let goes_on = carrier.is_some() || end.is_some();
        self.carrier = carrier.unwrap_or(self.carrier);
        if let Some(end) = end {
            self.end = end;
        }
        goes_on
    }
}

/// A change in a session's state.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// Another path carries the session; nothing was lost.
    Attached {
        /// Its number, from 0 for the one that the session was opened over.
        path: PathId,
    },
    /// What carries the session is of another kind, or goes to another address, than what carried it when this was last
    /// said. Follows the [`Attached`](Self::Attached) that it belongs to.
    PathChanged {
        /// What did before.
        from: PathKind,
        /// What does now.
        to: PathKind,
    },
    /// The session has no path and waits for one. Handles go on working: they wait.
    Detached {
        /// How the path was lost.
        loss: PathLoss,
    },
    /// The keys were renewed, to this version by now.
    Rekeyed(Version),
    /// The session is closing and takes nothing new.
    Closing(CloseReason),
    /// It is over. Nothing follows.
    Closed(CloseReport),
}

/// The changes of a session's state since this was made, or since the last look. Changes that came and went between two
/// looks are one: from version 3 to 9 is one [`SessionEvent::Rekeyed`], a path that was replaced is the new path. Does
/// not keep the session open.
#[derive(Debug)]
pub struct SessionEvents {
    versions: watch::Receiver<Version>,
    status: watch::Receiver<Status>,
    version: Version,
    carrier: Carrier,
    /// What was told to carry the session.
    kind: PathKind,
    told: Told,
}

/// What of the end was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Nothing,
    Closing,
    Closed,
}

impl SessionEvents {
    pub(super) fn new(shared: &Shared) -> Self {
        let (versions, status) = (shared.versions.subscribe(), shared.status.subscribe());
        let (version, carrier) = (*versions.borrow(), status.borrow().carrier);
        Self { versions, status, version, carrier, kind: carrier.kind, told: Told::Nothing }
    }

    /// The next change; none after [`SessionEvent::Closed`].
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            if self.told == Told::Closed {
                return None;
            }
            if let Some(event) = self.look() {
                return Some(event);
            }
            let changed = tokio::select! {
                biased;
                changed = self.versions.changed() => changed,
                changed = self.status.changed() => changed,
            };
            if changed.is_err() {
                // The session is gone with its task; its end was the last state.
                return self.look();
            }
        }
    }

    /// The changes as a stream that owns itself.
    pub fn into_stream(self) -> impl Stream<Item = SessionEvent> + Send + Unpin + 'static {
        let next = |mut events: Self| async { events.next().await.map(|event| (event, events)) };
        Box::pin(futures::stream::unfold(self, next))
    }

    /// The difference between what was told and what is.
    fn look(&mut self) -> Option<SessionEvent> {
        let version = *self.versions.borrow_and_update();
        if version > self.version {
            self.version = version;
            return Some(SessionEvent::Rekeyed(version));
        }
        let Status { carrier, end } = self.status.borrow_and_update().clone();
        if carrier != self.carrier {
            self.carrier = carrier;
            return Some(match carrier.lost {
                Some(loss) => SessionEvent::Detached { loss },
                None => SessionEvent::Attached { path: carrier.path },
            });
        }
        if carrier.lost.is_none() && carrier.kind != self.kind {
            let from = core::mem::replace(&mut self.kind, carrier.kind);
            return Some(SessionEvent::PathChanged { from, to: carrier.kind });
        }
        match end {
            End::Closing(reason) if self.told == Told::Nothing => {
                self.told = Told::Closing;
                Some(SessionEvent::Closing(reason))
            }
            End::Closed(report) if self.told != Told::Closed => {
                self.told = Told::Closed;
                Some(SessionEvent::Closed(report))
            }
            _ => None,
        }
    }
}
