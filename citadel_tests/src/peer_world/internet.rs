//! UDP between the machines of a world: translators, loss, delay, what comes twice, what overtakes, and ways that are cut, all
//! by the world's chance and on its clock.

use super::air::Air;
use super::world::pass;
use crate::nat::Nat;
use crate::world::Dice;
use citadel_crypt::Timestamp;
use citadel_proto::driver::{UdpNetwork, UdpSocket};
use core::fmt;
use core::task::{Context, Poll, Waker};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::time::Instant;

/// Packets that wait at a socket; beyond it they are lost, as in a system's buffer.
const ROOM: usize = 512;
/// The longest packet that gets through: that of an Ethernet without its heads.
const LONGEST: usize = 1_472;
/// Port of the first socket of a machine.
const FIRST_PORT: u16 = 5_000;
/// Outside port before the first of a translator.
const BEFORE_FIRST: u16 = 40_000;
/// The server's address.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// All machines of a world and the ways between them: the clients by their numbers, and the server after them.
pub(super) struct Internet {
    seed: u64,
    air: Air,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    machines: Vec<Machine>,
    /// Whose an outside address is, or was.
    owners: BTreeMap<IpAddr, usize>,
    /// Pairs, the smaller number first, between which nothing gets through.
    cut: BTreeSet<(usize, usize)>,
    /// Nothing is lost, and nothing comes twice.
    is_calm: bool,
    /// From one machine to the address of another.
    sent: BTreeMap<(usize, usize), u64>,
    /// Sockets that are held, each with a number.
    sockets: usize,
    next: u64,
}

/// A machine, and its translator if it is behind one.
struct Machine {
    inside: IpAddr,
    nat: Option<Nat>,
    inboxes: BTreeMap<u16, Inbox>,
    next_port: u16,
    moves: u8,
    dice: Dice,
}

/// What has come to a socket.
struct Inbox {
    socket: u64,
    packets: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

impl State {
    /// Puts a client where it is after so many moves.
    fn place(&mut self, client: usize, air: &Air) {
        let machine = &mut self.machines[client];
        let number = u8::try_from(client).expect("a world has few clients");
        let outside = Ipv4Addr::new(203, 0, 113, number * 60 + machine.moves % 60 + 1).into();
        let kind = air.places[client].nat;
        machine.inside = kind.map_or(outside, |_| Ipv4Addr::new(10, number, machine.moves, 2).into());
        machine.nat = kind.map(|kind| Nat::new(kind, outside, BEFORE_FIRST, air.binding));
        machine.moves += 1;
        self.owners.insert(outside, client);
    }

    /// The inbox of a socket that is still plugged in.
    fn inbox(&mut self, of: &Socket) -> Option<&mut Inbox> {
        let inbox = self.machines[of.machine].inboxes.get_mut(&of.local.port());
        inbox.filter(|inbox| inbox.socket == of.number)
    }
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Internet {
    pub(super) fn new(seed: u64, air: Air, began: Instant) -> Arc<Self> {
        let count = air.places.len();
        let machine = |number: usize| Machine {
            inside: SERVER,
            nat: None,
            inboxes: BTreeMap::new(),
            next_port: FIRST_PORT,
            moves: 0,
            dice: Dice::new(seed, 0x210 + number as u64),
        };
        let mut state = State {
            machines: (0..=count).map(machine).collect(),
            owners: BTreeMap::from([(SERVER, count)]),
            cut: BTreeSet::new(),
            is_calm: false,
            sent: BTreeMap::new(),
            sockets: 0,
            next: 0,
        };
        (0..count).for_each(|client| state.place(client, &air));
        Arc::new(Self { seed, air, began, state: Mutex::new(state) })
    }

    /// The network as one machine has it.
    pub(super) fn at(self: &Arc<Self>, machine: usize) -> Arc<dyn UdpNetwork> {
        Arc::new(At { internet: Arc::clone(self), machine })
    }

    /// As the server has it.
    pub(super) fn at_server(self: &Arc<Self>) -> Arc<dyn UdpNetwork> {
        self.at(self.air.places.len())
    }

    /// Where the server's clients ask how they are seen.
    pub(super) const fn observation() -> SocketAddr {
        SocketAddr::new(SERVER, 3_478)
    }

    /// The processes of a machine are gone: its sockets neither send nor hear anything any more.
    pub(super) fn unplug(&self, machine: usize) {
        self.state.lock().machines[machine].inboxes.clear();
    }

    pub(super) fn unplug_server(&self) {
        self.unplug(self.air.places.len());
    }

    /// A client is at another place: it has other addresses, and nothing comes to those of before.
    pub(super) fn relocate(&self, client: usize) {
        self.state.lock().place(client, &self.air);
    }

    /// Nothing gets through between the two, until it is [healed](Self::heal).
    pub(super) fn cut(&self, one: usize, other: usize) {
        self.state.lock().cut.insert(pair(one, other));
    }

    pub(super) fn heal(&self, one: usize, other: usize) {
        self.state.lock().cut.remove(&pair(one, other));
    }

    /// From now on nothing is lost on its way, and nothing is cut.
    pub(super) fn calm(&self) {
        let mut state = self.state.lock();
        state.is_calm = true;
        state.cut.clear();
    }

    /// Whose an address is, or was.
    pub(super) fn owner(&self, address: IpAddr) -> Option<usize> {
        self.state.lock().owners.get(&address).copied()
    }

    /// Sockets that somebody holds.
    pub(super) fn sockets(&self) -> usize {
        self.state.lock().sockets
    }

    /// What was sent by or to somebody who wanted no direct paths, or between two of whom one wanted none.
    pub(super) fn unwanted(&self) -> Vec<(usize, usize)> {
        let (server, state) = (self.air.places.len(), self.state.lock());
        let is_on = |client: usize| client == server || self.air.places[client].is_on;
        state.sent.keys().copied().filter(|(from, to)| !is_on(*from) || !is_on(*to)).collect()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn send(self: &Arc<Self>, of: &Socket, to: SocketAddr, packet: &[u8]) {
        let now = self.now();
        let mut state = self.state.lock();
        if state.inbox(of).is_none() || packet.len() > LONGEST {
            return;
        }
        let target = state.owners.get(&to.ip()).copied();
        let is_lost = target.is_none_or(|target| state.cut.contains(&pair(of.machine, target)));
        let (low, high) = (*self.air.delay.start(), *self.air.delay.end());
        let is_calm = state.is_calm;
        let machine = &mut state.machines[of.machine];
        let inside = SocketAddr::new(machine.inside, of.local.port());
        let from = machine.nat.as_mut().map_or(inside, |nat| nat.outbound(now, inside, to));
        // Drawn for every packet: what is lost by a cut changes nothing for those after it.
        let is_dropped = machine.dice.percent(self.air.loss) && !is_calm;
        let copies = if machine.dice.percent(self.air.twice) && !is_calm { 2 } else { 1 };
        let delays = [(); 2].map(|()| low + machine.dice.time(high - low));
        let Some(target) = target else { return };
        *state.sent.entry((of.machine, target)).or_default() += 1;
        drop(state);
        if is_lost || is_dropped {
            return;
        }
        for delay in delays.into_iter().take(copies) {
            let (internet, packet) = (Arc::clone(self), packet.to_vec());
            let flight = async move {
                pass(delay).await;
                internet.arrive(target, from, to, packet);
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "a packet on its way is nobody's: the world waits for the last"
            )]
            tokio::spawn(flight);
        }
    }

    /// Through the translator of the other end, if it lets the packet in.
    fn arrive(&self, target: usize, from: SocketAddr, to: SocketAddr, packet: Vec<u8>) {
        let now = self.now();
        let mut state = self.state.lock();
        let machine = &mut state.machines[target];
        let inside = match &mut machine.nat {
            Some(nat) => nat.inbound(now, from, to),
            None => (machine.inside == to.ip()).then_some(to),
        };
        let inside = inside.filter(|inside| inside.ip() == machine.inside);
        let inbox = inside.and_then(|inside| machine.inboxes.get_mut(&inside.port()));
        let Some(inbox) = inbox.filter(|inbox| inbox.packets.len() < ROOM) else { return };
        inbox.packets.push_back((from, packet));
        let reader = inbox.reader.take();
        drop(state);
        reader.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Internet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Internet({:?})", self.air)
    }
}

/// The network as one machine has it.
#[derive(Debug)]
struct At {
    internet: Arc<Internet>,
    machine: usize,
}

impl UdpNetwork for At {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn UdpSocket>> {
        let mut state = self.internet.state.lock();
        let (mut local, number) = (address, state.next);
        let machine = &mut state.machines[self.machine];
        if local.port() == 0 {
            local.set_port(machine.next_port);
            machine.next_port += 1;
        }
        if machine.inboxes.contains_key(&local.port()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let inbox = Inbox { socket: number, packets: VecDeque::new(), reader: None };
        machine.inboxes.insert(local.port(), inbox);
        state.next += 1;
        state.sockets += 1;
        drop(state);
        Ok(Arc::new(Socket { internet: Arc::clone(&self.internet), machine: self.machine, local, number }))
    }

    fn interfaces(&self) -> Vec<IpAddr> {
        vec![self.internet.state.lock().machines[self.machine].inside]
    }

    fn quic_seed(&self) -> Option<[u8; 32]> {
        let mut dice = Dice::new(self.internet.seed, 0x220 + self.machine as u64);
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&dice.draw().to_le_bytes()));
        Some(seed)
    }
}

/// A socket of one machine.
#[derive(Debug)]
struct Socket {
    internet: Arc<Internet>,
    machine: usize,
    local: SocketAddr,
    number: u64,
}

impl UdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn try_send(&self, to: SocketAddr, packet: &[u8]) -> io::Result<()> {
        self.internet.send(self, to, packet);
        Ok(())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut state = self.internet.state.lock();
        // To one that is unplugged nothing comes any more.
        let Some(inbox) = state.inbox(self) else { return Poll::Pending };
        let Some((from, packet)) = inbox.packets.pop_front() else {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let len = packet.len().min(buffer.len());
        buffer[..len].copy_from_slice(&packet[..len]);
        Poll::Ready(Ok((len, from)))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let internet = Arc::clone(&self.internet);
        let mut state = internet.state.lock();
        state.sockets -= 1;
        if state.inbox(self).is_some() {
            state.machines[self.machine].inboxes.remove(&self.local.port());
        }
    }
}
