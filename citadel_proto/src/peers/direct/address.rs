//! Addresses at which an end may be reached, and their bytes.

use core::num::NonZeroU16;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most candidates of one end (R-P2P-3).
pub const MAX_CANDIDATES: usize = 16;

/// Most streams that an end dials in an attempt.
pub const MAX_STREAMS: usize = 4;

/// Lowest TCP port that counts. Below it are the services of others, and nobody may have them called by telling of one.
pub(in crate::peers) const LOWEST_TCP: u16 = 1_024;

/// Length of an address, bytes: family, 16 of IP, 2 of port.
pub const ADDRESS_LEN: usize = 19;

/// Which addresses count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Locality {
    /// Those that another machine may reach.
    #[default]
    Reachable,
    /// Loopback and link-local ones as well: both ends are on one machine, or on one link.
    Local,
}

impl Locality {
    /// Whether an address may be a candidate: told, taken, or sent to.
    pub const fn admits(self, address: SocketAddr) -> bool {
        if address.port() == 0 {
            return false;
        }
        let (is_nothing, is_local) = match address.ip() {
            IpAddr::V4(ip) => (
                ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0,
                ip.is_loopback() || ip.is_link_local(),
            ),
            IpAddr::V6(ip) => (
                ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some(),
                ip.is_loopback() || ip.is_unicast_link_local(),
            ),
        };
        !is_nothing && (!is_local || matches!(self, Self::Local))
    }

    /// Whether an address may be one that a router forwards from: a candidate, and, where both ends are not on one machine or
    /// link, not of a network that is somebody's own. Behind a router that has such an address itself is another one, which
    /// forwards nothing. Addresses of documentation count: networks in laboratories have them.
    pub const fn admits_outside(self, address: SocketAddr) -> bool {
        let is_inside = match address.ip() {
            IpAddr::V4(ip) => {
                let [first, second, ..] = ip.octets();
                // RFC 1918, RFC 6598, and what RFC 1112 reserves.
                ip.is_private() || (first == 100 && second & 0xc0 == 64) || first >= 240
            }
            // RFC 4193.
            IpAddr::V6(ip) => ip.is_unique_local(),
        };
        self.admits(address) && (!is_inside || matches!(self, Self::Local))
    }
}

/// One spelling for each address: an IPv4 address in IPv6 dress is an IPv4 address, and nothing but IP and port counts.
pub const fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A link of a machine: its own address there, and how many of its bits all addresses of the link have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Link {
    /// The machine's address.
    pub ip: IpAddr,
    /// Bits of the prefix: up to 32 of IPv4, up to 128 of IPv6.
    pub prefix: u8,
}

impl Link {
    /// Whether an address is one of the link.
    pub const fn holds(self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let differs = own.to_bits() ^ ip.to_bits();
                differs.leading_zeros() >= self.prefix as u32
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                let differs = own.to_bits() ^ ip.to_bits();
                differs.leading_zeros() >= self.prefix as u32
            }
            _ => false,
        }
    }
}

/// Where an end may be reached: at most [`MAX_CANDIDATES`] different addresses that may be candidates, best first, and the port at
/// which it takes TCP from its own links.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    addresses: Vec<SocketAddr>,
    tcp: Option<NonZeroU16>,
}

impl Candidates {
    /// What of `addresses` may be told, in their order; what is too much is left out.
    pub fn gather(addresses: impl IntoIterator<Item = SocketAddr>, locality: Locality) -> Self {
        let mut gathered = Self::default();
        for address in addresses.into_iter().map(canonical) {
            gathered.add(address, locality);
        }
        gathered
    }

    /// These, of an end that takes TCP at that port: none if it takes none, or at a port that nobody may tell.
    #[must_use]
    pub fn with_tcp(mut self, port: Option<u16>) -> Self {
        self.tcp = port.filter(|port| *port >= LOWEST_TCP).and_then(NonZeroU16::new);
        self
    }

    /// All of `addresses`, as a peer told them, and its port; none if one of them may not be a candidate.
    pub(super) fn told(
        addresses: &[SocketAddr],
        tcp: Option<NonZeroU16>,
        locality: Locality,
    ) -> Option<Self> {
        let mut told = Self { addresses: Vec::new(), tcp };
        let may_be = tcp.is_none_or(|port| port.get() >= LOWEST_TCP)
            && addresses.iter().all(|address| told.add(*address, locality));
        may_be.then_some(told)
    }

    fn add(&mut self, address: SocketAddr, locality: Locality) -> bool {
        let addresses = &mut self.addresses;
        let is_new =
            addresses.len() < MAX_CANDIDATES && locality.admits(address) && !addresses.contains(&address);
        if is_new {
            addresses.push(address);
        }
        is_new
    }

    /// The addresses, best first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The port at which TCP is taken.
    pub const fn tcp(&self) -> Option<NonZeroU16> {
        self.tcp
    }

    /// Where to dial TCP: at the told addresses that are of one of `links`, at most [`MAX_STREAMS`] of them.
    pub fn streams(&self, links: &[Link]) -> Vec<SocketAddr> {
        let Some(port) = self.tcp else { return Vec::new() };
        let mut streams = Vec::new();
        for ip in self.addresses.iter().map(SocketAddr::ip) {
            let stream = SocketAddr::new(ip, port.get());
            let is_near = links.iter().any(|link| link.holds(ip));
            if is_near && !streams.contains(&stream) && streams.len() < MAX_STREAMS {
                streams.push(stream);
            }
        }
        streams
    }
}

/// The bytes of an address.
pub(super) fn encode(address: SocketAddr) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes[0] = 6;
            bytes[1..17].copy_from_slice(&ip.octets());
        }
    }
    bytes[17..].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// The address that `bytes` are, if they are what [`encode`] makes of one.
pub(super) fn decode(bytes: &[u8; ADDRESS_LEN]) -> Option<SocketAddr> {
    let ip: [u8; 16] = bytes[1..17].try_into().ok()?;
    let port = u16::from_be_bytes([bytes[17], bytes[18]]);
    let ip = match (bytes[0], ip) {
        (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        (6, ip) => IpAddr::V6(Ipv6Addr::from(ip)),
        _ => return None,
    };
    let address = SocketAddr::new(ip, port);
    (canonical(address) == address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_and_every_other_spelling_is_refused() {
        for text in ["192.0.2.1:7", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(decode(&encode(address)), Some(address), "{text}");
        }
        let mut padded = encode("192.0.2.1:7".parse().unwrap());
        padded[9] = 1;
        assert_eq!(decode(&padded), None);
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:7".parse().unwrap();
        assert_eq!(decode(&encode(mapped)), None);
        assert_eq!(canonical(mapped), "192.0.2.1:7".parse().unwrap());
        assert_eq!(decode(&[5; ADDRESS_LEN]), None);
    }

    #[test]
    fn what_reaches_nobody_or_everybody_is_no_candidate() {
        let admits = |locality: Locality, text: &str| locality.admits(text.parse().unwrap());
        for text in [
            "0.0.0.0:1",
            "0.1.2.3:1",
            "255.255.255.255:1",
            "224.0.0.1:1",
            "[ff02::1]:1",
            "[::]:1",
            "192.0.2.1:0",
        ] {
            assert!(!admits(Locality::Local, text), "{text}");
        }
        for text in ["127.0.0.1:1", "[::1]:1", "169.254.1.1:1", "[fe80::1]:1"] {
            assert!(!admits(Locality::Reachable, text), "{text}");
            assert!(admits(Locality::Local, text), "{text}");
        }
        for text in ["192.168.1.1:1", "203.0.113.9:1", "[2001:db8::1]:1", "[fd00::1]:1"] {
            assert!(admits(Locality::Reachable, text), "{text}");
        }
    }
}
