//! How many handshakes may be in flight, in total and from one source (R-EST-3).

use dashmap::DashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Caps on handshakes in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandshakeCaps {
    /// In total. 1,024: about 40 MiB of flights and keys.
    pub total: usize,
    /// From one source: an IPv4 address, or an IPv6 /64. 64: many clients behind one address translator.
    pub per_source: usize,
    /// From this many in total on, a `Hello` needs a cookie. 256.
    pub under_load: usize,
}

impl Default for HandshakeCaps {
    fn default() -> Self {
        Self { total: 1024, per_source: 64, under_load: 256 }
    }
}

/// Counts handshakes in flight. Clones count together.
#[derive(Clone, Debug)]
pub struct Admission {
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    caps: HandshakeCaps,
    total: AtomicUsize,
    /// Only sources with handshakes in flight have an entry.
    sources: DashMap<IpAddr, usize>,
}

impl Admission {
    /// Nothing in flight.
    pub fn new(caps: HandshakeCaps) -> Self {
        Self { counts: Arc::new(Counts { caps, total: AtomicUsize::new(0), sources: DashMap::new() }) }
    }

    /// A place for a handshake with `source`, kept until the permit is dropped; none if a cap is reached.
    pub fn admit(&self, source: IpAddr) -> Option<AdmissionPermit> {
        let counts = &self.counts;
        let below = |count: usize| (count < counts.caps.total).then_some(count + 1);
        counts.total.fetch_update(Ordering::AcqRel, Ordering::Acquire, below).ok()?;
        let source = network(source);
        let mut entry = counts.sources.entry(source).or_insert(0);
        if *entry >= counts.caps.per_source {
            drop(entry);
            counts.total.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        *entry += 1;
        drop(entry);
        Some(AdmissionPermit { counts: Arc::clone(counts), source })
    }

    /// Whether a `Hello` needs a cookie now.
    pub fn is_under_load(&self) -> bool {
        self.in_flight() >= self.counts.caps.under_load
    }

    /// Handshakes in flight.
    pub fn in_flight(&self) -> usize {
        self.counts.total.load(Ordering::Acquire)
    }

    /// Sources with handshakes in flight.
    pub fn sources(&self) -> usize {
        self.counts.sources.len()
    }
}

/// Whoever has one IPv6 address has a /64 of them.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A handshake's place; free again when this is dropped.
#[derive(Debug)]
pub struct AdmissionPermit {
    counts: Arc<Counts>,
    source: IpAddr,
}

impl Drop for AdmissionPermit {
    fn drop(&mut self) {
        if let Some(mut count) = self.counts.sources.get_mut(&self.source) {
            *count = count.saturating_sub(1);
        }
        self.counts.sources.remove_if(&self.source, |_, count| *count == 0);
        self.counts.total.fetch_sub(1, Ordering::AcqRel);
    }
}
