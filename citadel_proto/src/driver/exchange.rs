//! One message there, one back.

use super::session::Session;
use crate::errors::{OpenError, RecvError, SendError};
use bytes::Bytes;

/// Why a request got no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// No channel was opened for it.
    #[error("the request was not made")]
    Open(#[from] OpenError),
    /// It was not sent.
    #[error("the request was not sent")]
    Send(#[from] SendError),
    /// The answer did not come; whether the request had an effect is not known.
    #[error("the answer did not come")]
    Recv(#[from] RecvError),
    /// The peer finished the channel without an answer.
    #[error("the peer gave no answer")]
    NoAnswer,
}

impl ExchangeError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::NoAnswer => 1,
            Self::Open(error) => 0x100 + error.code(),
            Self::Send(error) => 0x200 + error.code(),
            Self::Recv(error) => 0x300 + error.code(),
        }
    }

    /// Whether the same may succeed later, on a new session if need be.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NoAnswer => false,
            Self::Open(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Recv(error) => error.is_retryable(),
        }
    }
}

impl Session {
    /// Opens a channel, sends `message`, finishes, and waits for the one message that answers it. The peer sees a channel
    /// without a name; [`Session::accept_channel`] serves it.
    ///
    /// # Errors
    /// [`ExchangeError`].
    ///
    /// # Cancel safety
    /// Dropping the future resets the channel: a request that went may still have its effect.
    pub async fn request(&self, message: impl Into<Bytes>) -> Result<Bytes, ExchangeError> {
        let mut channel = self.open_channel().await?;
        channel.send(message).await?;
        channel.finish().await?;
        channel.recv().await?.ok_or(ExchangeError::NoAnswer)
    }
}
