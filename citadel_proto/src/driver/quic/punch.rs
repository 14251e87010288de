//! One UDP socket for probes and for QUIC with many peers (RFC 9443): what has the fixed bit of QUIC is QUIC's, and only from
//! addresses that were let in; what has it not is a probe or nothing.

use super::super::memory::Datagrams;
use super::super::transport::BoxedIo;
use super::stream::QuicStream;
use super::tls;
use crate::peers::direct::{PACKET_LEN, Packet, canonical};
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use parking_lot::Mutex;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, TokioRuntime, UdpPoller, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// The bit of the first byte that every packet of QUIC has (RFC 9000, 17.2 and 17.3).
const FIXED_BIT: u8 = 0x40;
/// Probes that wait to be looked at; beyond it they are dropped. 256: the pings of two whole attempts.
const QUEUE: usize = 256;
/// From a first packet to the stream.
const ARRIVAL: Duration = Duration::from_secs(10);

/// The addresses that QUIC is taken from, and how often each was let in.
#[derive(Default, Debug)]
struct Gate(Mutex<HashMap<SocketAddr, usize>>);

/// QUIC from an address is taken as long as this lives.
pub(crate) struct LetIn {
    gate: Arc<Gate>,
    address: SocketAddr,
}

impl Gate {
    fn admits(&self, address: SocketAddr) -> bool {
        self.0.lock().contains_key(&address)
    }
}

impl Drop for LetIn {
    fn drop(&mut self) {
        let mut admitted = self.gate.0.lock();
        if let Some(count) = admitted.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                admitted.remove(&self.address);
            }
        }
    }
}

/// The socket, sorted before quinn sees anything.
#[derive(Debug)]
struct Sorted {
    inner: Arc<dyn AsyncUdpSocket>,
    gate: Arc<Gate>,
    probes: mpsc::Sender<(SocketAddr, Packet)>,
}

impl Sorted {
    /// Leaves of what came what is QUIC's, in its order and with its length of packets.
    fn sort(&self, buffer: &mut [u8], meta: &mut RecvMeta) {
        let from = canonical(meta.addr);
        let is_admitted = self.gate.admits(from);
        let (len, stride) = (meta.len.min(buffer.len()), meta.stride.max(1));
        let (mut at, mut kept) = (0, 0);
        while at < len {
            let end = (at + stride).min(len);
            let is_quic = buffer[at] & FIXED_BIT != 0;
            if is_quic && is_admitted {
                buffer.copy_within(at..end, kept);
                kept += end - at;
            } else if !is_quic && let Ok(packet) = <Packet>::try_from(&buffer[at..end]) {
                // A full queue drops it, as the network may.
                let _queued = self.probes.try_send((from, packet));
            }
            at = end;
        }
        meta.len = kept;
    }
}

impl AsyncUdpSocket for Sorted {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(cx, buffers, meta))?;
        buffers.iter_mut().zip(meta).take(count).for_each(|(buffer, meta)| self.sort(buffer, meta));
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// The socket of a node's direct paths. It lives as long as this and the connections on it.
pub(crate) struct Punch {
    endpoint: Endpoint,
    socket: Arc<Sorted>,
    local: SocketAddr,
    client: quinn::ClientConfig,
    tasks: TaskTracker,
}

/// Probes as they come.
pub(crate) type Probes = mpsc::Receiver<(SocketAddr, Packet)>;

impl Punch {
    /// Binds `address`; one of IPv6 takes IPv4 as well, where the system can. `silence` is how long a connection is quiet until
    /// something is sent, and until it is dead. Needs a tokio runtime.
    pub(crate) fn bind(address: SocketAddr, silence: (Duration, Duration)) -> io::Result<(Self, Probes)> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.bind(&address.into())?;
        Self::on(TokioRuntime.wrap_udp_socket(socket.into())?, silence)
    }

    /// As [`bind`](Self::bind), in a network in memory.
    pub(crate) fn bind_in(
        network: &Datagrams,
        address: SocketAddr,
        silence: (Duration, Duration),
    ) -> io::Result<(Self, Probes)> {
        Self::on(Arc::new(network.bind(address)?), silence)
    }

    fn on(inner: Arc<dyn AsyncUdpSocket>, silence: (Duration, Duration)) -> io::Result<(Self, Probes)> {
        let (probes, queue) = mpsc::channel(QUEUE);
        let socket = Arc::new(Sorted { inner, gate: Arc::default(), probes });
        let mut config = EndpointConfig::default();
        config.grease_quic_bit(false);
        let server = tls::server_config(transport(true, silence))?;
        let sorted = Arc::clone(&socket) as Arc<dyn AsyncUdpSocket>;
        let endpoint =
            Endpoint::new_with_abstract_socket(config, Some(server), sorted, Arc::new(TokioRuntime))?;
        let (local, client) = (socket.local_addr()?, tls::client_config(transport(false, silence))?);
        Ok((Self { endpoint, socket, local, client, tasks: TaskTracker::new() }, queue))
    }

    /// Where it is bound.
    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a probe, if the system takes it now.
    pub(crate) fn send(&self, to: SocketAddr, packet: &Packet) {
        const { assert!(PACKET_LEN < 1_200, "a probe fits every network") };
        let destination = self.spelled(to);
        let transmit =
            Transmit { destination, ecn: None, contents: packet, segment_size: None, src_ip: None };
        if let Err(error) = self.socket.try_send(&transmit) {
            log::trace!(target: "citadel::direct", "no probe to {to}: {error}");
        }
    }

    /// Resolves when the system takes a packet.
    pub(crate) async fn writable(&self) {
        let mut poller = Arc::clone(&self.socket).create_io_poller();
        if let Err(error) = poll_fn(|cx| poller.as_mut().poll_writable(cx)).await {
            log::debug!(target: "citadel::direct", "the socket: {error}");
        }
    }

    /// Whether the socket has a way to that kind of address.
    pub(crate) const fn reaches(&self, address: SocketAddr) -> bool {
        address.is_ipv4() || self.local.is_ipv6()
    }

    /// Takes QUIC from there as long as the result lives.
    pub(crate) fn let_in(&self, address: SocketAddr) -> LetIn {
        let (gate, address) = (Arc::clone(&self.socket.gate), canonical(address));
        *gate.0.lock().entry(address).or_default() += 1;
        LetIn { gate, address }
    }

    /// A stream to there.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<BoxedIo> {
        let entry = self.let_in(to);
        let connecting = self.endpoint.connect_with(self.client.clone(), self.spelled(to), tls::SERVER_NAME);
        let connection = connecting.map_err(io::Error::other)?.await?;
        let (send, receive) = connection.open_bi().await?;
        let stream = QuicStream::new(send, receive, connection, self.tasks.clone());
        Ok(Box::new(stream.with_entry(entry)))
    }

    /// The next connection from an address that was let in; none once the socket takes no more.
    pub(crate) async fn accept(&self) -> Option<Arriving> {
        let incoming = self.endpoint.accept().await?;
        let entry = self.let_in(incoming.remote_address());
        Some(Arriving { incoming, entry, tasks: self.tasks.clone() })
    }

    /// Takes no connection any more; those that there are go on.
    pub(crate) fn refuse(&self) {
        self.endpoint.set_server_config(None);
    }

    /// As the socket spells it.
    fn spelled(&self, to: SocketAddr) -> SocketAddr {
        match to {
            SocketAddr::V4(v4) if self.local.is_ipv6() => {
                SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
            }
            to => to,
        }
    }
}

impl fmt::Debug for Punch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Punch({})", self.local)
    }
}

/// A connection on its way in.
pub(crate) struct Arriving {
    incoming: quinn::Incoming,
    entry: LetIn,
    tasks: TaskTracker,
}

impl Arriving {
    /// Where it comes from.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.entry.address
    }

    /// Its stream, once its first bytes are here.
    pub(crate) async fn stream(self) -> io::Result<BoxedIo> {
        let Self { incoming, entry, tasks } = self;
        let arrive = async {
            let connection = incoming.accept()?.await?;
            let (send, receive) = connection.accept_bi().await?;
            Ok(QuicStream::new(send, receive, connection, tasks).with_entry(entry))
        };
        let arrived = tokio::time::timeout(ARRIVAL, arrive).await;
        let stream: io::Result<QuicStream> = arrived.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        Ok(Box::new(stream?))
    }

    /// Says no.
    pub(crate) fn refuse(self) {
        self.incoming.refuse();
    }
}

fn transport(is_server: bool, (keep_alive, dead_after): (Duration, Duration)) -> Arc<quinn::TransportConfig> {
    let mut config = super::transport_config(is_server);
    let dead_after = u32::try_from(dead_after.as_millis()).unwrap_or(u32::MAX);
    config.max_idle_timeout(Some(VarInt::from_u32(dead_after).into())).keep_alive_interval(Some(keep_alive));
    Arc::new(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that gives what it is told to.
    fn sorted() -> (Sorted, Probes) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let inner = TokioRuntime.wrap_udp_socket(socket).unwrap();
        let (probes, queue) = mpsc::channel(QUEUE);
        (Sorted { inner, gate: Arc::default(), probes }, queue)
    }

    fn meta(from: SocketAddr, len: usize, stride: usize) -> RecvMeta {
        let mut meta = RecvMeta::default();
        (meta.addr, meta.len, meta.stride) = (from, len, stride);
        meta
    }

    #[test]
    fn packets_that_came_together_are_sorted_one_by_one() {
        let (socket, mut queue) = sorted();
        let from: SocketAddr = "203.0.113.5:9".parse().unwrap();
        let packet = |first: u8, len: usize| [vec![first], vec![7; len - 1]].concat();
        let came = [packet(0x40, 64), packet(0x10, 64), packet(0xc0, 64), packet(0x3f, 64), packet(0x41, 30)]
            .concat();
        // Nobody let it in: probes alone are looked at.
        let (mut buffer, mut told) = (came.clone(), meta(from, came.len(), 64));
        socket.sort(&mut buffer, &mut told);
        assert_eq!(told.len, 0);
        assert_eq!([queue.try_recv().unwrap().1[0], queue.try_recv().unwrap().1[0]], [0x10, 0x3f]);
        // Let in, QUIC's are left, whole and in order. In IPv6 dress it is the same address.
        socket.gate.0.lock().insert(from, 1);
        let entry = LetIn { gate: Arc::clone(&socket.gate), address: from };
        let mapped: SocketAddr = "[::ffff:203.0.113.5]:9".parse().unwrap();
        let (mut buffer, mut told) = (came.clone(), meta(mapped, came.len(), 64));
        socket.sort(&mut buffer, &mut told);
        assert_eq!(buffer[..told.len], [packet(0x40, 64), packet(0xc0, 64), packet(0x41, 30)].concat());
        drop(entry);
        let (mut buffer, mut told) = (came.clone(), meta(from, came.len(), 64));
        socket.sort(&mut buffer, &mut told);
        assert_eq!(told.len, 0);
    }

    #[test]
    fn a_full_queue_and_odd_lengths_drop_probes() {
        let (socket, mut queue) = sorted();
        let from: SocketAddr = "203.0.113.5:9".parse().unwrap();
        for len in [0, 1, 63, 65, 1_400] {
            let mut buffer = vec![0x10; len.max(1)];
            socket.sort(&mut buffer, &mut meta(from, len, len));
        }
        assert!(queue.try_recv().is_err());
        for _ in 0..2 * QUEUE {
            socket.sort(&mut [0x10; PACKET_LEN], &mut meta(from, PACKET_LEN, PACKET_LEN));
        }
        assert_eq!(std::iter::from_fn(|| queue.try_recv().ok()).count(), QUEUE);
    }
}
