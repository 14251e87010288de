//! The handle of a session's datagrams.

use super::session::{Session, changed};
use super::shared::{Core, Lease, Wake};
use crate::errors::DatagramError;
use crate::shutdown::Stage;
use bytes::Bytes;
use core::fmt;
use std::sync::Arc;

/// Datagrams of a session: messages that arrive whole, at most once, maybe late, maybe never, in no order that is promised; sealed
/// as everything else. They travel in packets of their own over QUIC, and in records where the path is a stream or a lane
/// through a server. What is late is dropped, on both ends the oldest first; nothing of it is sent again, and a channel is
/// never kept waiting for one (`docs/protocol/datagrams.md`).
///
/// Clones share what comes. As long as none of them lives, what the peer sends is dropped as it comes; when the last goes,
/// so does what was not taken. A handle of the session as any other: it keeps the session open.
pub struct Datagrams {
    lease: Arc<Lease>,
}

impl Session {
    /// Asks for datagrams.
    ///
    /// # Errors
    /// [`DatagramError::Closed`].
    pub fn datagrams(&self) -> Result<Datagrams, DatagramError> {
        let lease = Arc::clone(&self.lease);
        // The task asks the path how long one may be only while somebody wants any.
        lease.shared.act(|core, _| (core.machine.ask_for_datagrams(), Wake::Task))?;
        Ok(Datagrams { lease })
    }
}

impl Datagrams {
    /// Sends a datagram of at most [`max_size`](Self::max_size) bytes, and never waits: while the path takes less than is sent,
    /// the oldest of those that wait (256 KiB by default) go for the new one. Without a path it is dropped.
    /// `Ok` says that it was taken, not that it will arrive.
    ///
    /// # Errors
    /// [`DatagramError`]; it was not taken.
    pub fn send(&self, datagram: impl Into<Bytes>) -> Result<(), DatagramError> {
        let datagram = datagram.into();
        let len = datagram.len();
        self.lease.shared.act(|core, _| {
            let sent = core.machine.send_datagram(datagram);
            // Packets are the task's; records may be written by whoever has something for them.
            let wake = match &sent {
                Err(_) => Wake::Nobody,
                Ok(()) if core.machine.has_packet() => Wake::Task,
                Ok(()) => Wake::Writer { len },
            };
            (sent, wake)
        })
    }

    /// The next datagram; none once the session closes and all that came was taken. Of those that wait (256 KiB by default)
    /// the oldest go for new ones.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn recv(&self) -> Option<Bytes> {
        let mut arrivals = self.lease.shared.datagrams.subscribe();
        loop {
            arrivals.mark_unchanged();
            match self.lease.shared.act(|core, _| (next(core), Wake::Nobody)) {
                Some(result) => return result,
                None => changed(&mut arrivals).await,
            }
        }
    }

    /// The next datagram if one is there.
    pub fn try_recv(&self) -> Option<Bytes> {
        self.lease.shared.act(|core, _| (core.machine.take_datagram(), Wake::Nobody))
    }

    /// Longest datagram that the path takes now, bytes: [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) in records, some 1,100 to 1,400 in
    /// packets of QUIC, as the network is found to carry; [`MIN_DATAGRAM`](crate::MIN_DATAGRAM) without a path. It changes with
    /// the path; [`MIN_DATAGRAM`](crate::MIN_DATAGRAM) always fits.
    pub fn max_size(&self) -> usize {
        self.lease.shared.look(|core| core.machine.longest_datagram())
    }
}

/// What a reader gets now; nothing while it may wait.
fn next(core: &mut Core) -> Option<Option<Bytes>> {
    match core.machine.take_datagram() {
        None if core.machine.stage() == Stage::Running => None,
        taken => Some(taken),
    }
}

impl Clone for Datagrams {
    fn clone(&self) -> Self {
        let lease = Arc::clone(&self.lease);
        lease.shared.act(|core, _| {
            core.machine.share_datagrams();
            ((), Wake::Nobody)
        });
        Self { lease }
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.lease.shared.act(|core, _| {
            core.machine.leave_datagrams();
            ((), Wake::Nobody)
        });
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagrams({})", self.lease.shared.about.instance)
    }
}
