//! A router on this machine's loopback: what it forwards really goes where it says.

use citadel_sdk::MappingConfig;
use core::time::Duration;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, OnceLock};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a router does with what it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Mood {
    Grants,
    Refuses,
    Silent,
    /// Answers with these bytes, whatever it is asked.
    Garbage(Vec<u8>),
    /// Says that it forwards from there, and does not.
    Claims(SocketAddr),
    /// Grants for that many seconds, as it says.
    Lasts(u32),
    /// Describes itself with these bytes.
    Describes(Vec<u8>),
    /// Answers requests of UPnP with these bytes.
    Says(Vec<u8>),
}

/// What it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// By PCP.
    Pcp { seconds: u32 },
    /// By NAT-PMP.
    NatPmp { seconds: u32 },
    /// By a search of UPnP.
    Search,
    /// By UPnP, for its description.
    Description,
    /// By UPnP, for its address outside.
    External,
    /// By UPnP, for a port.
    Upnp { seconds: u32 },
}

/// One port.
struct Port {
    external: SocketAddr,
    _task: JoinSet<()>,
}

/// What the servers of a router share.
pub(crate) struct Table {
    pub(crate) gateway: Ipv4Addr,
    pub(crate) external: Ipv4Addr,
    mood: Mutex<Mood>,
    /// Where it is asked by UPnP.
    pub(crate) control: OnceLock<SocketAddr>,
    /// Who answers a search before it, and what address they name.
    pub(crate) others: Mutex<Vec<(Arc<UdpSocket>, SocketAddr)>>,
    ports: Mutex<HashMap<SocketAddr, Port>>,
    heard: watch::Sender<Vec<Heard>>,
    open: watch::Sender<usize>,
}

/// A router of one test, with addresses of its own.
pub(crate) struct Router {
    pub(crate) table: Arc<Table>,
    search: Option<SocketAddrV4>,
    _tasks: JoinSet<()>,
}

impl Router {
    /// Answers NAT-PMP, and PCP if it `speaks_pcp`. Each test has a `number` of its own.
    pub(crate) async fn of_packets(number: u8, speaks_pcp: bool) -> Self {
        let table = Table::new(number);
        let mut tasks = JoinSet::new();
        let socket = UdpSocket::bind((table.gateway, 5_351)).await.unwrap();
        tasks.spawn(super::packets::serve(Arc::clone(&table), socket, speaks_pcp));
        Self { table, search: None, _tasks: tasks }
    }

    /// Answers UPnP alone.
    pub(crate) async fn of_upnp(number: u8) -> Self {
        let table = Table::new(number);
        let mut tasks = JoinSet::new();
        super::upnp::serve(&table, &mut tasks).await;
        let search = Some(SocketAddrV4::new(table.gateway, 1_900));
        Self { table, search, _tasks: tasks }
    }

    /// Of a client behind it.
    pub(crate) fn config(&self) -> MappingConfig {
        MappingConfig {
            gateway: Some(self.table.gateway),
            search: self.search,
            leases: (Duration::from_secs(1), Duration::from_secs(1_200)),
            pauses: (Duration::from_millis(100), Duration::from_secs(1)),
        }
    }

    /// From now on another host of its link answers each search first, and names that address.
    pub(crate) async fn is_preceded(&self, by: Ipv4Addr, names: SocketAddr) {
        let socket = Arc::new(UdpSocket::bind((by, 0)).await.unwrap());
        self.table.others.lock().push((socket, names));
    }

    pub(crate) fn is_in(&self, mood: Mood) {
        *self.table.mood.lock() = mood;
    }

    /// Waits until it heard what `is_it` says, so often.
    pub(crate) async fn has_heard(&self, times: usize, is_it: impl Fn(&Heard) -> bool) {
        let mut heard = self.table.heard.subscribe();
        heard.wait_for(|heard| heard.iter().filter(|heard| is_it(heard)).count() >= times).await.unwrap();
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.table.heard.borrow().clone()
    }

    /// Waits until it forwards so many ports, and says from where.
    pub(crate) async fn forwards(&self, ports: usize) -> Vec<SocketAddr> {
        self.table.open.subscribe().wait_for(|open| *open == ports).await.unwrap();
        self.table.ports.lock().values().map(|port| port.external).collect()
    }

    /// How many ports it forwards.
    pub(crate) fn open(&self) -> usize {
        self.table.ports.lock().len()
    }

    /// Forgets all ports, as a router that restarts.
    pub(crate) fn restarts(&self) {
        self.table.ports.lock().clear();
        self.table.open.send_replace(0);
    }
}

/// An address of this run: another one at the same time has others.
pub(crate) fn ip(number: u8) -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high % 250 + 1, low, number)
}

impl Table {
    fn new(number: u8) -> Arc<Self> {
        Arc::new(Self {
            gateway: ip(number),
            external: ip(number + 100),
            mood: Mutex::new(Mood::Grants),
            control: OnceLock::new(),
            others: Mutex::default(),
            ports: Mutex::default(),
            heard: watch::Sender::default(),
            open: watch::Sender::default(),
        })
    }

    pub(crate) fn mood(&self) -> Mood {
        self.mood.lock().clone()
    }

    pub(crate) fn hear(&self, heard: Heard) {
        self.heard.send_modify(|all| all.push(heard));
    }

    /// Forwards to `internal` from now on: from any port, or from `wanted` alone. None if that is another one's.
    pub(crate) async fn forward(&self, internal: SocketAddr, wanted: Option<u16>) -> Option<SocketAddr> {
        let known = self.ports.lock().get(&internal).map(|port| port.external);
        if known.is_some_and(|known| wanted.is_none_or(|wanted| wanted == known.port())) {
            return known;
        }
        let outside = UdpSocket::bind((self.external, wanted.unwrap_or(0))).await.ok()?;
        let external = outside.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(carry(outside, self.gateway, internal));
        let mut ports = self.ports.lock();
        ports.insert(internal, Port { external, _task: task });
        self.open.send_replace(ports.len());
        Some(external)
    }

    /// Forwards no more what `is_it` says.
    pub(crate) fn close(&self, is_it: impl Fn(SocketAddr, SocketAddr) -> bool) {
        let mut ports = self.ports.lock();
        ports.retain(|internal, port| !is_it(*internal, port.external));
        self.open.send_replace(ports.len());
    }
}

/// Whoever sends to `outside` has a socket of his own inside.
async fn carry(outside: UdpSocket, gateway: Ipv4Addr, internal: SocketAddr) {
    let outside = Arc::new(outside);
    let (mut inside, mut tasks) = (HashMap::<SocketAddr, Arc<UdpSocket>>::new(), JoinSet::new());
    let mut packet = [0; 2_048];
    while let Ok((len, from)) = outside.recv_from(&mut packet).await {
        if let Entry::Vacant(entry) = inside.entry(from) {
            let socket = Arc::new(UdpSocket::bind((gateway, 0)).await.unwrap());
            socket.connect(internal).await.unwrap();
            let (back, outside) = (Arc::clone(&socket), Arc::clone(&outside));
            tasks.spawn(async move {
                let mut packet = [0; 2_048];
                loop {
                    // What is refused is lost, and the next may not be.
                    if let Ok(len) = back.recv(&mut packet).await {
                        let _sent = outside.send_to(&packet[..len], from).await;
                    }
                }
            });
            entry.insert(socket);
        }
        let _sent = inside[&from].send(&packet[..len]).await;
    }
}
