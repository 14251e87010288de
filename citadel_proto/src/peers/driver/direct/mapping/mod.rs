//! A port that the router forwards to the direct socket: asked for, kept, told to peers as a candidate, and given back.
//!
//! Owns: whom to ask and in which order, the task that keeps the lease. Never: when to ask (`peers/direct/lease.rs` decides).
//!
//! All of it is behind the feature `port-mapping`; without it nothing here asks anybody. Everything that a router says is a
//! stranger's word: it decides nothing but one address that peers may try.

#[cfg(feature = "port-mapping")]
mod place;
#[cfg(feature = "port-mapping")]
mod router;
#[cfg(feature = "port-mapping")]
mod task;
#[cfg(feature = "port-mapping")]
mod upnp;

#[cfg(feature = "port-mapping")]
pub(super) use task::{Mapping, mapped, start};

use crate::peers::direct::{LEASE_PAUSES, LEASES};
use core::time::Duration;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Where routers of UPnP are looked for: the group of its search, on the own link.
const SEARCH: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1_900);

/// Whether the router is asked to forward a port to the direct socket.
///
/// By default it is where the crate's feature `port-mapping` is on, and is not where it is off: without the feature there is
/// no other value than `Off`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PortMapping {
    /// No router is asked for anything.
    Off,
    /// It is, as this says.
    #[cfg(feature = "port-mapping")]
    On(MappingConfig),
}

impl Default for PortMapping {
    #[cfg(feature = "port-mapping")]
    fn default() -> Self {
        Self::On(MappingConfig::default())
    }

    #[cfg(not(feature = "port-mapping"))]
    fn default() -> Self {
        Self::Off
    }
}

/// Whom a port is asked of. It counts with the feature `port-mapping` alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MappingConfig {
    /// The router. By default the gateway of the machine's default route, where it can be read (Linux); elsewhere it is the one
    /// that answers the search of UPnP. It has to be told where the socket is not the machine's
    /// ([`PeersConfig::udp`](crate::peers::PeersConfig::udp)).
    pub gateway: Option<Ipv4Addr>,
    /// Where UPnP looks for a router: `239.255.255.250:1900` by default, a multicast that does not leave the own link. `None`:
    /// UPnP is not used.
    pub search: Option<SocketAddrV4>,
    /// Shortest and longest lease: the longest is asked for, and one that is granted for less than the shortest is held for
    /// that long. 1 min and 20 min: what a crash leaves behind is gone by then.
    pub leases: (Duration, Duration),
    /// Shortest and longest pause after a refusal, or no answer. 1 min and 1 h.
    pub pauses: (Duration, Duration),
}

impl Default for MappingConfig {
    fn default() -> Self {
        Self { gateway: None, search: Some(SEARCH), leases: LEASES, pauses: LEASE_PAUSES }
    }
}

#[cfg(not(feature = "port-mapping"))]
pub(super) use off::{Mapping, mapped, start};

/// Without the feature.
#[cfg(not(feature = "port-mapping"))]
mod off {
    use super::super::super::client::Inner;
    use crate::driver::Punch;
    use std::net::SocketAddr;
    use std::sync::Arc;

    /// Nothing is asked for.
    #[derive(Default)]
    pub(in super::super) struct Mapping {}

    pub(in super::super) const fn start(_: &Arc<Inner>, _: &Punch) {}

    pub(in super::super) async fn mapped(inner: &Inner) -> Option<SocketAddr> {
        let Mapping {} = inner.direct.mapping;
        None
    }
}
