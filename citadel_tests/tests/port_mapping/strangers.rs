//! Routers of UPnP whose words take up memory, and hosts of the link that answer for a router.

use super::pair::{Pair, builder};
use super::router::{Heard, Mood, Router, ip};
use super::scene::{near, server};
use super::told::{goes_by, nowhere};
use super::upnp::{Odd, description, external};
use citadel_sdk::{DirectConfig, PortMapping};
use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What takes a reader of XML many times the memory that the text has. Small ones of the kind: a reader gets through them, and
/// what is seen is whether it was given them.
fn odd() -> [Odd; 4] {
    let spaces: String = (0..300).map(|number| format!(" xmlns:a{number}=\"b\"")).collect();
    let entity = format!("<!DOCTYPE r [<!ENTITY e \"{}\">]>", "b".repeat(1_000));
    let children = "<a/>".repeat(1_000);
    [
        Odd { declares: spaces, holds: children.clone(), ..Odd::default() },
        Odd { before: entity, holds: format!("<a>{}</a>", "&e;".repeat(50)), ..Odd::default() },
        Odd { declares: format!(" xmlns:a=\"{}\"", "b".repeat(20_000)), holds: children, ..Odd::default() },
        Odd { holds: "<a/>".repeat(100_000), ..Odd::default() },
    ]
}

/// The router says something that is not read: it is asked for `last` again and again, never for a port, and the node goes on.
async fn is_not_read(router: &Router, mood: Mood, last: Heard) {
    let is_last = |heard: &Heard| *heard == last;
    router.is_in(mood);
    let bob = DirectConfig { port_mapping: PortMapping::On(router.config()), ..near() };
    let pair = Pair::direct(server().await, [nowhere(), builder(bob)]).await;
    let is_request = |heard: &Heard| matches!(heard, Heard::Upnp { .. });
    tokio::select! {
        () = router.has_heard(1, is_request) => panic!("it was read: {:?}", router.heard()),
        // Twice: the first answer was looked at then.
        () = router.has_heard(2, is_last) => {}
    }
    pair.talk().await;
    pair.ends().await;
    assert!(!router.heard().iter().any(is_request), "{:?}", router.heard());
    assert_eq!(router.open(), 0);
}

/// Each of them by a router of its own, at the same time.
async fn are_not_read(numbers: [u8; 4], mood: impl Fn(&Odd) -> Mood, last: Heard) {
    let all = numbers.into_iter().zip(odd()).map(|(number, odd)| (number, mood(&odd)));
    join_all(all.map(async |(number, mood)| is_not_read(&Router::of_upnp(number).await, mood, last).await))
        .await;
}

#[tokio::test]
async fn fix_0083_a_description_that_takes_up_memory_is_not_read() {
    are_not_read([12, 13, 19, 20], |odd| Mood::Describes(description(odd)), Heard::Description).await;
}

#[tokio::test]
async fn fix_0083_an_answer_that_takes_up_memory_is_not_read() {
    are_not_read([21, 22, 23, 24], |odd| Mood::Says(external(odd)), Heard::External).await;
}

/// Counts who comes.
async fn counted(listener: TcpListener, visits: Arc<AtomicUsize>) {
    while listener.accept().await.is_ok() {
        visits.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn fix_0083_a_stranger_that_answers_a_search_sends_nobody_anywhere() {
    let router = Router::of_upnp(14).await;
    let (visits, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    // Another service of the gateway, one of a third host, and one of the stranger.
    for host in [router.table.gateway, ip(16), ip(15)] {
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        router.is_preceded(ip(15), listener.local_addr().unwrap()).await;
        tasks.spawn(counted(listener, Arc::clone(&visits)));
    }
    goes_by(router, |heard| *heard == Heard::Upnp { seconds: 1_200 }).await;
    assert_eq!(visits.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn fix_0083_the_gateway_grants_also_where_another_router_answers_first() {
    let (router, other) = (Router::of_upnp(17).await, Router::of_upnp(18).await);
    let control = *other.table.control.get().unwrap();
    for _ in 0..20 {
        router.is_preceded(other.table.gateway, control).await;
    }
    goes_by(router, |heard| *heard == Heard::Upnp { seconds: 1_200 }).await;
    assert_eq!(other.heard(), [], "it is not the gateway");
}
