//! The schedule once more, from its description alone: every label, length and order written again.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sha3::{Digest, Sha3_256};

/// Every field after its length in 8 bytes, little endian.
pub(crate) fn fields(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|field| [&(field.len() as u64).to_le_bytes(), *field].concat()).collect()
}

pub(crate) fn transcript(parts: &[&[u8]]) -> [u8; 32] {
    Sha3_256::digest(fields(parts)).into()
}

pub(crate) fn expand<const N: usize>(prk: &[u8; 32], info: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha256>::from_prk(prk).unwrap().expand(&fields(info), &mut out).unwrap();
    out
}

pub(crate) fn extract(salt: &[u8; 32], ikm: &[u8]) -> [u8; 32] {
    Hkdf::<Sha256>::extract(Some(salt), ikm).0.into()
}

pub(crate) fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// One version: its pseudo-random key and what every expansion names.
pub(crate) struct Version {
    pub(crate) prk: [u8; 32],
    pub(crate) suite: u16,
    pub(crate) number: u64,
    pub(crate) th: [u8; 32],
}

impl Version {
    pub(crate) fn secret<const N: usize>(&self, label: &str) -> [u8; N] {
        let (suite, number) = (self.suite.to_le_bytes(), self.number.to_le_bytes());
        expand(&self.prk, &[label.as_bytes(), &suite, &number, &self.th])
    }

    pub(crate) fn exported(&self, label: &str, context: &[u8]) -> [u8; 32] {
        let secret = self.secret("citadel/1 exporter");
        expand(&secret, &[b"citadel/1 export", label.as_bytes(), context, &32_u64.to_le_bytes()])
    }
}

/// Key and IV of a path from its direction's secret, or chain seed and IV.
pub(crate) fn path_secrets(secret: &[u8; 32], path: u64) -> ([u8; 32], [u8; 16]) {
    let both: [u8; 48] = expand(secret, &[b"citadel/1 path", &path.to_le_bytes()]);
    (both[..32].try_into().unwrap(), both[32..].try_into().unwrap())
}

/// Seed of path 0: the left half of the root.
pub(crate) fn seed_of_path_0(chain: &[u8; 32]) -> [u8; 32] {
    let halves: [u8; 64] = expand(chain, &[b"citadel/1 next path"]);
    halves[..32].try_into().unwrap()
}

/// The ChaCha20 stream of a block's seed, from block counter 1: 32 bytes of the next seed, then 32 keys.
pub(crate) fn block(seed: &[u8; 32]) -> Vec<[u8; 32]> {
    use chacha20poly1305::{ChaCha20Poly1305, aead::AeadInOut, aead::KeyInit};
    let mut stream = vec![0; 33 * 32];
    let cipher = ChaCha20Poly1305::new(seed.into());
    cipher.encrypt_inout_detached(&[0; 12].into(), b"", stream.as_mut_slice().into()).unwrap();
    stream.chunks_exact(32).map(|key| key.try_into().unwrap()).collect()
}

/// Opens with AES-256-GCM: the nonce is the IV's first 12 bytes xor the counter, big endian at the end.
pub(crate) fn open(key: &[u8; 32], iv: &[u8; 16], counter: u64, aad: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    use aes_gcm::{Aes256Gcm, aead::Aead, aead::KeyInit, aead::Payload};
    let mut nonce: [u8; 12] = iv[..12].try_into().unwrap();
    for (byte, count) in nonce[4..].iter_mut().zip(counter.to_be_bytes()) {
        *byte ^= count;
    }
    Aes256Gcm::new(key.into()).decrypt(&nonce.into(), Payload { msg: body, aad }).ok()
}
