//! HKDF and HMAC over SHA-256 (RFC 5869, RFC 2104), and the keystream that expands a block of record keys.
//!
//! Inputs in parts are concatenated as they are: whoever puts fields of varying length side by side prefixes them with
//! their lengths.

use crate::secret::Secret;
use aws_lc_rs::{aead, hkdf, hmac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Longest output of [`expand`], bytes (RFC 5869, 2.3).
pub const MAX_EXPAND_LEN: usize = 255 * 32;

/// HKDF-Extract of the concatenated `ikm` under `salt`.
pub fn extract(salt: &[u8], ikm: &[&[u8]]) -> Secret<32> {
    // In one piece, because only the one-shot call writes its result where we can wipe it.
    let mut input = Zeroizing::new(Vec::with_capacity(ikm.iter().map(|part| part.len()).sum()));
    ikm.iter().for_each(|part| input.extend_from_slice(part));
    let mut prk = Secret::zero();
    let salt = hmac::Key::new(hmac::HMAC_SHA256, salt);
    hmac::sign_to_buffer(&salt, &input, prk.expose_mut()).expect("32 bytes hold an HMAC-SHA-256");
    prk
}

/// HKDF-Expand of `prk` over the concatenated `info` fills `out`.
///
/// # Panics
/// When `out` is longer than [`MAX_EXPAND_LEN`]; a length that a user chose is checked by the caller.
pub fn expand(prk: &Secret<32>, info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= MAX_EXPAND_LEN, "HKDF-Expand gives at most {MAX_EXPAND_LEN} bytes");
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk.expose())
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("the length is checked above and SHA-256 in AWS-LC has no other failure");
}

/// HMAC of the concatenated `parts`.
pub fn hmac(key: &Secret<32>, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()));
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

/// Whether `tag` is the [`hmac()`] of the concatenated `parts`, in constant time; false for any other length.
pub fn verify_hmac(key: &Secret<32>, parts: &[&[u8]], tag: &[u8]) -> bool {
    hmac(key, parts).ct_eq(tag).into()
}

/// Fills `out` with the ChaCha20 keystream (RFC 8439, block counter from 1, zero nonce) of `key`, which must be used
/// for this one call: a pseudo-random generator that makes a block of record keys at a fraction of what HKDF costs.
pub fn keystream(key: &Secret<32>, out: &mut [u8]) {
    out.fill(0);
    let key = aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key.expose())
        .expect("32 bytes are a key of ChaCha20-Poly1305");
    let _tag = aead::LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            aead::Nonce::assume_unique_for_key([0; aead::NONCE_LEN]),
            aead::Aad::empty(),
            out,
        )
        .expect("no slice in memory reaches the 256 GiB of one nonce");
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc_5869_test_case_1() {
        let prk = extract(&hex("000102030405060708090a0b0c"), &[&[0x0b; 10], &[0x0b; 12]]);
        assert_eq!(
            prk.expose()[..],
            hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")[..]
        );
        let mut out = [0; 42];
        expand(&prk, &[&hex("f0f1f2f3f4"), &hex("f5f6f7f8f9")], &mut out);
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
        assert_eq!(out[..], hex(expected)[..]);
    }

    #[test]
    fn a_tag_verifies_only_whole_and_unchanged() {
        let key = Secret::copy_from(&[7; 32]);
        let mut tag = hmac(&key, &[b"one", b"two"]);
        assert!(verify_hmac(&key, &[b"onetwo"], &tag));
        assert!(!verify_hmac(&key, &[b"onetwo"], &tag[..31]));
        tag[31] ^= 1;
        assert!(!verify_hmac(&key, &[b"onetwo"], &tag));
    }

    // RFC 8439, 2.4.2 uses block counter 1 too, but another nonce; A.1 #1 and #2 are blocks 0 and 1 of the zero key.
    #[test]
    fn rfc_8439_block_1_of_the_zero_key() {
        let mut out = [1; 64];
        keystream(&Secret::zero(), &mut out);
        let expected = "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed\
                        29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f";
        assert_eq!(out[..], hex(expected)[..]);
    }
}
