//! Relay lanes through handles: as paths of other sessions, as bytes, and beside the channels of applications.

use citadel_crypt::SecrecyMode;
use citadel_crypt::handshake::Limits;
use citadel_proto::driver::{Channel, RecvHalf, SendHalf, Session};
use citadel_proto::{CloseReason, PathLoss, RELAY, RecvError, SessionConfig};
use citadel_tests::resumable::Ends;
use citadel_tests::session_world::{client_config, server_config};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

const RESUME: Duration = Duration::from_secs(60);
/// No stage of a close waited for its deadline.
const SOON: Duration = Duration::from_millis(500);
const LEN: usize = 30_000;

/// Ends whose sessions have services, as those of nodes.
pub(crate) fn outer() -> Ends {
    let mut ends = Ends::new(RESUME);
    ends.session.services = true;
    ends
}

pub(crate) async fn lane(client: &Session, server: &Session) -> (Channel, Channel) {
    let there = client.open_service_channel(RELAY).unwrap();
    (there, server.accept_service_channel().await.unwrap().unwrap())
}

/// A session over both ends of a lane.
pub(crate) async fn over(inner: &Ends, (there, back): (Channel, Channel)) -> (Session, Session) {
    let connect =
        inner.client_hub.connect(there.into_io(), inner.client.clone(), inner.session.clone(), None);
    let accept = async {
        let (server, config) = (Arc::clone(&inner.server), inner.session.clone());
        inner.server_hub.identify(back.into_io(), b"lane", server, config, false).await?.accept().await
    };
    let (near, far) = tokio::join!(connect, accept);
    (near.unwrap(), far.unwrap())
}

fn message(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(LEN / 4)
}

async fn say(half: &mut SendHalf, numbers: core::ops::Range<u32>) {
    for number in numbers {
        half.send(message(number)).await.unwrap();
    }
}

async fn hear(half: &mut RecvHalf, numbers: core::ops::Range<u32>) {
    for number in numbers {
        assert!(half.recv().await.unwrap().unwrap() == message(number), "message {number}");
    }
}

/// Both ends of channel 0, and what they say to each other.
struct Talk {
    near: (SendHalf, RecvHalf),
    far: (SendHalf, RecvHalf),
    said: u32,
}

impl Talk {
    fn new(near: &Session, far: &Session) -> Self {
        let [near, far] = [near, far].map(|session| session.channel().unwrap().split());
        Self { near, far, said: 0 }
    }

    async fn go_on(&mut self, count: u32) {
        let numbers = || self.said..self.said + count;
        tokio::join!(
            say(&mut self.near.0, numbers()),
            hear(&mut self.near.1, numbers()),
            say(&mut self.far.0, numbers()),
            hear(&mut self.far.1, numbers()),
        );
        self.said += count;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_over_a_lane_talks_and_ends_and_the_lane_is_over() {
    let (ends, inner) = (outer(), Ends::new(Duration::ZERO));
    let (client, server, _cut) = ends.session().await;
    let (near, far) = over(&inner, lane(&client, &server).await).await;
    Talk::new(&near, &far).go_on(100).await;
    near.rekey().await.unwrap();
    let (a, b) = tokio::join!(near.close(1, "done"), far.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
    let began = Instant::now();
    let (a, b) = tokio::join!(client.close(1, "done"), server.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
    assert!(began.elapsed() < SOON, "the lane was open for {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_does_not_notice_that_the_session_below_loses_its_path() {
    let (ends, inner) = (outer(), Ends::new(Duration::ZERO));
    let (client, server, cut) = ends.session().await;
    let (near, far) = over(&inner, lane(&client, &server).await).await;
    let mut talk = Talk::new(&near, &far);
    talk.go_on(5).await;
    let mut cut = Some(cut);
    for _ in 0..5 {
        // Cut in the middle of it.
        let resumed = async {
            tokio::task::yield_now().await;
            drop(cut.take());
            let (asked, given, next) = ends.resume(&client).await;
            asked.unwrap();
            given.unwrap();
            next
        };
        let ((), next) = tokio::join!(talk.go_on(40), resumed);
        cut = Some(next);
    }
    let (a, b) = tokio::join!(near.close(1, "done"), far.closed());
    assert!(a.clean && b.clean, "no path of this session was lost: {a} / {b}");
    let (a, b) = tokio::join!(client.close(1, "done"), server.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
}

/// R-SHUT-2: what lanes carry ends before what carries them.
#[tokio::test(start_paused = true)]
async fn the_session_below_closes_and_waits_for_the_one_above() {
    let (ends, inner) = (outer(), Ends::new(Duration::ZERO));
    let (client, server, _cut) = ends.session().await;
    let (near, far) = over(&inner, lane(&client, &server).await).await;
    let mut talk = Talk::new(&near, &far);
    talk.go_on(10).await;
    server.begin_shutdown(CloseReason::GoingAway);
    let mut plain = server.channel().unwrap();
    assert!(plain.send("x").await.is_err(), "it takes no message of an application");
    talk.go_on(100).await;
    assert_eq!(client.closing(), Some(CloseReason::GoingAway));
    assert!(client.open_service_channel(RELAY).is_err());
    near.rekey().await.unwrap();
    let (a, b) = tokio::join!(near.close(1, "done"), far.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
    let (a, b) = tokio::join!(client.closed(), server.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[tokio::test(start_paused = true)]
async fn one_above_that_does_not_end_is_cut_at_the_flush_deadline() {
    let (ends, inner) = (outer(), Ends::new(Duration::ZERO));
    let (client, server, _cut) = ends.session().await;
    let (near, far) = over(&inner, lane(&client, &server).await).await;
    Talk::new(&near, &far).go_on(10).await;
    let began = Instant::now();
    let report = client.close(1, "done").await;
    assert!(!report.clean, "{report}");
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_millis(8_250)).contains(&took), "{took:?}");
    for session in [near, far] {
        let report = session.closed().await;
        assert!(matches!(report.local, CloseReason::PathLost(PathLoss::Io)), "{report}");
    }
    server.closed().await;
}

/// An end that is gone without having said so is an error at the other, never an end of the stream.
#[tokio::test(start_paused = true)]
async fn bytes_over_a_lane_end_as_they_were_ended() {
    let ends = outer();
    let (client, server, _cut) = ends.session().await;
    let (there, back) = lane(&client, &server).await;
    let (mut there, mut back) = (there.into_io(), back.into_io());
    there.write_all(b"all of it").await.unwrap();
    there.shutdown().await.unwrap();
    let mut all = String::new();
    back.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "all of it");
    back.write_all(b"the other direction is open").await.unwrap();
    let mut some = [0; 27];
    there.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"the other direction is open");
    drop(back);
    assert_eq!(there.read(&mut some).await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (there, back) = lane(&client, &server).await;
    let (mut there, back) = (there.into_io(), back.into_io());
    drop(back);
    assert_eq!(there.read(&mut some).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(there.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(there);

    // While the session closes it is no different.
    let (there, back) = lane(&client, &server).await;
    let (there, mut back) = (there.into_io(), back.into_io());
    let (other, end) = lane(&client, &server).await;
    let (mut other, mut end) = (other.into_io(), end.into_io());
    client.begin_shutdown(CloseReason::GoingAway);
    drop(there);
    assert_eq!(back.read(&mut some).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(back);
    other.write_all(b"last").await.unwrap();
    other.shutdown().await.unwrap();
    let mut last = String::new();
    end.read_to_string(&mut last).await.unwrap();
    assert_eq!(last, "last");
    // The other direction is cut by the deadline.
    let (read, _) = tokio::join!(other.read(&mut some), client.closed());
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(end.write(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
}

/// A writer that waits for room learns at once that there will be none.
#[tokio::test(start_paused = true)]
async fn who_waits_for_room_on_a_lane_is_told_when_flushing_is_over() {
    let ends = outer();
    let (client, server, _cut) = ends.session().await;
    let (there, _back) = lane(&client, &server).await;
    let mut there = there.into_io();
    let bytes = vec![1; 1 << 20];
    let began = Instant::now();
    client.begin_shutdown(CloseReason::GoingAway);
    let error = there.write_all(&bytes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    let took = began.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_millis(5_100)).contains(&took), "{took:?}");
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn eighty_stalled_lanes_beside_every_channel_of_the_applications() {
    let ends = outer();
    let (client, server, _cut) = ends.session().await;
    let mut stalled = Vec::new();
    for number in 0..80 {
        let (from, to) = if number % 2 == 0 { (&client, &server) } else { (&server, &client) };
        let (mut there, back) = lane(from, to).await;
        while there.try_send(vec![1; 60_000]).is_ok() {}
        stalled.push((there, back));
    }
    let mut channels = Vec::new();
    for _ in 0..16 {
        let there = client.open_channel().await.unwrap();
        channels.push((there, server.accept_channel().await.unwrap().unwrap()));
    }
    let talks = channels.into_iter().map(|(there, back)| async {
        Talk { near: there.split(), far: back.split(), said: 0 }.go_on(30).await;
    });
    futures::future::join_all(talks).await;
    let stats = client.stats();
    assert_eq!((stats.service_channels, stats.channels), (80, 80 + 17));
    for (there, mut back) in stalled {
        drop(there);
        while let Ok(Some(_)) = back.recv().await {}
        assert_eq!(back.recv().await, Err(RecvError::Reset { code: 0 }));
    }
    let (a, b) = tokio::join!(client.close(1, "done"), server.closed());
    assert!(a.clean && b.clean, "{a} / {b}");
}

#[tokio::test(start_paused = true)]
async fn fix_0032_a_write_longer_than_the_peer_takes_is_cut() {
    let limits = Limits { max_message: 10_000, channel_credit: 30_000, ..Limits::default() };
    let mut ends = outer();
    ends.client = client_config(&ends.alice, &ends.bob, SecrecyMode::BestEffort, limits);
    ends.server = server_config(&ends.bob, SecrecyMode::BestEffort, limits);
    ends.session = SessionConfig { limits, ..ends.session };
    let (client, server, _cut) = ends.session().await;
    let plain = client.open_channel().await.unwrap();
    let pairs = [(plain, server.accept_channel().await.unwrap().unwrap()), lane(&client, &server).await];
    for (there, back) in pairs {
        let (mut there, mut back) = (there.into_io(), back.into_io());
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let write = async {
            there.write_all(&bytes).await.unwrap();
            there.shutdown().await.unwrap();
        };
        let mut came = Vec::new();
        let (_, read) = tokio::join!(write, back.read_to_end(&mut came));
        assert_eq!(read.unwrap(), bytes.len());
        assert!(came == bytes);
    }
}
