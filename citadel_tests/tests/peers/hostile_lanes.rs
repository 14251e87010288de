//! A peer that does on its lanes what it should not: garbage at each stage, more lanes than its share, one that stands still.

use super::hostile_peer::Honest;
use super::raw::{Raw, agree, lane, reaches};
use super::scene::{Client, befriend, client, ends_empty, server};
use bytes::Bytes;
use citadel_crypt::handshake::{ClientConfig, HandshakeConfig, SessionKind, Trust};
use citadel_crypt::suite::Native;
use citadel_proto::driver::{Channel, Hub, RecvHalf};
use citadel_proto::peers::LaneError;
use citadel_proto::{CloseReason, SessionConfig};
use citadel_sdk::Session;
use rstest::rstest;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// A lane whose bytes somebody holds in the hand.
struct Tapped {
    /// Bytes that go up the lane beside those of the session.
    garbage: mpsc::UnboundedSender<Bytes>,
    /// Whether what comes down is read.
    reads: watch::Sender<bool>,
    /// Ends with the lane.
    pump: JoinHandle<()>,
}

/// The stream that a session may run over, and its tap.
fn tapped(lane: Channel) -> (DuplexStream, Tapped) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (garbage, mut injected) = mpsc::unbounded_channel::<Bytes>();
    let (reads, reading) = watch::channel(true);
    let (mut send, mut recv) = lane.split();
    let (mut read, mut write) = tokio::io::split(far);
    let pump = TaskTracker::new().spawn(async move {
        let up = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                let bytes = tokio::select! {
                    biased;
                    Some(garbage) = injected.recv() => garbage,
                    read = read.read(&mut buffer) => match read {
                        Ok(len) if len > 0 => Bytes::copy_from_slice(&buffer[..len]),
                        _ => break,
                    },
                };
                if send.send(bytes).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down(&mut recv, &mut write, reading) => {}
        }
    });
    (near, Tapped { garbage, reads, pump })
}

async fn down(
    recv: &mut RecvHalf,
    write: &mut (impl AsyncWriteExt + Unpin),
    mut reading: watch::Receiver<bool>,
) {
    while reading.wait_for(|reads| *reads).await.is_ok()
        && let Ok(Some(bytes)) = recv.recv().await
        && write.write_all(&bytes).await.is_ok()
    {}
}

/// What a lane carries instead of what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Nothing,
    Noise,
    TooLong,
    HalfAHello,
    InsteadOfTheProof,
    BehindTheHandshake,
    InTheSession,
}

struct Mallory {
    client: Client,
    identity: Arc<citadel_sdk::Identity>,
}

impl Mallory {
    async fn peer_of(honest: &Honest) -> Self {
        let identity = Arc::new(citadel_sdk::Identity::generate());
        let client = super::scene::client_as(&honest.server, "mallory", Arc::clone(&identity)).await;
        befriend(&client, &honest.alice).await;
        Self { client, identity }
    }

    async fn lane(&self, honest: &Honest) -> Channel {
        lane(&self.client.session, honest.alice.party, honest.alice.node.peer_id()).await
    }

    /// The client's end of a session with alice over `io`.
    async fn session(&self, hub: &Hub, io: DuplexStream, honest: &Honest) -> Session {
        let common = HandshakeConfig::new(Arc::new(Native), Arc::clone(&self.identity), SessionKind::P2P);
        let config = ClientConfig::new(common, Trust::Peer(honest.alice.node.peer_id()));
        let session = SessionConfig { services: true, ..SessionConfig::default() };
        hub.connect(io, config, session, None).await.unwrap()
    }

    async fn does(&self, stage: Stage, honest: &Honest) {
        let mut lane = self.lane(honest).await;
        match stage {
            Stage::Nothing => lane.finish().await.unwrap(),
            Stage::Noise => lane.send(vec![0x5A; 20_000]).await.unwrap(),
            Stage::TooLong => lane.send(vec![0xFF; 64]).await.unwrap(),
            Stage::HalfAHello | Stage::InsteadOfTheProof => {
                let (near, mut far) = tokio::io::duplex(64 << 10);
                let hub = Hub::new();
                let connecting = self.session(&hub, near, honest);
                let mut hello = vec![0; 2_000];
                let len = tokio::select! {
                    len = far.read(&mut hello) => len.unwrap(),
                    _ = connecting => unreachable!("nobody answers"),
                };
                hello.truncate(if stage == Stage::HalfAHello { len / 2 } else { len });
                lane.send(hello).await.unwrap();
                if stage == Stage::HalfAHello {
                    lane.finish().await.unwrap();
                } else {
                    lane.recv().await.unwrap().unwrap();
                    lane.send(vec![0x5A; 6_000]).await.unwrap();
                }
            }
            Stage::BehindTheHandshake | Stage::InTheSession => {
                let (near, tap) = tapped(lane);
                let hub = Hub::new();
                let session = self.session(&hub, near, honest).await;
                if stage == Stage::InTheSession {
                    let _heard = session.open_service_channel("greeting").unwrap();
                    let arrived = honest.alice.peers.accept_session().await;
                    assert_eq!(arrived.session.instance(), session.instance());
                }
                tap.garbage.send(vec![0x5A; 20_000].into()).unwrap();
                tap.pump.await.unwrap();
                hub.close(CloseReason::Aborted).await;
                return;
            }
        }
        // However it ends, it ends at once; what was written to it before that is a refusal.
        while let Ok(Some(_)) = lane.recv().await {}
    }
}

#[rstest]
#[case(Stage::Nothing)]
#[case(Stage::Noise)]
#[case(Stage::TooLong)]
#[case(Stage::HalfAHello)]
#[case(Stage::InsteadOfTheProof)]
#[case(Stage::BehindTheHandshake)]
#[case(Stage::InTheSession)]
#[tokio::test]
async fn garbage_on_a_lane_costs_that_lane(#[case] stage: Stage) {
    let mut honest = Honest::new().await;
    let mallory = Mallory::peer_of(&honest).await;
    for _ in 0..3 {
        mallory.does(stage, &honest).await;
        honest.goes_on().await;
    }
    // And the peer, should it come to its senses, still gets a session.
    let met = mallory.client.peers.connect(honest.alice.party).await.unwrap();
    assert_eq!(met.session.peer_id(), honest.alice.node.peer_id());
    honest.alice.peers.remove(mallory.client.party).await.unwrap();
    mallory.client.node.shutdown().await.unwrap();
    honest.ends().await;
}

#[tokio::test]
async fn a_lane_that_stands_still_holds_up_nobody_else_and_loses_nothing() {
    const MESSAGES: usize = 128;
    let mut honest = Honest::new().await;
    let mallory = Mallory::peer_of(&honest).await;
    let (near, tap) = tapped(mallory.lane(&honest).await);
    let hub = Hub::new();
    let session = mallory.session(&hub, near, &honest).await;
    let _heard = session.open_service_channel("greeting").unwrap();
    let arrived = honest.alice.peers.accept_session().await.session;
    tap.reads.send_replace(false);
    let mut to_mallory = arrived.open_channel().await.unwrap();
    let sending = TaskTracker::new().spawn(async move {
        for number in 0..MESSAGES {
            to_mallory.send(vec![number as u8; 60_000]).await.unwrap();
        }
        to_mallory.finish().await.unwrap();
        to_mallory
    });
    for _ in 0..10 {
        honest.goes_on().await;
    }
    assert!(!sending.is_finished(), "8 MB do not fit between the two");
    tap.reads.send_replace(true);
    let mut from_alice = session.accept_channel().await.unwrap().unwrap();
    for number in 0..MESSAGES {
        assert!(from_alice.recv().await.unwrap().unwrap() == vec![number as u8; 60_000], "message {number}");
    }
    assert_eq!(from_alice.recv().await.unwrap(), None);
    drop((from_alice, sending.await.unwrap()));
    session.close(0, "").await;
    mallory.client.node.shutdown().await.unwrap();
    honest.ends().await;
}

#[tokio::test]
async fn fix_0054_one_peer_leaves_the_others_their_lanes() {
    let server = server().await;
    let (alice, bob) = (Raw::new(&server, "alice").await, Raw::new(&server, "bob").await);
    let mallory = [Raw::new(&server, "mallory").await, Raw::new(&server, "mallory").await];
    agree(&mallory[0], &alice).await;
    agree(&bob, &alice).await;
    let mut taken = Vec::new();
    for device in &mallory {
        for _ in 0..45 {
            match reaches(device, &alice).await {
                Ok(ends) => taken.push(ends),
                Err(code) => assert_eq!(code, LaneError::Full.code()),
            }
        }
    }
    let bobs = reaches(&bob, &alice).await;
    assert!(bobs.is_ok(), "{:?} behind {} lanes of another", bobs.err(), taken.len());
    assert_eq!(taken.len(), 16);
    // What is given up can be had again, and nothing else.
    drop(taken);
    let board = server.switchboard().unwrap();
    while board.lanes() != 1 {
        tokio::task::yield_now().await;
    }
    let mut again = Vec::new();
    while let Ok(ends) = reaches(&mallory[1], &alice).await {
        again.push(ends);
    }
    assert_eq!(again.len(), 16);
    drop((again, bobs));
    let [first, second] = mallory;
    for raw in [first, second, alice, bob] {
        raw.node.shutdown().await.unwrap();
    }
    ends_empty(server).await;
}

#[tokio::test]
async fn a_session_has_sixty_four_lanes() {
    let server = server().await;
    let alice = Raw::new(&server, "alice").await;
    let mut taken = Vec::new();
    let mut others = Vec::new();
    for number in 0..5 {
        let other = Raw::new(&server, &format!("peer-{number}")).await;
        agree(&other, &alice).await;
        for _ in 0..16 {
            match reaches(&other, &alice).await {
                Ok(ends) => taken.push(ends),
                Err(code) => assert_eq!((code, number), (LaneError::Full.code(), 4)),
            }
        }
        others.push(other);
    }
    assert_eq!(taken.len(), 64);
    drop(taken);
    for raw in others.into_iter().chain([alice]) {
        raw.node.shutdown().await.unwrap();
    }
    ends_empty(server).await;
}

/// Somebody who is a client of the prefab and meets a peer all of whose lanes are taken by then.
#[tokio::test]
async fn a_peer_whose_lanes_are_taken_by_another_is_still_reached() {
    let server = server().await;
    let (alice, bob) = (client(&server, "alice").await, client(&server, "bob").await);
    let mallory = client(&server, "mallory").await;
    befriend(&mallory, &alice).await;
    befriend(&bob, &alice).await;
    let mut lanes = Vec::new();
    while let Ok(mut lane) = mallory.session.open_service_channel(citadel_proto::RELAY) {
        let open = citadel_proto::peers::wire::LaneOpen { to: alice.party, device: alice.node.peer_id() };
        lane.send(citadel_proto::peers::wire::encode_lane(&open).unwrap()).await.unwrap();
        lanes.push(lane);
    }
    let met = bob.peers.connect(alice.party).await.unwrap();
    assert_eq!(met.session.peer_id(), alice.node.peer_id());
    drop(lanes);
    mallory.node.shutdown().await.unwrap();
    bob.node.shutdown().await.unwrap();
    alice.node.shutdown().await.unwrap();
    ends_empty(server).await;
}
