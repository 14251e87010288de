//! Names that can be dialled, and the pipes between them.

use super::super::transport::{Arrived, BoxedIo, Listener, Transport};
use super::faults::{Chance, Faults};
use super::pipe::{Pipe, Wires};
use async_trait::async_trait;
use core::fmt;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::sync::mpsc;

/// Streams that wait for a listener; beyond it a dialler is refused, as by a socket's backlog.
const BACKLOG: usize = 1_024;
/// Port given to the first who asks for port 0.
const FIRST_PORT: u16 = 40_000;

/// A network in memory: a [`Transport`] whose addresses mean something only within it. Cheap to clone; clones are the same
/// network.
///
/// Addresses are IP addresses with ports, of any host: nothing checks them, nothing leaves the process. Diallers come from
/// `10.0.0.0/8`, each from an address of its own.
#[derive(Clone)]
pub struct Network {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    chance: Chance,
    faults: Faults,
    is_down: bool,
    listeners: BTreeMap<SocketAddr, mpsc::Sender<Arrived>>,
    pipes: Vec<Weak<Wires>>,
    dialled: u32,
    next_port: u16,
}

impl Network {
    /// A network with delays by the chance of `seed` ([`Faults::DELAYS`]).
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Faults::DELAYS)
    }

    /// As [`new`](Self::new), with other faults; every path draws its own.
    pub fn with(seed: u64, faults: Faults) -> Self {
        let inner = Inner {
            chance: Chance::new(seed),
            faults,
            is_down: false,
            listeners: BTreeMap::new(),
            pipes: Vec::new(),
            dialled: 0,
            next_port: FIRST_PORT,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Cuts every path that there is. New ones can be dialled at once. Returns how many were cut.
    pub fn cut(&self) -> usize {
        let pipes = std::mem::take(&mut self.inner.lock().pipes);
        let live = pipes.into_iter().filter_map(|wires| wires.upgrade()).filter(|wires| !wires.is_over());
        live.inspect(|wires| wires.cut()).count()
    }

    /// Cuts every path and refuses new ones, until [`heal`](Self::heal).
    pub fn take_down(&self) -> usize {
        self.inner.lock().is_down = true;
        self.cut()
    }

    /// Lets new paths be dialled again.
    pub fn heal(&self) {
        self.inner.lock().is_down = false;
    }

    /// Faults of the paths dialled from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.inner.lock().faults = faults;
    }

    /// Paths that are neither cut nor closed.
    pub fn paths(&self) -> usize {
        let inner = self.inner.lock();
        inner.pipes.iter().filter_map(Weak::upgrade).filter(|wires| !wires.is_over()).count()
    }
}

impl Inner {
    fn dial(&mut self, address: SocketAddr) -> io::Result<Pipe> {
        let listener = self.listeners.get(&address).filter(|_| !self.is_down);
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let place = listener.try_reserve().map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let (near, far) = Pipe::pair(self.chance.next(), self.faults.clone());
        self.dialled = self.dialled.wrapping_add(1) & 0x00FF_FFFF;
        let remote = SocketAddr::from((Ipv4Addr::from(0x0A00_0000 | self.dialled), FIRST_PORT));
        place.send(Arrived { io: Box::new(far), remote });
        self.pipes.retain(|wires| wires.upgrade().is_some_and(|wires| !wires.is_over()));
        self.pipes.push(Arc::downgrade(near.wires()));
        Ok(near)
    }

    fn listen(&mut self, mut address: SocketAddr) -> io::Result<(SocketAddr, mpsc::Receiver<Arrived>)> {
        self.listeners.retain(|_, listener| !listener.is_closed());
        if address.port() == 0 {
            address.set_port(self.next_port);
            self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        }
        let (sender, receiver) = mpsc::channel(BACKLOG);
        match self.listeners.entry(address) {
            Entry::Occupied(_) => Err(io::ErrorKind::AddrInUse.into()),
            Entry::Vacant(place) => {
                place.insert(sender);
                Ok((address, receiver))
            }
        }
    }
}

#[async_trait]
impl Transport for Network {
    async fn connect(&self, host: &str, port: u16) -> io::Result<BoxedIo> {
        let host: IpAddr = host.parse().map_err(|_| io::ErrorKind::NotFound)?;
        Ok(Box::new(self.inner.lock().dial(SocketAddr::new(host, port))?))
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let address = address.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let (address, arriving) = self.inner.lock().listen(address)?;
        Ok(Box::new(Listening { address, arriving }))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({} paths)", self.paths())
    }
}

/// A listener of the network. Dropping it frees its address.
struct Listening {
    address: SocketAddr,
    arriving: mpsc::Receiver<Arrived>,
}

#[async_trait]
impl Listener for Listening {
    async fn accept(&mut self) -> io::Result<Arrived> {
        // The network is gone with its last clone: nobody can dial any more.
        match self.arriving.recv().await {
            Some(arrived) => Ok(arrived),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
