//! Cases of `citadel_proto`: sessions, channels and their halves, and what leads to them.

use super::pairs::{Pair, forget, works};
use bytes::Bytes;
use citadel_crypt::handshake::{ClientConfig, HandshakeConfig, ServerConfig, SessionKind, Trust};
use citadel_crypt::suite::Native;
use citadel_proto::driver::{Channel, Hub, RecvHalf, SendHalf};
use citadel_proto::{CloseReason, RecvError, SendError, SessionConfig, TrySendError};
use citadel_sdk::{Identity, RefusalCode, Session};
use citadel_tests::canary;
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use futures::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;

/// More polls than any of these futures needs.
const MOST: usize = 200;

/// A channel, whole or in halves: both have the same methods.
enum Lane {
    Whole(Channel),
    Halves(SendHalf, RecvHalf),
}

impl Lane {
    fn halves(channel: Channel) -> Self {
        let (send, recv) = channel.split();
        Self::Halves(send, recv)
    }

    async fn send(&mut self, message: Bytes) -> Result<(), SendError> {
        match self {
            Self::Whole(channel) => channel.send(message).await,
            Self::Halves(send, _) => send.send(message).await,
        }
    }

    fn try_send(&mut self, message: Bytes) -> Result<(), TrySendError> {
        match self {
            Self::Whole(channel) => channel.try_send(message),
            Self::Halves(send, _) => send.try_send(message),
        }
    }

    async fn recv(&mut self) -> Result<Option<Bytes>, RecvError> {
        match self {
            Self::Whole(channel) => channel.recv().await,
            Self::Halves(_, recv) => recv.recv().await,
        }
    }

    async fn finish(&mut self) -> Result<(), SendError> {
        match self {
            Self::Whole(channel) => channel.finish().await,
            Self::Halves(send, _) => send.finish().await,
        }
    }

    async fn acknowledged(&mut self) -> Result<(), SendError> {
        match self {
            Self::Whole(channel) => channel.acknowledged().await,
            Self::Halves(send, _) => send.acknowledged().await,
        }
    }
}

type MakeLane = fn(Channel) -> Lane;

async fn lanes(pair: &Pair, make: MakeLane) -> (Lane, Channel) {
    let there = pair.opened.open_channel().await.unwrap();
    (make(there), pair.accepted.accept_channel().await.unwrap().unwrap())
}

/// A send that waits for credit: dropped it sent nothing, finished it sent its message once, behind all others.
async fn send_waits_for_credit(make: MakeLane) {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (mut there, mut back) = lanes(&pair, make).await;
        let mut accepted = 0_u32;
        while there.try_send(vec![0; 200_000].into()).is_ok() {
            accepted += 1;
        }
        let drain = async {
            for _ in 0..accepted {
                assert_eq!(back.recv().await.unwrap().unwrap().len(), 200_000);
            }
        };
        let (outcome, ()) =
            tokio::join!(poll_then_drop(there.send(Bytes::from_static(b"last")), polls), drain);
        if matches!(outcome, Outcome::Finished(Ok(()))) {
            assert_eq!(back.recv().await.unwrap().unwrap(), "last");
        }
        there.send(Bytes::from_static(b"next")).await.unwrap();
        assert_eq!(back.recv().await.unwrap().unwrap(), "next");
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

async fn recv_loses_nothing(make: MakeLane) {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (mut there, mut back) = lanes(&pair, make).await;
        let (outcome, sent) = tokio::join!(poll_then_drop(there.recv(), polls), back.send("one"));
        sent.unwrap();
        back.send("two").await.unwrap();
        if outcome.is_dropped() {
            assert_eq!(there.recv().await.unwrap().unwrap(), "one");
        }
        assert_eq!(there.recv().await.unwrap().unwrap(), "two");
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

async fn finish_ends_one_half(make: MakeLane) {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (mut there, mut back) = lanes(&pair, make).await;
        let outcome = forget(poll_then_drop(there.finish(), polls).await);
        there.finish().await.unwrap();
        assert_eq!(back.recv().await.unwrap(), None);
        back.send("still").await.unwrap();
        assert_eq!(there.recv().await.unwrap().unwrap(), "still");
        works(&pair).await;
        outcome
    })
    .await;
}

async fn acknowledged_waits_for_the_reader(make: MakeLane) {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (mut there, mut back) = lanes(&pair, make).await;
        there.send(Bytes::from_static(b"read me")).await.unwrap();
        let (outcome, read) = tokio::join!(poll_then_drop(there.acknowledged(), polls), back.recv());
        assert_eq!(read.unwrap().unwrap(), "read me");
        there.acknowledged().await.unwrap();
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn channel_send() {
    send_waits_for_credit(Lane::Whole).await;
}

#[tokio::test]
async fn send_half_send() {
    send_waits_for_credit(Lane::halves).await;
}

#[tokio::test]
async fn channel_recv() {
    recv_loses_nothing(Lane::Whole).await;
}

#[tokio::test]
async fn recv_half_recv() {
    recv_loses_nothing(Lane::halves).await;
}

#[tokio::test]
async fn channel_finish() {
    finish_ends_one_half(Lane::Whole).await;
}

#[tokio::test]
async fn send_half_finish() {
    finish_ends_one_half(Lane::halves).await;
}

#[tokio::test]
async fn channel_acknowledged() {
    acknowledged_waits_for_the_reader(Lane::Whole).await;
}

#[tokio::test]
async fn send_half_acknowledged() {
    acknowledged_waits_for_the_reader(Lane::halves).await;
}

#[tokio::test]
async fn session_rekey() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let outcome = forget(poll_then_drop(pair.opened.rekey(), polls).await);
        works(&pair).await;
        outcome
    })
    .await;
}

/// Opens every channel that the peer takes, so that the next one has to wait until one is over.
async fn open_all(pair: &Pair) -> Vec<(Channel, Channel)> {
    let mut channels = Vec::new();
    for _ in 0..16 {
        let opened = pair.opened.open_channel().await.unwrap();
        channels.push((opened, pair.accepted.accept_channel().await.unwrap().unwrap()));
    }
    channels
}

#[tokio::test]
async fn session_open_channel() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let mut channels = open_all(&pair).await;
        let make_room = async { drop(channels.pop()) };
        let (outcome, ()) = tokio::join!(poll_then_drop(pair.opened.open_channel(), polls), make_room);
        drop(channels);
        let outcome = forget(outcome);
        works(&pair).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn session_open_named_channel() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let outcome = poll_then_drop(pair.opened.open_named_channel("name"), polls).await;
        if let Outcome::Finished(channel) = &outcome {
            let there = pair.accepted.accept_channel().await.unwrap().unwrap();
            assert_eq!((there.name(), channel.as_ref().unwrap().name()), (&b"name"[..], &b"name"[..]));
        }
        works(&pair).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn session_accept_channel() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (outcome, mut opened) =
            tokio::join!(poll_then_drop(pair.accepted.accept_channel(), polls), async {
                pair.opened.open_channel().await.unwrap()
            });
        opened.send("hello").await.unwrap();
        let is_dropped = outcome.is_dropped();
        let mut accepted = match outcome {
            Outcome::Finished(channel) => channel.unwrap().unwrap(),
            Outcome::Dropped => pair.accepted.accept_channel().await.unwrap().unwrap(),
        };
        assert_eq!(accepted.recv().await.unwrap().unwrap(), "hello");
        works(&pair).await;
        if is_dropped { Outcome::Dropped } else { Outcome::Finished(()) }
    })
    .await;
}

#[tokio::test]
async fn session_closed() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        assert!(poll_then_drop(pair.opened.closed(), polls.min(1)).await.is_dropped(), "it is open");
        works(&pair).await;
        let (report, outcome) =
            tokio::join!(pair.accepted.close(1, "over"), poll_then_drop(pair.opened.closed(), polls));
        assert!(report.clean, "{report}");
        assert_eq!(pair.opened.closed().await.peer, Some(CloseReason::application(1, "over")));
        forget(outcome)
    })
    .await;
}

/// A close that was polled goes on when its future is dropped; one that was not has not begun.
async fn close_goes_on<T>(close: impl AsyncFn(Session) -> T) {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let outcome = forget(poll_then_drop(close(pair.opened.clone()), polls).await);
        if polls == 0 {
            works(&pair).await;
        } else {
            let (near, far) = tokio::join!(pair.opened.closed(), pair.accepted.closed());
            assert!(near.clean && far.clean, "{near}; {far}");
        }
        outcome
    })
    .await;
}

#[tokio::test]
async fn session_close() {
    close_goes_on(async |session| session.close(1, "over").await).await;
}

#[tokio::test]
async fn session_shutdown() {
    close_goes_on(async |session| session.shutdown(CloseReason::GoingAway).await).await;
}

/// Two ends below the endpoints of the SDK.
struct Hubs {
    near: Hub,
    far: Hub,
    client: ClientConfig,
    server: Arc<ServerConfig>,
}

impl Hubs {
    fn new() -> Self {
        canary::watch();
        let common = || {
            let identity = Arc::new(Identity::generate());
            HandshakeConfig::new(Arc::new(Native), identity, SessionKind::C2S)
        };
        let server = ServerConfig::new(common()).unwrap();
        let client = ClientConfig::new(common(), Trust::Peer(server.common.identity.peer_id()));
        Self { near: Hub::new(), far: Hub::new(), client, server: Arc::new(server) }
    }

    async fn session(&self) -> Pair {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (opened, accepted) = tokio::join!(
            self.near.connect(near, self.client.clone(), SessionConfig::default(), None),
            async {
                let server = Arc::clone(&self.server);
                let identified = self.far.identify(far, b"", server, SessionConfig::default(), false).await;
                identified.unwrap().accept().await
            }
        );
        Pair { opened: opened.unwrap(), accepted: accepted.unwrap() }
    }
}

#[tokio::test]
async fn hub_connect() {
    let hubs = Hubs::new();
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connect = hubs.near.connect(near, hubs.client.clone(), SessionConfig::default(), None);
        let (outcome, _) = tokio::join!(poll_then_drop(connect, polls), async {
            let server = Arc::clone(&hubs.server);
            hubs.far.identify(far, b"", server, SessionConfig::default(), false).await?.accept().await
        });
        works(&hubs.session().await).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn hub_identify() {
    let hubs = Hubs::new();
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let server = Arc::clone(&hubs.server);
        let identify = hubs.far.identify(far, b"", server, SessionConfig::default(), false);
        let dial = hubs.near.connect(near, hubs.client.clone(), SessionConfig::default(), None);
        let outcome = match select(pin!(poll_then_drop(identify, polls)), pin!(dial)).await {
            Either::Left((outcome, _)) => forget(outcome),
            Either::Right((refused, identify)) => {
                assert!(refused.is_err(), "nobody let it in");
                forget(identify.await)
            }
        };
        works(&hubs.session().await).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn hub_close() {
    at_each_poll(MOST, async |polls| {
        let hubs = Hubs::new();
        let pair = hubs.session().await;
        let outcome = forget(poll_then_drop(hubs.near.close(CloseReason::GoingAway), polls).await);
        if polls == 0 {
            works(&pair).await;
        } else {
            let (near, far) = tokio::join!(pair.opened.closed(), pair.accepted.closed());
            assert!(near.clean && far.clean, "{near}; {far}");
        }
        outcome
    })
    .await;
}

/// The decision about a proven client, dropped at each poll: the next client is served all the same.
async fn decide(accept: bool) {
    let hubs = Hubs::new();
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (_, outcome) = tokio::join!(
            hubs.near.connect(near, hubs.client.clone(), SessionConfig::default(), None),
            async {
                let server = Arc::clone(&hubs.server);
                let identified = hubs.far.identify(far, b"", server, SessionConfig::default(), false);
                let identified = identified.await.unwrap();
                if accept {
                    forget(poll_then_drop(identified.accept(), polls).await)
                } else {
                    forget(poll_then_drop(identified.refuse(RefusalCode::DENIED), polls).await)
                }
            }
        );
        works(&hubs.session().await).await;
        outcome
    })
    .await;
}

#[tokio::test]
async fn identified_accept() {
    decide(true).await;
}

#[tokio::test]
async fn identified_refuse() {
    decide(false).await;
}

/// Nothing is taken by a wait that was given up.
#[tokio::test]
async fn datagrams_recv() {
    at_each_poll(MOST, async |polls| {
        let pair = Pair::new().await;
        let (there, back) = (pair.opened.datagrams().unwrap(), pair.accepted.datagrams().unwrap());
        let send = async { (1..=2_u8).for_each(|number| back.send(vec![number]).unwrap()) };
        let (outcome, ()) = tokio::join!(poll_then_drop(there.recv(), polls), send);
        if outcome.is_dropped() {
            assert_eq!(there.recv().await.unwrap(), vec![1]);
        }
        assert_eq!(there.recv().await.unwrap(), vec![2]);
        works(&pair).await;
        forget(outcome)
    })
    .await;
}
