//! Datagrams over each transport, and in packets of QUIC.

use super::transports::{Over, acceptor, dialer, meet, transport};
use bytes::Bytes;
use citadel_proto::driver::{Channel, Datagrams, Session};
use citadel_proto::{MAX_DATAGRAM, MIN_DATAGRAM};
use citadel_tests::resumable::Ends;
use futures::future::{join, select};
use rstest::rstest;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};

fn numbered(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Sends numbers until the other end has heard a hundred, none of them twice.
async fn until_a_hundred(near: &Datagrams, far: &Datagrams) {
    let mut next = 0;
    let flood = async {
        loop {
            near.send(numbered(next)).unwrap();
            next += 1;
            yield_now().await;
        }
    };
    let hear = async {
        let mut heard = BTreeSet::<Bytes>::new();
        while heard.len() < 100 {
            assert!(heard.insert(far.recv().await.unwrap()), "one came twice");
        }
    };
    select(pin!(hear), pin!(flood)).await;
}

fn asked(one: &Session, other: &Session) -> (Datagrams, Datagrams) {
    (one.datagrams().unwrap(), other.datagrams().unwrap())
}

#[rstest]
#[tokio::test]
async fn datagrams_arrive_over_every_transport(#[values(Over::Tcp, Over::Quic, Over::Memory)] over: Over) {
    let (ends, transport) = (Ends::new(Duration::ZERO), transport(over));
    let (opened, accepted, _acceptor) = meet(&ends, &transport).await;
    let (near, far) = asked(&opened, &accepted);
    for (from, to) in [(&near, &far), (&far, &near)] {
        let size = from.max_size();
        match over {
            Over::Quic => assert!((MIN_DATAGRAM..1_500).contains(&size), "{size}"),
            Over::Tcp | Over::Memory => assert_eq!(size, MAX_DATAGRAM),
        }
        until_a_hundred(from, to).await;
    }
    let (one, other) = join(opened.rekey(), accepted.rekey()).await;
    assert!(one.unwrap().version.0 > 0 && other.unwrap().version.0 > 0);
    // One of the numbers of before may still be on its way.
    while far.try_recv().is_some() {}
    until_a_hundred(&far, &near).await;
    let rejected = [&opened, &accepted].map(|session| session.stats().datagrams.rejected);
    assert_eq!(rejected, [0, 0]);
    let (one, other) = join(opened.close(0, ""), accepted.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
    assert_eq!((near.recv().await.and(far.recv().await), far.recv().await), (None, None));
}

/// Sends messages from one end to the other, so many of so many bytes, while a flood of datagrams takes what it gets of the path.
/// Fails when it gets more than `most` bytes of it before the messages have come.
async fn talk_under_flood(
    from: &Session,
    datagrams: &Datagrams,
    (there, back): (&mut Channel, &mut Channel),
    (count, len): (u8, usize),
    most: u64,
) {
    let flood = async {
        let before = from.stats().datagrams.sent;
        loop {
            // In packets as long as one may be: they leave a stream nothing of theirs.
            let size = datagrams.max_size().min(1_500);
            for _ in 0..20 {
                datagrams.send(vec![1; size]).unwrap();
            }
            let taken = (from.stats().datagrams.sent - before) * size as u64;
            assert!(taken <= most, "the flood has {taken} bytes of the path, the messages not theirs");
            yield_now().await;
        }
    };
    let talk = async {
        for number in 0..count {
            let (sent, heard) = join(there.send(vec![number; len]), back.recv()).await;
            sent.unwrap();
            assert!(heard.unwrap().unwrap() == vec![number; len]);
        }
    };
    select(pin!(talk), pin!(flood)).await;
}

#[rstest]
#[tokio::test]
async fn a_flood_of_datagrams_leaves_messages_their_way(
    #[values(Over::Tcp, Over::Quic, Over::Memory)] over: Over,
    #[values(true, false)] is_wanted: bool,
) {
    const LEN: usize = 1 << 20;
    let (ends, transport) = (Ends::new(Duration::ZERO), transport(over));
    let (opened, accepted, _acceptor) = meet(&ends, &transport).await;
    let near = opened.datagrams().unwrap();
    let far = is_wanted.then(|| accepted.datagrams().unwrap());
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    talk_under_flood(&opened, &near, (&mut there, &mut back), (8, LEN), u64::MAX).await;
    let got = accepted.stats().datagrams;
    assert_eq!((got.unwanted > 0, got.received > 0), (!is_wanted, is_wanted), "{got:?}");
    drop((near, far));
    let (one, other) = join(opened.close(0, ""), accepted.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}

/// Packets between a client and a server, of which every fifth to the server is lost when it is told so.
struct Lossy {
    address: SocketAddr,
    loses: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Lossy {
    async fn before(server: SocketAddr) -> Self {
        let [front, back] = [UdpSocket::bind("127.0.0.1:0").await, UdpSocket::bind("127.0.0.1:0").await];
        let (front, back) = (front.unwrap(), back.unwrap());
        back.connect(server).await.unwrap();
        let (address, loses) = (front.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        tasks.spawn(carry(front, back, Arc::clone(&loses)));
        Self { address, loses, _tasks: tasks }
    }
}

async fn carry(front: UdpSocket, back: UdpSocket, loses: Arc<AtomicBool>) {
    let (mut client, mut count) = (None, 0_u64);
    let (mut there, mut here) = ([0; 2_048], [0; 2_048]);
    loop {
        // What the system does not take is lost.
        tokio::select! {
            Ok((len, from)) = front.recv_from(&mut there) => {
                (client, count) = (Some(from), count + 1);
                if count % 5 > 0 || !loses.load(Ordering::Relaxed) {
                    let _sent = back.send(&there[..len]).await;
                }
            }
            Ok(len) = back.recv(&mut here) => if let Some(client) = client {
                let _sent = front.send_to(&here[..len], client).await;
            },
            else => return,
        }
    }
}

/// There QUIC has less room than datagrams would fill, and sends them before any byte of a stream.
#[tokio::test]
async fn a_flood_where_the_network_is_the_limit_starves_no_channel() {
    const LEN: usize = 50_000;
    let (ends, quic) = (Ends::new(Duration::ZERO), transport(Over::Quic));
    let acceptor = acceptor(&ends, vec![quic.listen("127.0.0.1:0").await.unwrap()]);
    let network = Lossy::before(acceptor.local_addrs()[0]).await;
    let dialer = dialer(&quic, network.address);
    let opening = ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None);
    let accepting = async { acceptor.accept().await.unwrap().accept().await };
    let (opened, accepted) = join(opening, accepting).await;
    let (opened, accepted) = (opened.unwrap(), accepted.unwrap());
    let (near, far) = asked(&opened, &accepted);
    let (mut there, mut back) = (opened.channel().unwrap(), accepted.channel().unwrap());
    network.loses.store(true, Ordering::Relaxed);
    talk_under_flood(&opened, &near, (&mut there, &mut back), (10, LEN), 4 * 10 * LEN as u64).await;
    network.loses.store(false, Ordering::Relaxed);
    let (sent, got) = (opened.stats().datagrams, accepted.stats().datagrams);
    assert!(sent.late > 0 && got.received > 0, "{sent:?} {got:?}");
    drop((near, far));
    let (one, other) = join(opened.close(0, ""), accepted.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}
