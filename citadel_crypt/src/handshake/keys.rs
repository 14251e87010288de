//! The transcript chain and every key of the handshake.
//!
//! ```text
//! early = Extract(PSK label, psk or zeros)          hs  = Extract(early, ss_mlkem ‖ ss_x25519)
//! th1 = H([H(first Hello), Retry,] Hello, clear part of HelloReply)
//! sig_s over (th1, id_s)              th2 = H(th1, id_s, sig_s)                 mac_s over th2
//! sig_c over (th2, mac_s, id_c)       th3 = H(th2, mac_s, id_c, sig_c, request) mac_c over th3
//! th0 = H(th3, mac_c)                 session id = H(th0)
//! ```
//! H is [`Transcript`] with a label of its own each; Extract and Expand are HKDF (RFC 5869). Flight and MAC keys are
//! expanded from hs with th1, so they are fresh in every handshake and differ by direction; each flight key is used
//! once, which its type enforces.

use crate::labels;
use crate::secret::Secret;
use crate::suite::{AeadKey, CryptoError, CryptoProvider, MAX_KEY_LEN, MAX_NONCE_LEN, Suite, kdf};
use crate::transcript::Transcript;

/// The first exchange of a handshake that had to be tried again; both ends put it into the transcript.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct RetryTrace {
    /// [`hello_digest`] of the first `Hello`.
    pub(super) first: [u8; 32],
    /// The `Retry` as it was sent.
    pub(super) retry: Vec<u8>,
}

/// Hash of a `Hello`: its place in the cookie and, after a `Retry`, in the transcript.
pub(super) fn hello_digest(hello: &[u8]) -> [u8; 32] {
    Transcript::new(labels::HELLO).field(hello).finish()
}

/// Early secret of a pre-shared key.
pub(super) fn early(psk: &[u8]) -> Secret<32> {
    kdf::extract(labels::PSK.as_bytes(), &[psk])
}

/// Early secret of a handshake without one.
pub(super) fn no_psk() -> Secret<32> {
    early(&[0; 32])
}

/// Binder of a `Hello`, given its bytes up to the binder.
pub(super) fn binder(early: &Secret<32>, retry: Option<&RetryTrace>, partial_hello: &[u8]) -> [u8; 32] {
    let hash = traced(labels::PSK_BINDER, retry).field(partial_hello).finish();
    kdf::hmac(&binder_key(early), &[&hash])
}

/// Whether `binder` is the right one; constant time.
pub(super) fn verify_binder(
    early: &Secret<32>,
    retry: Option<&RetryTrace>,
    partial_hello: &[u8],
    binder: &[u8],
) -> bool {
    let hash = traced(labels::PSK_BINDER, retry).field(partial_hello).finish();
    kdf::verify_hmac(&binder_key(early), &[&hash], binder)
}

/// th1.
pub(super) fn th1(retry: Option<&RetryTrace>, hello: &[u8], clear_reply: &[u8]) -> [u8; 32] {
    traced(labels::HANDSHAKE, retry).field(hello).field(clear_reply).finish()
}

/// th2.
pub(super) fn th2(th1: &[u8; 32], id_s: &[u8], sig_s: &[u8]) -> [u8; 32] {
    Transcript::new(labels::TH2).field(th1).field(id_s).field(sig_s).finish()
}

/// th3.
pub(super) fn th3(th2: &[u8; 32], mac_s: &[u8; 32], id_c: &[u8], sig_c: &[u8], request: &[u8]) -> [u8; 32] {
    Transcript::new(labels::TH3).field(th2).field(mac_s).field(id_c).field(sig_c).field(request).finish()
}

/// th0, the final transcript.
pub(super) fn th0(th3: &[u8; 32], mac_c: &[u8; 32]) -> [u8; 32] {
    Transcript::new(labels::TH0).field(th3).field(mac_c).finish()
}

/// Session id.
pub(super) fn session_id(th0: &[u8; 32]) -> [u8; 32] {
    Transcript::new(labels::SESSION).field(th0).finish()
}

fn traced(label: &str, retry: Option<&RetryTrace>) -> Transcript {
    match retry {
        None => Transcript::new(label),
        Some(trace) => Transcript::new(label).field(&trace.first).field(&trace.retry),
    }
}

fn binder_key(early: &Secret<32>) -> Secret<32> {
    let mut key = Secret::zero();
    kdf::expand(early, &[labels::PSK_BINDER.as_bytes()], key.expose_mut());
    key
}

/// hs with th1: where flight and MAC keys come from.
pub(super) struct HandshakeKeys {
    hs: Secret<32>,
    th1: [u8; 32],
    suite: Suite,
}

impl HandshakeKeys {
    /// From both shared secrets. Both stand in the extract's input and all that was exchanged in th1, so whoever knows
    /// one of them only knows nothing (R-CRY-1).
    pub(super) fn derive(
        early: &Secret<32>,
        ss_kem: &Secret<32>,
        ss_dh: &Secret<32>,
        th1: [u8; 32],
        suite: Suite,
    ) -> Self {
        Self { hs: kdf::extract(early.expose(), &[ss_kem.expose(), ss_dh.expose()]), th1, suite }
    }

    /// The MAC key that `label` names.
    pub(super) fn mac_key(&self, label: &str) -> Secret<32> {
        let mut key = Secret::zero();
        self.expand(label, key.expose_mut());
        key
    }

    /// Key and nonce of the one flight that `label` names.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub(super) fn flight(
        &self,
        provider: &dyn CryptoProvider,
        label: &str,
    ) -> Result<FlightKey, CryptoError> {
        let aead = self.suite.aead;
        let mut material = Secret::<{ MAX_KEY_LEN + MAX_NONCE_LEN }>::zero();
        self.expand(label, material.expose_mut());
        let (key, nonce) = material.expose().split_at(MAX_KEY_LEN);
        let key = provider.aead(aead, &key[..aead.key_len()])?;
        Ok(FlightKey { key, nonce: Secret::copy_from(&first(nonce)), nonce_len: aead.nonce_len() })
    }

    /// hs, for version 0; everything else that it gave is wiped by now.
    pub(super) fn into_hs(self) -> Secret<32> {
        self.hs
    }

    fn expand(&self, label: &str, out: &mut [u8]) {
        // Fields of fixed length behind the label's length: no two inputs read alike.
        let label_len = (label.len() as u64).to_le_bytes();
        kdf::expand(
            &self.hs,
            &[&label_len, label.as_bytes(), &self.suite.id().to_le_bytes(), &self.th1],
            out,
        );
    }
}

fn first(nonce: &[u8]) -> [u8; MAX_NONCE_LEN] {
    let mut out = [0; MAX_NONCE_LEN];
    for (to, from) in out.iter_mut().zip(nonce) {
        *to = *from;
    }
    out
}

/// The key of one flight: seals or opens once and is gone.
pub(super) struct FlightKey {
    key: Box<dyn AeadKey>,
    nonce: Secret<MAX_NONCE_LEN>,
    nonce_len: usize,
}

impl FlightKey {
    /// Encrypts `body` in place and appends the tag.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub(super) fn seal(self, aad: &[u8], body: &mut Vec<u8>) -> Result<(), CryptoError> {
        let tag = self.key.seal(&self.nonce.expose()[..self.nonce_len], aad, body)?;
        body.extend_from_slice(&tag);
        Ok(())
    }

    /// Decrypts `sealed` in place and cuts it down to the plaintext.
    ///
    /// # Errors
    /// [`CryptoError::Open`].
    pub(super) fn open(self, aad: &[u8], sealed: &mut Vec<u8>) -> Result<(), CryptoError> {
        let len = self.key.open(&self.nonce.expose()[..self.nonce_len], aad, sealed)?;
        sealed.truncate(len);
        Ok(())
    }
}
