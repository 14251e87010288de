//! What strangers send. Each attempt is a connection of its own, from an address of its own kind.

use citadel_crypt::Timestamp;
use citadel_crypt::handshake::{ClientConfig, ClientHandshake, Input, Limits, MAX_SERVER_FLIGHT_LEN, Output};
use citadel_crypt::handshake::{HandshakeConfig, SessionKind, Trust};
use citadel_crypt::suite::Native;
use citadel_crypt::{SecrecyMode, addr::PeerId};
use citadel_tests::session_world::identity;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A way to be a nuisance.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Attack {
    /// Random bytes, as long as the server takes them.
    Random,
    /// A true `Hello` that ends too early.
    Truncated,
    /// A flight that claims to be longer than any.
    Oversized,
    /// The same true `Hello` over and over.
    ReplayedHello,
    /// Everything that an honest client once sent, to the same server.
    ReplayedConversation,
    /// A connection and nothing else.
    Silent,
    /// A byte a second.
    Slow,
    /// A true handshake, then random bytes.
    AfterHandshake,
}

impl Attack {
    pub(crate) const ALL: [Self; 8] = [
        Self::Random,
        Self::Truncated,
        Self::Oversized,
        Self::ReplayedHello,
        Self::ReplayedConversation,
        Self::Silent,
        Self::Slow,
        Self::AfterHandshake,
    ];

    /// Attempts without end. What the server does to them is its business; that the attacker sees errors is the point.
    pub(crate) async fn repeat(self, server: SocketAddr, peer: PeerId, seed: u64, tried: &AtomicUsize) {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let recorded = conversation(server, peer).await.unwrap_or_default();
        loop {
            tried.fetch_add(1, Ordering::AcqRel);
            let _whatever = self.attempt(server, peer, &recorded, &mut chance).await;
            tokio::task::yield_now().await;
        }
    }

    async fn attempt(
        self,
        server: SocketAddr,
        peer: PeerId,
        recorded: &[Vec<u8>],
        chance: &mut ChaCha8Rng,
    ) -> io::Result<()> {
        if let Self::AfterHandshake = self {
            return garbage_after_the_handshake(server, peer, chance.next_u64()).await;
        }
        let mut stream = dial(server).await?;
        let hello = recorded.first().map_or(&[][..], |hello| &hello[..]);
        match self {
            Self::Random => stream.write_all(&noise(chance)).await?,
            Self::Truncated => {
                let end = chance.next_u64() as usize % hello.len().max(1);
                stream.write_all(&hello[..end]).await?;
                stream.shutdown().await?;
            }
            Self::Oversized => stream.write_all(&[0xff; 64]).await?,
            Self::ReplayedHello => stream.write_all(hello).await?,
            Self::ReplayedConversation => {
                for flight in recorded {
                    stream.write_all(flight).await?;
                }
            }
            Self::Slow => slowly(&mut stream, hello).await?,
            Self::Silent | Self::AfterHandshake => {}
        }
        drain(&mut stream).await
    }
}

/// Strangers come from another address than honest clients, as they do in the world: a cap by address is theirs alone.
async fn dial(server: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 66], 0)))?;
    socket.connect(server).await
}

fn noise(chance: &mut ChaCha8Rng) -> Vec<u8> {
    let mut noise = vec![0; 1 + chance.next_u64() as usize % 20_000];
    chance.fill_bytes(&mut noise);
    // Half of them claim a length that a server reads to the end.
    if chance.next_u64().is_multiple_of(2)
        && let Some(len) = noise.first_chunk_mut::<4>()
    {
        *len = 1_500_u32.to_be_bytes();
    }
    noise
}

/// Reads until the server ends the connection.
async fn drain(stream: &mut TcpStream) -> io::Result<()> {
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// A byte a second until the server has enough; `Ok` once it has.
async fn slowly(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_secs(1));
    let (mut from, mut to) = stream.split();
    let mut bytes = bytes.iter().chain(core::iter::repeat(&0));
    let mut sink = [0; 64];
    loop {
        tokio::select! {
            read = from.read(&mut sink) => if read? == 0 { return Ok(()) },
            _ = pace.tick() => if let Some(byte) = bytes.next() { to.write_all(&[*byte]).await? },
        }
    }
}

/// Sends a byte a second until the server ends the connection; for ever if it does not.
pub(crate) async fn slow_client(server: SocketAddr) {
    if let Ok(mut stream) = dial(server).await {
        // A reset is an end, too.
        let _ended = slowly(&mut stream, &[0, 0, 5]).await;
    }
}

fn config(peer: PeerId) -> ClientConfig {
    let common = HandshakeConfig {
        mode: SecrecyMode::BestEffort,
        limits: Limits::default(),
        ..HandshakeConfig::new(Arc::new(Native), identity(), SessionKind::C2S)
    };
    ClientConfig::new(common, Trust::Peer(peer))
}

/// Runs a true handshake; the stream, and what was sent.
async fn shake_hands(server: SocketAddr, peer: PeerId) -> io::Result<(TcpStream, Vec<Vec<u8>>)> {
    let mut stream = dial(server).await?;
    let now = Timestamp::ZERO;
    let mut machine = ClientHandshake::new(config(peer), now).map_err(io::Error::other)?;
    let mut sent = Vec::new();
    loop {
        while let Some(output) = machine.poll_output() {
            match output {
                Output::Send(flight) => {
                    let framed = [&(flight.len() as u32).to_be_bytes()[..], &flight].concat();
                    stream.write_all(&framed).await?;
                    sent.push(framed);
                }
                Output::Established(_) => return Ok((stream, sent)),
                Output::Failed(error) => return Err(io::Error::other(error)),
                _ => {}
            }
        }
        let len = stream.read_u32().await? as usize;
        let mut flight = vec![0; len.min(MAX_SERVER_FLIGHT_LEN)];
        stream.read_exact(&mut flight).await?;
        let _handled = machine.handle(now, Input::Flight(&flight));
    }
}

/// What an honest client sends in a handshake with that server.
async fn conversation(server: SocketAddr, peer: PeerId) -> io::Result<Vec<Vec<u8>>> {
    shake_hands(server, peer).await.map(|(_, sent)| sent)
}

/// Proves who it is, then sends noise until the server ends the connection.
pub(crate) async fn garbage_after_the_handshake(
    server: SocketAddr,
    peer: PeerId,
    seed: u64,
) -> io::Result<()> {
    let (mut stream, _) = shake_hands(server, peer).await?;
    stream.write_all(&noise(&mut ChaCha8Rng::seed_from_u64(seed))).await?;
    stream.shutdown().await?;
    drain(&mut stream).await
}
