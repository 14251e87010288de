//! Reading frames.

use super::{ChannelId, Data, FinishedBy, Frame, MAX_DATAGRAM, MAX_NAME, MAX_REKEY, Part, kind};
use crate::shutdown::{CloseReason, Fault};
use bytes::{Buf, Bytes};
use citadel_crypt::handshake::Instance;

/// Why bytes are no frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Too short, too long or out of range.
    #[error("malformed frame")]
    Malformed,
    /// A type outside the known and the skippable ones.
    #[error("unknown frame type {0:#04x}")]
    Unknown(u8),
}

impl From<FrameError> for Fault {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Malformed => Self::MalformedFrame,
            FrameError::Unknown(_) => Self::UnknownFrame,
        }
    }
}

/// The frames of one record, in order. After an error there is nothing more.
#[derive(Debug)]
pub struct Frames {
    rest: Bytes,
}

impl Frames {
    /// The frames in `payload`.
    pub const fn new(payload: Bytes) -> Self {
        Self { rest: payload }
    }

    fn parse(&mut self) -> Result<Frame, FrameError> {
        let kind = self.rest.try_get_u8().map_err(|_| FrameError::Malformed)?;
        Ok(match kind {
            kind::REKEY => Frame::Rekey(self.bytes(MAX_REKEY)?),
            kind::PING => Frame::Ping(self.number()?),
            kind::PONG => Frame::Pong(self.number()?),
            kind::CLOSING => {
                let (reason, instance) = self.closing()?;
                Frame::Closing { reason, instance }
            }
            kind::CLOSE => {
                let (reason, instance) = self.closing()?;
                Frame::Close { reason, instance }
            }
            kind::OPEN => Frame::Open { channel: self.channel()?, name: self.bytes(MAX_NAME)? },
            kind::DATA_WHOLE | kind::DATA_FIRST | kind::DATA_MIDDLE | kind::DATA_LAST => self.data(kind)?,
            kind::FINISH => self.finish(FinishedBy::Application)?,
            kind::FINISH_CLOSING => self.finish(FinishedBy::Closing)?,
            kind::RESET => {
                Frame::Reset { channel: self.channel()?, offset: self.number()?, code: self.code()? }
            }
            kind::STOP => Frame::Stop { channel: self.channel()?, code: self.code()? },
            kind::ACK => {
                Frame::Ack { channel: self.channel()?, received: self.number()?, consumed: self.number()? }
            }
            kind::CREDIT => Frame::Credit { channel: self.channel()?, limit: self.number()? },
            kind::SESSION_CREDIT => Frame::SessionCredit { limit: self.number()? },
            kind::CHANNEL_CREDIT => Frame::ChannelCredit { count: self.number()? },
            kind::DATAGRAM => Frame::Datagram(self.bytes(MAX_DATAGRAM)?),
            skippable if kind::SKIPPABLE.contains(&skippable) => {
                self.bytes(self.rest.len())?;
                Frame::Skipped(skippable)
            }
            unknown => return Err(FrameError::Unknown(unknown)),
        })
    }

    fn finish(&mut self, by: FinishedBy) -> Result<Frame, FrameError> {
        Ok(Frame::Finish { channel: self.channel()?, offset: self.number()?, by })
    }

    fn data(&mut self, kind: u8) -> Result<Frame, FrameError> {
        let (channel, offset) = (self.channel()?, self.number()?);
        let part = match kind {
            kind::DATA_FIRST => Part::First { total: self.number()? },
            kind::DATA_MIDDLE => Part::Middle,
            kind::DATA_LAST => Part::Last,
            _ => Part::Whole,
        };
        let payload = self.bytes(self.rest.len())?;
        // A piece that takes no unit would be one that costs nothing.
        if payload.is_empty() && part != Part::Whole {
            return Err(FrameError::Malformed);
        }
        Ok(Frame::Data(Data { channel, offset, part, payload }))
    }

    fn closing(&mut self) -> Result<(CloseReason, Instance), FrameError> {
        let kind = self.rest.try_get_u8().map_err(|_| FrameError::Malformed)?;
        let code = self.code()?;
        let text = self.bytes(CloseReason::MAX_TEXT)?;
        let instance = self.rest.get(..16).and_then(|bytes| bytes.try_into().ok());
        let instance = Instance(instance.ok_or(FrameError::Malformed)?);
        self.rest.advance(16);
        let text = core::str::from_utf8(&text).map_err(|_| FrameError::Malformed)?;
        let reason = CloseReason::from_wire(kind, code, text).ok_or(FrameError::Malformed)?;
        Ok((reason, instance))
    }

    fn channel(&mut self) -> Result<ChannelId, FrameError> {
        self.number().map(ChannelId)
    }

    fn code(&mut self) -> Result<u32, FrameError> {
        u32::try_from(self.number()?).map_err(|_| FrameError::Malformed)
    }

    /// A variable-length number (RFC 9000, section 16).
    fn number(&mut self) -> Result<u64, FrameError> {
        let first = *self.rest.first().ok_or(FrameError::Malformed)?;
        let len = 1 << (first >> 6);
        if self.rest.len() < len {
            return Err(FrameError::Malformed);
        }
        Ok(match len {
            1 => u64::from(self.rest.get_u8()),
            2 => u64::from(self.rest.get_u16() & 0x3fff),
            4 => u64::from(self.rest.get_u32() & 0x3fff_ffff),
            _ => self.rest.get_u64() & 0x3fff_ffff_ffff_ffff,
        })
    }

    /// Bytes behind their length, at most `max`.
    fn bytes(&mut self, max: usize) -> Result<Bytes, FrameError> {
        let len = usize::try_from(self.number()?).map_err(|_| FrameError::Malformed)?;
        if len > max || len > self.rest.len() {
            return Err(FrameError::Malformed);
        }
        Ok(self.rest.split_to(len))
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let frame = self.parse();
        if frame.is_err() {
            self.rest.clear();
        }
        Some(frame)
    }
}
