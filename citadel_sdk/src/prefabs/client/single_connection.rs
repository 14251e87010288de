//! A client with one session to one server.

use super::super::{Callback, boxed};
use super::back_off::wait;
use crate::kernel::{Connection, KernelResult, NetKernel};
use crate::node::NodeRemote;
use crate::prelude::BoxError;
use crate::server_connection::{ConnectError, ServerConnection};
use async_trait::async_trait;
use citadel_proto::driver::EstablishError;
use core::fmt;

/// Connects to a server and runs one callback with the connection. When the callback has returned, the session closes in
/// order and the node ends: there is nothing to remember to call.
///
/// A session that is lost for good ends the callback's channels with errors. If the callback then returns an error, the
/// kernel connects again and runs the callback with the new connection, as far as [`Reconnect`](crate::Reconnect)
/// allows. A callback that returns `Ok` is done, whatever became of the session. A node that is asked to shut down
/// connects no more, and what its callback makes of that is no error.
pub struct SingleClientServerConnectionKernel {
    server: ServerConnection,
    callback: Callback<Connection>,
}

impl SingleClientServerConnectionKernel {
    /// Connects to `server` and runs `callback`.
    pub fn new<F, Fut>(server: ServerConnection, callback: F) -> Self
    where
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        Self { server, callback: boxed(callback) }
    }

    /// One session from its beginning to its end.
    async fn connect_once(&self, node: &NodeRemote, server: &mut ServerConnection) -> Result<(), Lost> {
        let session = node.connect(server).await.map_err(Lost::NotEstablished)?;
        *server = server.once_known();
        let connection = Connection::of(session.clone()).map_err(|error| Lost::ForGood(error.into()))?;
        let end = node.handle(session, (self.callback)(connection)).await;
        let is_retryable = end.report.reason().is_retryable();
        match end.handler.into_result() {
            Ok(()) => Ok(()),
            Err(error) if is_retryable => Err(Lost::Session(error)),
            Err(error) => Err(Lost::ForGood(error)),
        }
    }
}

/// Why there is no session any more although the callback was not done.
enum Lost {
    /// There was none.
    NotEstablished(ConnectError),
    /// It ended by something that may pass.
    Session(BoxError),
    /// Another attempt would not help.
    ForGood(BoxError),
}

#[async_trait]
impl NetKernel for SingleClientServerConnectionKernel {
    async fn on_start(&self, _node: &NodeRemote) -> KernelResult {
        Ok(self.server.check()?)
    }

    async fn run(&self, node: NodeRemote) -> KernelResult {
        let mut server = self.server.clone();
        let mut failed = 0u32;
        loop {
            let error: BoxError = match self.connect_once(&node, &mut server).await {
                Ok(()) => return Ok(()),
                // Whoever ended the node wanted no more of it.
                Err(Lost::Session(_)) if node.is_stopping() => return Ok(()),
                Err(Lost::NotEstablished(ConnectError::Establish(EstablishError::EndpointClosed)))
                    if node.is_stopping() =>
                {
                    return Ok(());
                }
                Err(Lost::ForGood(error)) => return Err(error),
                Err(Lost::NotEstablished(error)) if !error.is_retryable() => return Err(error.into()),
                Err(Lost::NotEstablished(error)) => error.into(),
                Err(Lost::Session(error)) => {
                    failed = 0;
                    error
                }
            };
            failed = failed.saturating_add(1);
            let Some(pause) = self.server.reconnect_policy().pause_after(failed) else { return Err(error) };
            log::info!(target: "citadel::node", "{error}; connecting again in {pause:?}");
            tokio::select! {
                biased;
                () = node.stopping() => return Ok(()),
                () = wait(pause) => {}
            }
        }
    }
}

impl fmt::Debug for SingleClientServerConnectionKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleClientServerConnectionKernel")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
