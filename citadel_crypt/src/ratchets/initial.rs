//! Where ratchets start: what the handshake leaves behind, and how much secrecy the session wants.

use crate::secret::Secret;
use crate::suite::Suite;

/// How fast keys are used up (R-CRY-6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum SecrecyMode {
    /// One key per version, direction and path.
    #[default]
    BestEffort,
    /// A one-way chain gives every record a key of its own, and rounds run as long as data flows.
    Perfect,
}

/// The secrets of version 0, the same on both ends of a handshake.
#[derive(Debug)]
pub struct InitialSecrets {
    /// Hash of the whole handshake.
    pub session_id: [u8; 32],
    /// The session's suite.
    pub suite: Suite,
    /// The handshake secret.
    pub hs: Secret<32>,
    /// The final handshake transcript.
    pub th0: [u8; 32],
}
