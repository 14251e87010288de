//! A listening UDP socket, and the task that sees its connections through TLS.

use super::super::transport::{Arrived, Listener};
use super::stream::QuicStream;
use async_trait::async_trait;
use core::time::Duration;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use quinn::{Endpoint, Incoming};
use std::io;
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Connections in TLS's handshake or without their stream at the same time.
const IN_FLIGHT: usize = 256;
/// From so many on, who dials must prove its address first (RFC 9000, 8.1.2), which costs the server no memory.
const UNDER_LOAD: usize = 64;
/// From a first packet to the first bytes of the stream.
const DEADLINE: Duration = Duration::from_secs(10);
/// Streams that wait to be accepted; beyond it they are dropped, as by a socket's backlog.
const BACKLOG: usize = 128;

/// What its task has ready. Dropping it ends the task.
pub(super) struct QuicListener {
    local: SocketAddr,
    arriving: mpsc::Receiver<Arrived>,
}

impl QuicListener {
    /// Starts the task. It runs beside whoever accepts: who dials need not wait for somebody to ask for it, as with TCP.
    pub(super) fn start(endpoint: Endpoint, tasks: &TaskTracker) -> io::Result<Self> {
        let local = endpoint.local_addr()?;
        let (sender, arriving) = mpsc::channel(BACKLOG);
        tasks.spawn(run(endpoint, sender, tasks.clone()));
        Ok(Self { local, arriving })
    }
}

#[async_trait]
impl Listener for QuicListener {
    async fn accept(&mut self) -> io::Result<Arrived> {
        // The task ends when its endpoint does, which is with the runtime.
        self.arriving.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// Sees connections to their stream until nobody listens any more. The socket lives on as long as its connections.
async fn run(endpoint: Endpoint, sender: mpsc::Sender<Arrived>, tasks: TaskTracker) {
    let mut coming = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = sender.closed() => break,
            Some(arrived) = coming.next() => {
                if let Some(arrived) = arrived {
                    // A full backlog drops the stream, which ends it.
                    let _taken = sender.try_send(arrived);
                }
            }
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => coming.extend(begin(incoming, coming.len(), &tasks)),
                None => break,
            },
        }
    }
    endpoint.set_server_config(None);
}

/// Takes a connection on, unless `coming` are too many.
fn begin(
    incoming: Incoming,
    coming: usize,
    tasks: &TaskTracker,
) -> Option<BoxFuture<'static, Option<Arrived>>> {
    if coming >= IN_FLIGHT {
        incoming.refuse();
        return None;
    }
    if coming >= UNDER_LOAD && !incoming.remote_address_validated() {
        if let Err(error) = incoming.retry() {
            error.into_incoming().refuse();
        }
        return None;
    }
    let tasks = tasks.clone();
    Some(Box::pin(async move {
        let arrived = tokio::time::timeout(DEADLINE, arrive(incoming, tasks)).await.ok()?;
        arrived.inspect_err(|error| log::debug!(target: "citadel::listener", "{error}")).ok()
    }))
}

/// The stream of a connection, once its first bytes are here.
async fn arrive(incoming: Incoming, tasks: TaskTracker) -> io::Result<Arrived> {
    let connection = incoming.accept()?.await?;
    let remote = connection.remote_address();
    let (send, receive) = connection.accept_bi().await?;
    Ok(Arrived { io: Box::new(QuicStream::new(send, receive, connection, tasks)), remote })
}
