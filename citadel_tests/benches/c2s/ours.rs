//! A session over TCP or QUIC.

use super::{Pair, Role};
use bytes::Bytes;
use citadel_proto::driver::Transport;
use citadel_sdk::{Channel, Endpoint, EndpointConfig, Identity, SecrecyMode, Session};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Both ends of a session, each endpoint with one.
pub(crate) struct Ours {
    channel: Channel,
    payloads: Payloads,
    _session: Session,
    _endpoint: Endpoint,
    _server: JoinHandle<()>,
}

impl Ours {
    /// Connects by `transport` to a server that plays `role`.
    #[expect(clippy::disallowed_methods, reason = "a measurement has a task for each end")]
    pub(crate) async fn connect(transport: impl Transport, secrecy: SecrecyMode, role: Role) -> Self {
        let mut config = EndpointConfig::default();
        config.secrecy = secrecy;
        let identity = || Arc::new(Identity::generate());
        let listener = transport.listen("127.0.0.1:0").await.expect("a port");
        let server =
            Endpoint::bind_on(identity(), vec![listener], config.clone()).expect("a valid configuration");
        let client = Endpoint::client_with(identity(), config).expect("a valid configuration");
        let addr = server.addr();
        let task = tokio::spawn(async move {
            let incoming = server.accept().await.expect("the client");
            let session = incoming.accept().await.expect("a handshake");
            serve(session.channel().expect("channel 0"), role).await;
        });
        let session = client.connect_over(transport, addr).await.expect("a session");
        let channel = session.channel().expect("channel 0");
        Self { channel, payloads: Payloads::default(), _session: session, _endpoint: client, _server: task }
    }
}

/// Messages, each length made once.
#[derive(Default)]
pub(crate) struct Payloads(Vec<Bytes>);

impl Payloads {
    /// The message of that length.
    pub(crate) fn of(&mut self, len: usize) -> Bytes {
        if let Some(payload) = self.0.iter().find(|payload| payload.len() == len) {
            return payload.clone();
        }
        self.0.push(Bytes::from(vec![7; len]));
        self.of(len)
    }
}

/// Ends with the client. A message of one byte ends a batch and is answered.
pub(crate) async fn serve(mut channel: Channel, role: Role) {
    while let Ok(Some(message)) = channel.recv().await {
        let answer = match role {
            Role::Echo => message,
            Role::Sink if message.len() == 1 => message,
            Role::Sink => continue,
        };
        if channel.send(answer).await.is_err() {
            return;
        }
    }
}

impl Pair for Ours {
    fn send_all(&mut self, len: usize, count: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let payload = self.payloads.of(len);
            for _ in 0..count {
                self.channel.send(payload.clone()).await.expect("an open session");
            }
            self.channel.send(Bytes::from_static(b"!")).await.expect("an open session");
            self.channel.recv().await.expect("an open session");
        })
    }

    fn echo(&mut self, len: usize) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let payload = self.payloads.of(len);
            self.channel.send(payload).await.expect("an open session");
            let echo = self.channel.recv().await.expect("an open session");
            assert_eq!(echo.map(|echo| echo.len()), Some(len));
        })
    }
}
