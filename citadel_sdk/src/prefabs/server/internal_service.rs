//! A server that gives its clients a service which speaks over a stream of bytes.

use super::super::{Callback, boxed};
use crate::kernel::{KernelResult, NetKernel};
use async_trait::async_trait;
use citadel_proto::driver::{Channel, ChannelIo, Session};
use core::fmt;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

/// A client's stream to the service.
#[derive(Debug)]
pub struct ServiceConnection {
    /// The session that it belongs to: who the client is.
    pub session: Session,
    /// The stream; `AsyncRead` and `AsyncWrite`.
    pub io: ChannelIo,
}

/// Serves any protocol that runs over a stream of bytes, HTTP for example, to clients of the node: each channel that a
/// client opens, and channel 0, is one connection to the service.
///
/// A connection whose callback returns an error is reset and no other is touched, as with a service behind sockets. A panic
/// ends the session with all its connections. The session ends when its client closes it.
///
/// ```
/// use citadel_sdk::prefabs::server::InternalServiceKernel;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let upper_case = InternalServiceKernel::new(|mut connection| async move {
///     let mut text = String::new();
///     connection.io.read_to_string(&mut text).await?;
///     connection.io.write_all(text.to_uppercase().as_bytes()).await?;
///     Ok(connection.io.shutdown().await?)
/// });
/// ```
pub struct InternalServiceKernel {
    service: Callback<ServiceConnection>,
}

impl InternalServiceKernel {
    /// Runs `service` for each connection.
    pub fn new<F, Fut>(service: F) -> Self
    where
        F: Fn(ServiceConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = KernelResult> + Send + 'static,
    {
        Self { service: boxed(service) }
    }

    async fn serve(&self, session: Session, channel: Channel) {
        let (instance, id) = (session.instance(), channel.id());
        let connection = ServiceConnection { session, io: channel.into_io() };
        if let Err(error) = (self.service)(connection).await {
            log::debug!(target: "citadel::node", "session {instance}, channel {id}: service: {error}");
        }
    }
}

#[async_trait]
impl NetKernel for InternalServiceKernel {
    async fn on_session(&self, session: Session) -> KernelResult {
        let mut connections = FuturesUnordered::new();
        connections.push(self.serve(session.clone(), session.channel()?));
        loop {
            tokio::select! {
                accepted = session.accept_channel() => match accepted {
                    Ok(Some(channel)) => connections.push(self.serve(session.clone(), channel)),
                    // The session ends, and with it the streams: what was begun is answered as far as that goes.
                    Ok(None) | Err(_) => break,
                },
                Some(()) = connections.next() => {}
            }
        }
        connections.collect::<()>().await;
        Ok(())
    }
}

impl fmt::Debug for InternalServiceKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InternalServiceKernel")
    }
}
