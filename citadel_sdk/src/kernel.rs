//! What a node runs: the callbacks of a kernel, and what they are given.

use crate::node::NodeRemote;
use crate::prelude::BoxError;
use async_trait::async_trait;
use citadel_crypt::handshake::{RefusalCode, Request};
use citadel_crypt::identity::IdentityPublic;
use citadel_proto::OpenError;
use citadel_proto::driver::{Channel, Session};
use core::fmt;

/// What callbacks return. Any error is fine; a [`HandlerError`] chooses the code that the other end sees.
pub type KernelResult = Result<(), BoxError>;

/// An object with callbacks that a [`Node`](crate::Node) runs. [`prefabs`](crate::prefabs) has those for the usual cases.
///
/// Each callback has a default, so a kernel writes only what it needs. They run beside each other, each in a task of its
/// own, and none is cancelled because another one ended (R-SHUT-3): only dropping the node, or the node's shutdown
/// deadline, cuts one short, and then at its next await. A panic ends what the callback was for and nothing else
/// (R-SHUT-6).
#[async_trait]
pub trait NetKernel: Send + Sync + 'static {
    /// Before the first session, within [`NodeBuilder::start`](crate::NodeBuilder::start).
    ///
    /// # Errors
    /// The node does not start, with [`NodeError::Kernel`](crate::NodeError::Kernel).
    async fn on_start(&self, node: &NodeRemote) -> KernelResult {
        let _ = node;
        Ok(())
    }

    /// The kernel's own work. When it returns, well or not, the node shuts down in order. By default it waits for
    /// somebody to ask for that, as a server does.
    ///
    /// # Errors
    /// Are the node's, after it shut down.
    async fn run(&self, node: NodeRemote) -> KernelResult {
        node.stopping().await;
        Ok(())
    }

    /// Whether to let in a node that has proven who it is, and asks for this. By default yes to everybody.
    ///
    /// # Errors
    /// What the other end is told. The application's own codes start at [`RefusalCode::APPLICATION`].
    async fn on_identified(&self, peer: &IdentityPublic, request: &Request) -> Result<(), RefusalCode> {
        let _ = (peer, request);
        Ok(())
    }

    /// Runs a session that somebody opened to this node. The session lives as long as this: when it returns, the node
    /// closes the session in order, so that everything sent is delivered. By default it waits until the other end
    /// closes.
    ///
    /// # Errors
    /// The session ends with the code of the [`HandlerError`], [`HandlerError::UNSPECIFIED`] for any other error, whose
    /// text is logged and not sent.
    async fn on_session(&self, session: Session) -> KernelResult {
        session.closed().await;
        Ok(())
    }

    /// After the last session.
    ///
    /// # Errors
    /// Are the node's unless it has one already.
    async fn on_stop(&self) -> KernelResult {
        Ok(())
    }
}

/// A session and its channel 0, which exists on both ends without anyone opening it.
///
/// A handler that returns `Ok` need not have finished the channel: the session closes in order behind it, and that
/// delivers what was sent and finishes. After an error or a panic an unfinished channel is reset, so that the other end
/// never takes half a message stream for a whole one. Channels that the handler opens by itself keep their own rule: dropped
/// unfinished, they are reset.
#[derive(Debug)]
pub struct Connection {
    /// The session, for further channels, keys and the other end's identity.
    pub session: Session,
    /// Channel 0.
    pub channel: Channel,
}

impl Connection {
    /// Takes channel 0 of `session`.
    ///
    /// # Errors
    /// [`OpenError::Taken`] when somebody took it before.
    pub fn of(session: Session) -> Result<Self, OpenError> {
        let channel = session.channel()?.left_to_session();
        Ok(Self { session, channel })
    }
}

/// The error of a handler that chooses what the other end is told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text} (code {code})")]
pub struct HandlerError {
    code: u32,
    text: String,
}

impl HandlerError {
    /// The code of a session whose handler returned any other error.
    pub const UNSPECIFIED: u32 = u32::MAX;

    /// The other end sees `code` and the first 256 bytes of `text`.
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The code.
    pub const fn code(&self) -> u32 {
        self.code
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// How a handler ended.
#[non_exhaustive]
pub enum HandlerEnd {
    /// It returned `Ok`.
    Done,
    /// It returned an error.
    Failed(BoxError),
    /// It panicked; the message went where the panic hook put it.
    Panicked,
    /// The node was dropped, or its shutdown deadline passed, before it returned.
    Cancelled,
}

impl HandlerEnd {
    /// As a result.
    ///
    /// # Errors
    /// The handler's own, or [`HandlerLost`].
    pub fn into_result(self) -> KernelResult {
        match self {
            Self::Done => Ok(()),
            Self::Failed(error) => Err(error),
            Self::Panicked => Err(HandlerLost::Panicked.into()),
            Self::Cancelled => Err(HandlerLost::Cancelled.into()),
        }
    }
}

impl fmt::Debug for HandlerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("Done"),
            Self::Failed(error) => write!(f, "Failed({error})"),
            Self::Panicked => f.write_str("Panicked"),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

/// A handler that ended without a result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerLost {
    /// It panicked.
    #[error("the handler panicked")]
    Panicked,
    /// The node was dropped or its shutdown deadline passed.
    #[error("the handler was cut short")]
    Cancelled,
}
