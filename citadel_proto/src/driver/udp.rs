//! UDP as direct paths and observation need it: the machine's own, or another network that a node is given.

use crate::peers::direct::Link;
use core::fmt;
use core::task::{Context, Poll, ready};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::ReadBuf;

/// Where the UDP sockets of direct paths come from, where it is not the machine: a network of its own in a process, one that is
/// simulated, one behind a proxy.
pub trait UdpNetwork: fmt::Debug + Send + Sync {
    /// A socket at `address`; at any free port if its port is 0.
    ///
    /// # Errors
    /// The address is taken, or is none of this network.
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn UdpSocket>>;

    /// The addresses that this machine has there now.
    fn interfaces(&self) -> Vec<IpAddr>;

    /// The links of this machine there on which its TCP works as well: none by default, for a network of packets has no TCP. Two
    /// on one link may use it where packets do not pass.
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    /// What QUIC draws its choices from that are no secrets (which packet numbers it skips, the order of its parameters): the
    /// system's randomness if `None`. A network that replays gives a seed.
    fn quic_seed(&self) -> Option<[u8; 32]> {
        None
    }
}

/// A UDP socket: packets, each of which arrives whole, late, twice or never.
pub trait UdpSocket: fmt::Debug + Send + Sync + 'static {
    /// Where it is bound.
    ///
    /// # Errors
    /// Of the system.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Sends a packet. It never waits: what cannot go now is lost, as it may be on the way.
    ///
    /// # Errors
    /// The packet did not go. The caller takes it for lost.
    fn try_send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()>;

    /// The next packet: its length in `buffer`, which may cut it off, and where it comes from. One task at a time polls.
    ///
    /// # Errors
    /// Of one packet; the caller polls again at once. A socket that is broken for good is pending for ever.
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;
}

impl UdpSocket for tokio::net::UdpSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }

    fn try_send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.try_send_to(packet, to).map(|_| ())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = ready!(self.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), from)))
    }
}
