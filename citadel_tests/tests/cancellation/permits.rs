//! Cases of `citadel_proto`: room before a message, one message there and one back, channels between nodes.

use super::pairs::{Pair, forget, works};
use citadel_proto::driver::{Channel, Permit};
use citadel_proto::{SendError, SessionConfig};
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use citadel_tests::resumable::Ends;
use std::time::Duration;

/// More polls than any of these futures needs.
const MOST: usize = 200;
const LONG: usize = 200_000;

/// A channel whose credit is used up, the reader's end, and how many messages are in it.
async fn full(pair: &Pair) -> (Channel, Channel, u32) {
    let mut there = pair.opened.open_channel().await.unwrap();
    let back = pair.accepted.accept_channel().await.unwrap().unwrap();
    let mut accepted = 0;
    while there.try_send(vec![0; LONG]).is_ok() {
        accepted += 1;
    }
    (there, back, accepted)
}

async fn drain(reader: &mut Channel, messages: u32) {
    for _ in 0..messages {
        assert_eq!(reader.recv().await.unwrap().unwrap().len(), LONG);
    }
}

/// The permit of a wait that was not dropped sends, and nothing is sent by one that was.
fn use_permit(outcome: Outcome<Result<Permit<'_>, SendError>>) -> Outcome<()> {
    match outcome {
        Outcome::Finished(permit) => {
            permit.unwrap().send("last").unwrap();
            Outcome::Finished(())
        }
        Outcome::Dropped => Outcome::Dropped,
    }
}

async fn reads_last_if(outcome: Outcome<()>, reader: &mut Channel) {
    if !outcome.is_dropped() {
        assert_eq!(reader.recv().await.unwrap().unwrap(), "last");
    }
}

#[tokio::test]
async fn channel_reserve() {
    let polls = at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (mut there, mut back, accepted) = full(&pair).await;
        let reserve = async { use_permit(poll_then_drop(there.reserve(LONG), polls).await) };
        let (outcome, ()) = tokio::join!(reserve, drain(&mut back, accepted));
        reads_last_if(outcome, &mut back).await;
        there.send("next").await.unwrap();
        assert_eq!(back.recv().await.unwrap().unwrap(), "next");
        works(&pair).await;
        outcome
    })
    .await;
    assert!(polls > 1, "it did wait");
}

#[tokio::test]
async fn send_half_reserve() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (there, mut back, accepted) = full(&pair).await;
        let (mut there, _here) = there.split();
        let reserve = async { use_permit(poll_then_drop(there.reserve(LONG), polls).await) };
        let (outcome, ()) = tokio::join!(reserve, drain(&mut back, accepted));
        reads_last_if(outcome, &mut back).await;
        there.send("next").await.unwrap();
        assert_eq!(back.recv().await.unwrap().unwrap(), "next");
        works(&pair).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn session_request() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let answer = async {
            if polls == 0 {
                return;
            }
            let mut channel = pair.accepted.accept_channel().await.unwrap().unwrap();
            if let Ok(Some(request)) = channel.recv().await {
                let _too_late = channel.send(request).await;
                let _too_late = channel.finish().await;
            }
        };
        let (outcome, ()) = tokio::join!(poll_then_drop(pair.opened.request("question"), polls), answer);
        if let Outcome::Finished(answer) = &outcome {
            assert_eq!(answer.as_deref(), Ok(&b"question"[..]));
        }
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

/// A pair whose sessions have services.
async fn served() -> Pair {
    let mut ends = Ends::new(Duration::ZERO);
    ends.session = SessionConfig { services: true, ..ends.session };
    let (opened, accepted, cut) = ends.session().await;
    // The pipe lives as long as the runtime of the test.
    std::mem::forget(cut);
    Pair { opened, accepted }
}

#[tokio::test]
async fn session_accept_service_channel() {
    at_each_poll(MOST, async |polls| {
        let pair = served().await;
        let accept = poll_then_drop(pair.accepted.accept_service_channel(), polls);
        let open = async { pair.opened.open_service_channel("test") };
        let (outcome, opened) = tokio::join!(accept, open);
        let _opened = opened.unwrap();
        if outcome.is_dropped() {
            let taken = pair.accepted.accept_service_channel().await.unwrap().unwrap();
            assert_eq!(taken.name(), b"\0citadel/test", "a dropped wait has taken nothing");
        }
        works(&pair).await;
        forget(outcome)
    })
    .await;
}
