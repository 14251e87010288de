//! What the client asks for once it has proven itself.

use super::codec::{Malformed, Reader, put_string16};

/// Longest body of a request.
pub(super) const MAX_REQUEST_BODY: usize = 4_096;

/// The client's request. A tag and a body behind a length, so that a server can refuse one that it does not know
/// instead of failing to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Request {
    /// A session between the two identities as they are, without an account.
    Identity,
}

/// Why a request cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Its body is not well-formed.
    #[error("malformed request")]
    Malformed,
    /// A request that this library does not know.
    #[error("unknown request {0}")]
    Unknown(u8),
}

impl From<Malformed> for RequestError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Request {
    const IDENTITY: u8 = 0;

    /// Reads an encoded request.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(bytes);
        let number = reader.u8()?;
        let body = reader.string16(MAX_REQUEST_BODY)?;
        reader.finish()?;
        match (number, body) {
            (Self::IDENTITY, []) => Ok(Self::Identity),
            (Self::IDENTITY, _) => Err(RequestError::Malformed),
            (unknown, _) => Err(RequestError::Unknown(unknown)),
        }
    }

    /// The request's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(3);
        match self {
            Self::Identity => {
                out.push(Self::IDENTITY);
                put_string16(&mut out, &[]);
            }
        }
        out
    }

    /// Splits an encoded request off the front of `reader` without judging it.
    pub(super) fn read_raw<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
        Ok((reader.u8()?, reader.string16(MAX_REQUEST_BODY)?))
    }
}
