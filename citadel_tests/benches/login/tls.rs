//! The peer: a handshake in which both ends show a certificate.

use super::Client;
use super::server::Door;
use super::tls_configs::configs;
use futures::FutureExt;
use futures::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::AbortOnDropHandle;

/// Answers what comes with itself, each connection in a task of its own.
#[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
pub(crate) async fn serve() -> (Door, AbortOnDropHandle<()>) {
    let (client, server) = configs();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let acceptor = TlsAcceptor::from(server);
    let running = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a client");
            stream.set_nodelay(true).expect("an option");
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    (Door::Tls(address, client), AbortOnDropHandle::new(running))
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) {
    let mut stream = acceptor.accept(stream).await.expect("a handshake");
    let mut byte = [0];
    while stream.read(&mut byte).await.expect("an open stream") == 1 {
        stream.write_all(&byte).await.expect("an open stream");
        stream.flush().await.expect("an open stream");
    }
    stream.shutdown().await.expect("an open stream");
}

/// A client with its certificate.
pub(crate) struct Device {
    server: SocketAddr,
    connector: TlsConnector,
}

impl Device {
    pub(crate) fn new(server: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self { server, connector: TlsConnector::from(config) }
    }
}

impl Client for Device {
    #[expect(clippy::async_yields_async, reason = "the goodbye is not part of what is timed")]
    fn login(&self) -> BoxFuture<'_, BoxFuture<'static, ()>> {
        async {
            let stream = TcpStream::connect(self.server).await.expect("the server");
            stream.set_nodelay(true).expect("an option");
            let name = ServerName::try_from("localhost").expect("a name");
            let mut stream = self.connector.connect(name, stream).await.expect("a handshake");
            stream.write_all(b"!").await.expect("an open stream");
            stream.flush().await.expect("an open stream");
            let mut byte = [0];
            stream.read_exact(&mut byte).await.expect("an answer");
            async move {
                stream.shutdown().await.expect("an open stream");
                assert_eq!(stream.read(&mut [0]).await.expect("an open stream"), 0);
            }
            .boxed()
        }
        .boxed()
    }
}
