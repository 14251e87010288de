//! What a router is asked, in three languages: PCP (RFC 6887), NAT-PMP (RFC 6886), UPnP's Internet Gateway Device.
//!
//! Every request is bounded in time, and what comes back is checked by nobody else: the caller takes an answer for what a
//! stranger says. No renewal of `crab_nat` is used: it asks for the lifetime that the router gave, which may be none.

use super::place::Place;
use super::upnp::{self, Router};
use crate::peers::direct::Grant;
use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;
use crab_nat::pcp::{BaseMapRequest, Nonce};
use crab_nat::{
    GatewayAddress, InternetProtocol, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp, pcp,
};
use igd_next::{AddPortError, PortMappingProtocol};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// A packet and one more: a router on the own link answers in milliseconds. A search would wait for a router that is not there.
const PACKETS: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 1, max_retry_timeout: None };
/// A router answers a search within the 2 s that the search itself allows, and is then asked for its description.
const SEARCHING: Duration = Duration::from_secs(4);
/// Requests to a router that was found.
const TALKING: Duration = Duration::from_secs(3);
/// Most letters of what a router says that are logged.
const MAX_WORDS: usize = 200;
/// How a router lists the port to its owner.
const DESCRIPTION: &str = "citadel";

/// Why there is no port, for the log.
#[derive(Debug)]
pub(super) struct NoPort(String);

impl NoPort {
    /// There is no router, or the socket is not where one sends.
    pub(super) fn nowhere() -> Self {
        Self::of("this machine", "no router for this socket")
    }

    fn of(language: &str, why: impl fmt::Display) -> Self {
        let why: String = why.to_string().chars().take(MAX_WORDS).collect();
        Self(format!("{language}: {why}"))
    }
}

/// What a socket wants.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) port: NonZeroU16,
    /// By which a router of PCP knows who asks again.
    pub(super) nonce: Nonce,
    /// Where UPnP looks.
    pub(super) search: Option<SocketAddrV4>,
    /// For how long.
    pub(super) lease: Duration,
}

/// A port that a router forwards, and how to ask it again.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    pub(super) place: Place,
    language: Language,
    external: NonZeroU16,
}

impl Forwarded {
    /// Whether it leads to this machine where that is now: after another address was given to it, the old one is another machine's.
    pub(super) fn leads_to(&self, place: Option<Place>) -> bool {
        place == Some(self.place)
    }
}

#[derive(Clone, Debug)]
enum Language {
    Pcp { gateway: Ipv4Addr, external_ip: IpAddr },
    NatPmp { gateway: Ipv4Addr },
    Upnp(Box<Router>),
}

type Answer = Result<(Forwarded, Grant), NoPort>;

impl Wish {
    /// Asks whoever is there, at `place`. `before` is what was held: the same is asked for again.
    pub(super) async fn ask(&self, place: Place, before: Option<&Forwarded>) -> Answer {
        let external = before.map(|before| before.external);
        let mut refusals = Vec::new();
        if let Some(gateway) = place.gateway {
            match self.pcp(place, gateway, external, None).await {
                Err(why) => refusals.push(why.0),
                answer => return answer,
            }
            match self.nat_pmp(place, gateway, external).await {
                Err(why) => refusals.push(why.0),
                answer => return answer,
            }
        }
        let found = match self.search {
            Some(search) => within(SEARCHING, "UPnP", upnp::find(place, search)).await,
            None => Err(NoPort::of("UPnP", "not used")),
        };
        let asked = match found {
            Ok(router) => self.upnp(place, router, external).await,
            Err(why) => Err(why),
        };
        asked.map_err(|why| {
            refusals.push(why.0);
            NoPort(refusals.join("; "))
        })
    }

    /// Asks the router that granted it.
    pub(super) async fn renew(&self, held: &Forwarded) -> Answer {
        let external = Some(held.external);
        match &held.language {
            Language::Pcp { gateway, external_ip } => {
                self.pcp(held.place, *gateway, external, Some(*external_ip)).await
            }
            Language::NatPmp { gateway } => self.nat_pmp(held.place, *gateway, external).await,
            Language::Upnp(router) => self.upnp(held.place, router.clone(), external).await,
        }
    }

    /// Gives it back, as well as it goes.
    pub(super) async fn remove(&self, held: &Forwarded) -> Result<(), NoPort> {
        let (protocol, packets) = (InternetProtocol::Udp, Some(PACKETS));
        match &held.language {
            Language::Pcp { gateway, .. } => {
                let range = pcp::DropMappingRange::Single { internal_port: self.port, protocol };
                let (gateway, own) = (GatewayAddress::IpV4(*gateway), held.place.own.into());
                let removed = pcp::try_drop_mapping(gateway, own, self.nonce, range, packets).await;
                removed.map_err(|why| NoPort::of("PCP", why))
            }
            Language::NatPmp { gateway } => {
                let gateway = GatewayAddress::IpV4(*gateway);
                let removed = natpmp::try_drop_mapping(gateway, protocol, Some(self.port), packets).await;
                removed.map_err(|why| NoPort::of("NAT-PMP", why))
            }
            Language::Upnp(router) => {
                let remove = router.remove_port(PortMappingProtocol::UDP, held.external.get());
                within(TALKING, "UPnP", remove).await
            }
        }
    }

    async fn pcp(
        &self,
        place: Place,
        gateway: Ipv4Addr,
        external: Option<NonZeroU16>,
        external_ip: Option<IpAddr>,
    ) -> Answer {
        let own = IpAddr::V4(place.own);
        let request = BaseMapRequest::new(gateway.into(), own, InternetProtocol::Udp, self.port);
        let asked = pcp::port_mapping(request, Some(self.nonce), external_ip, self.options(external));
        let granted = within(TALKING, "PCP", asked).await?;
        let PortMappingType::Pcp { external_ip, .. } = granted.mapping_type() else {
            return Err(NoPort::of("PCP", "another answer"));
        };
        let (external, lifetime) = (granted.external_port(), granted.lifetime());
        let language = Language::Pcp { gateway, external_ip };
        Ok(forwarded(place, language, external_ip, external, Duration::from_secs(lifetime.into())))
    }

    async fn nat_pmp(&self, place: Place, gateway: Ipv4Addr, external: Option<NonZeroU16>) -> Answer {
        let at = GatewayAddress::IpV4(gateway);
        let external_ip = within(TALKING, "NAT-PMP", natpmp::external_address(at, Some(PACKETS))).await?;
        let asked = natpmp::port_mapping(at, InternetProtocol::Udp, self.port, self.options(external));
        let granted = within(TALKING, "NAT-PMP", asked).await?;
        let (external, lifetime) = (granted.external_port(), granted.lifetime());
        let language = Language::NatPmp { gateway };
        Ok(forwarded(place, language, external_ip.into(), external, Duration::from_secs(lifetime.into())))
    }

    async fn upnp(&self, place: Place, router: Box<Router>, external: Option<NonZeroU16>) -> Answer {
        let own = SocketAddr::from((place.own, self.port.get()));
        let seconds = self.seconds();
        let external_ip = within(TALKING, "UPnP", router.get_external_ip()).await?;
        // The same port outside as inside, where it is free: asking again adds no second one.
        let wanted = external.unwrap_or(self.port);
        let add = router.add_port(PortMappingProtocol::UDP, wanted.get(), own, seconds, DESCRIPTION);
        let external = match tokio::time::timeout(TALKING, add).await {
            Ok(Ok(())) => wanted,
            Ok(Err(AddPortError::PortInUse)) => {
                let add = router.add_any_port(PortMappingProtocol::UDP, own, seconds, DESCRIPTION);
                let port = within(TALKING, "UPnP", add).await?;
                NonZeroU16::new(port).ok_or_else(|| NoPort::of("UPnP", "port 0"))?
            }
            // A router that forwards for ever or not at all is not asked to: nobody would end it after a crash.
            Ok(Err(why)) => return Err(NoPort::of("UPnP", why)),
            Err(late) => return Err(NoPort::of("UPnP", late)),
        };
        Ok(forwarded(place, Language::Upnp(router), external_ip, external, self.lease))
    }
}

impl Wish {
    fn options(&self, external: Option<NonZeroU16>) -> PortMappingOptions {
        PortMappingOptions {
            external_port: external,
            lifetime_seconds: Some(self.seconds()),
            timeout_config: Some(PACKETS),
        }
    }

    /// None is for ever, or no port at all.
    fn seconds(&self) -> u32 {
        u32::try_from(self.lease.as_secs()).unwrap_or(u32::MAX).max(1)
    }
}

fn forwarded(
    place: Place,
    language: Language,
    external_ip: IpAddr,
    external: NonZeroU16,
    lifetime: Duration,
) -> (Forwarded, Grant) {
    let grant = Grant { external: SocketAddr::new(external_ip, external.get()), lifetime };
    (Forwarded { place, language, external }, grant)
}

async fn within<T, E: fmt::Display>(
    limit: Duration,
    language: &str,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, NoPort> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|why| NoPort::of(language, why)),
        Err(late) => Err(NoPort::of(language, late)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_renewed_for_an_address_that_this_machine_had() {
        let gateway = Ipv4Addr::new(192, 168, 1, 1);
        let place = |own: [u8; 4]| Place { gateway: Some(gateway), own: own.into() };
        let (here, other) = (place([192, 168, 1, 7]), place([192, 168, 1, 8]));
        let external = NonZeroU16::new(4_000).unwrap();
        let language = Language::NatPmp { gateway };
        let (held, _) = forwarded(here, language, gateway.into(), external, TALKING);
        assert!(held.leads_to(Some(here)));
        let moved = Place { gateway: Some(Ipv4Addr::new(192, 168, 2, 1)), ..here };
        for elsewhere in [Some(other), Some(moved), None] {
            assert!(!held.leads_to(elsewhere), "{elsewhere:?}");
        }
    }

    #[test]
    fn of_what_a_router_says_a_line_is_logged() {
        let why = NoPort::of("UPnP", "ä".repeat(60_000));
        assert_eq!(why.0, format!("UPnP: {}", "ä".repeat(200)));
    }
}
