//! Which server a client node connects to, what it asks for there, and what it does when the session is lost.

use crate::EndpointConfig;
use citadel_crypt::addr::NodeAddr;
use citadel_crypt::handshake::Trust;
use citadel_crypt::identity::Identity;
use citadel_proto::driver::{EstablishError, Hub, Session, Tcp, Transport};
use core::time::Duration;
use std::io;
use std::sync::Arc;

/// Where a client node connects, and as whom. Start with [`ServerConnection::to`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerConnection {
    server: NodeAddr,
    reconnect: Reconnect,
}

/// What becomes of a client whose session was lost.
///
/// A lost *path* is nothing to this: the session goes on over a new one by itself, within the node's resume time. This
/// is about what comes after: a server that was restarted, a resume time that is over, a server that does not answer.
/// Only causes that may pass are retried ([`CloseReason::is_retryable`](crate::CloseReason::is_retryable),
/// [`EstablishError::is_retryable`]): never a session that was superseded by another login of the same device, a
/// revoked device, or a refused password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Reconnect {
    /// The node ends with the error.
    #[default]
    Never,
    /// Tries again with growing pauses, each with a random part so that the clients of a restarted server do not come all at
    /// once.
    Backoff {
        /// First pause.
        first: Duration,
        /// Longest pause.
        most: Duration,
        /// Attempts in a row after which it gives up; `None` for never.
        attempts: Option<u32>,
    },
}

impl Reconnect {
    /// Pauses from 100 ms doubling to 5 s, for ever.
    pub const FOREVER: Self =
        Self::Backoff { first: Duration::from_millis(100), most: Duration::from_secs(5), attempts: None };

    /// Pauses from 100 ms doubling to 5 s, at most `attempts` in a row.
    pub const fn attempts(attempts: u32) -> Self {
        Self::Backoff {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            attempts: Some(attempts),
        }
    }

    /// The pause before the next attempt, without its random part, when so many have failed in a row, the session that was
    /// lost counted as one; none to give up.
    pub(crate) fn pause_after(self, failed: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Backoff { attempts: Some(attempts), .. } if failed > attempts => None,
            Self::Backoff { first, most, .. } => {
                Some(first.saturating_mul(1 << failed.saturating_sub(1).min(16)).min(most))
            }
        }
    }
}

impl ServerConnection {
    /// The server at `server`, which must prove to be the peer that the address names. Without an account unless one of the
    /// other methods is called.
    pub const fn to(server: NodeAddr) -> Self {
        Self { server, reconnect: Reconnect::Never }
    }

    /// What to do when the session is lost for good.
    pub const fn reconnect(mut self, policy: Reconnect) -> Self {
        self.reconnect = policy;
        self
    }

    /// The address of the server.
    pub const fn server(&self) -> &NodeAddr {
        &self.server
    }

    pub(crate) const fn reconnect_policy(&self) -> Reconnect {
        self.reconnect
    }

    pub(crate) async fn open(
        &self,
        hub: &Hub,
        identity: &Arc<Identity>,
        config: &EndpointConfig,
    ) -> Result<Session, EstablishError> {
        if hub.is_closed() {
            return Err(EstablishError::EndpointClosed);
        }
        let dial = Tcp.connect(self.server.host(), self.server.port());
        let io = tokio::time::timeout(config.dial_deadline, dial)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let client = config.client(identity, Trust::Peer(self.server.peer()));
        hub.connect(io, client, config.session.clone(), None).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_after_the_attempts() {
        let pauses: Vec<_> = (1..8).map(|failed| Reconnect::FOREVER.pause_after(failed)).collect();
        let millis = [100, 200, 400, 800, 1600, 3200, 5000].map(|ms| Some(Duration::from_millis(ms)));
        assert_eq!(pauses, millis);
        assert_eq!(Reconnect::FOREVER.pause_after(u32::MAX), Some(Duration::from_secs(5)));
        assert!(Reconnect::attempts(2).pause_after(2).is_some());
        assert_eq!(Reconnect::attempts(2).pause_after(3), None);
        assert_eq!(Reconnect::Never.pause_after(1), None);
    }
}
