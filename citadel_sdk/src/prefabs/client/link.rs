//! A kernel's session with its server, which carries its peers: made, kept, and made again when it is lost.

use super::back_off::wait;
use crate::kernel::KernelResult;
use crate::node::NodeRemote;
use crate::prelude::BoxError;
use crate::server_connection::{ConnectError, ServerConnection};
use citadel_proto::driver::Session;
use citadel_proto::peers::PeerClient;
use core::time::Duration;

/// Connects to `server`, runs `work` with the peers there, and keeps them attached for as long as it runs. A node that is to end
/// connects no more, and that is no error.
pub(super) async fn beside_server<Work: Future<Output = KernelResult>>(
    server: &ServerConnection,
    node: &NodeRemote,
    work: impl FnOnce(PeerClient) -> Work,
) -> KernelResult {
    let connected = async {
        let session = connect(server, node).await?;
        let peers = node.peers().await?;
        Ok::<_, BoxError>((attach(server, node, &peers, session).await?, peers))
    };
    let connected = tokio::select! {
        biased;
        () = node.stopping() => return Ok(()),
        connected = connected => connected,
    };
    let (session, peers) = match connected {
        Ok(connected) => connected,
        Err(_) if node.is_stopping() => return Ok(()),
        Err(error) => return Err(error),
    };
    let work = work(peers.clone());
    tokio::pin!(work);
    tokio::select! {
        biased;
        result = &mut work => result,
        lost = keep(server, node, &peers, session) => {
            // Without the server no new session comes about; those that there are end by themselves.
            log::info!(target: "citadel::node", "the server: {lost}");
            work.await
        }
    }
}

/// A session with the server.
async fn connect(server: &ServerConnection, node: &NodeRemote) -> Result<Session, ConnectError> {
    let mut failed = 0u32;
    loop {
        match node.connect(server).await {
            Ok(session) => return Ok(session),
            Err(error) if error.is_retryable() && !node.is_stopping() => {
                failed = failed.saturating_add(1);
                let Some(pause) = server.reconnect_policy().pause_after(failed) else { return Err(error) };
                wait(pause).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Attaches the peers to `session`; to another one if it is lost at once.
async fn attach(
    server: &ServerConnection,
    node: &NodeRemote,
    peers: &PeerClient,
    session: Session,
) -> Result<Session, BoxError> {
    match peers.attach(session.clone()).await {
        Ok(()) => Ok(session),
        Err(error) if session.closing().is_none() => Err(error.into()),
        Err(error) => {
            log::debug!(target: "citadel::node", "session {}: {error}", session.instance());
            reconnect(server, node, peers, &session).await
        }
    }
}

/// Keeps `peers` attached to the server until that is no use any more; says why.
async fn keep(
    server: &ServerConnection,
    node: &NodeRemote,
    peers: &PeerClient,
    mut session: Session,
) -> BoxError {
    loop {
        match reconnect(server, node, peers, &session).await {
            Ok(next) => session = next,
            Err(error) => return error,
        }
    }
}

/// Another session when that one is over, as far as the policy goes.
async fn reconnect(
    server: &ServerConnection,
    node: &NodeRemote,
    peers: &PeerClient,
    session: &Session,
) -> Result<Session, BoxError> {
    let report = session.closed().await;
    let mut error: BoxError = report.reason().to_string().into();
    if node.is_stopping() || !report.reason().is_retryable() {
        return Err(error);
    }
    let server = server.once_known();
    let mut failed = 0u32;
    loop {
        failed = failed.saturating_add(1);
        let Some(pause) = server.reconnect_policy().pause_after(failed) else { return Err(error) };
        wait(pause).await;
        match node.connect(&server).await {
            Ok(session) => match peers.attach(session.clone()).await {
                Ok(()) => return Ok(session),
                Err(attach) => error = attach.into(),
            },
            Err(connect) if connect.is_retryable() => error = connect.into(),
            Err(connect) => return Err(connect.into()),
        }
    }
}

/// What `work` gives, or nothing once the node is to end.
pub(super) async fn unless_stopping<T>(node: &NodeRemote, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = node.stopping() => None,
        done = work => Some(done),
    }
}

/// `work` within `patience`.
pub(super) async fn within<T>(patience: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(patience, work).await.ok()
}
