//! What became of an endpoint's sessions.

use citadel_proto::CloseReport;
use core::fmt;

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
        let clean = self.sessions.iter().filter(|session| session.clean).count();
        match (self.sessions.len(), self.is_clean()) {
            (0, _) => write!(f, "closed, no session was open"),
            (1, true) => write!(f, "closed, 1 session, clean"),
            (count, true) => write!(f, "closed, {count} sessions, all clean"),
            (count, false) => {
                write!(f, "closed, {clean} of {count} sessions clean")?;
                let unclean = self.sessions.iter().filter(|session| !session.clean);
                unclean.into_iter().try_for_each(|session| write!(f, "; {session}"))
            }
        }
    }
}
