//! The own addresses: those of interfaces, and what the server sees.

use super::super::client::Inner;
use super::DirectConfig;
use crate::driver::Punch;
use crate::peers::direct::Candidates;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What the peer is told.
pub(super) async fn gather(inner: &Arc<Inner>, config: &DirectConfig, punch: &Arc<Punch>) -> Candidates {
    // What is sent before the system has said that the socket takes anything is lost.
    punch.writable().await;
    let observed = super::observe::ask(inner, punch).await;
    let hosts = if config.interfaces { interfaces(inner, config) } else { Vec::new() };
    let hosts = hosts.into_iter().map(|ip| SocketAddr::new(ip, punch.local_addr().port()));
    let forwarded = config.forwarded.iter().copied();
    let reached = forwarded.chain(hosts).chain(observed).filter(|address| punch.reaches(*address));
    Candidates::gather(reached, config.locality)
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

/// Those of this machine.
fn machine() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        log::debug!(target: "citadel::direct", "no interfaces: {error}");
        Vec::new()
    });
    all.iter().map(if_addrs::Interface::ip).collect()
}
