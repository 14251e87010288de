//! Why a session ends, for whoever asks on either end.

use core::fmt;
use std::sync::Arc;

/// Why a session ends. Each end has its own, fixed once; the peer's is beside it in the report.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it, with a code and a text of its own.
    Application {
        /// The application's code.
        code: u32,
        /// The application's text, at most [`CloseReason::MAX_TEXT`] bytes.
        text: Arc<str>,
    },
    /// The peer is closing and this end follows.
    PeerClosing,
    /// The node is shutting down.
    GoingAway,
    /// Nothing was sent or received for the configured time.
    Idle,
    /// Every handle was dropped, or the application aborted.
    Aborted,
    /// The application's handler panicked.
    HandlerPanicked,
    /// A fault that no session survives.
    Fatal(Fault),
    /// The path is gone for good.
    PathLost(PathLoss),
    /// A newer session of the same account took its place.
    Superseded,
    /// The device was revoked.
    Revoked,
}

impl CloseReason {
    /// Longest text of [`CloseReason::Application`] that travels, bytes; a longer one is cut at a character.
    pub const MAX_TEXT: usize = 256;

    /// The application's reason, the text cut to [`MAX_TEXT`](Self::MAX_TEXT).
    pub fn application(code: u32, text: &str) -> Self {
        let end = (0..=text.len().min(Self::MAX_TEXT)).rev().find(|end| text.is_char_boundary(*end));
        Self::Application { code, text: Arc::from(text.get(..end.unwrap_or(0)).unwrap_or_default()) }
    }

    /// Stable number of the kind, as it travels.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Application { .. } => 0,
            Self::PeerClosing => 1,
            Self::GoingAway => 2,
            Self::Idle => 3,
            Self::Aborted => 4,
            Self::HandlerPanicked => 5,
            Self::Fatal(_) => 6,
            Self::PathLost(_) => 7,
            Self::Superseded => 8,
            Self::Revoked => 9,
        }
    }

    /// Stable number within the kind: the application's code, the fault's, the loss's, else 0.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Application { code, .. } => *code,
            Self::Fatal(fault) => fault.code(),
            Self::PathLost(loss) => loss.code(),
            _ => 0,
        }
    }

    /// The reason with these numbers and text; unknown numbers of a later version read as the nearest known kind.
    pub(crate) fn from_wire(kind: u8, code: u32, text: &str) -> Option<Self> {
        Some(match kind {
            0 => Self::application(code, text),
            1 => Self::PeerClosing,
            2 => Self::GoingAway,
            3 => Self::Idle,
            4 => Self::Aborted,
            5 => Self::HandlerPanicked,
            6 => Self::Fatal(Fault::from_code(code)),
            7 => Self::PathLost(PathLoss::from_code(code)),
            8 => Self::Superseded,
            9 => Self::Revoked,
            _ => return None,
        })
    }

    /// Whether a session that ends with it delivers first what was accepted.
    pub const fn is_orderly(&self) -> bool {
        matches!(self, Self::Application { .. } | Self::PeerClosing | Self::GoingAway | Self::Idle)
    }

    /// Whether connecting again may help without anyone changing anything.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::GoingAway | Self::Idle | Self::Aborted | Self::PathLost(_))
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application { code, text } if text.is_empty() => write!(f, "closed with code {code}"),
            Self::Application { code, text } => write!(f, "closed with code {code}: {}", text.escape_debug()),
            Self::PeerClosing => f.write_str("the peer is closing"),
            Self::GoingAway => f.write_str("the node is going away"),
            Self::Idle => f.write_str("idle for too long"),
            Self::Aborted => f.write_str("aborted"),
            Self::HandlerPanicked => f.write_str("the handler panicked"),
            Self::Fatal(fault) => write!(f, "fatal: {fault}"),
            Self::PathLost(loss) => write!(f, "path lost: {loss}"),
            Self::Superseded => f.write_str("superseded by a newer session"),
            Self::Revoked => f.write_str("the device was revoked"),
        }
    }
}

/// Declares a coded enum: variants, stable numbers, texts, and the way back from a number.
macro_rules! coded {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
            /// A number of a later version.
            Other(u32),
        }

        impl $name {
            /// Stable number, as it travels.
            pub const fn code(self) -> u32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The variant with that number.
            pub const fn from_code(code: u32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($text),)*
                    Self::Other(code) => write!(f, "code {code}"),
                }
            }
        }
    };
}

coded! {
    /// What no session survives: found in authenticated bytes, or our own.
    Fault {
        /// A frame that cannot be parsed.
        MalformedFrame = 1, "malformed frame";
        /// A frame of a type outside the known and the skippable ranges.
        UnknownFrame = 2, "unknown frame";
        /// Data beyond the credit that was given.
        FlowControl = 3, "data beyond credit";
        /// More channels than were granted.
        ChannelLimit = 4, "more channels than granted";
        /// A frame for a channel that was never opened.
        UnknownChannel = 5, "frame for a channel that was never opened";
        /// Data that does not continue its channel, or after its end.
        ChannelOrder = 6, "frame out of its channel's order";
        /// A message over the announced limit.
        MessageTooLong = 7, "message over the limit";
        /// An acknowledgement of what was never sent.
        FalseAcknowledgement = 8, "acknowledgement of what was never sent";
        /// A `Closing` or `Close` of another instance.
        WrongInstance = 9, "frame of another instance";
        /// A rekey message that no correct peer sends.
        RekeyViolation = 10, "rekey message against the protocol";
        /// Key agreement failed on authenticated bytes.
        KeyMismatch = 11, "key agreement failed";
        /// A rekey signature is missing or wrong.
        AuthFailed = 12, "a rekey signature is missing or wrong";
        /// No signed round for twice the agreed time.
        ReauthOverdue = 13, "a signed rekey round is overdue";
        /// A key reached its hard limit.
        KeyLimit = 14, "a key reached its hard limit";
        /// A primitive or the source of randomness failed on this end.
        Unavailable = 15, "a cryptographic primitive is unavailable";
    }
}

coded! {
    /// How a path was lost.
    PathLoss {
        /// It ended without a `Close`.
        Ended = 1, "it ended without a close";
        /// Reading or writing failed.
        Io = 2, "input or output failed";
        /// Nothing came for the configured time.
        Silent = 3, "nothing came for too long";
        /// A record did not open: someone changed the bytes on the way.
        NotAuthentic = 4, "a record did not open";
        /// A record's header cannot be.
        Malformed = 5, "a malformed record";
        /// The peer does not know the session that was to be resumed.
        ResumeUnknown = 6, "the peer does not know the session";
        /// The peer's time for a resumption was over.
        ResumeExpired = 7, "the time to resume was over";
        /// A newer session of the same device took its place.
        ResumeSuperseded = 8, "a newer session took its place";
        /// The peer's session was closing.
        ResumeClosing = 9, "the peer's session was closing";
        /// The resumption was refused otherwise.
        ResumeRefused = 10, "the peer refused to resume";
    }
}
