//! Datagrams through handles, in records: over a pipe, over a lane, over paths that go and come.

use super::lanes::{lane, outer, over};
use bytes::Bytes;
use citadel_proto::driver::{Datagrams, Session, SessionEvent};
use citadel_proto::{DatagramError, DatagramStats, MAX_DATAGRAM, MIN_DATAGRAM};
use citadel_tests::resumable::Ends;
use futures::future::{join, select};
use std::pin::pin;
use std::time::Duration;
use tokio::task::yield_now;

const RESUME: Duration = Duration::from_secs(60);

fn numbered(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn number_of(datagram: &Bytes) -> u32 {
    u32::from_be_bytes(datagram[..4].try_into().unwrap())
}

fn asked(one: &Session, other: &Session) -> (Datagrams, Datagrams) {
    (one.datagrams().unwrap(), other.datagrams().unwrap())
}

/// Each of a hundred, in both directions; a stream loses none that has room.
async fn exchange((near, far): &(Datagrams, Datagrams)) {
    for number in 0..100 {
        near.send(numbered(number)).unwrap();
        far.send(numbered(number + 1_000)).unwrap();
    }
    for number in 0..100 {
        assert_eq!(far.recv().await.unwrap(), numbered(number));
        assert_eq!(near.recv().await.unwrap(), numbered(number + 1_000));
    }
    assert_eq!((near.try_recv(), far.try_recv()), (None, None));
}

/// What was sent before it has come: the path keeps its order.
async fn message(from: &Session, to: &Session) {
    let (opened, accepted) = join(from.open_channel(), to.accept_channel()).await;
    let (mut there, mut back) = (opened.unwrap(), accepted.unwrap().unwrap());
    there.send(vec![7]).await.unwrap();
    assert_eq!(back.recv().await.unwrap().unwrap(), vec![7]);
}

#[tokio::test(start_paused = true)]
async fn datagrams_arrive_over_a_pipe_and_whoever_waits_learns_of_the_end() {
    let ends = Ends::new(Duration::ZERO);
    let (client, server, _cut) = ends.session().await;
    let both = asked(&client, &server);
    assert_eq!((both.0.max_size(), both.1.max_size()), (MAX_DATAGRAM, MAX_DATAGRAM));
    exchange(&both).await;
    let too_long = both.0.send(vec![0; MAX_DATAGRAM + 1]);
    assert!(matches!(too_long, Err(DatagramError::TooLong { .. })), "{too_long:?}");
    both.0.send(numbered(5)).unwrap();
    message(&client, &server).await;
    let waits = async { (both.0.recv().await, both.1.recv().await, both.1.recv().await) };
    let (heard, report) = join(waits, client.close(0, "")).await;
    assert_eq!(heard, (None, Some(numbered(5).into()), None));
    assert!(report.clean && server.closed().await.clean);
    assert!(matches!(both.0.send(numbered(6)), Err(DatagramError::Closed(_))));
    assert!(matches!(server.datagrams(), Err(DatagramError::Closed(_))));
    assert_eq!(both.1.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn datagrams_arrive_over_a_lane_and_its_bearer_sees_none_of_them() {
    let (ends, inner) = (outer(), Ends::new(Duration::ZERO));
    let (client, server, _cut) = ends.session().await;
    let below = asked(&client, &server);
    let (near, far) = over(&inner, lane(&client, &server).await).await;
    let both = asked(&near, &far);
    exchange(&both).await;
    assert_eq!((below.0.try_recv(), below.1.try_recv()), (None, None));
    assert_eq!(client.stats().datagrams, DatagramStats::default());
    let (one, other) = join(near.close(0, ""), far.closed()).await;
    assert!(one.clean && other.clean, "{one} / {other}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_late_gets_the_newest_and_a_channel_beside_it_everything() {
    const COUNT: u32 = 20_000;
    let ends = Ends::new(Duration::ZERO);
    let (client, server, _cut) = ends.session().await;
    let (near, far) = asked(&client, &server);
    let (mut there, mut back) = (client.channel().unwrap(), server.channel().unwrap());
    let sending = async {
        for number in 0..COUNT {
            near.send(numbered(number)).unwrap();
            there.send(numbered(number)).await.unwrap();
        }
        there.finish().await.unwrap();
    };
    let reading = async {
        for number in 0..COUNT {
            assert_eq!(back.recv().await.unwrap().unwrap(), numbered(number));
        }
        assert_eq!(back.recv().await.unwrap(), None);
    };
    join(sending, reading).await;
    message(&client, &server).await;
    let heard: Vec<u32> =
        std::iter::from_fn(|| far.try_recv()).map(|datagram| number_of(&datagram)).collect();
    assert!(heard.is_sorted_by(|earlier, later| earlier < later));
    assert_eq!(heard.last(), Some(&(COUNT - 1)));
    // 256 KiB of datagrams that take 64 and 4.
    assert_eq!(heard.len(), (256 << 10) / 68);
    let (sent, got) = (client.stats().datagrams, server.stats().datagrams);
    assert_eq!(sent.sent + sent.late, u64::from(COUNT));
    assert_eq!((got.received, got.overrun), (sent.sent, sent.sent - heard.len() as u64));
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_nobody_reads_or_asked_for_leaves_a_channel_its_way() {
    const LEN: usize = 4 << 20;
    for is_wanted in [true, false] {
        let ends = Ends::new(Duration::ZERO);
        let (client, server, _cut) = ends.session().await;
        let near = client.datagrams().unwrap();
        let far = is_wanted.then(|| server.datagrams().unwrap());
        let (mut there, mut back) = (client.channel().unwrap(), server.channel().unwrap());
        let flood = async {
            loop {
                for _ in 0..100 {
                    near.send(vec![1; 1_000]).unwrap();
                }
                yield_now().await;
            }
        };
        let talk = async {
            let (sent, heard) = join(there.send(vec![7; LEN]), back.recv()).await;
            sent.unwrap();
            assert_eq!(heard.unwrap().unwrap().len(), LEN);
        };
        select(pin!(talk), pin!(flood)).await;
        drop(near);
        let stats = client.stats();
        let share = stats.datagrams.sent * 1_003;
        assert!(share > 0 && share < LEN as u64 / 2, "{stats:?}");
        let got = server.stats().datagrams;
        assert_eq!((got.unwanted > 0, got.received > 0), (!is_wanted, is_wanted), "{got:?}");
        drop(far);
        let (one, other) = join(client.close(0, ""), server.closed()).await;
        assert!(one.clean && other.clean, "{one} / {other}");
    }
}

#[tokio::test(start_paused = true)]
async fn datagrams_on_paths_that_are_cut_and_replaced_come_once_or_never() {
    let ends = Ends::new(RESUME);
    let (client, server, cut) = ends.session().await;
    let (near, far) = asked(&client, &server);
    let mut cut = Some(cut);
    let (mut next, mut heard) = (0, Vec::new());
    for round in 0..6_u32 {
        // Some arrive, some are on the path when it goes, some are sent while there is none, some on the new one.
        let say = |next: &mut u32| {
            for _ in 0..50 {
                near.send(numbered(*next)).unwrap();
                *next += 1;
            }
        };
        say(&mut next);
        if round % 2 == 0 {
            message(&client, &server).await;
        }
        say(&mut next);
        drop(cut.take());
        while round % 3 == 0 && near.max_size() != MIN_DATAGRAM {
            // The end of the path is there to be read.
            yield_now().await;
        }
        let mut events = client.events();
        let (asked, given, again) = ends.resume(&client).await;
        asked.unwrap();
        given.unwrap();
        cut = Some(again);
        while !matches!(events.next().await, Some(SessionEvent::Attached { .. })) {}
        say(&mut next);
        let (rekey, ()) = join(client.rekey(), message(&client, &server)).await;
        rekey.unwrap();
        heard.extend(std::iter::from_fn(|| far.try_recv()).map(|datagram| number_of(&datagram)));
        // What was sent on the path that is there has come.
        assert!(heard.ends_with(&(next - 50..next).collect::<Vec<_>>()), "round {round}: {heard:?}");
    }
    assert!(heard.is_sorted_by(|earlier, later| earlier < later), "{heard:?}");
    let stats = client.stats().datagrams;
    assert_eq!(stats.sent + stats.late, u64::from(next));
    assert!(client.close(0, "").await.clean);
}

#[tokio::test(start_paused = true)]
async fn clones_share_what_comes_and_the_last_one_takes_it_along() {
    let ends = Ends::new(Duration::ZERO);
    let (client, server, _cut) = ends.session().await;
    let (near, far) = asked(&client, &server);
    let other = far.clone();
    let (one, two) = join(far.recv(), async {
        near.send(numbered(1)).unwrap();
        near.send(numbered(2)).unwrap();
        other.recv().await
    })
    .await;
    let mut both = [one.unwrap(), two.unwrap()];
    both.sort();
    assert_eq!(both, [numbered(1), numbered(2)]);
    near.send(numbered(3)).unwrap();
    message(&client, &server).await;
    drop(far);
    near.send(numbered(4)).unwrap();
    message(&client, &server).await;
    assert_eq!((other.recv().await.unwrap(), server.stats().datagrams.unwanted), (numbered(3).into(), 0));
    drop(other);
    near.send(numbered(5)).unwrap();
    message(&client, &server).await;
    let again = server.datagrams().unwrap();
    assert_eq!(again.try_recv(), None);
    let stats = server.stats().datagrams;
    assert_eq!((stats.received, stats.overrun, stats.unwanted), (4, 1, 1));
}

/// As every handle does.
#[tokio::test(start_paused = true)]
async fn datagrams_keep_their_session_open() {
    let ends = Ends::new(Duration::ZERO);
    let (client, server, _cut) = ends.session().await;
    let (near, far) = asked(&client, &server);
    let weak = client.downgrade();
    drop(client);
    near.send(numbered(1)).unwrap();
    assert_eq!(far.recv().await.unwrap(), numbered(1));
    drop(near);
    assert!(weak.upgrade().is_none());
    assert_eq!(far.recv().await, None);
    assert!(!server.closed().await.clean);
}
