//! Cases of `citadel_proto`: what brings a session back to a path, and what tells of it.

use super::pairs::{Pair, forget, works};
use citadel_crypt::handshake::Grant;
use citadel_proto::driver::SessionEvent;
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use citadel_tests::resumable::Ends;
use std::time::Duration;

/// More polls than any of these futures needs.
const MOST: usize = 200;
const RESUME: Duration = Duration::from_secs(60);

async fn pair(ends: &Ends) -> (Pair, impl Sized) {
    let (opened, accepted, cut) = ends.session().await;
    (Pair { opened, accepted }, cut)
}

#[tokio::test(start_paused = true)]
async fn hub_connect_with() {
    let ends = Ends::new(RESUME);
    at_each_poll(MOST, async |polls| {
        let (dialer, _switch) = ends.dialer();
        let connect = ends.client_hub.connect_with(dialer, ends.client.clone(), ends.session.clone(), None);
        let outcome = forget(poll_then_drop(connect, polls).await);
        let (pair, _cut) = pair(&ends).await;
        works(&pair).await;
        outcome
    })
    .await;
}

/// A resumption dropped at each poll leaves a session that another brings back.
async fn resumption(drops_client: bool) {
    let ends = Ends::new(RESUME);
    let (pair, cut) = pair(&ends).await;
    let (mut gone, mut gone_there) = (pair.opened.events(), pair.accepted.events());
    drop(cut);
    tokio::join!(gone.next(), gone_there.next());
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(1 << 16);
        let ask = ends.client_hub.resume(&pair.opened, near);
        let outcome = if drops_client {
            let answer = async { ends.identify(far).await?.resume().await };
            let (outcome, _answered) = tokio::join!(poll_then_drop(ask, polls), answer);
            forget(outcome)
        } else {
            let answer = async {
                let identified = ends.identify(far).await.unwrap();
                poll_then_drop(identified.resume(), polls).await
            };
            let (_asked, outcome) = tokio::join!(ask, answer);
            forget(outcome)
        };
        let (asked, given, _cut) = ends.resume(&pair.opened).await;
        asked.unwrap();
        given.unwrap();
        works(&pair).await;
        outcome
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn hub_resume() {
    resumption(true).await;
}

#[tokio::test(start_paused = true)]
async fn identified_resume() {
    resumption(false).await;
}

#[tokio::test(start_paused = true)]
async fn identified_accept_with() {
    let ends = Ends::new(RESUME);
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(1 << 16);
        let connect = ends.client_hub.connect(near, ends.client.clone(), ends.session.clone(), None);
        let answer = async {
            let identified = ends.identify(far).await.unwrap();
            poll_then_drop(identified.accept_with(Grant::default()), polls).await
        };
        let (_connected, outcome) = tokio::join!(connect, answer);
        let (pair, _cut) = pair(&ends).await;
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn session_events_next() {
    let ends = Ends::new(RESUME);
    at_each_poll(MOST, async |polls| {
        let (pair, cut) = pair(&ends).await;
        let mut events = pair.opened.events();
        drop(cut);
        let outcome = forget(poll_then_drop(events.next(), polls).await);
        if outcome == Outcome::Dropped {
            assert!(
                matches!(events.next().await, Some(SessionEvent::Detached { .. })),
                "a dropped look has taken nothing"
            );
        }
        let (asked, _given, _cut) = ends.resume(&pair.opened).await;
        asked.unwrap();
        works(&pair).await;
        outcome
    })
    .await;
}
