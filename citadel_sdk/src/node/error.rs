//! Why a node did not start, or ended badly.

use crate::prelude::BoxError;
use crate::report::NodeReport;
use crate::server_connection::ConnectError;
use citadel_proto::accounts::AccountsSetupError;
use citadel_proto::driver::EstablishError;
use std::io;

/// Why a node did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// [`NodeBuilder::identity`](crate::NodeBuilder::identity) was not called.
    #[error("a node needs an identity")]
    NoIdentity,
    /// No handshake can run with this configuration.
    #[error("the node's configuration")]
    Config(#[source] EstablishError),
    /// The server's accounts cannot be set up.
    #[error("the server's accounts")]
    Accounts(#[source] AccountsSetupError),
    /// It cannot listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A callback of the kernel failed, other than for one session. The node shut down in order first.
    #[error("the kernel failed")]
    Kernel {
        /// The callback's error.
        source: BoxError,
        /// What became of the sessions.
        report: NodeReport,
    },
    /// A callback of the kernel panicked, other than for one session. The node shut down in order first.
    #[error("the kernel panicked")]
    Panicked {
        /// What became of the sessions.
        report: NodeReport,
    },
    /// Callbacks were still running at the node's shutdown deadline and gave no way to cut them short: they block
    /// their threads.
    #[error("{tasks} tasks of the node do not end")]
    Stuck {
        /// How many.
        tasks: usize,
        /// What became of the sessions.
        report: NodeReport,
    },
    /// The node's runtime ended.
    #[error("the node's runtime ended")]
    Aborted,
}

impl NodeError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::NoIdentity => 1,
            Self::Config(_) => 2,
            Self::Listen { .. } => 3,
            Self::Kernel { .. } => 4,
            Self::Panicked { .. } => 5,
            Self::Stuck { .. } => 6,
            Self::Aborted => 7,
            Self::Accounts(_) => 8,
        }
    }

    /// Whether starting the same node again may help without anyone changing a configuration.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Kernel { source, .. } => {
                source.downcast_ref::<ConnectError>().is_some_and(ConnectError::is_retryable)
            }
            _ => false,
        }
    }

    /// What became of the sessions, if there were any.
    pub const fn report(&self) -> Option<&NodeReport> {
        match self {
            Self::Kernel { report, .. } | Self::Panicked { report } | Self::Stuck { report, .. } => {
                Some(report)
            }
            _ => None,
        }
    }
}
