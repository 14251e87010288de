//! Records of an ordered path: a clear header of 8 version bits and a 3-byte length, then a sealed body (R-SES-1).
//!
//! The header is associated data of the body; the counter is implicit. The body's plaintext is a kind byte and frames.
//! What stands here is parsed before authentication: it reserves nothing by a peer's word but the length it checked.

use bytes::{Buf, BytesMut};
use citadel_crypt::suite::TAG_LEN;

/// Length of the clear header.
pub const HEADER_LEN: usize = 4;
/// Most bytes of frames in a record: a message of 64 KiB and its frame header fit.
pub const MAX_PAYLOAD: usize = 64 * 1024 + 64;
/// Kind byte of a record that holds frames of the session.
pub const KIND_FRAMES: u8 = 1;
/// Shortest and longest sealed body.
const BODY_LEN: core::ops::RangeInclusive<usize> = 1 + TAG_LEN..=1 + MAX_PAYLOAD + TAG_LEN;
/// Longest record.
pub const MAX_RECORD: usize = HEADER_LEN + 1 + MAX_PAYLOAD + TAG_LEN;

/// A clear header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The 8 low bits of the version that sealed the body.
    pub version_bits: u8,
    /// Length of the sealed body.
    pub body_len: usize,
}

impl Header {
    /// The bytes. Lengths over 3 bytes are cut; no body of that length is ever made.
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [.., a, b, c] = self.body_len.to_be_bytes();
        [self.version_bits, a, b, c]
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`RecordError::Length`] for a body that no record has.
    pub fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, RecordError> {
        let [version_bits, a, b, c] = bytes;
        let body_len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        if BODY_LEN.contains(&body_len) {
            Ok(Self { version_bits, body_len })
        } else {
            Err(RecordError::Length(body_len))
        }
    }
}

/// One record as it came: nothing about it is proven.
#[derive(Debug)]
pub struct RawRecord {
    /// The header's bytes, the body's associated data.
    pub header: [u8; HEADER_LEN],
    /// The sealed body, opened in place.
    pub body: BytesMut,
}

/// A header that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A body of a length that no record has.
    #[error("a record of {0} bytes cannot be")]
    Length(usize),
}

/// Takes the first whole record off `received`; none if it is not all there.
///
/// # Errors
/// [`RecordError`]; the path is of no use any more.
pub fn split(received: &mut BytesMut) -> Result<Option<RawRecord>, RecordError> {
    let Some(header) = received.first_chunk::<HEADER_LEN>().copied() else { return Ok(None) };
    let body_len = Header::parse(header)?.body_len;
    if received.len() < HEADER_LEN + body_len {
        return Ok(None);
    }
    received.advance(HEADER_LEN);
    Ok(Some(RawRecord { header, body: received.split_to(body_len) }))
}

/// How many bytes must follow `received` until its first record is whole; 0 if it is. A header that cannot be counts
/// as whole: [`split`] says so.
pub fn missing(received: &[u8]) -> usize {
    match received.first_chunk::<HEADER_LEN>().map(|header| Header::parse(*header)) {
        None => HEADER_LEN - received.len(),
        Some(Ok(header)) => (HEADER_LEN + header.body_len).saturating_sub(received.len()),
        Some(Err(_)) => 0,
    }
}
