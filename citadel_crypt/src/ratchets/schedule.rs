//! The key schedule: one chain of roots and transcripts from the handshake through every round (R-CRY-4).
//!
//! Each version has a transcript hash `th_v` and a pseudo-random key: for a round `HKDF-Extract(root_{v-1},
//! ss_mlkem ‖ ss_x25519)` (RFC 5869), for version 0 the handshake's `hs` itself. Everything of a version is
//! `HKDF-Expand` of that key over label, suite, version and `th_v`, every field with its length before it.

use super::ratchet::SecrecyMode;
use super::rekey::{RoundId, Version};
use crate::labels;
use crate::secret::Secret;
use crate::suite::{Suite, kdf};
use crate::transcript::Transcript;
use std::sync::Arc;

/// What the handshake leaves for version 0.
#[derive(Debug)]
pub struct InitialSecrets {
    /// Hash of the whole handshake; names the session.
    pub session_id: [u8; 32],
    /// The session's suite.
    pub suite: Suite,
    /// The handshake secret: both shared secrets and the pre-shared key are in it.
    pub hs: Secret<32>,
    /// Final handshake transcript.
    pub th0: [u8; 32],
}

impl InitialSecrets {
    /// Proof key of a resumption (R-SES-7).
    pub(crate) fn resumption(&self) -> Secret<32> {
        Context { prk: &self.hs, suite: self.suite, version: Version(0), th: self.th0 }
            .secret(labels::RESUMPTION)
    }
}

/// Length of a version's fingerprint, bytes.
pub const FINGERPRINT_LEN: usize = 16;

/// Everything that one version derives. Lanes are the traffic secrets (`BestEffort`) or the chain seeds
/// (`Perfect`), by the number of the sending side.
pub(crate) struct VersionSecrets {
    pub(crate) root: Secret<32>,
    pub(crate) lanes: [Secret<32>; 2],
    pub(crate) confirm_a: Secret<32>,
    pub(crate) confirm_b: Secret<32>,
    pub(crate) exporter: Arc<Exporter>,
    pub(crate) th: [u8; 32],
}

/// The public part of a round, in the order in which it enters `th_v`.
pub(crate) struct RoundTranscript<'a> {
    pub(crate) session_id: &'a [u8; 32],
    pub(crate) previous: &'a [u8; 32],
    pub(crate) suite: Suite,
    pub(crate) signed: bool,
    pub(crate) round: RoundId,
    /// Share and KEM key.
    pub(crate) offer: (&'a [u8; 32], &'a [u8]),
    /// Share and ciphertext.
    pub(crate) answer: (&'a [u8; 32], &'a [u8]),
}

impl RoundTranscript<'_> {
    /// `th_v`.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Transcript::new(labels::REKEY_TH)
            .field(self.session_id)
            .field(self.previous)
            .field(&self.suite.id().to_le_bytes())
            .field(&[u8::from(self.signed)])
            .field(&round_bytes(self.round))
            .field(self.offer.0)
            .field(self.offer.1)
            .field(self.answer.0)
            .field(self.answer.1)
            .finish()
    }
}

/// A round's name as it is hashed and signed: version, side, attempt.
pub(crate) fn round_bytes(round: RoundId) -> [u8; 17] {
    let mut bytes = [0; 17];
    bytes[..8].copy_from_slice(&round.version.0.to_le_bytes());
    bytes[8] = round.side.number();
    bytes[9..].copy_from_slice(&round.attempt.0.to_le_bytes());
    bytes
}

impl VersionSecrets {
    /// Secrets of version 0 and the proof key of a resumption.
    pub(crate) fn initial(initial: &InitialSecrets, mode: SecrecyMode) -> (Self, Secret<32>) {
        let context =
            Context { prk: &initial.hs, suite: initial.suite, version: Version(0), th: initial.th0 };
        (context.secrets(mode), initial.resumption())
    }

    /// Secrets of the version that a round leads to. Secret inputs are the root before it and both shared
    /// secrets; breaking one of the two KEMs gives nothing (R-CRY-1).
    pub(crate) fn of_round(
        root: &Secret<32>,
        ss_mlkem: &Secret<32>,
        ss_x25519: &Secret<32>,
        transcript: &RoundTranscript<'_>,
        mode: SecrecyMode,
    ) -> Self {
        let prk = kdf::extract(root.expose(), &[ss_mlkem.expose(), ss_x25519.expose()]);
        let version = transcript.round.version;
        Context { prk: &prk, suite: transcript.suite, version, th: transcript.hash() }.secrets(mode)
    }
}

/// One version's pseudo-random key and what every expansion of it names.
struct Context<'a> {
    prk: &'a Secret<32>,
    suite: Suite,
    version: Version,
    th: [u8; 32],
}

impl Context<'_> {
    fn secrets(&self, mode: SecrecyMode) -> VersionSecrets {
        let lanes = match mode {
            SecrecyMode::BestEffort => [labels::TRAFFIC_INITIATOR, labels::TRAFFIC_RESPONDER],
            SecrecyMode::Perfect => [labels::CHAIN_INITIATOR, labels::CHAIN_RESPONDER],
        };
        let mut fingerprint = [0; FINGERPRINT_LEN];
        self.expand(labels::FINGERPRINT, &mut fingerprint);
        let exporter = Exporter { version: self.version, fingerprint, secret: self.secret(labels::EXPORTER) };
        VersionSecrets {
            root: self.secret(labels::ROOT),
            lanes: lanes.map(|label| self.secret(label)),
            confirm_a: self.secret(labels::CONFIRM_A),
            confirm_b: self.secret(labels::CONFIRM_B),
            exporter: Arc::new(exporter),
            th: self.th,
        }
    }

    fn secret(&self, label: &str) -> Secret<32> {
        let mut secret = Secret::zero();
        self.expand(label, secret.expose_mut());
        secret
    }

    fn expand(&self, label: &str, out: &mut [u8]) {
        let (suite, version) = (self.suite.id().to_le_bytes(), self.version.0.to_le_bytes());
        expand_fields(self.prk, &[label.as_bytes(), &suite, &version, &self.th], out);
    }
}

/// HKDF-Expand over `N` fields, each after its length in 8 bytes, little endian.
pub(crate) fn expand_fields<const N: usize>(prk: &Secret<32>, fields: &[&[u8]; N], out: &mut [u8]) {
    let lengths = fields.map(|field| (field.len() as u64).to_le_bytes());
    let mut info: Vec<&[u8]> = Vec::with_capacity(2 * N);
    for (length, field) in lengths.iter().zip(fields) {
        info.extend([&length[..], field]);
    }
    kdf::expand(prk, &info, out);
}

/// What an application may take from one version (R-CRY-10), and the version's fingerprint. Cheap to share;
/// wiped when the last holder lets go.
#[derive(Debug)]
pub struct Exporter {
    version: Version,
    fingerprint: [u8; FINGERPRINT_LEN],
    secret: Secret<32>,
}

/// More bytes were asked for than one export gives, or the version is not in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// More than [`kdf::MAX_EXPAND_LEN`] bytes.
    #[error("one export gives at most {} bytes", kdf::MAX_EXPAND_LEN)]
    TooLong,
    /// The version's keys are gone, or not there yet.
    #[error("version {0} is not in the window")]
    OutsideWindow(Version),
}

impl Exporter {
    /// The version that it belongs to.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The version's fingerprint: equal on both ends if their keys are. For diagnostics; says nothing about a key.
    pub const fn fingerprint(&self) -> [u8; FINGERPRINT_LEN] {
        self.fingerprint
    }

    /// Fills `out` with key material of this version for `label` and `context`, the same on both ends. Another
    /// label, context or length gives unrelated bytes.
    ///
    /// # Errors
    /// [`ExportError::TooLong`].
    pub fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        if out.len() > kdf::MAX_EXPAND_LEN {
            return Err(ExportError::TooLong);
        }
        let length = (out.len() as u64).to_le_bytes();
        let fields = [labels::EXPORT.as_bytes(), label.as_bytes(), context, &length];
        expand_fields(&self.secret, &fields, out);
        Ok(())
    }
}
