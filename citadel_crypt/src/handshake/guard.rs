//! The stateless door of a server: may this `Hello` cost us key agreement and a signature? (R-EST-3)
//!
//! A cookie proves that its bearer receives at its address: HMAC over the address, the hash of the `Hello` that it
//! answers and the suite, by a key that belongs to an epoch. Epochs are as long as the lifetime; a cookie counts in its
//! own epoch and the next one. Nothing is stored per client, so nothing can be filled up.

use super::hello::{Hello, HelloError};
use super::keys::{RetryTrace, hello_digest};
use super::reply::Retry;
use super::{RefusalCode, codec::Reader};
use crate::Timestamp;
use crate::labels;
use crate::secret::Secret;
use crate::suite::{CryptoError, CryptoProvider, Suite, kdf};
use core::time::Duration;

/// Makes and checks cookies. Shared by all handshakes of a server; holds no state but its secret.
#[derive(Debug)]
pub struct HelloGuard {
    master: Secret<32>,
    lifetime: Duration,
}

/// What the guard says to a `Hello`.
#[derive(Debug)]
pub enum Admission {
    /// It may go on.
    Pass(Box<Admitted>),
    /// Send this `Retry` and forget the `Hello`.
    Retry(Vec<u8>),
    /// Refuse it.
    Reject(RefusalCode),
}

/// A `Hello` that passed: parsed, with a suite chosen, and with a valid cookie if one was needed.
#[derive(Debug)]
pub struct Admitted {
    pub(super) bytes: Vec<u8>,
    pub(super) hello: Hello,
    pub(super) suite: Suite,
    pub(super) retry: Option<RetryTrace>,
}

impl HelloGuard {
    /// Half a minute, and up to twice that: several round trips of a slow path, short enough that a collection of
    /// cookies is worth little.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(30);

    /// A guard with a fresh secret.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn new(provider: &dyn CryptoProvider) -> Result<Self, CryptoError> {
        Self::with_lifetime(provider, Self::DEFAULT_LIFETIME)
    }

    /// The same with another lifetime.
    ///
    /// # Errors
    /// [`CryptoError::Unavailable`].
    pub fn with_lifetime(provider: &dyn CryptoProvider, lifetime: Duration) -> Result<Self, CryptoError> {
        let mut master = Secret::zero();
        provider.random(master.expose_mut())?;
        Ok(Self { master, lifetime })
    }

    /// Judges the bytes of a `Hello` from `source` (an address, or the peer whose lane it came by), which a server with
    /// these `accepted` suites received. The suite is the first of the client's list that is accepted. Without a cookie
    /// the answer is `Retry` when `under_load`, or when the KEM key is not the chosen suite's. With a cookie it is never
    /// another `Retry`.
    pub fn check(
        &self,
        now: Timestamp,
        source: &[u8],
        hello: &[u8],
        accepted: &[Suite],
        under_load: bool,
    ) -> Admission {
        let bytes = hello;
        let hello = match Hello::parse(bytes) {
            Ok(hello) => hello,
            Err(HelloError::Malformed) => return Admission::Reject(RefusalCode::MALFORMED),
            Err(HelloError::Version(_)) => return Admission::Reject(RefusalCode::VERSION),
        };
        let known = |id: &u16| Suite::from_id(*id).filter(|suite| accepted.contains(suite));
        let Some(suite) = hello.suites.iter().find_map(known) else {
            return Admission::Reject(RefusalCode::SUITE);
        };
        let first = hello.suites.first().copied().and_then(Suite::from_id);
        let retry = if hello.cookie.is_empty() {
            if under_load || first.map(|first| first.kem) != Some(suite.kem) {
                let cookie = self.cookie(now, source, suite, &hello_digest(bytes));
                return Admission::Retry(Retry { suite: suite.id(), cookie }.encode());
            }
            None
        } else {
            match self.verify(now, source, &hello.cookie) {
                Some((named, trace)) if named == suite && first == Some(suite) => Some(trace),
                _ => return Admission::Reject(RefusalCode::COOKIE),
            }
        };
        if hello.kem_key.len() != suite.kem.encapsulation_key_len() {
            return Admission::Reject(RefusalCode::MALFORMED);
        }
        Admission::Pass(Box::new(Admitted { bytes: bytes.to_vec(), hello, suite, retry }))
    }

    /// `low byte of the epoch ‖ suite ‖ H(Hello) ‖ HMAC`.
    fn cookie(&self, now: Timestamp, source: &[u8], suite: Suite, digest: &[u8; 32]) -> Vec<u8> {
        let epoch = self.epoch(now);
        // Two fields of fixed length before the address: no two inputs read alike.
        let tag = kdf::hmac(&self.key(epoch), &[&suite.id().to_le_bytes(), digest, source]);
        [&epoch.to_le_bytes()[..1], &suite.id().to_le_bytes(), digest, &tag].concat()
    }

    fn verify(&self, now: Timestamp, source: &[u8], cookie: &[u8]) -> Option<(Suite, RetryTrace)> {
        let mut reader = Reader::new(cookie);
        let low = reader.u8().ok()?;
        let suite = reader.u16().ok()?;
        let first: [u8; 32] = reader.array().ok()?;
        let tag: [u8; 32] = reader.array().ok()?;
        reader.finish().ok()?;
        let current = self.epoch(now);
        let epoch = [Some(current), current.checked_sub(1)]
            .into_iter()
            .flatten()
            .find(|epoch| epoch.to_le_bytes()[0] == low)?;
        if !kdf::verify_hmac(&self.key(epoch), &[&suite.to_le_bytes(), &first, source], &tag) {
            return None;
        }
        let retry = Retry { suite, cookie: cookie.to_vec() }.encode();
        Some((Suite::from_id(suite)?, RetryTrace { first, retry }))
    }

    fn epoch(&self, now: Timestamp) -> u64 {
        let lifetime = u64::try_from(self.lifetime.as_nanos()).unwrap_or(u64::MAX).max(1);
        now.as_nanos() / lifetime
    }

    fn key(&self, epoch: u64) -> Secret<32> {
        let mut key = Secret::zero();
        kdf::expand(&self.master, &[labels::COOKIE.as_bytes(), &epoch.to_le_bytes()], key.expose_mut());
        key
    }
}
