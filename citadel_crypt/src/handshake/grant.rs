//! What a server's application says to a proven client: yes with what it grants, or no with when to come back.

use super::codec::{Malformed, Reader};
use super::error::RefusalCode;
use super::names::Cid;
use core::time::Duration;

/// What a server grants with its yes. Both ends hold the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Grant {
    /// The account that the session belongs to; `None` for a session without one.
    pub cid: Option<Cid>,
    /// How long the session waits for another path when its path is lost; zero: not at all. Whole seconds travel, a
    /// fraction is cut, and no more than 2^32 - 1 of them.
    pub resume: Duration,
}

impl Grant {
    /// What both ends will hold: as it is after it has travelled.
    #[must_use]
    pub(super) fn as_sent(self) -> Self {
        Self::from_numbers(self.numbers())
    }

    fn numbers(self) -> (u64, u32) {
        let seconds = u32::try_from(self.resume.as_secs()).unwrap_or(u32::MAX);
        (self.cid.map_or(0, |cid| cid.0), seconds)
    }

    const fn from_numbers((cid, seconds): (u64, u32)) -> Self {
        let cid = if cid == 0 { None } else { Some(Cid(cid)) };
        Self { cid, resume: Duration::from_secs(seconds as u64) }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self::from_numbers((reader.u64()?, reader.u32()?)))
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (cid, seconds) = self.numbers();
        out.extend_from_slice(&cid.to_le_bytes());
        out.extend_from_slice(&seconds.to_le_bytes());
    }
}

/// A server's no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Refused {
    /// Why.
    pub code: RefusalCode,
    /// When it is worth asking again, counted from now; `None` says nothing. Whole milliseconds travel, a fraction is
    /// rounded up, and no more than 2^32 - 1 of them.
    pub retry_after: Option<Duration>,
}

impl Refused {
    /// A no for `code` that invites nobody back.
    pub const fn new(code: RefusalCode) -> Self {
        Self { code, retry_after: None }
    }

    /// A no for `code` that holds for `wait`.
    pub const fn after(code: RefusalCode, wait: Duration) -> Self {
        Self { code, retry_after: Some(wait) }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let code = RefusalCode(reader.u16()?);
        let millis = reader.u32()?;
        let retry_after = (millis != 0).then(|| Duration::from_millis(millis.into()));
        Ok(Self { code, retry_after })
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        let millis = self
            .retry_after
            .map_or(0, |wait| u32::try_from(wait.as_nanos().div_ceil(1_000_000).max(1)).unwrap_or(u32::MAX));
        out.extend_from_slice(&self.code.0.to_le_bytes());
        out.extend_from_slice(&millis.to_le_bytes());
    }
}

impl From<RefusalCode> for Refused {
    fn from(code: RefusalCode) -> Self {
        Self::new(code)
    }
}
