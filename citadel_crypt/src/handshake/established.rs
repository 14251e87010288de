//! What both ends hold when a handshake has succeeded.

use super::config::{AppProtocol, Limits, SessionKind};
use super::grant::Grant;
use super::keys;
use super::resume::ResumptionKey;
use crate::SecrecyMode;
use crate::identity::IdentityPublic;
use crate::ratchets::InitialSecrets;
use crate::ratchets::rekey::Side;
use crate::secret::Secret;
use crate::suite::Suite;
use core::fmt;
use std::sync::Arc;

/// A session's generation: the first 16 bytes of its id, in every event and clean-up that concerns it (R-EST-2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub [u8; 16]);

impl Instance {
    /// The instance of the session with that id.
    pub fn of(session_id: &[u8; 32]) -> Self {
        let mut instance = [0; 16];
        instance.copy_from_slice(&session_id[..16]);
        Self(instance)
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({self})")
    }
}

/// A session as the handshake leaves it. Everything but `side`, `peer`, `peer_limits` is equal on both ends, and
/// proven to be: the transcript that the secrets depend on covers it.
#[derive(Debug)]
pub struct Established {
    /// Which end this is.
    pub side: Side,
    /// Client and server, or two peers.
    pub kind: SessionKind,
    /// Hash of the whole handshake.
    pub session_id: [u8; 32],
    /// Its first 16 bytes.
    pub instance: Instance,
    /// The chosen suite.
    pub suite: Suite,
    /// `Perfect` if either end asked for it.
    pub mode: SecrecyMode,
    /// The smaller window of both.
    pub window: u8,
    /// The proven other end.
    pub peer: IdentityPublic,
    /// The chosen application protocol.
    pub app_protocol: Option<AppProtocol>,
    /// What the other end takes.
    pub peer_limits: Limits,
    /// Whether a pre-shared key is in the secrets.
    pub psk: bool,
    /// What the server granted.
    pub grant: Grant,
    /// Proves later that an end holds this session.
    pub resumption: Arc<ResumptionKey>,
    /// Secrets of version 0.
    pub initial: InitialSecrets,
}

/// What both ends agreed on in the clear part of flights 1 and 2.
pub(super) struct Agreed {
    pub(super) kind: SessionKind,
    pub(super) suite: Suite,
    pub(super) mode: SecrecyMode,
    pub(super) window: u8,
    pub(super) app_protocol: Option<AppProtocol>,
    pub(super) psk: bool,
}

impl Agreed {
    /// Makes the result, once both ends are proven.
    pub(super) fn into_established(
        self,
        side: Side,
        peer: IdentityPublic,
        (peer_limits, grant): (Limits, Grant),
        hs: Secret<32>,
        th0: [u8; 32],
    ) -> Established {
        let session_id = keys::session_id(&th0);
        let initial = InitialSecrets { session_id, suite: self.suite, hs, th0 };
        Established {
            side,
            kind: self.kind,
            session_id,
            instance: Instance::of(&session_id),
            suite: self.suite,
            mode: self.mode,
            window: self.window,
            peer,
            app_protocol: self.app_protocol,
            peer_limits,
            psk: self.psk,
            grant,
            resumption: Arc::new(ResumptionKey::of(&initial)),
            initial,
        }
    }
}
