//! Where this end is on its network, as far as a router is concerned.

use super::MappingConfig;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// Where the system lists its routes of IPv4.
#[cfg(target_os = "linux")]
const ROUTES: &str = "/proc/net/route";

/// A router, and the address of this machine that packets to it come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// None where the system does not say.
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) own: Ipv4Addr,
}

impl Place {
    /// None if there is no network, or nothing to find a router by.
    pub(super) fn now(config: &MappingConfig) -> Option<Self> {
        let gateway = config.gateway.or_else(default_gateway);
        let there = gateway.or(config.search.map(|search| *search.ip()))?;
        Some(Self { gateway, own: own_toward(there)? })
    }
}

/// No packet goes: the system is asked which address it would send from.
fn own_toward(there: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((there, crab_nat::GATEWAY_PORT)).ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(own) if !own.ip().is_unspecified() => Some(*own.ip()),
        _ => None,
    }
}

/// The gateway of the best default route.
#[cfg(target_os = "linux")]
fn default_gateway() -> Option<Ipv4Addr> {
    best_default(&std::fs::read_to_string(ROUTES).ok()?)
}

/// Known to UPnP's search alone.
#[cfg(not(target_os = "linux"))]
const fn default_gateway() -> Option<Ipv4Addr> {
    None
}

/// Lines of interface, destination, gateway, flags, two counts, metric, mask; addresses as the machine's memory has them.
#[cfg(any(target_os = "linux", test))]
fn best_default(routes: &str) -> Option<Ipv4Addr> {
    const UP_AND_GATEWAY: u16 = 0x3;
    let gateway = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [_, "00000000", gateway, flags, _, _, metric, "00000000", ..] = cells[..] else { return None };
        let flags = u16::from_str_radix(flags, 16).ok()?;
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        (flags & UP_AND_GATEWAY == UP_AND_GATEWAY && !gateway.is_unspecified())
            .then_some((metric.parse::<u32>().ok()?, gateway))
    };
    routes.lines().filter_map(gateway).min_by_key(|(metric, _)| *metric).map(|(_, gateway)| gateway)
}

/// Whether a socket that is bound there gets what a router sends to `own`.
pub(super) fn is_reached(bound: IpAddr, own: Ipv4Addr) -> bool {
    bound.is_unspecified() || bound.to_canonical() == IpAddr::V4(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address as the file spells it here.
    fn spelled(text: &str) -> String {
        format!("{:08X}", u32::from_ne_bytes(text.parse::<Ipv4Addr>().unwrap().octets()))
    }

    fn line(gateway: &str, flags: &str, metric: u32, mask: &str) -> String {
        format!("eth0\t00000000\t{}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n", spelled(gateway))
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route_with_the_lowest_metric() {
        let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let net = format!("eth0\t{}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", spelled("192.168.1.0"));
        let routes = [
            head,
            &line("192.168.1.254", "0003", 600, "00000000"),
            &line("192.168.1.1", "0003", 100, "00000000"),
            // Down, of another mask, without a gateway: none of them is one.
            &line("192.168.1.2", "0002", 1, "00000000"),
            &line("192.168.1.3", "0003", 1, "00FFFFFF"),
            &line("0.0.0.0", "0003", 1, "00000000"),
            &net,
            "garbage\n",
        ]
        .concat();
        assert_eq!(best_default(&routes), Some(Ipv4Addr::new(192, 168, 1, 1)));
        for none in ["", head, &net, "eth0 00000000 XYZ 0003 0 0 0 00000000"] {
            assert_eq!(best_default(none), None, "{none}");
        }
    }

    #[test]
    fn a_socket_of_one_address_is_reached_by_what_comes_to_it_alone() {
        let own = Ipv4Addr::new(192, 168, 1, 7);
        for (bound, is) in [
            ("0.0.0.0", true),
            ("::", true),
            ("192.168.1.7", true),
            ("::ffff:192.168.1.7", true),
            ("192.168.1.8", false),
            ("127.0.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_reached(bound.parse().unwrap(), own), is, "{bound}");
        }
    }
}
