//! Address translators as they are: who gets which outside address, and what they let in (RFC 4787).

use std::collections::{BTreeMap, BTreeSet};
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

/// One translator. What was sent once stays open: bindings do not age here.
#[derive(Clone, Debug)]
pub struct Nat {
    kind: NatKind,
    outside: IpAddr,
    next_port: u16,
    /// The outside port of an inside address, and of its destination where that counts.
    ports: BTreeMap<(SocketAddr, Option<SocketAddr>), u16>,
    inside: BTreeMap<u16, SocketAddr>,
    /// Whom an outside port has sent to.
    sent: BTreeSet<(u16, SocketAddr)>,
}

impl Nat {
    /// A translator with one outside address, whose ports are given out from `first_port` up.
    pub fn new(kind: NatKind, outside: IpAddr, first_port: u16) -> Self {
        let (ports, inside, sent) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { kind, outside, next_port: first_port, ports, inside, sent }
    }

    /// A packet goes from `inside` to `to`: the address that it comes from outside.
    pub fn outbound(&mut self, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        let destination = (self.kind == NatKind::Symmetric).then_some(to);
        let port = *self.ports.entry((inside, destination)).or_insert_with(|| {
            self.next_port += 1;
            self.next_port
        });
        self.inside.insert(port, inside);
        self.sent.insert((port, to));
        SocketAddr::new(self.outside, port)
    }

    /// A packet comes from `from` to the outside address `to`: where it goes inside, if it is let in.
    pub fn inbound(&self, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let inside = self.inside.get(&to.port()).filter(|_| to.ip() == self.outside)?;
        let is_open = match self.kind {
            NatKind::Open => true,
            NatKind::AddressRestricted => {
                self.sent.iter().any(|(port, sent)| *port == to.port() && sent.ip() == from.ip())
            }
            NatKind::PortRestricted | NatKind::Symmetric => self.sent.contains(&(to.port(), from)),
        };
        is_open.then_some(*inside)
    }
}
