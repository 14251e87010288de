//! Direct paths on tokio: one socket of a client, the attempts on it, and the task that seeks a direct path for each session.
//!
//! Owns: when the socket is bound, which attempt a probe belongs to, who may connect, what an attempt does with a session. Never:
//! what a probe is worth, which address is taken, when an attempt is made (the machines in `peers/direct/` decide).
//!
//! Nothing here keeps a session open but an exchange of addresses and a connection that is being made, each for seconds.

mod arrive;
mod attempt;
mod exchange;
mod gather;
mod mapping;
mod observe;
mod observer;
mod seek;
mod streams;

pub use mapping::{MappingConfig, PortMapping};
pub use observer::{Observer, ObserverError};
pub(super) use seek::{follow, start};

use self::arrive::Slot;
use self::observe::Observed;
use self::streams::{Greeted, Listening};
use super::super::direct::{Link, Locality, PAUSES, Packet, ProbeTimes, Tag};
use super::client::Inner;
use crate::driver::{Probes, Punch, UdpNetwork};
use core::time::Duration;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The service channel of an attempt, without the prefix that keeps it from applications.
const DIRECT: &str = "direct";
/// Code of such a channel at an end that wants no direct paths, or serves no channel of that name.
const NOT_SERVED: u32 = 1;
/// What came on it was not what should have.
const MALFORMED: u32 = 2;
/// The last attempt was a moment ago.
const BUSY: u32 = 3;
/// Probes that wait for one attempt.
const PROBES: usize = 64;

/// Whether sessions with peers seek a path without the server.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(clippy::large_enum_variant, reason = "a client has one")]
pub enum Direct {
    /// They stay on lanes. No socket is opened, and no address is told to a peer.
    Off,
    /// They do, as this says. Addresses of this machine are told to peers, and to nobody else.
    On(DirectConfig),
}

impl Direct {
    /// On, with the defaults.
    pub fn on() -> Self {
        Self::On(DirectConfig::default())
    }
}

/// How direct paths are sought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectConfig {
    /// Where the one UDP socket is bound. `[::]:0` by default: every interface, both families, any port; `0.0.0.0:0` where the
    /// system has no IPv6.
    pub bind: SocketAddr,
    /// Which addresses count. [`Locality::Reachable`] by default.
    pub locality: Locality,
    /// Whether the addresses of the machine's interfaces are told. They are by default: two in one network need no other.
    pub interfaces: bool,
    /// Whether two on one link may use TCP where UDP does not pass. They may by default: while an attempt is made this end takes
    /// TCP from its own links, at the port of `bind` if that is free. Only where `interfaces` are told.
    pub tcp: bool,
    /// Addresses that lead here besides, such as a port that a router forwards. They are told first.
    pub forwarded: Arc<[SocketAddr]>,
    /// Whether the router is asked for such a port. It is with the feature `port-mapping`, and cannot be without it.
    pub port_mapping: PortMapping,
    /// Shortest and longest pause between attempts of a session. [`PAUSES`] by default.
    pub pauses: (Duration, Duration),
    /// Silence after which something is sent on a direct path. 5 s: below what address translators forget.
    pub keep_alive: Duration,
    /// Silence after which a direct path is dead. 15 s: half of a session's, for there is a lane to fall back to.
    pub dead_after: Duration,
    /// Deadlines of an attempt.
    pub times: ProbeTimes,
    /// How often the machine's addresses are looked at while a session is relayed; nothing is sent for it. 15 s: a network that
    /// changed is noticed before a user complains.
    pub look: Duration,
}

impl Default for DirectConfig {
    fn default() -> Self {
        Self {
            bind: (Ipv6Addr::UNSPECIFIED, 0).into(),
            locality: Locality::default(),
            interfaces: true,
            tcp: true,
            forwarded: Arc::from([]),
            port_mapping: PortMapping::default(),
            pauses: PAUSES,
            keep_alive: Duration::from_secs(5),
            dead_after: Duration::from_secs(15),
            times: ProbeTimes::default(),
            look: Duration::from_secs(15),
        }
    }
}

/// How often the network changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Changes {
    /// It may have: the session with the server got another path, or is another one.
    hints: u64,
    /// Somebody who knows said so.
    networks: u64,
}

/// The ways to an attempt.
struct Ways {
    probes: mpsc::Sender<(SocketAddr, Packet)>,
    streams: mpsc::Sender<Greeted>,
}

/// What an attempt goes over.
struct Means {
    config: DirectConfig,
    punch: Arc<Punch>,
    /// The links on which TCP is used.
    links: Vec<Link>,
    /// None if there are none, or nothing can listen there.
    listening: Option<Arc<Listening>>,
}

/// The direct paths of one client.
pub(super) struct DirectPaths {
    config: Direct,
    socket: Mutex<Option<Arc<Punch>>>,
    /// The listener of the attempts that are made now.
    listening: Mutex<Weak<Listening>>,
    /// Where the packets and streams of an attempt go.
    attempts: Mutex<HashMap<Tag, Ways>>,
    /// Whom a connection from an address may be of.
    slots: Mutex<HashMap<SocketAddr, Arc<Slot>>>,
    observed: Mutex<Observed>,
    mapping: mapping::Mapping,
    changes: watch::Sender<Changes>,
    gone: CancellationToken,
    _gone: DropGuard,
}

impl DirectPaths {
    pub(super) fn new(config: Direct) -> Self {
        let gone = CancellationToken::new();
        Self {
            config,
            socket: Mutex::default(),
            listening: Mutex::default(),
            attempts: Mutex::default(),
            slots: Mutex::default(),
            observed: Mutex::default(),
            mapping: mapping::Mapping::default(),
            changes: watch::Sender::default(),
            gone: gone.clone(),
            _gone: gone.drop_guard(),
        }
    }

    /// The session with the server has another path, or is another session: the network may be another one.
    fn on_server_path(&self) {
        self.changes.send_modify(|changes| changes.hints += 1);
    }

    /// The network is another one.
    pub(super) fn on_network(&self) {
        self.changes.send_modify(|changes| changes.networks += 1);
    }

    const fn config(&self) -> Option<&DirectConfig> {
        match &self.config {
            Direct::On(config) => Some(config),
            Direct::Off => None,
        }
    }

    /// What an attempt that begins now goes over.
    fn means(&self, inner: &Arc<Inner>) -> io::Result<Means> {
        let config = self.config().cloned().ok_or(io::ErrorKind::Unsupported)?;
        let punch = self.socket(inner)?;
        let links = gather::links(inner, &config);
        let mut kept = self.listening.lock();
        let mut listening = kept.upgrade().filter(|listening| listening.serves(&links));
        if listening.is_none() && !links.is_empty() {
            let started = Listening::start(inner, &config, punch.local_addr().port(), links.clone());
            listening = started
                .map(Arc::new)
                .map_err(|error| log::debug!(target: "citadel::direct", "no TCP: {error}"))
                .ok();
            *kept = listening.as_ref().map(Arc::downgrade).unwrap_or_default();
        }
        drop(kept);
        Ok(Means { config, punch, links, listening })
    }

    /// The socket, bound when it is first needed.
    fn socket(&self, inner: &Arc<Inner>) -> io::Result<Arc<Punch>> {
        let config = self.config().ok_or(io::ErrorKind::Unsupported)?;
        let mut socket = self.socket.lock();
        if let Some(socket) = &*socket {
            return Ok(Arc::clone(socket));
        }
        let (punch, probes) = bind(inner.config.udp.as_deref(), config)?;
        let punch = Arc::new(punch);
        *socket = Some(Arc::clone(&punch));
        drop(socket);
        let hub = inner.hub.clone();
        inner.tasks.spawn(arrive::run(Arc::downgrade(inner), Arc::clone(&punch), hub, self.gone.clone()));
        inner.tasks.spawn(route(Arc::downgrade(inner), probes));
        mapping::start(inner, &punch);
        Ok(punch)
    }
}

fn bind(network: Option<&dyn UdpNetwork>, config: &DirectConfig) -> io::Result<(Punch, Probes)> {
    let silence = (config.keep_alive, config.dead_after);
    of_family(config.bind, |address| Punch::bind(network, address, silence))
}

/// Binds at `address`, or, where that means all addresses and the system has no IPv6, at all of IPv4.
fn of_family<T>(address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let bound = bind(address);
    if address.ip() == Ipv6Addr::UNSPECIFIED && bound.is_err() {
        return bind((Ipv4Addr::UNSPECIFIED, address.port()).into());
    }
    bound
}

/// Hands probes to their attempts, until the client is gone or takes no session any more.
async fn route(inner: Weak<Inner>, mut probes: Probes) {
    let Some((hub, gone)) = inner.upgrade().map(|inner| (inner.hub.clone(), inner.direct.gone.clone()))
    else {
        return;
    };
    loop {
        let (from, packet) = tokio::select! {
            biased;
            () = gone.cancelled() => return,
            () = hub.closed() => return,
            probe = probes.recv() => match probe {
                Some(probe) => probe,
                None => return,
            },
        };
        let Some(inner) = inner.upgrade() else { return };
        match Tag::of(&packet) {
            Some(tag) => {
                let attempt = inner.direct.attempts.lock().get(&tag).map(|ways| ways.probes.clone());
                // A full queue drops it, as the network may.
                let _queued = attempt.map(|attempt| attempt.try_send((from, packet)));
            }
            None => inner.direct.observed.lock().hear(&packet),
        }
    }
}
