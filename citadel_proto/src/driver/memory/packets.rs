//! Packets: each is late, some overtake others, and some may be lost.

use super::faults::{Chance, Faults};
use super::pipe::now;
use crate::driver::{UdpNetwork, UdpSocket};
use bytes::Bytes;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::time::{Instant, Sleep};

/// Packets that wait at a socket; beyond it they are lost, as where a system's buffer is full.
const ROOM: usize = 4_096;
/// Of a hundred: as many as a QUIC connection takes for lost ones without being slowed down to a crawl.
const OVERTAKEN: u64 = 1;
/// Port given to the first who asks for port 0.
const FIRST_PORT: u16 = 50_000;

/// A network of datagrams in memory: direct paths between peers go over it ([`PeersConfig::udp`](crate::peers::PeersConfig::udp))
/// in place of the system's UDP. Cheap to clone; clones are the same network.
///
/// Addresses are IP addresses with ports, of any host: nothing checks them, nothing leaves the process. No host has interfaces, so
/// that a socket is bound to an IP address ([`DirectConfig::bind`](crate::peers::DirectConfig::bind)). A datagram takes up to
/// 20 ms by the chance of a seed; one in a hundred takes up to 40 ms, and others overtake it.
#[derive(Clone)]
pub struct PacketNetwork {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    chance: Chance,
    /// Of a hundred.
    losses: u8,
    is_down: bool,
    inboxes: BTreeMap<SocketAddr, Arc<Mutex<Inbox>>>,
    next_port: u16,
    sent: u64,
}

/// What is under way to a socket, by when it comes and when it was sent.
#[derive(Default)]
struct Inbox {
    queue: BTreeMap<(Instant, u64), (SocketAddr, Bytes)>,
    /// When the last one comes that is not overtaken.
    last_due: Option<Instant>,
    reader: Option<Waker>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl PacketNetwork {
    /// A network that loses nothing, with delays by the chance of `seed`.
    pub fn new(seed: u64) -> Self {
        let inner = Inner {
            chance: Chance::new(seed),
            losses: 0,
            is_down: false,
            inboxes: BTreeMap::new(),
            next_port: FIRST_PORT,
            sent: 0,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// How many of a hundred that are sent from now on are lost.
    pub fn set_losses(&self, of_a_hundred: u8) {
        self.inner.lock().losses = of_a_hundred;
    }

    /// Loses everything, what is under way too, until [`heal`](Self::heal). Nobody is told: who listens hears silence.
    pub fn take_down(&self) {
        let mut inner = self.inner.lock();
        inner.is_down = true;
        inner.inboxes.values().for_each(|inbox| inbox.lock().queue.clear());
    }

    /// Carries datagrams again.
    pub fn heal(&self) {
        self.inner.lock().is_down = false;
    }

    /// Sockets that are bound.
    pub fn sockets(&self) -> usize {
        self.inner.lock().inboxes.len()
    }

    /// A socket at `address`; port 0 is any that is free.
    fn open(&self, mut address: SocketAddr) -> io::Result<PacketSocket> {
        if address.ip().is_unspecified() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no machine in memory has interfaces"));
        }
        let mut inner = self.inner.lock();
        if address.port() == 0 {
            let ip = address.ip();
            let is_free = |port: &u16| !inner.inboxes.contains_key(&SocketAddr::new(ip, *port));
            let port = (inner.next_port..=u16::MAX).chain(FIRST_PORT..inner.next_port).find(is_free);
            address.set_port(port.ok_or(io::ErrorKind::AddrInUse)?);
            inner.next_port = address.port().checked_add(1).unwrap_or(FIRST_PORT);
        }
        let inbox = Arc::default();
        match inner.inboxes.entry(address) {
            Entry::Occupied(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Entry::Vacant(place) => place.insert(Arc::clone(&inbox)),
        };
        Ok(PacketSocket { network: self.clone(), address, inbox })
    }
}

impl UdpNetwork for PacketNetwork {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn UdpSocket>> {
        Ok(Arc::new(self.open(address)?))
    }

    fn interfaces(&self) -> Vec<IpAddr> {
        Vec::new()
    }
}

impl fmt::Debug for PacketNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketNetwork({} sockets)", self.sockets())
    }
}

/// A socket of the network. Dropping it frees its address.
struct PacketSocket {
    network: PacketNetwork,
    address: SocketAddr,
    inbox: Arc<Mutex<Inbox>>,
}

impl PacketSocket {
    /// Sends one; nobody is told whether it comes.
    fn send(&self, to: SocketAddr, bytes: &[u8]) {
        let mut inner = self.network.inner.lock();
        let is_lost = inner.is_down || inner.chance.within(&(0..=99)) < u64::from(inner.losses);
        let [delay, more] = [(); 2].map(|()| inner.chance.duration(&Faults::DELAYS.delay));
        let is_overtaken = inner.chance.within(&(0..=99)) < OVERTAKEN;
        inner.sent += 1;
        let (due, number) = (now() + delay, inner.sent);
        let Some(inbox) = inner.inboxes.get(&to).filter(|_| !is_lost) else { return };
        let mut inbox = inbox.lock();
        if inbox.queue.len() < ROOM {
            let due = if is_overtaken {
                due + more
            } else {
                let due = inbox.last_due.map_or(due, |last| last.max(due));
                *inbox.last_due.insert(due)
            };
            inbox.queue.insert((due, number), (self.address, Bytes::copy_from_slice(bytes)));
            inbox.reader.take().into_iter().for_each(Waker::wake);
        }
    }

    /// The next one that has come: how much of it `buffer` took, and where it is from.
    fn poll_receive(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<(usize, SocketAddr)> {
        let mut guard = self.inbox.lock();
        let inbox = &mut *guard;
        loop {
            inbox.reader = Some(cx.waker().clone());
            let Some(first) = inbox.queue.first_entry() else { return Poll::Pending };
            let due = first.key().0;
            if due <= now() {
                let (from, bytes) = first.remove();
                let len = bytes.len().min(buffer.len());
                buffer[..len].copy_from_slice(&bytes[..len]);
                return Poll::Ready((len, from));
            }
            let timer = inbox.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            timer.as_mut().reset(due);
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl UdpSocket for PacketSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn try_send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.send(to, packet);
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.poll_receive(cx, buffer).map(Ok)
    }
}

impl Drop for PacketSocket {
    fn drop(&mut self) {
        self.network.inner.lock().inboxes.remove(&self.address);
    }
}

impl fmt::Debug for PacketSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketSocket({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::future::poll_fn;
    use core::time::Duration;

    fn two(seed: u64) -> (PacketNetwork, PacketSocket, PacketSocket) {
        let network = PacketNetwork::new(seed);
        let bind = || network.open("10.0.0.1:0".parse().unwrap()).unwrap();
        let (one, other) = (bind(), bind());
        (network, one, other)
    }

    async fn receive(socket: &PacketSocket) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 8];
        let (len, from) = poll_fn(|cx| socket.poll_receive(cx, &mut buffer)).await;
        (buffer[..len].to_vec(), from)
    }

    #[tokio::test(start_paused = true)]
    async fn datagrams_come_once_each_within_their_delay_and_a_few_are_overtaken() {
        let (_network, one, other) = two(1);
        let began = now();
        (0..1_000_u16).for_each(|number| one.send(other.address, &number.to_be_bytes()));
        let mut came = Vec::new();
        for _ in 0..1_000 {
            let (bytes, from) = receive(&other).await;
            assert_eq!(from, one.address);
            came.push(u16::from_be_bytes([bytes[0], bytes[1]]));
        }
        assert!(now() - began <= Duration::from_millis(40));
        let overtaken = came.windows(2).filter(|two| two[0] > two[1]).count();
        assert!((1..=30).contains(&overtaken), "{overtaken}");
        came.sort_unstable();
        assert_eq!(came, (0..1_000).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_when_the_network_goes_down_is_lost_and_so_is_what_follows() {
        let (network, one, other) = two(2);
        one.send(other.address, b"before");
        network.take_down();
        one.send(other.address, b"during");
        network.heal();
        one.send(other.address, b"after it, cut");
        assert_eq!(receive(&other).await.0, b"after it");
    }

    #[tokio::test(start_paused = true)]
    async fn losses_are_as_many_as_was_said_and_a_full_socket_loses_what_follows() {
        let (network, one, other) = two(3);
        network.set_losses(30);
        (0..1_000).for_each(|_| one.send(other.address, b"x"));
        assert!((650..750).contains(&other.inbox.lock().queue.len()));
        network.set_losses(0);
        (0..2 * ROOM).for_each(|_| one.send(other.address, b"x"));
        assert_eq!(other.inbox.lock().queue.len(), ROOM);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_of_one_socket_until_that_is_dropped() {
        let (network, one, other) = two(4);
        assert_ne!(one.address, other.address);
        assert_eq!(network.open(one.address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let next = SocketAddr::new(one.address.ip(), other.address.port() + 1);
        let third = network.open(next).unwrap();
        assert_ne!(network.open("10.0.0.1:0".parse().unwrap()).unwrap().address, third.address);
        drop(third);
        let unspecified = "0.0.0.0:0".parse().unwrap();
        assert_eq!(network.open(unspecified).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let address = one.address;
        drop(one);
        // What is sent to nobody is lost.
        other.send(address, b"x");
        assert_eq!(network.sockets(), 1);
        assert_eq!(network.open(address).unwrap().address, address);
    }
}
