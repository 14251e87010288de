//! The peer: TLS over TCP. Large messages are written as they are, small ones length-delimited and flushed one by one.

use super::tls_configs::configs;
use super::{Pair, Role};
use bytes::{Buf, BytesMut};
use futures::future::BoxFuture;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// From this length on a message is written without a flush of its own.
const BULK: usize = 16 * 1024;
const ROOM: usize = 256 * 1024;

/// A client's stream.
pub(crate) struct Tls {
    stream: TlsStream<TcpStream>,
    received: BytesMut,
    _server: JoinHandle<()>,
}

impl Tls {
    /// Connects to a server that plays `role`.
    #[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
    pub(crate) async fn connect(role: Role) -> Self {
        let (client, server) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("the client");
            stream.set_nodelay(true).expect("an option");
            let stream = TlsAcceptor::from(server).accept(stream).await.expect("a handshake");
            serve(stream, role).await;
        });
        let stream = TcpStream::connect(address).await.expect("the server");
        stream.set_nodelay(true).expect("an option");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(client).connect(name, stream).await.expect("a handshake");
        Self { stream, received: BytesMut::with_capacity(ROOM), _server: task }
    }
}

/// Takes one length-delimited message off `received`, reading as long as it is not whole; none at the end.
async fn next<S: tokio::io::AsyncRead + Unpin>(stream: &mut S, received: &mut BytesMut) -> Option<BytesMut> {
    loop {
        if let Some(head) = received.first_chunk::<4>() {
            let len = u32::from_be_bytes(*head) as usize;
            if received.len() >= 4 + len {
                received.advance(4);
                return Some(received.split_to(len));
            }
        }
        received.reserve(ROOM);
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

/// A message of `len` bytes behind its length, made once: the peer copies nothing that it need not.
fn frame(len: usize) -> Vec<u8> {
    [&(len as u32).to_be_bytes()[..], &vec![b'!'; len]].concat()
}

async fn put<S: tokio::io::AsyncWrite + Unpin>(stream: &mut S, frame: &[u8]) -> Option<()> {
    stream.write_all(frame).await.ok()?;
    if frame.len() < BULK { stream.flush().await.ok() } else { Some(()) }
}

async fn serve(mut stream: tokio_rustls::server::TlsStream<TcpStream>, role: Role) {
    let mut received = BytesMut::with_capacity(ROOM);
    while let Some(message) = next(&mut stream, &mut received).await {
        if role == Role::Echo || message.len() == 1 {
            let answer = [&(message.len() as u32).to_be_bytes()[..], &message].concat();
            if put(&mut stream, &answer).await.is_none() {
                return;
            }
        }
    }
}

impl Pair for Tls {
    fn send_all(&mut self, len: usize, count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let message = frame(len);
            for _ in 0..count {
                put(&mut self.stream, &message).await.expect("an open stream");
            }
            put(&mut self.stream, &frame(1)).await.expect("an open stream");
            next(&mut self.stream, &mut self.received).await.expect("an open stream");
        })
    }

    fn echo(&mut self, len: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            put(&mut self.stream, &frame(len)).await.expect("an open stream");
            let echo = next(&mut self.stream, &mut self.received).await;
            assert_eq!(echo.map(|echo| echo.len()), Some(len));
        })
    }
}
