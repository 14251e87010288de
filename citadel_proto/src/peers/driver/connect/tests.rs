//! A peer that says all that it has to say, and closes, as soon as there is a session.

use super::*;
use crate::driver::Hub;
use crate::driver::memory::{Pipe, pair};
use crate::peers::driver::config::PeersConfig;
use crate::peers::meeting::OwnAttempt;
use crate::peers::{MemoryPins, PeerClient};
use crate::session::SessionConfig;
use crate::shutdown::CloseReport;
use citadel_crypt::handshake::{HandshakeConfig, SessionKind};
use citadel_crypt::identity::Identity;
use citadel_crypt::ratchets::rekey::Side;
use citadel_crypt::suite::Native;
use futures::future::{BoxFuture, join};
use futures::task::ArcWake;
use parking_lot::Mutex;
use std::task::Context;
use tokio_util::task::TaskTracker;

const PARTY: Party = Party::Account(citadel_crypt::handshake::Cid(7));

/// One end.
struct End {
    identity: Arc<Identity>,
    hub: Hub,
    client: PeerClient,
}

fn handshake(identity: &Arc<Identity>) -> HandshakeConfig {
    HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), SessionKind::P2P)
}

fn session_config() -> SessionConfig {
    SessionConfig { services: true, ..SessionConfig::default() }
}

impl End {
    async fn new() -> Self {
        let (identity, hub) = (Arc::new(Identity::generate()), Hub::new());
        let config = PeersConfig::new(handshake(&identity), session_config());
        let pins = Arc::new(MemoryPins::new());
        let client = PeerClient::new(hub.clone(), Arc::clone(&identity), config, pins, TaskTracker::new());
        Self { client: client.await.unwrap(), identity, hub }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.client.inner
    }

    /// An own attempt, as far as the handshake goes.
    async fn dial(&self, io: Pipe, peer: PeerId) -> Session {
        let config = ClientConfig::new(handshake(&self.identity), Trust::Peer(peer));
        let io = Mutex::new(Some(io));
        let dialer: Dialer = Arc::new(move || {
            let io = io.lock().take();
            async move { io.map(|io| Box::new(io) as BoxedIo).ok_or(io::ErrorKind::NotConnected.into()) }
                .boxed()
        });
        self.hub.attempt(dialer, config, session_config()).await.unwrap()
    }

    /// The other end of one, accepted and heard.
    async fn hears(&self, io: Pipe, abandoned: &CancellationToken) -> Result<Session, EstablishError> {
        let answering = Arc::clone(&self.inner().answering);
        let identified = self.hub.identify(io, b"source", answering, session_config(), false).await.unwrap();
        accept_and_hear(identified, Grant { cid: None, resume: Duration::ZERO }, abandoned).await
    }
}

/// An end that says all, and closes in order.
async fn says_and_closes(hub: &Hub, session: Session) -> CloseReport {
    hub.keep(&session);
    if session.side() == Side::Initiator {
        greet(&session);
    }
    let mut channel = session.channel().unwrap();
    channel.send("a line").await.unwrap();
    session.close(0, "").await
}

/// Polls the future in the moment in which it is woken, as another thread may.
struct AtOnce {
    future: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl ArcWake for AtOnce {
    fn wake_by_ref(this: &Arc<Self>) {
        let Some(mut future) = this.future.lock().take() else { return };
        let waker = futures::task::waker(Arc::clone(this));
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *this.future.lock() = Some(future);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fix_0075_a_session_says_that_it_is_kept_before_any_caller_has_it() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let never = CancellationToken::new();
    let (dialled, heard) = {
        let hears = peer.hears(far, &never);
        let dials = async {
            let (inner, device) = (own.inner(), peer.identity.peer_id());
            let caller = Caller::enter(inner, device, PARTY, PeerTrust::Verified, None);
            let closes = async move {
                let met = caller.outcome().await.unwrap().session;
                met.begin_shutdown(CloseReason::application(0, ""));
            };
            ArcWake::wake_by_ref(&Arc::new(AtOnce { future: Mutex::new(Some(closes.boxed())) }));
            let session = own.dial(near, device).await;
            meetings::made(inner, device, OwnAttempt(1), &session);
            session
        };
        join(dials, hears).await
    };
    let heard = heard.unwrap();
    let (one, other) = join(dialled.closed(), heard.closed()).await;
    assert!(one.clean && other.clean, "{one} {other}");
}

#[tokio::test(start_paused = true)]
async fn fix_0075_a_session_that_is_over_before_its_meeting_hears_of_it_is_there_with_what_was_said() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let device = peer.identity.peer_id();
    let never = CancellationToken::new();
    let (id, _answer) = meetings::proven(own.inner(), device, PARTY, PeerTrust::Verified);
    let dials = async {
        let dialled = peer.dial(far, own.identity.peer_id()).await;
        says_and_closes(&peer.hub, dialled).await
    };
    let hears = async {
        let heard = own.hears(near, &never).await.unwrap();
        heard.closed().await;
        meetings::heard(own.inner(), device, PARTY, PeerTrust::Verified, id, &heard);
        // It is what a peer opened, not what this end asked for.
        assert!(own.client.session_with(PARTY).is_none());
        drop(heard);
        own.client.accept_session_of(PARTY).await.session
    };
    let (report, arrived) = join(dials, hears).await;
    assert!(report.clean, "{report}");
    let mut channel = arrived.channel().unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "a line");
    let report = arrived.closed().await;
    assert!(report.clean, "{report}");
}

/// Given up here and closed in order there, at once: what was acknowledged is there for somebody.
#[tokio::test(start_paused = true)]
async fn fix_0075_an_attempt_that_was_abandoned_and_yet_heard_is_there_with_what_was_said() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let device = peer.identity.peer_id();
    let (id, answer) = meetings::proven(own.inner(), device, PARTY, PeerTrust::Verified);
    let abandoned = answer.await.unwrap().unwrap();
    let dials = async {
        let dialled = peer.dial(far, own.identity.peer_id()).await;
        says_and_closes(&peer.hub, dialled).await
    };
    let hears = async {
        let heard = own.hears(near, &abandoned).await.unwrap();
        heard.closed().await;
        tokio::time::advance(own.inner().config.meeting().patience).await;
        abandoned.cancelled().await;
        meetings::heard(own.inner(), device, PARTY, PeerTrust::Verified, id, &heard);
        drop(heard);
        own.client.accept_session().await.session
    };
    let (report, arrived) = join(dials, hears).await;
    assert!(report.clean, "{report}");
    assert_eq!(arrived.channel().unwrap().recv().await.unwrap().unwrap(), "a line");
}

#[tokio::test(start_paused = true)]
async fn a_session_of_the_peer_that_those_who_waited_for_it_did_not_take_is_anybody_s() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let device = peer.identity.peer_id();
    let never = CancellationToken::new();
    let (id, _answer) = meetings::proven(own.inner(), device, PARTY, PeerTrust::Verified);
    let caller = Caller::enter(own.inner(), device, PARTY, PeerTrust::Verified, None);
    let hears = async {
        let heard = own.hears(near, &never).await.unwrap();
        meetings::heard(own.inner(), device, PARTY, PeerTrust::Verified, id, &heard);
        drop(heard);
        assert!(own.client.accept_session().now_or_never().is_none(), "it is the caller's");
        drop(caller);
        own.client.accept_session().await.session
    };
    let says = async { says_and_closes(&peer.hub, peer.dial(far, own.identity.peer_id()).await).await };
    let (report, arrived) = join(says, hears).await;
    assert!(report.clean, "{report}");
    assert_eq!(arrived.channel().unwrap().recv().await.unwrap().unwrap(), "a line");
}

/// The caller goes before it has looked; the peer has said all and closed.
#[tokio::test(start_paused = true)]
async fn fix_0075_an_own_session_that_no_caller_took_and_the_peer_closed_is_there_with_what_was_said() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let (device, never) = (peer.identity.peer_id(), CancellationToken::new());
    let caller = Caller::enter(own.inner(), device, PARTY, PeerTrust::Verified, None);
    let says = async { says_and_closes(&peer.hub, peer.hears(far, &never).await.unwrap()).await };
    let dials = async {
        let session = own.dial(near, device).await;
        meetings::made(own.inner(), device, OwnAttempt(1), &session);
        session.closed().await;
        drop(session);
        assert!(own.client.accept_session().now_or_never().is_none(), "it is the caller's");
        drop(caller);
        own.client.accept_session().await.session
    };
    let (report, arrived) = join(says, dials).await;
    assert!(report.clean, "{report}");
    assert_eq!(arrived.channel().unwrap().recv().await.unwrap().unwrap(), "a line");
}

/// The caller goes, and so does the session, which the peer learns.
#[tokio::test(start_paused = true)]
async fn an_own_session_that_no_caller_took_is_aborted() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let (device, never) = (peer.identity.peer_id(), CancellationToken::new());
    let caller = Caller::enter(own.inner(), device, PARTY, PeerTrust::Verified, None);
    let hears = async { peer.hears(far, &never).await.unwrap().closed().await };
    let dials = async {
        let session = own.dial(near, device).await;
        meetings::made(own.inner(), device, OwnAttempt(1), &session);
        drop(caller);
        assert!(session.closing().is_some());
    };
    let (report, ()) = join(hears, dials).await;
    assert_eq!(report.peer, Some(CloseReason::Aborted));
    assert!(own.client.accept_session().now_or_never().is_none());
}

/// One verdict: either it is heard, or nothing of it is acknowledged any more.
#[tokio::test(start_paused = true)]
async fn fix_0075_an_attempt_that_is_abandoned_unheard_is_aborted() {
    let (own, peer) = join(End::new(), End::new()).await;
    let (near, far) = pair(1);
    let abandoned = CancellationToken::new();
    let dials = async {
        let dialled = peer.dial(far, own.identity.peer_id()).await;
        abandoned.cancel();
        dialled.closed().await
    };
    let (report, heard) = join(dials, own.hears(near, &abandoned)).await;
    assert!(heard.is_err());
    assert_eq!(report.peer, Some(CloseReason::Aborted));
    assert!(!report.clean);
}
