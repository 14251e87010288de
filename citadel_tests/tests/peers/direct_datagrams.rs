//! Datagrams between peers: on the lane, on a direct path over real sockets, and while the session moves.

use super::direct_sockets::{both_direct, builder, channel, hear_numbers, meet, send_numbers};
use super::scene::{ends_empty, near, server};
use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, MAX_DATAGRAM, MIN_DATAGRAM, PathKind, SessionEvent};
use futures::future::{Either, join, select};
use std::collections::HashSet;
use std::pin::pin;
use tokio::sync::watch;
use tokio::task::yield_now;

/// Sends numbers without end.
async fn flood(datagrams: &Datagrams) {
    for number in 0_u64.. {
        datagrams.send(number.to_be_bytes().to_vec()).unwrap();
        yield_now().await;
    }
}

/// Hears numbers without end, none of them twice, and counts them.
async fn hear(datagrams: &Datagrams, count: &watch::Sender<usize>) {
    let mut heard = HashSet::new();
    while let Some(datagram) = datagrams.recv().await {
        let number = u64::from_be_bytes(datagram[..].try_into().unwrap());
        assert!(heard.insert(number), "{number} came twice");
        count.send_replace(heard.len());
    }
}

/// Runs `life` while numbers flow.
async fn under_flood(
    pair: (&Datagrams, &Datagrams),
    count: &watch::Sender<usize>,
    life: impl Future<Output = ()>,
) {
    let flow = pin!(join(flood(pair.0), hear(pair.1, count)));
    assert!(matches!(select(pin!(life), flow).await, Either::Left(_)));
}

/// Waits for as many more.
async fn more(count: &watch::Sender<usize>) {
    let mut heard = count.subscribe();
    let before = *heard.borrow();
    heard.wait_for(|now| *now >= before + 50).await.unwrap();
}

#[tokio::test]
async fn datagrams_pass_a_server_that_cannot_read_them() {
    let server = server().await;
    let (alice, bob, sessions) = meet(&server, [builder(Direct::Off), builder(Direct::Off)]).await;
    let [one, other] = sessions.each_ref().map(|peer| peer.session.datagrams().unwrap());
    let count = watch::Sender::new(0);
    assert_eq!(one.max_size(), MAX_DATAGRAM);
    under_flood((&one, &other), &count, more(&count)).await;
    assert_eq!(sessions[0].session.path_kind(), PathKind::Relayed);
    assert_eq!(alice.session.stats().datagrams.sent, 0, "its session with the server knows nothing of them");
    drop((one, other));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test]
async fn datagrams_go_in_packets_on_a_direct_path_while_keys_are_renewed() {
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    both_direct(&sessions).await;
    let [one, other] = sessions.each_ref().map(|peer| peer.session.datagrams().unwrap());
    assert!((MIN_DATAGRAM..1_500).contains(&one.max_size()), "{}", one.max_size());
    for pair in [(&one, &other), (&other, &one)] {
        let count = watch::Sender::new(0);
        let life = async {
            more(&count).await;
            for _ in 0..5 {
                sessions[0].session.rekey().await.unwrap();
                more(&count).await;
            }
        };
        under_flood(pair, &count, life).await;
        while pair.1.try_recv().is_some() {}
    }
    drop((one, other));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_come_at_most_once_while_the_session_moves_and_messages_all_do() {
    const EACH: u32 = 300;
    let server = server().await;
    let on = || builder(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    let [one, other] = sessions.each_ref().map(|peer| peer.session.datagrams().unwrap());
    let (mut there, mut back) = channel(&sessions).await;
    let count = watch::Sender::new(0);
    let life = async {
        for round in 0..4_u32 {
            both_direct(&sessions).await;
            more(&count).await;
            let mut events = sessions[0].session.events();
            let leaves = if round % 2 == 0 { &alice } else { &bob };
            leaves.peers.network_changed();
            let numbers = || round * EACH..(round + 1) * EACH;
            join(send_numbers(&mut there, numbers()), hear_numbers(&mut back, numbers())).await;
            // The lane may have come and gone meanwhile.
            while !matches!(events.next().await, Some(SessionEvent::Attached { .. })) {}
            more(&count).await;
        }
    };
    under_flood((&one, &other), &count, life).await;
    drop((one, other, there, back));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
