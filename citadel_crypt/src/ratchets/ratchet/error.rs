//! Why a record was not sealed or not opened.

use super::config::PathId;
use crate::ratchets::rekey::Version;

/// A record was not sealed; nothing was counted, and what the body now holds must not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key carried as much as it may; only a round helps.
    #[error("the key has reached its limit")]
    KeyExhausted,
    /// The path was never added, or was removed.
    #[error("{0} is not in use")]
    NoPath(PathId),
    /// The version no longer seals: a later one does.
    #[error("{0} no longer seals")]
    NotSealing(Version),
    /// A library call failed.
    #[error("a cryptographic primitive is unavailable")]
    Unavailable,
}

/// A record did not open; keys, chains and counters are as they were. What the body now holds is unspecified and no
/// plaintext.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not what the peer sealed.
    #[error("the record is not authentic")]
    NotAuthentic,
    /// Its number was opened before, or is too old to tell.
    #[error("the record was opened before or is too old")]
    Replayed,
    /// Its number is further ahead than records may overtake each other.
    #[error("the record is too far ahead")]
    TooFarAhead,
    /// The key carried as much as it may.
    #[error("the key has reached its limit")]
    KeyExhausted,
    /// The path was never added, or was removed.
    #[error("{0} is not in use")]
    NoPath(PathId),
    /// The version has no live receive keys.
    #[error("version {0} is not in the window")]
    NoVersion(Version),
    /// A library call failed.
    #[error("a cryptographic primitive is unavailable")]
    Unavailable,
}
