//! Records of the standalone manager: what one item of its `Sink` and `Stream` is, and the control frames.
//!
//! ```text
//! header: version (1, low bits) | kind (1) | counter (4, little endian) ‖ sealed body
//! control body: tag (1) | fields          data body: the message as it is
//! ```
//!
//! The header is the associated data. The counter is explicit, so records may arrive in any order. One control record carries one frame, so a rekey
//! message is always the first of its record. Every length is checked before a byte is read.

use bytes::{BufMut, BytesMut};

/// Bytes of a header.
pub const HEADER_LEN: usize = 6;
/// The longest message that one record carries, in bytes (R-SES-1).
pub const MAX_MESSAGE_LEN: usize = 64 * 1024;
/// The longest record, in bytes: header, message or control frame, tag.
pub const MAX_RECORD_LEN: usize = HEADER_LEN + MAX_MESSAGE_LEN + crate::suite::TAG_LEN;

/// What a record carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordKind {
    /// One [`Frame`].
    Control,
    /// One application message.
    Data,
}

/// The clear part of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RecordHeader {
    /// Low bits of the version it is sealed under.
    pub version: u8,
    /// What it carries.
    pub kind: RecordKind,
    /// Its number under that version, from 0. The hard limit of a key is far below 2^32.
    pub counter: u32,
}

/// Bytes that are no record, or an authenticated body that is no frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed record")]
pub struct MalformedRecord;

impl RecordHeader {
    /// The header as it travels, which is also the associated data.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let kind = match self.kind {
            RecordKind::Control => 0,
            RecordKind::Data => 1,
        };
        let [a, b, c, d] = self.counter.to_le_bytes();
        [self.version, kind, a, b, c, d]
    }

    /// The header at the start of `record`.
    ///
    /// # Errors
    /// [`MalformedRecord`] for a record that is too short, too long or of an unknown kind.
    pub fn decode(record: &[u8]) -> Result<Self, MalformedRecord> {
        if record.len() > MAX_RECORD_LEN {
            return Err(MalformedRecord);
        }
        let Some((&[version, kind, a, b, c, d], _body)) = record.split_first_chunk() else {
            return Err(MalformedRecord);
        };
        let kind = match kind {
            0 => RecordKind::Control,
            1 => RecordKind::Data,
            _ => return Err(MalformedRecord),
        };
        Ok(Self { version, kind, counter: u32::from_le_bytes([a, b, c, d]) })
    }
}

/// Body of a control record. A rekey message is kept as bytes: `wire::rekey` reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// A rekey message.
    Rekey(&'a [u8]),
    /// The receiver of messages has room up to this offset. Absolute and monotone.
    Credit(u64),
    /// No message follows.
    Finish(Finish),
    /// The receiver of messages is gone.
    Stop,
    /// Last record of its sender.
    Close {
        /// 0 for an orderly end, else the code of the sender's reason.
        code: u16,
    },
}

/// How a sender of messages ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Finish {
    /// It said everything it had to say.
    Complete,
    /// It was dropped before it said so.
    Dropped,
}

impl<'a> Frame<'a> {
    /// Bytes of the frame, at most.
    pub const fn max_len(&self) -> usize {
        match self {
            Self::Rekey(message) => 1 + message.len(),
            Self::Credit(_) | Self::Finish(_) | Self::Stop | Self::Close { .. } => 1 + size_of::<u64>(),
        }
    }

    /// Appends the frame to `body`.
    pub fn encode(&self, body: &mut BytesMut) {
        match *self {
            Self::Rekey(message) => {
                body.put_u8(1);
                body.put_slice(message);
            }
            Self::Credit(offset) => {
                body.put_u8(2);
                body.put_u64_le(offset);
            }
            Self::Finish(Finish::Complete) => body.put_u8(3),
            Self::Finish(Finish::Dropped) => body.put_u8(4),
            Self::Stop => body.put_u8(5),
            Self::Close { code } => {
                body.put_u8(6);
                body.put_u16_le(code);
            }
        }
    }

    /// The frame that `body` is, no byte more.
    ///
    /// # Errors
    /// [`MalformedRecord`] for an unknown tag or another length than the frame's.
    pub fn decode(body: &'a [u8]) -> Result<Self, MalformedRecord> {
        let (&tag, fields) = body.split_first().ok_or(MalformedRecord)?;
        match (tag, fields) {
            (1, message) => Ok(Self::Rekey(message)),
            (2, offset) => offset
                .try_into()
                .map(|offset| Self::Credit(u64::from_le_bytes(offset)))
                .or(Err(MalformedRecord)),
            (3, []) => Ok(Self::Finish(Finish::Complete)),
            (4, []) => Ok(Self::Finish(Finish::Dropped)),
            (5, []) => Ok(Self::Stop),
            (6, &[a, b]) => Ok(Self::Close { code: u16::from_le_bytes([a, b]) }),
            _ => Err(MalformedRecord),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_comes_back_and_nothing_else_passes() {
        for kind in [RecordKind::Control, RecordKind::Data] {
            let header = RecordHeader { version: 0xab, kind, counter: 0x0102_0304 };
            assert_eq!(RecordHeader::decode(&header.encode()), Ok(header));
        }
        assert_eq!(RecordHeader::decode(&[0, 0, 0, 0, 0]), Err(MalformedRecord));
        assert_eq!(RecordHeader::decode(&[0, 2, 0, 0, 0, 0]), Err(MalformedRecord));
        assert!(RecordHeader::decode(&vec![0; 6 + 65_536 + 16]).is_ok());
        assert_eq!(RecordHeader::decode(&vec![0; 6 + 65_536 + 17]), Err(MalformedRecord));
    }

    #[test]
    fn every_frame_comes_back_and_no_other_length_passes() {
        let frames = [
            Frame::Rekey(b"message"),
            Frame::Credit(u64::MAX),
            Frame::Finish(Finish::Complete),
            Frame::Finish(Finish::Dropped),
            Frame::Stop,
            Frame::Close { code: 0x1234 },
        ];
        for frame in frames {
            let mut body = BytesMut::new();
            frame.encode(&mut body);
            assert_eq!(Frame::decode(&body), Ok(frame));
            if !matches!(frame, Frame::Rekey(_)) {
                body.put_u8(0);
                assert_eq!(Frame::decode(&body), Err(MalformedRecord));
                assert!(Frame::decode(&body[..body.len() - 2]).is_err() || body.len() == 2);
            }
        }
        assert_eq!(Frame::decode(&[]), Err(MalformedRecord));
        assert_eq!(Frame::decode(&[0]), Err(MalformedRecord));
        assert_eq!(Frame::decode(&[7]), Err(MalformedRecord));
    }
}
