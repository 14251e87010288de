//! Accounts on tokio: asks the backend what the machines want to know, hashes away from the async threads, serves the
//! service channel of sessions, closes sessions.
//!
//! Owns: the clock of accounts, the semaphore of hashes, which session of a device is the latest.
//! Never: a decision about who may do what (the machines and the table make them).

mod admin;
mod admit;
mod answer;
mod client;
mod clock;
mod hashing;
mod line;
mod serve;

pub use admin::AdminError;
pub use admit::AdmitError;
pub use client::{AccountClient, CallError};
pub use clock::{AccountsClock, SystemClock};
pub use serve::SERVICE;

use self::admit::Latest;
use self::hashing::HashPool;
use super::authorize::Actor;
use super::config::{AccountsConfig, Policy, RateLimits};
use super::entry::{self, Attempt, Decision};
use super::limits::Limits;
use super::message::{RequestBody, ResponseBody};
use super::password::{Argon2id, HashError, PasswordHasher};
use super::service::{self, Answer, Context};
use super::step::{Machine, Next};
use crate::backend::{Backend, UnixTime};
use crate::driver::{Hub, Session};
use crate::shutdown::CloseReason;
use arc_swap::ArcSwap;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, Instance, Refused, Request};
use citadel_crypt::suite::{CryptoError, CryptoProvider};
use core::fmt;
use core::time::Duration;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

/// The accounts of one server. Clones are the same accounts.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    hub: Hub,
    backend: Arc<dyn Backend>,
    provider: Arc<dyn CryptoProvider>,
    clock: Arc<dyn AccountsClock>,
    hashing: HashPool,
    rules: ArcSwap<Rules>,
    latest: Latest,
    watchers: Mutex<Vec<Weak<dyn Watcher>>>,
}

/// Who must know at once whom the accounts shut out. It is told when that is durable, and before the sessions close.
pub(crate) trait Watcher: Send + Sync {
    /// These devices of the account may have no session any more.
    fn shut_out(&self, cid: Cid, devices: &[PeerId]);

    /// The account is gone, with the pairs that it had with these.
    fn left(&self, cid: Cid, others: &[Cid]);
}

impl Inner {
    fn tell(&self, about: impl Fn(&dyn Watcher)) {
        let watchers = self.watchers.lock().clone();
        watchers.iter().filter_map(Weak::upgrade).for_each(|watcher| about(&*watcher));
    }
}

/// What can be replaced while the server runs.
struct Rules {
    policy: Policy,
    rates: RateLimits,
    limits: Arc<Limits>,
}

/// Why a server has no accounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsSetupError {
    /// Randomness is missing.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The hasher takes no such parameters.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl Accounts {
    /// The accounts in `backend`, for the sessions of `hub`: Argon2id and the system's clock.
    ///
    /// # Errors
    /// [`AccountsSetupError`].
    pub fn new(
        hub: Hub,
        backend: Arc<dyn Backend>,
        config: AccountsConfig,
        provider: Arc<dyn CryptoProvider>,
    ) -> Result<Self, AccountsSetupError> {
        let hasher = Arc::new(Argon2id::new(config.passwords));
        Self::with_parts(hub, backend, config, provider, hasher, Arc::new(SystemClock::new()))
    }

    /// The same with another hasher (`config.passwords` is its own matter then) and another clock.
    ///
    /// # Errors
    /// [`AccountsSetupError`].
    pub fn with_parts(
        hub: Hub,
        backend: Arc<dyn Backend>,
        config: AccountsConfig,
        provider: Arc<dyn CryptoProvider>,
        hasher: Arc<dyn PasswordHasher>,
        clock: Arc<dyn AccountsClock>,
    ) -> Result<Self, AccountsSetupError> {
        let AccountsConfig { policy, rates, hashing, .. } = config;
        let limits = Arc::new(Limits::new(&rates, &*provider)?);
        let hashing = HashPool::new(hasher, hashing, &*provider)?;
        let rules = ArcSwap::from_pointee(Rules { policy, rates, limits });
        let (latest, watchers) = (Latest::default(), Mutex::default());
        let inner = Inner { hub, backend, provider, clock, hashing, rules, latest, watchers };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Replaces policy and rates from now on. Attempts that are counted stay counted unless the rates change.
    ///
    /// # Errors
    /// [`CryptoError`]; nothing changed.
    pub fn reload(&self, policy: Policy, rates: RateLimits) -> Result<(), CryptoError> {
        let rules = self.inner.rules.load();
        let limits = if rules.rates == rates {
            Arc::clone(&rules.limits)
        } else {
            Arc::new(Limits::new(&rates, &*self.inner.provider)?)
        };
        self.inner.rules.store(Arc::new(Rules { policy, rates, limits }));
        Ok(())
    }

    /// The policy of now.
    pub fn policy(&self) -> Policy {
        self.inner.rules.load().policy.clone()
    }

    /// The rates of now.
    pub fn rates(&self) -> RateLimits {
        self.inner.rules.load().rates.clone()
    }

    /// Entries of rate limits in memory.
    pub fn limited_keys(&self) -> usize {
        self.inner.rules.load().limits.keys()
    }

    /// From now on `watcher` is told, as long as it lives.
    pub(crate) fn watch_by(&self, watcher: Weak<dyn Watcher>) {
        let mut watchers = self.inner.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(watcher);
    }

    /// The calendar's time.
    pub(crate) fn unix(&self) -> UnixTime {
        self.inner.clock.unix()
    }

    /// Whether `party` may ask somebody now to be its peer; else when.
    pub(crate) fn may_ask_peer(&self, party: &[u8]) -> Result<(), Duration> {
        self.inner.rules.load().limits.ask_peer(self.inner.clock.now(), party)
    }

    /// Whether `party` may look for somebody now, or begin to watch; else when.
    pub(crate) fn may_look_up_peer(&self, party: &[u8]) -> Result<(), Duration> {
        self.inner.rules.load().limits.look_up_peer(self.inner.clock.now(), party)
    }

    /// Whether `party` may answer, remove or block somebody now; else when.
    pub(crate) fn may_answer_peer(&self, party: &[u8]) -> Result<(), Duration> {
        self.inner.rules.load().limits.answer_peer(self.inner.clock.now(), party)
    }

    /// Whether the device `peer` of `party` may disown another now; else when.
    pub(crate) fn may_disown(&self, party: &[u8], peer: PeerId) -> Result<(), Duration> {
        self.inner.rules.load().limits.disown(self.inner.clock.now(), party, &peer.0)
    }

    /// Where the accounts are stored.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.inner.backend
    }

    /// Whether `peer`, whose handshake proved it, gets what it asks for from `source`. A yes follows the durable write that it
    /// speaks of. [`admit`](Self::admit) does this and what comes after it.
    ///
    /// # Errors
    /// [`Refused`], with the code for the client.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has written all of what it would have, or nothing; asking again is safe.
    pub async fn decide(&self, peer: PeerId, request: &Request, source: IpAddr) -> Result<Decision, Refused> {
        let rules = self.inner.rules.load_full();
        let (policy, limits, now) = (&rules.policy, &*rules.limits, self.inner.clock.now());
        let attempt = Attempt { policy, limits, now, source, peer };
        self.run(entry::begin(attempt, request), peer).await
    }

    /// What the session of `actor` asks for. Sessions that end because of it are closed when this resolves, the asking one
    /// too.
    ///
    /// # Cancel safety
    /// As [`decide`](Self::decide).
    pub async fn handle(&self, actor: &Actor, body: RequestBody) -> ResponseBody {
        let Answer { response, closes } = self.answer(actor, body).await;
        self.close_devices(actor, &closes, None);
        response
    }

    async fn answer(&self, actor: &Actor, body: RequestBody) -> Answer {
        let rules = self.inner.rules.load_full();
        let inner = &self.inner;
        let (limits, now) = (&*rules.limits, inner.clock.now());
        let context = |cid, peer| Context { limits, now, at: inner.clock.unix(), cid, peer };
        let peer = match actor {
            Actor::Device { peer, .. } | Actor::Transient { peer } => *peer,
            Actor::Anonymous | Actor::Admin => NO_DEVICE,
        };
        self.run(service::begin(actor, body, context), peer).await
    }

    /// Closes the sessions of devices of the actor's account, but for one.
    fn close_devices(&self, actor: &Actor, devices: &[PeerId], except: Option<Instance>) {
        let Actor::Device { cid, .. } = actor else { return };
        self.close_sessions(*cid, devices, except);
    }

    fn close_sessions(&self, cid: Cid, devices: &[PeerId], except: Option<Instance>) {
        if devices.is_empty() {
            return;
        }
        self.inner.tell(|watcher| watcher.shut_out(cid, devices));
        let sessions = devices.iter().flat_map(|peer| self.inner.hub.sessions_of(*peer));
        let closes = |session: &Session| session.cid() == Some(cid) && Some(session.instance()) != except;
        for session in sessions.filter(closes) {
            session.begin_shutdown(CloseReason::Revoked);
        }
    }

    /// Runs a machine to its verdict.
    async fn run<M: Machine>(&self, mut next: Next<M, M::Verdict>, peer: PeerId) -> M::Verdict {
        loop {
            match next {
                Next::Done(verdict) => return verdict,
                Next::Ask(machine, need) => next = machine.tell(self.inner.fact(need, peer).await),
            }
        }
    }
}

/// Stands where no device is concerned.
const NO_DEVICE: PeerId = PeerId([0; 32]);

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accounts({:?})", self.inner.backend)
    }
}
