//! How often something may be tried, by whom. Time is an argument; memory is bounded.
//!
//! Keys are cut hashes under a random seed: an entry costs the same for every name and address, no name of a user stays
//! in memory, and nobody can choose names that fall together. Entries that are as good as new are dropped. When a table is
//! full all the same, all keys share a small number of cells: the limit then hits more people than it should, and one who
//! was limited before may get a share of such a cell once.

use super::config::{Rate, RateLimits};
use citadel_crypt::Timestamp;
use citadel_crypt::secret::Secret;
use citadel_crypt::suite::{CryptoError, CryptoProvider, kdf};
use core::fmt;
use core::time::Duration;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cells that all keys share when a table is full.
const SHARED_CELLS: u8 = 255;
/// Time between two sweeps of a table, and between two of a full one: a sweep looks at each entry.
const SWEEPS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));

type Key = [u8; 16];

/// A clock that is told the time.
#[derive(Clone, Default)]
struct Told(Arc<AtomicU64>);

impl Told {
    /// The time does not go back: of two callers the later reading counts.
    fn tell(&self, now: Timestamp) {
        self.0.fetch_max(now.as_nanos(), Ordering::AcqRel);
    }
}

impl Clock for Told {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

/// One limit: a token bucket per key.
struct Limit {
    clock: Told,
    cells: RateLimiter<Key, DashMapStateStore<Key>, Told, NoOpMiddleware<Duration>>,
    max_keys: usize,
    /// When the next sweep is due, nanoseconds.
    sweep_at: AtomicU64,
}

impl Limit {
    fn new(rate: Rate, max_keys: usize) -> Option<Self> {
        let quota = Quota::with_period(rate.every)?.allow_burst(rate.burst);
        let clock = Told::default();
        let cells = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Some(Self { clock, cells, max_keys, sweep_at: AtomicU64::new(0) })
    }

    /// Takes a token of `key`, or says how long until there is one.
    fn take(&self, now: Timestamp, mut key: Key) -> Result<(), Duration> {
        self.clock.tell(now);
        if self.sweep(now) {
            key = [key[0] % SHARED_CELLS; 16];
        }
        self.cells.check_key(&key).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Drops what is as good as new when that is due. Whether the table is full all the same.
    fn sweep(&self, now: Timestamp) -> bool {
        let is_full = self.cells.len() >= self.max_keys;
        let due = self.sweep_at.load(Ordering::Acquire);
        let early = if is_full { SWEEPS.0.saturating_sub(SWEEPS.1) } else { Duration::ZERO };
        if now.as_nanos() < due.saturating_sub(nanos(early)) {
            return is_full;
        }
        let next = now.as_nanos().saturating_add(nanos(SWEEPS.0));
        if self.sweep_at.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.cells.retain_recent();
            self.cells.shrink_to_fit();
        }
        self.cells.len() >= self.max_keys
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a bucket is for; part of its key.
#[derive(Clone, Copy)]
enum Purpose {
    Address = 0,
    User = 1,
    Device = 2,
    Party = 3,
}

/// All limits of a server.
pub(crate) struct Limits {
    seed: Secret<32>,
    registrations: Option<Limit>,
    attempts: Option<Limit>,
    failures: Option<Limit>,
    per_user: Option<Limit>,
    per_device: Option<Limit>,
    per_party: Option<Limit>,
    look_ups: Option<Limit>,
    answers: Option<Limit>,
}

impl Limits {
    pub(super) fn new(rates: &RateLimits, provider: &dyn CryptoProvider) -> Result<Self, CryptoError> {
        let mut seed = Secret::zero();
        provider.random(seed.expose_mut())?;
        let limit = |rate: Option<Rate>| rate.and_then(|rate| Limit::new(rate, rates.max_keys));
        Ok(Self {
            seed,
            registrations: limit(rates.registrations_per_address),
            attempts: limit(rates.passwords_per_address),
            failures: limit(rates.failed_logins_per_address),
            per_user: limit(rates.passwords_per_user),
            per_device: limit(rates.confirmations_per_device),
            per_party: limit(rates.peer_requests_per_party),
            look_ups: limit(rates.peer_look_ups_per_party),
            answers: limit(rates.peer_answers_per_party),
        })
    }

    /// A registration from `source`: may it be tried?
    pub(super) fn register(&self, now: Timestamp, source: IpAddr) -> Result<(), Duration> {
        self.take(self.registrations.as_ref(), now, Purpose::Address, &network(source))
    }

    /// A password from `source`: may it be tried?
    pub(super) fn try_password(&self, now: Timestamp, source: IpAddr) -> Result<(), Duration> {
        self.take(self.attempts.as_ref(), now, Purpose::Address, &network(source))
    }

    /// A login from `source` failed: may it be told so?
    pub(super) fn fail_login(&self, now: Timestamp, source: IpAddr) -> Result<(), Duration> {
        self.take(self.failures.as_ref(), now, Purpose::Address, &network(source))
    }

    /// A password for `user`, whether there is such a user or not: does it count?
    pub(super) fn try_user(&self, now: Timestamp, user: &str) -> bool {
        self.take(self.per_user.as_ref(), now, Purpose::User, user.as_bytes()).is_ok()
    }

    /// The old password, from a session of the device: may it be tried?
    pub(super) fn confirm(&self, now: Timestamp, cid: u64, peer: &[u8; 32]) -> Result<(), Duration> {
        let device = [&cid.to_le_bytes()[..], peer].concat();
        self.take(self.per_device.as_ref(), now, Purpose::Device, &device)
    }

    /// A request of `party` to be somebody's peer: may it be made?
    pub(super) fn ask_peer(&self, now: Timestamp, party: &[u8]) -> Result<(), Duration> {
        self.take(self.per_party.as_ref(), now, Purpose::Party, party)
    }

    /// `party` looks for somebody, or begins to watch: may it?
    pub(super) fn look_up_peer(&self, now: Timestamp, party: &[u8]) -> Result<(), Duration> {
        self.take(self.look_ups.as_ref(), now, Purpose::Party, party)
    }

    /// `party` answers somebody, removes or blocks somebody: may it?
    pub(super) fn answer_peer(&self, now: Timestamp, party: &[u8]) -> Result<(), Duration> {
        self.take(self.answers.as_ref(), now, Purpose::Party, party)
    }

    /// The device of `party` disowns another: may it? Whatever the party's other devices have used up.
    pub(super) fn disown(&self, now: Timestamp, party: &[u8], peer: &[u8; 32]) -> Result<(), Duration> {
        self.take(self.answers.as_ref(), now, Purpose::Device, &[party, &peer[..]].concat())
    }

    fn take(
        &self,
        limit: Option<&Limit>,
        now: Timestamp,
        purpose: Purpose,
        whose: &[u8],
    ) -> Result<(), Duration> {
        let Some(limit) = limit else { return Ok(()) };
        let digest = kdf::hmac(&self.seed, &[&[purpose as u8], whose]);
        let mut key = Key::default();
        key.copy_from_slice(&digest[..16]);
        limit.take(now, key)
    }

    /// Entries in memory, of all limits.
    pub(super) fn keys(&self) -> usize {
        let by_address = [&self.registrations, &self.attempts, &self.failures];
        let by_name = [&self.per_user, &self.per_device, &self.per_party, &self.look_ups, &self.answers];
        by_address.into_iter().chain(by_name).flatten().map(|limit| limit.cells.len()).sum()
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limits({} keys)", self.keys())
    }
}

/// Whoever has one IPv6 address has a /64 of them.
fn network(source: IpAddr) -> [u8; 8] {
    let v6: Ipv6Addr = match source.to_canonical() {
        // Its own /64 of a range that is never a source: ::/8 is reserved.
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            return [0, 4, 0, 0, a, b, c, d];
        }
        IpAddr::V6(v6) => v6,
    };
    let mut network = [0; 8];
    network.copy_from_slice(&v6.octets()[..8]);
    network
}
