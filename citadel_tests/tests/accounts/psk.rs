//! A server's pre-shared keys, in front of its accounts: a list that is exchanged while it runs.

use super::support::{DeviceEnd, Server, Store, login, register};
use async_trait::async_trait;
use citadel_crypt::handshake::{
    ClientConfig, HandshakeError, Psk, PskHint, RefusalCode, Request, ServerConfig,
};
use citadel_proto::SessionConfig;
use citadel_proto::driver::{Acceptor, Admission, Arrived, EstablishError, HandshakeCaps, Listener, Session};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Streams that are handed to a server.
struct Handed(mpsc::Receiver<DuplexStream>);

#[async_trait]
impl Listener for Handed {
    async fn accept(&mut self) -> io::Result<Arrived> {
        let io = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Arrived { io: Box::new(io), remote: SocketAddr::from(([192, 0, 2, 1], 4)) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([192, 0, 2, 2], 5)))
    }
}

fn psk(number: u8) -> Psk {
    Psk::new(PskHint([number; 16]), &[number; 32]).unwrap()
}

/// The key with one's hint and another's bytes.
fn forged() -> Psk {
    Psk::new(PskHint([1; 16]), &[9; 32]).unwrap()
}

struct Door {
    server: Server,
    acceptor: Acceptor,
    streams: mpsc::Sender<DuplexStream>,
}

impl Door {
    fn new(server: Server, keys: &[u8]) -> Self {
        let (streams, handed) = mpsc::channel(1);
        let (config, session) = Self::config(&server, keys);
        let listeners: Vec<Box<dyn Listener>> = vec![Box::new(Handed(handed))];
        let admission = Admission::new(HandshakeCaps::default());
        let acceptor = Acceptor::new(server.hub.clone(), listeners, config, session, admission).unwrap();
        Self { server, acceptor, streams }
    }

    fn config(server: &Server, keys: &[u8]) -> (Arc<ServerConfig>, SessionConfig) {
        let mut config = ServerConfig::clone(&server.config);
        (config.psks, config.require_psk) = (keys.iter().map(|number| psk(*number)).collect(), true);
        (Arc::new(config), SessionConfig { services: true, ..SessionConfig::default() })
    }

    fn reload(&self, keys: &[u8]) {
        let (config, session) = Self::config(&self.server, keys);
        self.acceptor.reload(config, session);
    }

    async fn meet(
        &self,
        device: &DeviceEnd,
        key: Option<Psk>,
        request: Request,
    ) -> Result<Session, EstablishError> {
        let (near, far) = tokio::io::duplex(64 << 10);
        self.streams.send(far).await.unwrap();
        let config = ClientConfig { psk: key.map(Arc::new), ..device.config(&self.server, request) };
        let connecting = device.hub.connect(near, config, SessionConfig::default(), None);
        let admitting = async {
            let incoming = self.acceptor.accept().await.unwrap();
            let source = incoming.remote_addr().ip();
            match incoming.identify().await {
                Ok(identified) => self.server.accounts.admit(identified, source).await.ok(),
                Err(_) => None,
            }
        };
        let (opened, admitted) = tokio::join!(connecting, admitting);
        // The server's end lives until here: what is asked is whether there was one.
        assert_eq!(opened.is_ok(), admitted.is_some());
        opened
    }

    async fn code(&self, device: &DeviceEnd, key: Option<Psk>, request: Request) -> RefusalCode {
        match self.meet(device, key, request).await {
            Err(EstablishError::Handshake(HandshakeError::Refused { code, .. })) => code,
            other => panic!("no refusal: {other:?}"),
        }
    }
}

#[tokio::test]
async fn old_and_new_keys_count_while_they_are_listed_and_nothing_is_paid_for_others() {
    let door = Door::new(Server::new(Store::Memory), &[1]);
    let device = DeviceEnd::new();
    door.meet(&device, Some(psk(1)), register("alice", "word")).await.unwrap();
    door.server.hasher.runs();
    for (key, code) in [
        (None, RefusalCode::PSK_REQUIRED),
        (Some(psk(2)), RefusalCode::PSK),
        (Some(forged()), RefusalCode::PSK),
    ] {
        assert_eq!(door.code(&device, key, register("bob", "word")).await, code);
    }
    assert_eq!(door.server.hasher.runs(), 0, "whoever has no key reaches no account");

    door.reload(&[2, 1]);
    door.meet(&device, Some(psk(1)), login("alice")).await.unwrap();
    door.meet(&device, Some(psk(2)), login("alice")).await.unwrap();
    assert_eq!(door.code(&device, Some(forged()), login("alice")).await, RefusalCode::PSK);

    door.reload(&[2]);
    assert_eq!(door.code(&device, Some(psk(1)), login("alice")).await, RefusalCode::PSK);
    door.meet(&device, Some(psk(2)), login("alice")).await.unwrap();
    door.server.stop().await;
}
