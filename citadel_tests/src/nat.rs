//! Address translators as they are: who gets which outside address, and what they let in (RFC 4787).

use citadel_crypt::Timestamp;
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// How a translator behaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NatKind {
    /// One outside port for each inside address, open to everybody ("full cone").
    Open,
    /// The same port to everybody, open to those IP addresses that were sent to.
    AddressRestricted,
    /// The same port to everybody, open to those IP addresses and ports that were sent to.
    PortRestricted,
    /// Another port for each destination, open to that destination alone.
    Symmetric,
}

impl NatKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::AddressRestricted, Self::PortRestricted, Self::Symmetric];

    /// Whether no end can know the port that the other one's translator will use.
    pub const fn is_hopeless_with(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Symmetric, Self::Symmetric | Self::PortRestricted)
                | (Self::PortRestricted, Self::Symmetric)
        )
    }
}

/// One translator. What nothing has gone out by for its lifetime is forgotten: what comes in keeps nothing alive.
#[derive(Clone, Debug)]
pub struct Nat {
    kind: NatKind,
    outside: IpAddr,
    life: Duration,
    next_port: u16,
    /// The outside port of an inside address, and of its destination where that counts.
    ports: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    bindings: BTreeMap<u16, Binding>,
}

/// What stands behind an outside port.
#[derive(Clone, Debug)]
struct Binding {
    inside: SocketAddr,
    /// When it last sent to whom.
    sent: BTreeMap<SocketAddr, Timestamp>,
}

impl Nat {
    /// A translator with one outside address, whose ports are given out from `first_port` up, and that forgets after `life`.
    pub fn new(kind: NatKind, outside: IpAddr, first_port: u16, life: Duration) -> Self {
        let (ports, bindings) = (BTreeMap::new(), BTreeMap::new());
        Self { kind, outside, life, next_port: first_port, ports, bindings }
    }

    /// A packet goes from `inside` to `to`: the address that it comes from outside.
    pub fn outbound(&mut self, now: Timestamp, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.forget(now);
        let destination = (self.kind == NatKind::Symmetric).then_some(to);
        let port = *self.ports.entry((inside, destination)).or_insert_with(|| {
            self.next_port += 1;
            self.next_port
        });
        let binding = self.bindings.entry(port).or_insert(Binding { inside, sent: BTreeMap::new() });
        binding.sent.insert(to, now);
        SocketAddr::new(self.outside, port)
    }

    /// A packet comes from `from` to the outside address `to`: where it goes inside, if it is let in.
    pub fn inbound(&mut self, now: Timestamp, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        self.forget(now);
        let binding = self.bindings.get(&to.port()).filter(|_| to.ip() == self.outside)?;
        let is_open = match self.kind {
            NatKind::Open => true,
            NatKind::AddressRestricted => binding.sent.keys().any(|sent| sent.ip() == from.ip()),
            NatKind::PortRestricted | NatKind::Symmetric => binding.sent.contains_key(&from),
        };
        is_open.then_some(binding.inside)
    }

    fn forget(&mut self, now: Timestamp) {
        let life = self.life;
        for binding in self.bindings.values_mut() {
            binding.sent.retain(|_, at| now.since(*at) < life);
        }
        self.bindings.retain(|_, binding| !binding.sent.is_empty());
        let bindings = &self.bindings;
        self.ports.retain(|_, port| bindings.contains_key(port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(30);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_translator_forgets_whom_nobody_sends_to_and_gives_another_port() {
        let [inside, peer, other]: [SocketAddr; 3] =
            ["10.0.0.2:5", "203.0.113.9:7", "203.0.113.8:7"].map(|text| text.parse().unwrap());
        let outside = "203.0.113.1".parse().unwrap();
        for kind in NatKind::ALL {
            let mut nat = Nat::new(kind, outside, 40_000, LIFE);
            let first = nat.outbound(at(0), inside, peer);
            assert_eq!(nat.inbound(at(29), peer, first), Some(inside), "{kind:?}");
            // What came in has kept nothing alive.
            assert_eq!(nat.inbound(at(30), peer, first), None, "{kind:?}");
            let second = nat.outbound(at(30), inside, peer);
            assert_ne!(second, first, "{kind:?}");
            // Kept alive by one, the port is; the way of the other is not.
            nat.outbound(at(50), inside, other);
            let is_heard = nat.inbound(at(70), peer, second).is_some();
            assert_eq!(is_heard, kind == NatKind::Open, "{kind:?}");
        }
    }
}
