//! What is inside flight 4. One length for every verdict, so that a listener cannot tell yes from no.

use super::codec::{Malformed, Reader, tag};
use super::config::Limits;
use super::grant::{Grant, Refused};
use crate::suite::TAG_LEN;

/// Length of the plaintext.
const PLAINTEXT_LEN: usize = 256;

/// Length of flight 4.
pub const MAX_VERDICT_LEN: usize = 1 + PLAINTEXT_LEN + TAG_LEN;

/// The server's verdict on a proven client's request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum VerdictBody {
    /// The session exists.
    Accepted {
        /// What the server takes from the client.
        limits: Limits,
        /// What it grants.
        grant: Grant,
    },
    /// It does not.
    Refused(Refused),
}

impl VerdictBody {
    /// Reads the plaintext. Never panics.
    ///
    /// # Errors
    /// [`Malformed`], also for padding that is not zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() != PLAINTEXT_LEN {
            return Err(Malformed);
        }
        let mut reader = Reader::new(bytes);
        let body = match reader.u8()? {
            0 => Self::Accepted { limits: Limits::read(&mut reader)?, grant: Grant::read(&mut reader)? },
            1 => Self::Refused(Refused::read(&mut reader)?),
            _ => return Err(Malformed),
        };
        reader.zeros()?;
        Ok(body)
    }

    /// The plaintext, padded.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PLAINTEXT_LEN + TAG_LEN);
        match self {
            Self::Accepted { limits, grant } => {
                out.push(0);
                limits.write(&mut out);
                grant.write(&mut out);
            }
            Self::Refused(refused) => {
                out.push(1);
                refused.write(&mut out);
            }
        }
        out.resize(PLAINTEXT_LEN, 0);
        out
    }
}

/// The sealed body of flight 4.
pub(super) fn split_verdict(flight: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(flight);
    reader.expect(tag::VERDICT)?;
    let sealed = reader.take(PLAINTEXT_LEN + TAG_LEN)?;
    reader.finish()?;
    Ok(sealed)
}
