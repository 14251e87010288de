//! Transcript chain and keys of the handshake by other crates, with the protocol's constants written again. For the
//! default suite.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha3::{Digest, Sha3_256};

const SUITE: u16 = 0x0101;

/// SHA3-256 over length-prefixed fields, the label first.
pub fn transcript(fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha3_256::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

/// `N` bytes from hs and th1.
pub fn expand<const N: usize>(hs: &[u8; 32], label: &str, th1: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    let info =
        [&(label.len() as u64).to_le_bytes()[..], label.as_bytes(), &SUITE.to_le_bytes(), th1].concat();
    Hkdf::<Sha256>::from_prk(hs)
        .expect("32 bytes are a key of HKDF-SHA-256")
        .expand(&info, &mut out)
        .expect("fewer bytes than 255 blocks");
    out
}

/// HMAC-SHA-256.
pub fn mac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// HKDF-Extract with SHA-256.
pub fn extract(salt: &[u8], secret: &[u8]) -> [u8; 32] {
    Hkdf::<Sha256>::extract(Some(salt), secret).0.into()
}

/// Binder key of a pre-shared key.
pub fn binder_key(psk: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"citadel/1 psk"), psk)
        .expand(b"citadel/1 psk binder", &mut key)
        .expect("fewer bytes than 255 blocks");
    key
}

/// The seal of one flight.
pub struct FlightSeal {
    key: Aes256Gcm,
    nonce: [u8; 12],
}

impl FlightSeal {
    /// The seal that `label` names.
    pub fn new(hs: &[u8; 32], label: &str, th1: &[u8; 32]) -> Self {
        let material: [u8; 48] = expand(hs, label, th1);
        let key =
            <Aes256Gcm as KeyInit>::new_from_slice(&material[..32]).expect("32 bytes are a key of AES-256");
        let mut nonce = [0; 12];
        nonce.copy_from_slice(&material[32..44]);
        Self { key, nonce }
    }

    /// Opens; `None` if it is not authentic.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.key.decrypt(&Nonce::from(self.nonce), Payload { msg: sealed, aad }).ok()
    }

    /// Seals: what an attacker does who has the keys and not the identity.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        self.key
            .encrypt(&Nonce::from(self.nonce), Payload { msg: plaintext, aad })
            .expect("a flight is far below the limit of AES-GCM")
    }
}
