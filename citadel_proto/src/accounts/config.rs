//! What the accounts of a server are configured with, and why the defaults are what they are.

use super::password::Argon2Params;
use crate::backend::Quota;
use core::num::NonZeroU32;
use core::time::Duration;

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many at once.
    pub burst: NonZeroU32,
    /// One more after each of these; not zero.
    pub every: Duration,
}

impl Rate {
    /// `burst` at once (at least one), and one more after each `every`.
    pub const fn new(burst: u32, every: Duration) -> Self {
        let burst = match NonZeroU32::new(burst) {
            Some(burst) => burst,
            None => NonZeroU32::MIN,
        };
        Self { burst, every }
    }
}

/// How often something may be tried. `None`: as often as it comes; a rate of a zero period means the same. An address is an
/// IPv4 address or an IPv6 /64.
///
/// Logins by known devices are never limited: they prove themselves with a signature, and a limit on them would be a way
/// to lock a user out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RateLimits {
    /// Registrations from an address. 20 at once, then one in 30 s: a class room behind one address translator, no crowd of
    /// robots.
    pub registrations_per_address: Option<Rate>,
    /// Passwords tried from an address, for whatever account. 20 at once, then one in 10 s.
    pub passwords_per_address: Option<Rate>,
    /// Logins that fail, from an address. 60 at once, then one a second: they cost a handshake each already.
    pub failed_logins_per_address: Option<Rate>,
    /// Passwords tried for a user name, from wherever. 10 at once, then one a minute: 1,450 guesses a day at most. What is
    /// over it gets the answer of a wrong password.
    pub passwords_per_user: Option<Rate>,
    /// Old passwords tried from a session of a device (to change it). 5 at once, then one a minute. A limit of its own, so
    /// that strangers who use up the limit of a user cannot keep the user from changing the password.
    pub confirmations_per_device: Option<Rate>,
    /// Requests of a party to be somebody's peer. 20, then one each 30 s.
    pub peer_requests_per_party: Option<Rate>,
    /// What a party looks for or begins to watch: other parties, its own pairs, the observation port. 128, then two a second: an
    /// address book is looked up in minutes, and a directory is not drained.
    pub peer_look_ups_per_party: Option<Rate>,
    /// Acceptances, declines, removals and blocks of a party, and disowns of each of its devices. 128, then two a second: as many
    /// requests as wait for an answer are answered twice at once, and a peer that is removed is removed now.
    pub peer_answers_per_party: Option<Rate>,
    /// Most entries of each of these tables, about 100 bytes each. 65,536.
    pub max_keys: usize,
}

impl Default for RateLimits {
    fn default() -> Self {
        let rate = |burst, seconds| Some(Rate::new(burst, Duration::from_secs(seconds)));
        let half_a_second = |burst| Some(Rate::new(burst, Duration::from_millis(500)));
        Self {
            registrations_per_address: rate(20, 30),
            passwords_per_address: rate(20, 10),
            failed_logins_per_address: rate(60, 1),
            passwords_per_user: rate(10, 60),
            confirmations_per_device: rate(5, 60),
            peer_requests_per_party: rate(20, 30),
            peer_look_ups_per_party: half_a_second(128),
            peer_answers_per_party: half_a_second(128),
            max_keys: 1 << 16,
        }
    }
}

impl RateLimits {
    /// No limits, for tests and for servers whose network has its own.
    pub const fn none() -> Self {
        Self {
            registrations_per_address: None,
            passwords_per_address: None,
            failed_logins_per_address: None,
            passwords_per_user: None,
            confirmations_per_device: None,
            peer_requests_per_party: None,
            peer_look_ups_per_party: None,
            peer_answers_per_party: None,
            max_keys: 0,
        }
    }
}

/// Who gets in, and what they get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Whether anyone may make an account. Yes.
    pub registration: bool,
    /// Whether sessions without an account are served when asked for as such. No.
    pub transient: bool,
    /// Whether sessions between bare identities (the plain layer's) are served beside those of accounts. No.
    pub identity: bool,
    /// Most live devices of an account. 32.
    pub max_devices: usize,
    /// How long a session waits for another path. 60 s.
    pub resume: Duration,
    /// What the values of an account may take of the disk, all together.
    pub values: Quota,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            registration: true,
            transient: false,
            identity: false,
            max_devices: 32,
            resume: Duration::from_secs(60),
            values: Quota::DEFAULT,
        }
    }
}

/// Configuration of a server's accounts.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct AccountsConfig {
    /// Who gets in.
    pub policy: Policy,
    /// How often.
    pub rates: RateLimits,
    /// What a password costs.
    pub passwords: Argon2Params,
    /// How many of those costs are paid at once.
    pub hashing: Hashing,
}

/// How many passwords are hashed at once, and how many more may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hashing {
    /// At once; `None`: half of the cores, at least one. Each takes the memory of one hash.
    pub at_once: Option<usize>,
    /// Waiting. 64, some seconds of work; whoever comes then is told that the server is busy.
    pub waiting: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        Self { at_once: None, waiting: 64 }
    }
}
