//! A server that runs one callback for each client.

use super::super::{Callback, boxed};
use crate::kernel::{Connection, KernelResult, NetKernel};
use async_trait::async_trait;
use citadel_proto::driver::Session;
use core::fmt;

/// Runs a callback for each session that a client opens. The session lives as long as the callback; see
/// [`NetKernel::on_session`] for how it ends.
pub struct ClientConnectListenerKernel {
    callback: Callback<Connection>,
}

impl ClientConnectListenerKernel {
    /// Runs `callback` for each session, each in a task of its own.
    pub fn new<F, Fut>(callback: F) -> Self
    where
        F: Fn(Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        Self { callback: boxed(callback) }
    }
}

#[async_trait]
impl NetKernel for ClientConnectListenerKernel {
    async fn on_session(&self, session: Session) -> KernelResult {
        (self.callback)(Connection::of(session)?).await
    }
}

impl fmt::Debug for ClientConnectListenerKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientConnectListenerKernel")
    }
}
