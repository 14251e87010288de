//! The own addresses: those of interfaces, and what the server sees; and the own links.

use super::super::client::Inner;
use super::{DirectConfig, Means};
use crate::peers::direct::{Candidates, Link};
use if_addrs::{IfAddr, Interface};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the peer is told.
pub(super) async fn gather(inner: &Arc<Inner>, means: &Means) -> Candidates {
    let Means { config, punch, .. } = means;
    // What is sent before the system has said that the socket takes anything is lost.
    punch.writable().await;
    let (observed, mapped) = tokio::join!(super::observe::ask(inner, punch), super::mapping::mapped(inner));
    let hosts = if config.interfaces { interfaces(inner, config) } else { Vec::new() };
    let hosts = hosts.into_iter().map(|ip| SocketAddr::new(ip, punch.local_addr().port()));
    let forwarded = config.forwarded.iter().copied().chain(mapped);
    let reached = forwarded.chain(hosts).chain(observed).filter(|address| punch.reaches(*address));
    let tcp = means.listening.as_ref().map(|listening| listening.port());
    Candidates::gather(reached, config.locality).with_tcp(tcp)
}

/// The addresses that the socket is bound to, in a fixed order: those of IPv6 first, which no translator hides.
pub(super) fn interfaces(inner: &Inner, config: &DirectConfig) -> Vec<IpAddr> {
    if !config.bind.ip().is_unspecified() {
        return vec![config.bind.ip()];
    }
    let mut ips = inner.config.udp.as_ref().map_or_else(machine, |network| network.interfaces());
    ips.retain(|ip| config.locality.admits(SocketAddr::new(*ip, 1)));
    ips.sort_by_key(|ip| (ip.is_ipv4(), *ip));
    ips.dedup();
    ips
}

/// The links on which TCP may be used: those of the addresses that are told.
pub(super) fn links(inner: &Inner, config: &DirectConfig) -> Vec<Link> {
    if !config.tcp || !config.interfaces {
        return Vec::new();
    }
    let mut links = inner.config.udp.as_ref().map_or_else(machine_links, |network| network.links());
    let bind = config.bind.ip();
    links.retain(|link| {
        config.locality.admits(SocketAddr::new(link.ip, 1)) && (bind.is_unspecified() || bind == link.ip)
    });
    links
}

/// The addresses of this machine.
fn machine() -> Vec<IpAddr> {
    interfaces_of_machine().iter().map(Interface::ip).collect()
}

/// The links of this machine. One address alone is no link, and neither is the whole family: what a system says that does not
/// know the prefix.
fn machine_links() -> Vec<Link> {
    let link = |interface: &Interface| {
        let (ip, prefix, bits) = match &interface.addr {
            IfAddr::V4(v4) => (IpAddr::V4(v4.ip), v4.prefixlen, 32),
            IfAddr::V6(v6) => (IpAddr::V6(v6.ip), v6.prefixlen, 128),
        };
        (1..bits).contains(&prefix).then_some(Link { ip, prefix })
    };
    interfaces_of_machine().iter().filter_map(link).collect()
}

fn interfaces_of_machine() -> Vec<Interface> {
    if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::debug!(target: "citadel::direct", "no interfaces: {error}");
        Vec::new()
    })
}
