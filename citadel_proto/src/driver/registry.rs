//! Which sessions an endpoint has: by instance, by peer, and, for a while, which it had.

use super::session::Session;
use super::shared::{Lease, Shared};
use super::status::End;
use crate::shutdown::CloseReason;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Instance, RefusalCode};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// Ended sessions that are remembered, so that their clients learn why. 1,024: 64 KiB, and whoever is not among the last
/// so many learns only that the session is unknown.
const REMEMBERED: usize = 1024;

/// The sessions of one endpoint.
#[derive(Default)]
pub(super) struct Registry {
    sessions: DashMap<Instance, Entry>,
    /// Each with its number: those of a peer in the order in which they came.
    peers: DashMap<PeerId, BTreeMap<u64, Instance>>,
    next: AtomicU64,
    ended: Mutex<VecDeque<Ended>>,
    /// Rises with every session.
    pub(super) arrivals: watch::Sender<u64>,
}

/// A session whose task runs.
struct Entry {
    number: u64,
    shared: Arc<Shared>,
    /// What its handles hold.
    lease: Weak<Lease>,
}

/// What is left of a session that could have been resumed.
struct Ended {
    instance: Instance,
    peer: PeerId,
    code: RefusalCode,
}

/// What a registry knows of an instance.
pub(super) enum Known {
    /// It has it.
    Here(Arc<Shared>, Weak<Lease>),
    /// It had it, and refuses with this.
    Ended(RefusalCode),
    /// It has never heard of it, or has forgotten, or it is someone else's.
    Not,
}

/// A session's place in the registry, given up with its task however that ends.
pub(super) struct Registered {
    registry: Arc<Registry>,
    shared: Arc<Shared>,
    number: u64,
}

impl Registry {
    pub(super) fn register(registry: &Arc<Self>, shared: &Arc<Shared>, session: &Session) -> Registered {
        let (instance, peer) = (shared.about.instance, shared.about.peer.peer_id());
        let number = registry.next.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { number, shared: Arc::clone(shared), lease: session.lease() };
        registry.sessions.insert(instance, entry);
        registry.peers.entry(peer).or_default().insert(number, instance);
        registry.arrivals.send_modify(|count| *count += 1);
        Registered { registry: Arc::clone(registry), shared: Arc::clone(shared), number }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Every session whose task runs, in the order in which they came: what is done to all is done in the same order each time.
    pub(super) fn all(&self) -> Vec<Arc<Shared>> {
        let mut all: Vec<_> =
            self.sessions.iter().map(|entry| (entry.number, Arc::clone(&entry.shared))).collect();
        all.sort_unstable_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, shared)| shared).collect()
    }

    /// Those of them that both ends keep.
    pub(super) fn kept(&self) -> impl Iterator<Item = Arc<Shared>> {
        self.all().into_iter().filter(|shared| shared.is_kept())
    }

    /// The session of that instance, if its task runs.
    pub(super) fn get(&self, instance: Instance) -> Option<Arc<Shared>> {
        self.sessions.get(&instance).map(|entry| Arc::clone(&entry.shared))
    }

    /// The sessions with `peer`, those that close included.
    pub(super) fn of(&self, peer: PeerId) -> Vec<Arc<Shared>> {
        let instances = self.peers.get(&peer).map(|entry| entry.value().clone()).unwrap_or_default();
        let shared = |instance| self.sessions.get(instance).map(|entry| Arc::clone(&entry.shared));
        instances.values().filter_map(shared).collect()
    }

    /// A handle to a session, if any handle is left.
    pub(super) fn session(&self, instance: Instance) -> Option<Session> {
        let lease = self.sessions.get(&instance)?.lease.upgrade();
        lease.map(Session::from_lease)
    }

    /// What is known of `instance` to `peer`.
    pub(super) fn known(&self, instance: Instance, peer: PeerId) -> Known {
        if let Some(entry) = self.sessions.get(&instance) {
            return if entry.shared.about.peer.peer_id() == peer {
                Known::Here(Arc::clone(&entry.shared), Weak::clone(&entry.lease))
            } else {
                Known::Not
            };
        }
        let ended = self.ended.lock();
        let ended = ended.iter().find(|ended| ended.instance == instance && ended.peer == peer);
        ended.map_or(Known::Not, |ended| Known::Ended(ended.code))
    }

    fn remember(&self, ended: Ended) {
        let mut list = self.ended.lock();
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(ended);
    }
}

impl Registered {
    /// How a session that could have been resumed is refused from now on.
    fn ended(&self) -> Option<Ended> {
        let about = &self.shared.about;
        if about.grant.resume.is_zero() {
            return None;
        }
        let code = match &self.shared.status.borrow().end {
            End::Closed(report) => match report.reason() {
                CloseReason::PathLost(_) => RefusalCode::RESUME_EXPIRED,
                CloseReason::Superseded => RefusalCode::RESUME_SUPERSEDED,
                _ => RefusalCode::RESUME_CLOSING,
            },
            End::Open | End::Closing(_) => RefusalCode::RESUME_CLOSING,
        };
        Some(Ended { instance: about.instance, peer: about.peer.peer_id(), code })
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let (instance, peer) = (self.shared.about.instance, self.shared.about.peer.peer_id());
        // Remembered before it is forgotten: a resumption that looks in between finds one of the two.
        if let Some(ended) = self.ended() {
            self.registry.remember(ended);
        }
        self.registry.sessions.remove(&instance);
        if let Some(mut instances) = self.registry.peers.get_mut(&peer) {
            instances.remove(&self.number);
        }
        self.registry.peers.remove_if(&peer, |_, instances| instances.is_empty());
    }
}
