//! QUIC (RFC 9000) by quinn: one connection for each path, and in it one stream in both directions; its datagrams (RFC 9221)
//! carry those of the session (`packets.rs`).
//!
//! Owns: UDP sockets, TLS configuration, the handshakes that are not finished. Never: who the peer is (the session's own
//! handshake proves that above it, over this stream as over any other; certificates say nothing).
//!
//! Why one stream: a session numbers and encrypts its records in one order, whatever carries them, so that a path may be replaced by
//! one of another kind. What QUIC brings is a path over UDP that may later be punched through a NAT. Why QUIC has no idle timeout
//! and sends no keep-alive: the session pings, judges its peer's silence and drops the path, with times that a user configures.
//! `punch.rs` is the other use of it: direct paths between peers, which have both, for there is a lane to fall back to.

mod given;
mod listen;
mod packets;
mod punch;
mod stream;
mod tls;

pub(super) use packets::Packets;
pub(crate) use punch::{Arriving, LetIn, Probes, Punch};
pub(super) use stream::QuicStream;

use super::transport::{BoxedIo, Listener, Transport};
use async_trait::async_trait;
use core::time::Duration;
use quinn::{Endpoint, TransportConfig, VarInt};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Bytes under way in each direction of a path, and so the most that a path buffers on either end. 1 MiB: 100 Mbit/s at
/// 80 ms of round trip; a session's own credit is above it.
const WINDOW: u32 = 1 << 20;

/// How long a path that was dropped may take to bring what was written to the other end. TCP leaves that to the system.
const LINGER: Duration = Duration::from_secs(3);

/// QUIC over UDP, TLS 1.3 with the hybrid group X25519MLKEM768 alone.
///
/// Every connection has a UDP socket of its own; a listener has one for all. Dropping a stream ends it in order: a task
/// brings what was written to the other end, for at most 3 s. Needs a tokio runtime.
#[derive(Clone, Default, Debug)]
pub struct Quic {
    /// Those that listen, and those that see dropped streams to their end.
    tasks: TaskTracker,
}

impl Quic {
    /// A new one.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Transport for Quic {
    async fn connect(&self, host: &str, port: u16) -> io::Result<BoxedIo> {
        let config = tls::client_config(transport(false))?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in tokio::net::lookup_host((host, port)).await? {
            match dial(address, config.clone()).await {
                Ok((endpoint, connection)) => {
                    let (send, receive) = connection.open_bi().await?;
                    let stream = QuicStream::new(send, receive, connection, self.tasks.clone());
                    return Ok(Box::new(stream.with_endpoint(endpoint)));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in tokio::net::lookup_host(address).await? {
            match Endpoint::server(tls::server_config(transport(true))?, address) {
                Ok(endpoint) => {
                    return Ok(Box::new(listen::QuicListener::start(endpoint, &self.tasks)?));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

async fn dial(address: SocketAddr, config: quinn::ClientConfig) -> io::Result<(Endpoint, quinn::Connection)> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(any)?;
    let connecting = endpoint.connect_with(config, address, tls::SERVER_NAME).map_err(io::Error::other)?;
    // The caller's deadline on dialling ends it; the handshake has no other without an idle timeout.
    let connection = connecting.await?;
    Ok((endpoint, connection))
}

fn transport(is_server: bool) -> Arc<TransportConfig> {
    Arc::new(transport_config(is_server))
}

fn transport_config(is_server: bool) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(is_server.into()))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(Some(packets::RECEIVE_BUFFER))
        .datagram_send_buffer_size(packets::SEND_BUFFER)
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW))
        .max_idle_timeout(None)
        .keep_alive_interval(None);
    config
}
