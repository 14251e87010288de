//! Two peers and a router of one of them: the session goes directly by the port that the router forwards.

use super::pair::{Pair, builder};
use super::router::{Heard, Mood, Router};
use super::scene::{near, server};
use citadel_sdk::memory::PacketNetwork;
use citadel_sdk::prelude::*;
use citadel_sdk::{DirectConfig, MappingConfig, PathKind, PortMapping};
use citadel_tests::peer_scene::is_carried;
use core::time::Duration;
use std::sync::Arc;

/// A client that tells no address but what a router forwards.
fn behind(mapping: PortMapping) -> DirectConfig {
    DirectConfig { interfaces: false, port_mapping: mapping, ..near() }
}

/// One that tells nothing at all.
pub(crate) fn nowhere() -> NodeBuilder<EmptyKernel> {
    builder(behind(PortMapping::Off))
}

/// One that tells what `router` forwards.
fn told_by(router: &Router) -> NodeBuilder<EmptyKernel> {
    builder(behind(PortMapping::On(router.config())))
}

/// Bob's router grants a port, the session with him goes by it, and nothing of it is left.
pub(crate) async fn goes_by(router: Router, is_request: impl Fn(&Heard) -> bool) {
    let pair = Pair::direct(server().await, [nowhere(), told_by(&router)]).await;
    let [mapped] = router.forwards(1).await[..] else { panic!("one port for one socket") };
    assert_eq!(pair.sessions[0].session.path_kind(), PathKind::Direct(mapped));
    assert!(router.heard().iter().any(is_request), "{:?}", router.heard());
    pair.talk().await;
    assert!(pair.sessions.iter().all(|peer| peer.session.path_kind().is_direct()));
    assert_eq!(router.open(), 1);
    pair.ends().await;
    assert_eq!(router.open(), 0, "{:?}", router.heard());
}

#[tokio::test]
async fn a_port_of_pcp_is_told_and_used_and_given_back() {
    goes_by(Router::of_packets(1, true).await, |heard| *heard == Heard::Pcp { seconds: 1_200 }).await;
}

#[tokio::test]
async fn a_port_of_nat_pmp_is_told_and_used_and_given_back() {
    goes_by(Router::of_packets(2, false).await, |heard| *heard == Heard::NatPmp { seconds: 1_200 }).await;
}

#[tokio::test]
async fn a_port_of_upnp_is_told_and_used_and_given_back() {
    goes_by(Router::of_upnp(3).await, |heard| *heard == Heard::Upnp { seconds: 1_200 }).await;
}

#[tokio::test]
async fn a_router_that_has_restarted_is_asked_by_the_renewal_and_the_new_port_is_told() {
    let router = Router::of_packets(4, true).await;
    router.is_in(Mood::Lasts(2));
    let bob = DirectConfig {
        keep_alive: Duration::from_millis(100),
        dead_after: Duration::from_millis(500),
        ..behind(PortMapping::On(router.config()))
    };
    let pair = Pair::direct(server().await, [nowhere(), builder(bob)]).await;
    let before = router.forwards(1).await;
    router.has_heard(3, |heard| matches!(heard, Heard::Pcp { seconds: 1_200 })).await;
    assert_eq!(router.forwards(1).await, before, "a renewal is of the same port");
    router.restarts();
    let [mapped] = router.forwards(1).await[..] else { panic!("one port for one socket") };
    assert_ne!(before, [mapped]);
    is_carried(&pair.sessions[0].session, |path| path == PathKind::Direct(mapped)).await;
    pair.talk().await;
    pair.ends().await;
    assert_eq!(router.open(), 0);
}

#[tokio::test]
async fn another_network_is_asked_for_a_port_at_once() {
    let router = Router::of_packets(5, true).await;
    let pair = Pair::direct(server().await, [nowhere(), told_by(&router)]).await;
    let asked = router.heard().len();
    pair.bob.peers.network_changed();
    router.has_heard(asked + 1, |_| true).await;
    pair.is_direct().await;
    pair.talk().await;
    pair.ends().await;
    assert_eq!(router.open(), 0);
}

/// Whatever the router says, the session goes where it goes without one, and nothing is left of it.
async fn does_no_harm(router: &Router, moods: impl IntoIterator<Item = Mood>) {
    for mood in moods {
        router.is_in(mood.clone());
        let bob = DirectConfig { port_mapping: PortMapping::On(router.config()), ..near() };
        let pair = Pair::direct(server().await, [nowhere(), builder(bob)]).await;
        let PathKind::Direct(address) = pair.sessions[0].session.path_kind() else { panic!("it is direct") };
        assert_eq!(address.ip(), near().bind.ip(), "{mood:?}");
        pair.talk().await;
        pair.ends().await;
        assert_eq!(router.open(), 0, "{mood:?}");
    }
}

/// Answers of every length and of every first byte that means something, and some that are almost right.
fn garbage() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new(), vec![0], vec![2; 24], vec![0xff; 60], vec![0; 1_100]];
    // PCP's head says that all is well, and the rest is another request's.
    all.push([&[2, 0x81, 0, 0, 0, 0, 4, 0xb0][..], &[7; 52]].concat());
    // NAT-PMP: of a known length, for another port.
    all.push([&[0, 0x81, 0, 0, 0, 0, 0, 9][..], &[7; 8]].concat());
    all.push([&[0, 0x80, 0, 0, 0, 0, 0, 9][..], &[0xff; 4]].concat());
    all
}

#[tokio::test]
async fn a_router_of_packets_that_refuses_or_talks_garbage_stops_nothing() {
    let router = Router::of_packets(6, true).await;
    let moods = garbage().into_iter().map(Mood::Garbage).chain([Mood::Refuses]);
    does_no_harm(&router, moods).await;
    assert!(router.heard().iter().any(|heard| matches!(heard, Heard::Pcp { .. })));
    assert!(router.heard().iter().any(|heard| matches!(heard, Heard::NatPmp { .. })), "the next language");
}

#[tokio::test]
async fn a_router_that_is_silent_stops_nothing() {
    let router = Router::of_packets(7, true).await;
    does_no_harm(&router, [Mood::Silent]).await;
    assert!(!router.heard().is_empty());
}

#[tokio::test]
async fn a_router_of_upnp_that_refuses_or_talks_garbage_stops_nothing() {
    let router = Router::of_upnp(8).await;
    let deep = "<a>".repeat(100_000).into_bytes();
    let long = [b"<root>".as_slice(), &vec![b'a'; 3 << 20]].concat();
    let texts = [b"".to_vec(), b"<root/>".to_vec(), vec![0xff; 64], deep, long];
    let elsewhere = Mood::Claims("203.0.113.7:4000".parse().unwrap());
    does_no_harm(&router, texts.map(Mood::Garbage).into_iter().chain([Mood::Refuses, elsewhere])).await;
    assert!(router.heard().contains(&Heard::Upnp { seconds: 1_200 }), "it was asked before it refused");
}

#[tokio::test]
async fn an_address_that_may_not_be_told_is_given_back_at_once() {
    let router = Router::of_packets(9, true).await;
    for external in ["224.0.0.1:4000", "0.0.0.0:4000", "255.255.255.255:4000"] {
        router.is_in(Mood::Claims(external.parse().unwrap()));
        let returned = router.heard().iter().filter(|heard| **heard == Heard::Pcp { seconds: 0 }).count();
        let bob = DirectConfig { port_mapping: PortMapping::On(router.config()), ..near() };
        let pair = Pair::direct(server().await, [nowhere(), builder(bob)]).await;
        // While both nodes run: their ends would give back any port.
        let given_back = router.has_heard(returned + 1, |heard| *heard == Heard::Pcp { seconds: 0 });
        assert!(tokio::time::timeout(Duration::from_secs(10), given_back).await.is_ok(), "{external}");
        pair.ends().await;
        assert_eq!(router.open(), 0, "{external}");
    }
}

#[tokio::test]
async fn the_end_of_a_node_waits_no_longer_than_a_moment_for_a_router_that_went_silent() {
    let router = Router::of_packets(10, true).await;
    let pair = Pair::direct(server().await, [nowhere(), told_by(&router)]).await;
    router.is_in(Mood::Silent);
    let ends = tokio::time::timeout(Duration::from_secs(4), pair.ends()).await;
    assert!(ends.is_ok(), "a second, and what the ends of three nodes take besides");
    assert_eq!(router.heard().last(), Some(&Heard::Pcp { seconds: 0 }), "it was asked to take the port back");
}

#[tokio::test]
async fn a_network_of_its_own_has_no_router_unless_one_is_told() {
    let router = Router::of_upnp(11).await;
    for gateway in [None, Some(router.table.gateway)] {
        let network = PacketNetwork::new(1);
        let given =
            |port_mapping| builder(DirectConfig { port_mapping, ..near() }).udp(Arc::new(network.clone()));
        let mapping = PortMapping::On(MappingConfig { gateway, ..router.config() });
        let pair = Pair::direct(server().await, [given(PortMapping::Off), given(mapping)]).await;
        if gateway.is_some() {
            router.has_heard(1, |heard| *heard == Heard::Upnp { seconds: 1_200 }).await;
        }
        pair.ends().await;
        assert_eq!(router.heard().is_empty(), gateway.is_none());
        assert_eq!(router.open(), 0);
    }
}

#[test]
fn ports_are_asked_for_by_default_where_the_feature_is_on() {
    assert_eq!(DirectConfig::default().port_mapping, PortMapping::On(MappingConfig::default()));
    let MappingConfig { gateway, search, leases, pauses } = MappingConfig::default();
    assert_eq!((gateway, search), (None, Some("239.255.255.250:1900".parse().unwrap())));
    let minutes =
        |(shortest, longest): (Duration, Duration)| (shortest.as_secs() / 60, longest.as_secs() / 60);
    assert_eq!((minutes(leases), minutes(pauses)), ((1, 20), (1, 60)));
}
