//! Direct paths over real sockets: from a lane to a direct path and back, with messages under way, and without a server.

use super::direct_middle::Middle;
use super::scene::{Client, befriend, client_of, ends_empty, near, server, server_that_observes};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, Direct, DirectConfig, PathKind, PeerSession, SessionEvent};
use citadel_tests::peer_scene::is_carried;
use citadel_tests::world::Dice;
use core::time::Duration;
use futures::future::{join, join_all, select};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::UdpSocket;

const LONG: Duration = Duration::from_secs(3_600);

pub(crate) fn builder(direct: Direct) -> NodeBuilder<EmptyKernel> {
    NodeBuilder::new(EmptyKernel).identity(Identity::generate()).direct(direct).outlive_server(LONG)
}

/// Two clients of `server` that are peers, and their session.
pub(crate) async fn meet(
    server: &Node<EmptyKernel>,
    builders: [NodeBuilder<EmptyKernel>; 2],
) -> (Client, Client, [PeerSession; 2]) {
    meet_as(["alice", "bob"], server, builders).await
}

async fn meet_as(
    [one_name, other_name]: [&str; 2],
    server: &Node<EmptyKernel>,
    [one, other]: [NodeBuilder<EmptyKernel>; 2],
) -> (Client, Client, [PeerSession; 2]) {
    let (alice, bob) = join(client_of(server, one_name, one), client_of(server, other_name, other)).await;
    befriend(&alice, &bob).await;
    let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
    let met = met.unwrap();
    assert_eq!(met.session.instance(), arrived.session.instance());
    (alice, bob, [met, arrived])
}

pub(crate) async fn both_direct(sessions: &[PeerSession; 2]) {
    join_all(sessions.iter().map(|peer| is_carried(&peer.session, PathKind::is_direct))).await;
}

/// A channel between the two.
pub(crate) async fn channel(sessions: &[PeerSession; 2]) -> (Channel, Channel) {
    let (near, far) = join(sessions[0].session.open_channel(), sessions[1].session.accept_channel()).await;
    (near.unwrap(), far.unwrap().unwrap())
}

pub(crate) async fn send_numbers(channel: &mut Channel, numbers: std::ops::Range<u32>) {
    for number in numbers {
        channel.send(number.to_be_bytes().to_vec()).await.unwrap();
    }
}

pub(crate) async fn hear_numbers(channel: &mut Channel, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let heard = channel.recv().await.unwrap().unwrap();
        assert_eq!(heard[..], number.to_be_bytes(), "number {number}");
    }
}

async fn talk((near, far): &mut (Channel, Channel), numbers: std::ops::Range<u32>) {
    join(send_numbers(near, numbers.clone()), hear_numbers(far, numbers.clone())).await;
    join(send_numbers(far, numbers.clone()), hear_numbers(near, numbers)).await;
}

#[tokio::test]
async fn direct_sessions_leave_the_lane_and_say_so() {
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    let mut events = sessions[0].session.events();
    let was = sessions[0].session.path_kind();
    both_direct(&sessions).await;
    if was == PathKind::Relayed {
        let changed = loop {
            if let Some(SessionEvent::PathChanged { from, to }) = events.next().await {
                break (from, to);
            }
        };
        assert_eq!(changed, (PathKind::Relayed, sessions[0].session.path_kind()));
    }
    let (PathKind::Direct(address) | PathKind::DirectTcp(address)) = sessions[1].session.path_kind() else {
        panic!("it is direct")
    };
    assert!(address.ip().is_loopback());
    assert_eq!(sessions[1].session.stats().path_kind, sessions[1].session.path_kind());
    assert_eq!(sessions[1].session.remote_addr(), Some(address));
    let mut channels = channel(&sessions).await;
    talk(&mut channels, 0..100).await;
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_paths_that_change_under_ten_thousand_messages_lose_double_and_reorder_none() {
    const ROUNDS: u32 = 5;
    const EACH: u32 = 2_000;
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    let (mut near, mut far) = channel(&sessions).await;
    let hearing = async { hear_numbers(&mut far, 0..ROUNDS * EACH).await };
    let sending = async {
        for round in 0..ROUNDS {
            both_direct(&sessions).await;
            send_numbers(&mut near, round * EACH..round * EACH + EACH / 2).await;
            // One end leaves the path, with messages on it; the lane carries the others, and then another direct path.
            let leaves = if round % 2 == 0 { &alice } else { &bob };
            let mut events = sessions[0].session.events();
            leaves.peers.network_changed();
            send_numbers(&mut near, round * EACH + EACH / 2..(round + 1) * EACH).await;
            // The lane may have come and gone meanwhile: what is seen of it is a path with another number.
            while !matches!(events.next().await, Some(SessionEvent::Attached { .. })) {}
        }
        near.finish().await.unwrap();
        near.acknowledged().await.unwrap();
    };
    join(sending, hearing).await;
    assert_eq!(far.recv().await.unwrap(), None);
    drop((near, far));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn direct_paths_that_fall_silent_are_left_for_a_lane_and_sought_again() {
    let server = server().await;
    let middle = Middle::new().await;
    let on = |own: SocketAddr| {
        builder(Direct::On(DirectConfig {
            interfaces: false,
            forwarded: Arc::from([own]),
            keep_alive: Duration::from_millis(100),
            dead_after: Duration::from_millis(500),
            ..near()
        }))
    };
    let [one, other] = middle.addresses();
    let (alice, bob, sessions) = meet(&server, [on(one), on(other)]).await;
    both_direct(&sessions).await;
    assert_eq!(sessions[0].session.path_kind(), PathKind::Direct(other));
    let mut channels = channel(&sessions).await;
    talk(&mut channels, 0..10).await;
    middle.let_through(false);
    talk(&mut channels, 10..20).await;
    assert_eq!(sessions[0].session.path_kind(), PathKind::Relayed);
    middle.let_through(true);
    both_direct(&sessions).await;
    talk(&mut channels, 20..30).await;
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn direct_paths_are_found_by_what_the_server_sees_of_both_alone() {
    let server = server_that_observes().await;
    let on = || builder(Direct::On(DirectConfig { interfaces: false, ..near() }));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    both_direct(&sessions).await;
    let mut channels = channel(&sessions).await;
    talk(&mut channels, 0..10).await;
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn direct_sockets_take_no_harm_from_strangers() {
    let server = server().await;
    let on = || builder(Direct::On(DirectConfig { tcp: false, ..near() }));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    both_direct(&sessions).await;
    let mut channels = channel(&sessions).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut dice = Dice::new(1, 1);
    for round in 0..20 {
        for peer in &sessions {
            let PathKind::Direct(socket) = peer.session.path_kind() else { panic!("it is direct") };
            for first in [0x00, 0x10, 0x11, 0x12, 0x13, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xc3, 0xff] {
                // Probes of no attempt, QUIC of nobody who was let in, and what is neither.
                let len = dice.pick(&[1, 63, 64, 65, 1_200, 1_472]);
                let mut bytes: Vec<u8> = (0..len).map(|_| dice.below(256).to_le_bytes()[0]).collect();
                bytes[0] = first;
                stranger.send_to(&bytes, socket).await.unwrap();
            }
        }
        talk(&mut channels, round * 10..round * 10 + 10).await;
    }
    assert!(sessions.iter().all(|peer| peer.session.path_kind().is_direct()));
    // Nobody was answered.
    let mut heard = [0; 2_048];
    assert!(stranger.try_recv(&mut heard).is_err());
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn direct_paths_that_one_end_does_not_want_are_not_made() {
    let server = server().await;
    for (names, wanted) in [
        (["anna", "bert"], [false, true]),
        (["carl", "dora"], [true, false]),
        (["emil", "fred"], [false, false]),
    ] {
        let of = |is_wanted| builder(if is_wanted { Direct::On(near()) } else { Direct::Off });
        let (alice, bob, sessions) = meet_as(names, &server, wanted.map(of)).await;
        // What the ends said to each other about it came before this.
        let mut channels = channel(&sessions).await;
        talk(&mut channels, 0..200).await;
        let service_channels = || sessions.each_ref().map(|peer| peer.session.stats().service_channels);
        while service_channels() != [0, 0] {
            talk(&mut channels, 0..1).await;
        }
        assert_eq!(sessions.each_ref().map(|peer| peer.session.path_kind()), [PathKind::Relayed; 2]);
        alice.peers.network_changed();
        bob.peers.network_changed();
        talk(&mut channels, 200..400).await;
        assert_eq!(sessions.each_ref().map(|peer| peer.session.path_kind()), [PathKind::Relayed; 2]);
        drop(channels);
        alice.ends().await;
        bob.ends().await;
    }
    ends_empty(server).await;
}

#[tokio::test]
async fn direct_sessions_outlive_the_server() {
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    both_direct(&sessions).await;
    let mut channels = channel(&sessions).await;
    server.shutdown().await.unwrap();
    alice.session.closed().await;
    bob.session.closed().await;
    talk(&mut channels, 0..100).await;
    assert!(sessions[0].session.path_kind().is_direct());
    let (one, other) = join(sessions[0].session.close(7, "done"), sessions[1].session.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
    drop(channels);
    alice.ends().await;
    bob.ends().await;
}

#[tokio::test]
async fn direct_sessions_end_in_order_when_their_time_without_the_server_is_over() {
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let brief = on().outlive_server(Duration::from_millis(200));
    let (alice, bob, sessions) = meet(&server, [brief, on()]).await;
    both_direct(&sessions).await;
    server.shutdown().await.unwrap();
    let (one, other) = join(sessions[0].session.closed(), sessions[1].session.closed()).await;
    assert_eq!((one.reason(), one.clean), (&CloseReason::GoingAway, true));
    assert!(other.clean, "{other}");
    alice.ends().await;
    bob.ends().await;
}

/// The end that accepts the new path has left the lane when the other one has not heard of it.
#[tokio::test]
async fn fix_0061_a_session_that_closes_as_it_moves_closes_clean() {
    let server = server().await;
    for round in 0..12 {
        let on = || builder(Direct::On(near()));
        let names = [format!("alice{round}"), format!("bob{round}")];
        let (alice, bob, sessions) = meet_as([&names[0], &names[1]], &server, [on(), on()]).await;
        let [one, other] = &sessions;
        let (near, far) =
            (is_carried(&one.session, PathKind::is_direct), is_carried(&other.session, PathKind::is_direct));
        select(pin!(near), pin!(far)).await;
        // A node that ends takes no new session, and ends those that there are.
        let ended = join(alice.node.shutdown(), bob.node.shutdown()).await;
        for (_kernel, report) in [ended.0.unwrap(), ended.1.unwrap()] {
            assert!(report.is_clean(), "round {round}: {report}");
        }
    }
    ends_empty(server).await;
}
