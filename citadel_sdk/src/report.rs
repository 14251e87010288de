//! What became of the sessions of an endpoint or a node.

use citadel_crypt::handshake::Instance;
use citadel_proto::CloseReport;
use citadel_proto::backend::BackendError;
use core::fmt;
use std::sync::Arc;

/// Result of closing an endpoint: one report for each session that was open when the close began. Prints as
/// one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EndpointReport {
    /// The sessions, in no order.
    pub sessions: Vec<CloseReport>,
}

impl EndpointReport {
    /// Whether every session closed cleanly: all that this end sent was received, and the other end said goodbye.
    pub fn is_clean(&self) -> bool {
        self.sessions.iter().all(|session| session.clean)
    }
}

impl fmt::Display for EndpointReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sessions(f, &self.sessions)
    }
}

fn write_sessions(f: &mut fmt::Formatter<'_>, sessions: &[CloseReport]) -> fmt::Result {
    let clean = sessions.iter().filter(|session| session.clean).count();
    match sessions.len() {
        0 => write!(f, "closed, no session was open"),
        1 if clean == 1 => write!(f, "closed, 1 session, clean"),
        count if clean == count => write!(f, "closed, {count} sessions, all clean"),
        count => {
            write!(f, "closed, {clean} of {count} sessions clean")?;
            let unclean = sessions.iter().filter(|session| !session.clean);
            unclean.into_iter().try_for_each(|session| write!(f, "; {session}"))
        }
    }
}

/// What became of a node's sessions. Prints as one line.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct NodeReport {
    /// Of a server, the sessions that were open when it began to end; of a client also those before, the last 64. In the
    /// order in which they ended.
    pub sessions: Vec<CloseReport>,
    /// How many sessions ended before and are not among these.
    pub earlier: u64,
    /// Sessions that said nothing even after they were aborted.
    pub unfinished: Vec<Instance>,
    /// Whether the node's deadline passed: sessions were aborted then, or callbacks cut short.
    pub is_late: bool,
    /// What became of a server's storage.
    pub storage: StorageEnd,
}

/// How a server's storage was left.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum StorageEnd {
    /// It has all that it was given; so it says of a node without storage.
    #[default]
    Stored,
    /// It could not be flushed.
    Failed(Arc<BackendError>),
    /// It did not answer in time, or was not asked.
    Unknown,
}

impl StorageEnd {
    /// Whether the storage has all that it was given.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored)
    }
}

impl NodeReport {
    /// Whether every session in the report closed cleanly (all that this end sent was received, and the other end said
    /// goodbye) and the storage has everything.
    pub fn is_clean(&self) -> bool {
        let is_all_clean = self.sessions.iter().all(|session| session.clean);
        is_all_clean && self.unfinished.is_empty() && self.storage.is_stored()
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sessions(f, &self.sessions)?;
        if self.earlier > 0 {
            write!(f, "; {} ended before", self.earlier)?;
        }
        if !self.unfinished.is_empty() {
            write!(f, "; {} did not end", self.unfinished.len())?;
        }
        if self.is_late {
            f.write_str("; the deadline passed")?;
        }
        match &self.storage {
            StorageEnd::Stored => Ok(()),
            StorageEnd::Failed(error) => write!(f, "; storage: {error}"),
            StorageEnd::Unknown => f.write_str("; storage: no answer"),
        }
    }
}
