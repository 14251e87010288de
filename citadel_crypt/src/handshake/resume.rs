//! Asking for a session that both ends still hold: a request whose proof counts in one handshake only (R-SES-7).
//!
//! proof = HMAC(resumption key of the session, H(binding, instance, path id)), where the binding is the hash of the new
//! handshake up to the client's identity: H(th2, mac_s, id_c). So a proof that was overheard, or sent to another
//! server, or made for another path, is worth nothing: the signature that covers the request is over another th2.

use super::codec::{Malformed, Reader};
use super::established::Instance;
use crate::identity::IdentityPublic;
use crate::labels;
use crate::ratchets::InitialSecrets;
use crate::secret::Secret;
use crate::suite::kdf;
use crate::transcript::Transcript;
use core::fmt;

/// What ties a proof to the handshake it travels in.
///
/// It is hashed when it is asked for: most handshakes resume nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResumeBinding {
    th2: [u8; 32],
    mac_s: [u8; 32],
    client: IdentityPublic,
}

impl ResumeBinding {
    /// Of the handshake with this th2, in which the server sent `mac_s` to `client`.
    pub(super) fn new(th2: &[u8; 32], mac_s: &[u8; 32], client: &IdentityPublic) -> Self {
        Self { th2: *th2, mac_s: *mac_s, client: client.clone() }
    }

    /// The hash.
    pub fn hash(&self) -> [u8; 32] {
        let Self { th2, mac_s, client } = self;
        Transcript::new(labels::RESUME_BINDING).field(th2).field(mac_s).field(client.as_bytes()).finish()
    }
}

/// The request for another path of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ResumeRequest {
    /// Which session.
    pub instance: Instance,
    /// Number of the new path; above every one that the session has had.
    pub path: u64,
    /// That the client holds the session.
    pub proof: [u8; 32],
}

impl ResumeRequest {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { instance: Instance(reader.array()?), path: reader.u64()?, proof: reader.array()? })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.instance.0);
        out.extend_from_slice(&self.path.to_le_bytes());
        out.extend_from_slice(&self.proof);
    }
}

/// Proves that an end holds a session; the same on both ends, one of each session. Wiped on drop.
#[derive(PartialEq, Eq)]
pub struct ResumptionKey(Secret<32>);

impl ResumptionKey {
    /// Of the session that starts from `initial`.
    pub fn of(initial: &InitialSecrets) -> Self {
        Self(initial.resumption())
    }

    /// The request for `path` of the session `instance`, good in the handshake of `binding` only.
    pub fn prove(&self, binding: &ResumeBinding, instance: Instance, path: u64) -> ResumeRequest {
        let proof = kdf::hmac(&self.0, &[&hash(binding, instance, path)]);
        ResumeRequest { instance, path, proof }
    }

    /// Whether `request` was made with this key for this handshake; constant time.
    pub fn verify(&self, binding: &ResumeBinding, request: &ResumeRequest) -> bool {
        kdf::verify_hmac(&self.0, &[&hash(binding, request.instance, request.path)], &request.proof)
    }
}

impl fmt::Debug for ResumptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumptionKey(..)")
    }
}

fn hash(binding: &ResumeBinding, instance: Instance, path: u64) -> [u8; 32] {
    Transcript::new(labels::RESUME_PROOF)
        .field(&binding.hash())
        .field(&instance.0)
        .field(&path.to_le_bytes())
        .finish()
}
