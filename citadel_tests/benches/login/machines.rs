//! Both handshakes without sockets and tasks: what each end computes, flight by flight, in memory.

use super::percentile;
use super::tls_configs::configs;
use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{
    ClientConfig, ClientHandshake, Grant, HandshakeConfig, Input, Output, Request, ServerConfig,
    ServerHandshake, SessionKind, Trust, UserName,
};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::{CryptoProvider, Native};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};
use std::sync::Arc;
use std::time::Instant;

const HANDSHAKES: usize = 1_000;
const NOW: Timestamp = Timestamp::from_nanos(1);

/// Nanoseconds of either end.
#[derive(Clone, Copy, Default)]
struct Spent {
    client: f64,
    server: f64,
}

/// Runs `work` and adds its time to `spent`.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn timed<R>(spent: &mut f64, work: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let result = work();
    *spent += begin.elapsed().as_nanos() as f64;
    result
}

/// What ours needs from one handshake to the next.
struct Ours {
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl Ours {
    fn new() -> Self {
        let provider: Arc<dyn CryptoProvider> = Arc::new(Native);
        let [alice, bob] = [(); 2].map(|()| {
            let identity = Arc::new(Identity::generate());
            HandshakeConfig::new(Arc::clone(&provider), identity, SessionKind::C2S)
        });
        let trust = Trust::Peer(bob.identity.peer_id());
        let user = UserName::new("user").expect("a name");
        let client =
            ClientConfig { request: Request::Login { user }.into(), ..ClientConfig::new(alice, trust) };
        Self { client, server: Arc::new(ServerConfig::new(bob).expect("randomness")) }
    }

    fn handshake(&self) -> Spent {
        let mut spent = Spent::default();
        let mut client = timed(&mut spent.client, || {
            ClientHandshake::new(self.client.clone(), NOW).expect("a valid configuration")
        });
        let mut server = timed(&mut spent.server, || {
            ServerHandshake::new(Arc::clone(&self.server), b"memory", false, NOW).expect("a valid one")
        });
        loop {
            match timed(&mut spent.client, || client.poll_output()) {
                Some(Output::Send(flight)) => {
                    let _done = timed(&mut spent.server, || server.handle(NOW, Input::Flight(&flight)));
                }
                Some(Output::Established(_)) => return spent,
                other => assert!(other.is_none(), "{other:?}"),
            }
            match timed(&mut spent.server, || server.poll_output()) {
                Some(Output::Send(flight)) => {
                    let _done = timed(&mut spent.client, || client.handle(NOW, Input::Flight(&flight)));
                }
                Some(Output::Request { .. }) => {
                    let yes = Input::Accept(Grant::default());
                    let _done = timed(&mut spent.server, || server.handle(NOW, yes));
                }
                other => assert!(matches!(other, None | Some(Output::Established(_))), "{other:?}"),
            }
        }
    }
}

/// The same of TLS.
struct Tls {
    client: Arc<rustls::ClientConfig>,
    server: Arc<rustls::ServerConfig>,
}

impl Tls {
    fn handshake(&self) -> Spent {
        let mut spent = Spent::default();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = timed(&mut spent.client, || {
            Connection::from(ClientConnection::new(Arc::clone(&self.client), name).expect("a valid one"))
        });
        let mut server = timed(&mut spent.server, || {
            Connection::from(ServerConnection::new(Arc::clone(&self.server)).expect("a valid one"))
        });
        while client.is_handshaking() || server.is_handshaking() {
            let flight = timed(&mut spent.client, || written(&mut client));
            timed(&mut spent.server, || take(&mut server, &flight));
            let flight = timed(&mut spent.server, || written(&mut server));
            timed(&mut spent.client, || take(&mut client, &flight));
        }
        spent
    }
}

fn written(connection: &mut Connection) -> Vec<u8> {
    let mut out = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut out).expect("a vector takes all");
    }
    out
}

fn take(connection: &mut Connection, mut flight: &[u8]) {
    while !flight.is_empty() {
        connection.read_tls(&mut flight).expect("a slice gives all");
        connection.process_new_packets().expect("an honest peer");
    }
}

/// Prints the medians of both.
pub(crate) fn print() {
    let (client, server) = configs();
    let (tls, ours) = (Tls { client, server }, Ours::new());
    let mut spent = [Vec::new(), Vec::new()];
    for _ in 0..HANDSHAKES {
        spent[0].push(tls.handshake());
        spent[1].push(ours.handshake());
    }
    println!("\nhandshakes alone: what either end computes, p50 of {HANDSHAKES}");
    for (name, spent) in ["rustls", "ours"].iter().zip(spent) {
        let micros = |of: fn(&Spent) -> f64| percentile(spent.iter().map(of).collect(), 0.5) / 1e3;
        let (client, server, both) =
            (micros(|it| it.client), micros(|it| it.server), micros(|it| it.client + it.server));
        println!("{name:<16} client {client:>7.1} µs   server {server:>7.1} µs   both {both:>7.1} µs");
    }
}
