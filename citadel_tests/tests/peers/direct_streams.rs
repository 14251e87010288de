//! TCP within one network: when an attempt takes it, what its greeting proves, and sessions that move to it where UDP does not pass.

use super::direct_sockets::{both_direct, builder, channel, hear_numbers, meet, send_numbers};
use super::scene::{ends_empty, near, server};
use citadel_crypt::Timestamp;
use citadel_crypt::ratchets::rekey::Side;
use citadel_proto::peers::direct::{
    Candidates, DirectMessage, GRACE_OF_STREAM, Greeting, MAX_STREAMS, NotDirect, PACKET_LEN, Packet, Probe,
    ProbeInput, ProbeOutput, ProbeResult, ProbeTimes, Probing,
};
use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, DirectConfig, Link, Locality, PathKind, SessionEvent, UdpNetwork, UdpSocket};
use citadel_tests::direct_world::keys;
use core::task::{Context, Poll};
use core::time::Duration;
use futures::future::{join, join_all};
use rstest::rstest;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const START: Timestamp = Timestamp::ZERO;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn link(text: &str, prefix: u8) -> Link {
    Link { ip: text.parse().unwrap(), prefix }
}

fn initiator(candidates: &Candidates) -> Probing {
    let [of_initiator, _] = keys(1);
    let times = ProbeTimes::default();
    Probing::new(Side::Initiator, Arc::new(of_initiator), candidates, Locality::Reachable, times, START)
}

fn outputs(machine: &mut Probing) -> Vec<ProbeOutput> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

/// What it decides until it is silent or over, as time goes by.
fn decides(machine: &mut Probing) -> (Timestamp, Vec<ProbeOutput>) {
    let is_decision =
        |output: &ProbeOutput| !matches!(output, ProbeOutput::Send { .. } | ProbeOutput::LetIn(_));
    loop {
        let due = machine.poll_timeout().unwrap();
        machine.handle(due, ProbeInput::Timeout);
        let decided: Vec<_> = outputs(machine).into_iter().filter(is_decision).collect();
        if !decided.is_empty() {
            return (due, decided);
        }
    }
}

/// The responder's answer to the first ping that goes.
fn pong(sent: &[ProbeOutput]) -> (SocketAddr, Packet) {
    let [_, of_responder] = keys(1);
    let ProbeOutput::Send { to, packet } = sent[0] else { panic!("a ping goes first") };
    let Some(Probe::Ping { number }) = of_responder.open(&packet) else { panic!("it is a ping") };
    (to, of_responder.seal(Probe::Pong { number, seen: address("203.0.113.1:1") }))
}

#[test]
fn a_stream_alone_is_taken_once_packets_have_had_their_time() {
    let mut machine = initiator(&Candidates::gather([address("10.0.0.7:9")], Locality::Reachable));
    let came = START + Duration::from_millis(3);
    machine.handle(came, ProbeInput::Stream);
    // More of them change nothing.
    machine.handle(came + Duration::from_millis(500), ProbeInput::Stream);
    assert_eq!(decides(&mut machine), (came + GRACE_OF_STREAM, vec![ProbeOutput::TakeStream]));
    machine.handle(came + GRACE_OF_STREAM, ProbeInput::Taken);
    assert_eq!(outputs(&mut machine), [ProbeOutput::Over(ProbeResult::Direct)]);
}

#[test]
fn an_address_that_is_proven_meanwhile_comes_before_the_stream() {
    let mut machine = initiator(&Candidates::gather([address("10.0.0.7:9")], Locality::Reachable));
    let (from, pong) = pong(&outputs(&mut machine));
    machine.handle(START, ProbeInput::Stream);
    let late = START + (GRACE_OF_STREAM - Duration::from_millis(1));
    machine.handle(late, ProbeInput::Packet { from, bytes: &pong });
    let decided = outputs(&mut machine);
    assert!(matches!(decided.last(), Some(ProbeOutput::Connect { to, .. }) if *to == from), "{decided:?}");
    // It is of no use: the stream is, and after it nothing.
    machine.handle(late, ProbeInput::NotTaken);
    assert_eq!(outputs(&mut machine), [ProbeOutput::TakeStream]);
    machine.handle(late, ProbeInput::NotTaken);
    assert_eq!(outputs(&mut machine), [ProbeOutput::Over(ProbeResult::Nothing)]);
}

#[test]
fn a_stream_that_comes_while_an_address_is_tried_is_tried_next() {
    let mut machine = initiator(&Candidates::gather([address("10.0.0.7:9")], Locality::Reachable));
    let (from, pong) = pong(&outputs(&mut machine));
    machine.handle(START, ProbeInput::Packet { from, bytes: &pong });
    assert!(matches!(outputs(&mut machine).last(), Some(ProbeOutput::Connect { .. })));
    machine.handle(START, ProbeInput::Stream);
    assert_eq!(outputs(&mut machine), []);
    let (due, decided) = decides(&mut machine);
    assert_eq!((due, decided), (START + ProbeTimes::default().connect, vec![ProbeOutput::TakeStream]));
}

#[test]
fn a_stream_that_comes_as_the_proof_ends_is_taken_and_a_responder_never_chooses() {
    let none = Candidates::default();
    let mut machine = initiator(&none);
    let end = START + ProbeTimes::default().proof;
    machine.handle(START + (ProbeTimes::default().proof - Duration::from_millis(1)), ProbeInput::Stream);
    assert_eq!(decides(&mut machine), (end, vec![ProbeOutput::TakeStream]));
    let [_, of_responder] = keys(1);
    let times = ProbeTimes::default();
    let mut responder =
        Probing::new(Side::Responder, Arc::new(of_responder), &none, Locality::Reachable, times, START);
    responder.handle(START, ProbeInput::Stream);
    assert_eq!(decides(&mut responder), (START + times.whole, vec![ProbeOutput::Over(ProbeResult::Nothing)]));
}

#[test]
fn greetings_prove_the_peer_of_this_attempt_once_for_each_stream() {
    let pair = || keys(1).map(|keys| Greeting::new(Arc::new(keys)));
    let [mut one, mut other] = pair();
    for number in 0..MAX_STREAMS as u64 {
        let hello = one.hello(number);
        let welcome = other.welcome(&hello).unwrap();
        assert!(one.is_welcome(number)(&welcome));
        assert!(!one.is_welcome(number + 1)(&welcome), "of another stream");
        assert_eq!(other.welcome(&hello), None, "it counts once");
        // What comes back to who sent it, and what is no greeting.
        assert_eq!(one.welcome(&hello), None);
        assert_eq!(one.welcome(&welcome), None);
        assert!(!other.is_welcome(number)(&welcome));
    }
    assert_eq!(other.welcome(&one.hello(MAX_STREAMS as u64)), None);
    assert_eq!(other.welcome(&one.hello(u64::MAX)), None);
    let [fresh, mut victim] = pair();
    let (hello, [foreign, _]) = (fresh.hello(0), keys(2));
    assert_eq!(victim.welcome(&Greeting::new(Arc::new(foreign)).hello(0)), None, "of another attempt");
    for bit in 0..PACKET_LEN * 8 {
        let mut turned = hello;
        turned[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(victim.welcome(&turned), None, "bit {bit}");
    }
    assert!(victim.welcome(&hello).is_some());
}

#[test]
fn streams_go_to_told_addresses_on_own_links_alone() {
    let told = [
        "192.168.1.7:9",
        "10.1.2.3:9",
        "192.168.1.7:10",
        "192.168.2.1:9",
        "[2001:db8::7]:9",
        "[2001:db8:1::7]:9",
    ];
    let told = Candidates::gather(told.map(address), Locality::Reachable);
    let links = [link("192.168.1.1", 24), link("10.9.9.9", 8), link("2001:db8::1", 64)];
    assert_eq!(told.streams(&links), [], "it takes no TCP");
    let told = told.with_tcp(Some(7_000));
    assert_eq!(told.streams(&[]), []);
    assert_eq!(
        told.streams(&links),
        ["192.168.1.7:7000", "10.1.2.3:7000", "[2001:db8::7]:7000"].map(address)
    );
    let many = (1..=16).map(|host| SocketAddr::from(([192, 168, 1, host], 9)));
    let many = Candidates::gather(many, Locality::Reachable).with_tcp(Some(u16::MAX));
    assert_eq!(many.streams(&links).len(), MAX_STREAMS);
    // A link without a prefix holds all of its family, one of full length nothing but itself.
    assert!(link("10.0.0.1", 0).holds("203.0.113.1".parse().unwrap()));
    assert!(!link("10.0.0.1", 0).holds("2001:db8::1".parse().unwrap()));
    assert!(!link("10.0.0.1", 32).holds("10.0.0.0".parse().unwrap()));
    assert!(link("10.0.0.1", 32).holds("10.0.0.1".parse().unwrap()));
}

#[test]
fn nobody_may_have_a_service_below_1024_called() {
    let some = || Candidates::gather([address("10.0.0.1:9")], Locality::Reachable);
    for port in [1_024, 50_000, u16::MAX] {
        let message = DirectMessage::Offer { attempt: 1, candidates: some().with_tcp(Some(port)) };
        assert_eq!(DirectMessage::decode(&message.encode(), Locality::Reachable), Ok(message));
    }
    for port in [1_u16, 22, 80, 1_023] {
        assert_eq!(some().with_tcp(Some(port)).tcp(), None);
        let mut bytes = DirectMessage::Offer { attempt: 1, candidates: some() }.encode();
        let at = bytes.len() - 2;
        bytes[at..].copy_from_slice(&port.to_be_bytes());
        assert_eq!(DirectMessage::decode(&bytes, Locality::Reachable), Err(NotDirect), "{port}");
    }
}

/// This machine, whose firewall lets no packet out.
#[derive(Clone, Default, Debug)]
struct Walled {
    /// How often somebody looked at its addresses.
    looked: watch::Sender<u32>,
}

#[derive(Debug)]
struct Mute(tokio::net::UdpSocket);

impl UdpNetwork for Walled {
    fn bind(&self, address: SocketAddr) -> io::Result<Arc<dyn UdpSocket>> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Arc::new(Mute(tokio::net::UdpSocket::from_std(socket)?)))
    }

    fn interfaces(&self) -> Vec<IpAddr> {
        self.looked.send_modify(|looks| *looks += 1);
        vec![Ipv4Addr::LOCALHOST.into()]
    }

    fn links(&self) -> Vec<Link> {
        vec![Link { ip: Ipv4Addr::LOCALHOST.into(), prefix: 8 }]
    }
}

impl UdpSocket for Mute {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn try_send(&self, _: SocketAddr, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        Poll::Pending
    }
}

fn walled(direct: Direct) -> NodeBuilder<EmptyKernel> {
    builder(direct).udp(Arc::new(Walled::default()))
}

fn is_by_tcp(path: PathKind) -> bool {
    matches!(path, PathKind::DirectTcp(_))
}

#[tokio::test]
async fn sessions_where_udp_does_not_pass_move_to_tcp_and_back_under_messages() {
    const EACH: u32 = 2_000;
    let server = server().await;
    let on = || walled(Direct::On(near()));
    let (alice, bob, sessions) = meet(&server, [on(), on()]).await;
    let (mut near, mut far) = channel(&sessions).await;
    let hearing = async { hear_numbers(&mut far, 0..2 * EACH).await };
    let sending = async {
        for round in 0..2 {
            both_direct(&sessions).await;
            assert!(sessions.iter().all(|peer| is_by_tcp(peer.session.path_kind())));
            send_numbers(&mut near, round * EACH..round * EACH + EACH / 2).await;
            let leaves = if round % 2 == 0 { &alice } else { &bob };
            let mut events = sessions[0].session.events();
            leaves.peers.network_changed();
            send_numbers(&mut near, round * EACH + EACH / 2..(round + 1) * EACH).await;
            while !matches!(events.next().await, Some(SessionEvent::Attached { .. })) {}
        }
        near.finish().await.unwrap();
        near.acknowledged().await.unwrap();
    };
    join(sending, hearing).await;
    // Both ends at once want another version, on whatever carries them.
    let (one, other) = join(sessions[0].session.rekey(), sessions[1].session.rekey()).await;
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    both_direct(&sessions).await;
    drop((near, far));
    let (one, other) = join(sessions[0].session.close(7, "done"), sessions[1].session.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

#[rstest]
#[case::switched_off(DirectConfig { tcp: false, ..near() })]
#[case::interfaces_not_told(DirectConfig { interfaces: false, ..near() })]
#[tokio::test]
async fn sessions_of_an_end_without_tcp_stay_on_the_lane(#[case] without: DirectConfig) {
    let server = server().await;
    // Shorter than a path takes that is proven last, longer than a stream waits.
    let times = ProbeTimes { proof: GRACE_OF_STREAM * 5 / 4, ..ProbeTimes::default() };
    let networks = [Walled::default(), Walled::default()];
    let on = |at: usize, config| {
        // Bound to one address it would not look which it has.
        let bind = (Ipv4Addr::UNSPECIFIED, 0).into();
        builder(Direct::On(DirectConfig { bind, times, ..config })).udp(Arc::new(networks[at].clone()))
    };
    let (alice, bob, sessions) = meet(&server, [on(0, near()), on(1, without)]).await;
    for network in &networks {
        // An attempt looks at most twice: another one has begun, and the first has come to nothing.
        let mut looked = network.looked.subscribe();
        tokio::select! {
            () = both_direct(&sessions) => panic!("a path: {:?}", sessions[0].session.path_kind()),
            looks = looked.wait_for(|looks| *looks > 2) => drop(looks.unwrap()),
        }
    }
    let mut channels = channel(&sessions).await;
    join(send_numbers(&mut channels.0, 0..10), hear_numbers(&mut channels.1, 0..10)).await;
    for peer in &sessions {
        assert_eq!(peer.session.path_kind(), PathKind::Relayed);
    }
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

/// A stranger has as many silent streams at both ends as may wait there, all the time.
#[tokio::test]
async fn fix_0084_silent_streams_of_a_stranger_take_nobody_s_place() {
    let server = server().await;
    // The first attempt does it, or none: another one does not come.
    let pauses = (Duration::from_secs(3600), Duration::from_secs(3600));
    let on = |port: u16| {
        let bind = (Ipv4Addr::LOCALHOST, port).into();
        walled(Direct::On(DirectConfig { bind, pauses, ..near() }))
    };
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [free(), free()];
    let silent = |port: u16| async move {
        loop {
            match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                Ok(mut stream) => drop(stream.read(&mut [0]).await),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let stranger = join_all(ports.into_iter().cycle().take(2 * 16).map(silent));
    let meeting = async {
        let (alice, bob, sessions) = meet(&server, ports.map(on)).await;
        both_direct(&sessions).await;
        (alice, bob, sessions)
    };
    let (alice, bob, sessions) = tokio::select! {
        met = meeting => met,
        _ = stranger => unreachable!("strangers do not give up"),
    };
    assert!(sessions.iter().all(|peer| is_by_tcp(peer.session.path_kind())));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}

/// Streams of strangers, in the time in which the listener is there: silent ones, garbage, and the hello of nobody.
#[tokio::test]
async fn streams_of_strangers_keep_no_session_from_its_own() {
    let server = server().await;
    let on =
        |port: u16| walled(Direct::On(DirectConfig { bind: (Ipv4Addr::LOCALHOST, port).into(), ..near() }));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let stranger = async {
        let (mut heard, mut told) = (0, 0);
        loop {
            let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let len = [0, 1, PACKET_LEN, 4 * PACKET_LEN][told % 4];
            told += 1;
            let _gone = stream.write_all(&vec![0x14; len]).await;
            let _gone = stream.shutdown().await;
            heard += stream.read(&mut [0]).await.unwrap_or(0);
            assert_eq!(heard, 0, "a stranger is answered");
        }
    };
    let meeting = async {
        let (alice, bob, sessions) = meet(&server, [on(port), on(0)]).await;
        both_direct(&sessions).await;
        (alice, bob, sessions)
    };
    let (alice, bob, sessions) = tokio::select! {
        met = meeting => met,
        () = stranger => unreachable!("strangers do not give up"),
    };
    assert!(sessions.iter().all(|peer| is_by_tcp(peer.session.path_kind())));
    let mut channels = channel(&sessions).await;
    join(send_numbers(&mut channels.0, 0..100), hear_numbers(&mut channels.1, 0..100)).await;
    // The attempt is over, and its listener with it.
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop(channels);
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
