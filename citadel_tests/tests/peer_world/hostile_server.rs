//! A server that lies about who its clients' peers are: what it says gets a typed reason or has no effect.

use super::liar::{Liar, Line, Two, Victim, agree, handshake, session};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Cid, ClientConfig, HandshakeError, RefusalCode, ServerConfig, SessionKind, Trust,
};
use citadel_crypt::identity::Identity;
use citadel_proto::RecvError;
use citadel_proto::driver::{EstablishError, Hub};
use citadel_proto::peers::{
    Acceptance, ConnectError, Party, PeerAnswer, PeerAsk, PeerEvent, PeerTrust, PeersCallError, PeersError,
    PinError, RequestHash, Shown, Standing, Statement, StatementNumber,
};
use core::time::Duration;
use futures::FutureExt;
use futures::future::{Either, join, select};
use std::pin::pin;
use std::sync::Arc;

/// Nobody has given this client a session.
fn nothing_arrived(victim: &Victim) {
    assert!(victim.peers.accept_session().now_or_never().is_none(), "a session came");
    assert_eq!(victim.hub.sessions(), 1, "the server's alone");
}

/// Who answers in somebody's name.
struct Impostor {
    identity: Arc<Identity>,
    hub: Hub,
}

impl Impostor {
    fn new() -> Self {
        Self { identity: Arc::new(Identity::generate()), hub: Hub::new() }
    }

    fn device(&self) -> PeerId {
        self.identity.peer_id()
    }

    /// Answers the next lane that the client opens.
    async fn answers(&self, line: &Line) {
        let (_, channel) = line.called().await;
        let config = Arc::new(ServerConfig::new(handshake(&self.identity, SessionKind::P2P)).unwrap());
        drop(self.hub.identify(channel.into_io(), b"", config, session(), false).await);
    }

    /// Dials the client over a lane in the name of `from`.
    async fn dials(&self, line: &Line, victim: &Victim, from: Party, device: PeerId) -> HandshakeError {
        let lane = line.calls(from, device).await.into_io();
        let config =
            ClientConfig::new(handshake(&self.identity, SessionKind::P2P), Trust::Peer(victim.device()));
        match self.hub.connect(lane, config, session(), None).await {
            Err(EstablishError::Handshake(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

/// The code of a proven refusal.
#[track_caller]
fn refusal(error: &HandshakeError) -> RefusalCode {
    match error {
        HandshakeError::Refused { code, authenticated: true, .. } => *code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_swapped_after_registration_is_named_and_gets_no_session() {
    let mut two = Two::peers().await;
    let mallory = Impostor::new();
    let mut events = two.alice.peers.events();
    // It says that another device is there.
    let online = vec![mallory.device()];
    two.to_alice.says(0, &PeerAnswer::Presence { party: two.bob.party, online }).await;
    let (pinned, found) = (vec![two.bob.device()], mallory.device());
    let changed = PeerEvent::IdentityChanged { party: two.bob.party, pinned: pinned.clone(), found };
    while events.next().await != changed {}
    match two.alice.peers.connect(two.bob.party).await {
        Err(ConnectError::Pin(error)) => assert_eq!(error, PinError::IdentityChanged { pinned, found }),
        other => panic!("{other:?}"),
    }
    // It says that bob is there, and leads the lane elsewhere.
    two.to_alice.shows(two.bob.party, two.truth(), &[two.bob.device()]).await;
    two.to_alice.settles(&two.alice).await;
    let (met, ()) = join(two.alice.peers.connect(two.bob.party), mallory.answers(&two.to_alice)).await;
    match met {
        Err(ConnectError::Establish(error)) => {
            let is_wrong = matches!(&*error, EstablishError::Handshake(HandshakeError::WrongPeer { actual, .. }) if *actual == mallory.device());
            assert!(is_wrong, "{error:?}");
        }
        other => panic!("{other:?}"),
    }
    // It lets somebody call in bob's name.
    let error = mallory.dials(&two.to_alice, &two.alice, two.bob.party, two.bob.device()).await;
    assert_eq!(refusal(&error), RefusalCode::PEER_NOT_PINNED);
    nothing_arrived(&two.alice);
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_comes_in_its_own_name_alone() {
    let mut two = Two::peers().await;
    let (carol, mut to_carol) = two.liar.victim(0xC).await;
    super::liar::befriend((&two.alice, &mut two.to_alice), (&carol, &mut to_carol)).await;
    // Bob's device, which alice knows, is called carol's.
    let bob = Impostor { identity: Arc::clone(&two.bob.identity), hub: Hub::new() };
    for device in [carol.device(), bob.device()] {
        let error = bob.dials(&two.to_alice, &two.alice, carol.party, device).await;
        assert_eq!(refusal(&error), RefusalCode::PEER_NOT_PINNED);
    }
    let (met, ()) = join(two.alice.peers.connect(carol.party), bob.answers(&two.to_alice)).await;
    assert!(matches!(met, Err(ConnectError::Establish(_))), "{met:?}");
    nothing_arrived(&two.alice);
    carol.ends().await;
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_named_by_peer_id_cannot_be_swapped_before_registration() {
    let liar = Liar::new();
    let (alice, mut to_alice) = liar.victim(0xA).await;
    let (bob, mut to_bob) = liar.victim(0xB).await;
    let (mallory, mut to_mallory) = liar.victim(0x3A).await;
    let said = agree((&alice, &mut to_alice), (&bob, &mut to_bob), Some(bob.device())).await;
    // Mallory accepts in the place of bob, as bob's account.
    let acceptance = Statement::from(Acceptance {
        server: liar.identity.peer_id(),
        from: bob.party,
        to: alice.party,
        request: RequestHash::of(&said.request),
        number: StatementNumber(1),
        requester: alice.device(),
    });
    let theirs = acceptance.sign(&mallory.identity).unwrap();
    let shown = Shown::Peers { mine: said.request.clone(), theirs };
    to_alice.shows(bob.party, shown, &[mallory.device()]).await;
    let registered = alice.peers.registered(bob.party).await;
    assert!(matches!(registered, Err(PeersError::Pin(PinError::Statement(_)))), "{registered:?}");
    assert_eq!(alice.peers.info(bob.party).unwrap().pinned, None);
    let met = alice.peers.connect(bob.party).await;
    assert!(matches!(met, Err(ConnectError::Pin(PinError::Statement(_)))), "{met:?}");
    // The truth afterwards is taken.
    let shown = Shown::Peers { mine: said.request, theirs: said.acceptance };
    to_alice.shows(bob.party, shown, &[bob.device()]).await;
    to_alice.settles(&alice).await;
    let info = alice.peers.registered(bob.party).await.unwrap();
    assert_eq!(info.pinned.unwrap().least_trust(), Some(PeerTrust::Verified));
    to_mallory.settles(&mallory).await;
    for victim in [alice, bob, mallory] {
        victim.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_swapped_from_the_first_is_seen_to_be_unverified_and_refused_where_that_is_wanted() {
    for is_required in [false, true] {
        let liar = Liar::new();
        let (alice, mut to_alice) =
            liar.victim_with(0xA, |config| config.require_verified = is_required).await;
        let (mallory, mut to_mallory) = liar.victim(0xB).await;
        let said = agree((&alice, &mut to_alice), (&mallory, &mut to_mallory), None).await;
        let shown = Shown::Peers { mine: said.request, theirs: said.acceptance };
        to_alice.shows(mallory.party, shown, &[mallory.device()]).await;
        let info = alice.peers.registered(mallory.party).await.unwrap();
        assert_eq!(info.pinned.unwrap().least_trust(), Some(PeerTrust::FirstUse));
        if is_required {
            let met = alice.peers.connect(mallory.party).await;
            assert!(matches!(met, Err(ConnectError::Pin(PinError::NotVerified))), "{met:?}");
        }
        alice.ends().await;
        mallory.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn statements_that_were_edited_swapped_or_taken_from_elsewhere_pin_nobody() {
    let liar = Liar::new();
    let (alice, mut to_alice) = liar.victim(0xA).await;
    let (bob, mut to_bob) = liar.victim(0xB).await;
    let said = agree((&alice, &mut to_alice), (&bob, &mut to_bob), None).await;
    let (request, acceptance) = (said.request, said.acceptance);
    let elsewhere = Liar::new();
    let other = {
        let (alice, mut to_alice) = elsewhere.victim(0xA).await;
        let (bob, mut to_bob) = elsewhere.victim(0xB).await;
        let said = agree((&alice, &mut to_alice), (&bob, &mut to_bob), None).await;
        alice.ends().await;
        bob.ends().await;
        said
    };
    let mut lies = vec![
        (acceptance.clone(), request.clone()),
        (request.clone(), request.clone()),
        (acceptance.clone(), acceptance.clone()),
        (other.request.clone(), other.acceptance.clone()),
        (request.clone(), other.acceptance),
        (other.request, acceptance.clone()),
        (Vec::new(), Vec::new()),
        (request.clone(), acceptance[..acceptance.len() - 1].to_vec()),
    ];
    // One bit of either, spread over all of it: heads, keys, fields, both signatures.
    for (length, is_mine) in [(request.len(), true), (acceptance.len(), false)] {
        for at in (0..length).step_by(61).chain(length - 3..length) {
            let (mut mine, mut theirs) = (request.clone(), acceptance.clone());
            let edited = if is_mine { &mut mine } else { &mut theirs };
            edited[at] ^= 1 << (at % 8);
            lies.push((mine, theirs));
        }
    }
    for (mine, theirs) in lies {
        to_alice.shows(bob.party, Shown::Peers { mine, theirs }, &[bob.device()]).await;
        to_alice.settles(&alice).await;
        let registered = alice.peers.registered(bob.party).await;
        assert!(matches!(registered, Err(PeersError::Pin(PinError::Statement(_)))), "{registered:?}");
        assert_eq!(alice.peers.info(bob.party).unwrap().pinned, None);
        let met = alice.peers.connect(bob.party).await;
        assert!(matches!(met, Err(ConnectError::Pin(_))), "{met:?}");
    }
    // Of another party: the same words for carol.
    let carol = Party::Account(Cid(0xC));
    to_alice.shows(carol, Shown::Peers { mine: request, theirs: acceptance }, &[bob.device()]).await;
    let registered = alice.peers.registered(carol).await;
    assert!(matches!(registered, Err(PeersError::Pin(PinError::Statement(_)))), "{registered:?}");
    alice.ends().await;
    bob.ends().await;
}

#[tokio::test(start_paused = true)]
async fn old_views_end_what_there_is_and_pin_nothing_else() {
    let mut two = Two::peers().await;
    let pinned = two.alice.peers.info(two.bob.party).unwrap().pinned;
    let asked = Shown::AskedByThem { statement: two.said.acceptance.clone() };
    for old in [Shown::None, Shown::AskedByYou, Shown::DeclinedByThem, asked] {
        two.to_alice.shows(two.bob.party, old, &[two.bob.device()]).await;
        two.to_alice.settles(&two.alice).await;
        let met = two.alice.peers.connect(two.bob.party).await;
        assert!(matches!(met, Err(ConnectError::NotPeer)), "{met:?}");
        two.to_alice.shows(two.bob.party, two.truth(), &[two.bob.device()]).await;
        two.to_alice.settles(&two.alice).await;
        assert_eq!(two.alice.peers.info(two.bob.party).unwrap().pinned, pinned);
    }
    // A view of oneself is of nobody else.
    two.to_alice.shows(two.alice.party, two.truth(), &[two.alice.device()]).await;
    two.to_alice.settles(&two.alice).await;
    assert!(matches!(two.alice.peers.connect(two.alice.party).await, Err(ConnectError::Yourself)));
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn lanes_of_nobody_s_peers_are_reset_and_leave_nothing() {
    let mut two = Two::peers().await;
    let stranger = Party::Account(Cid(0x57));
    let device = Impostor::new().device();
    two.to_alice.shows(stranger, Shown::AskedByYou, &[]).await;
    let asking = Party::Account(Cid(0x58));
    two.to_alice.shows(asking, Shown::AskedByThem { statement: vec![1; 40] }, &[]).await;
    let from = [
        (Party::Account(Cid(0x59)), device),
        (Party::Transient(device), device),
        (stranger, device),
        (asking, device),
        (two.alice.party, two.alice.device()),
    ];
    for (party, device) in from {
        let mut lane = two.to_alice.calls(party, device).await;
        assert_eq!(lane.recv().await, Err(RecvError::Reset { code: 2 }), "{party:?}");
    }
    for garbage in [Vec::new(), vec![0xff; 40], vec![0; 81], vec![0; 60_000]] {
        let mut lane = two.to_alice.calls_with(garbage).await;
        assert_eq!(lane.recv().await, Err(RecvError::Reset { code: 1 }));
    }
    let mut other = two.to_alice.session.open_service_channel("something else").unwrap();
    assert_eq!(other.recv().await, Err(RecvError::Reset { code: 1 }));
    nothing_arrived(&two.alice);
    two.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_garbage_loses_the_service_and_not_the_session() {
    let found = PeerAnswer::Found(Party::Account(Cid(1)));
    let good = citadel_proto::peers::wire::encode_answer(0, &PeerAnswer::Synced).unwrap();
    let garbage = [
        Vec::new(),
        vec![0xff; 9],
        vec![0; 100_000],
        good[..good.len() - 1].to_vec(),
        [good.clone(), vec![0]].concat(),
        // An answer that nobody asked for, by itself.
        citadel_proto::peers::wire::encode_answer(0, &found).unwrap(),
    ];
    for bytes in garbage {
        let liar = Liar::new();
        let (alice, mut line) = liar.victim(0xA).await;
        let waits = alice.peers.find(Cid(1));
        let lies = async {
            line.hears().await;
            line.says_bytes(bytes).await;
        };
        let (found, ()) = join(waits, lies).await;
        assert!(matches!(found, Err(PeersError::Call(PeersCallError::Malformed))), "{found:?}");
        let asked = alice.peers.find(Cid(1)).await;
        assert!(matches!(asked, Err(PeersError::Call(PeersCallError::NoServer))), "{asked:?}");
        // The session is as it was, and the service can begin anew.
        assert!(alice.session.closing().is_none());
        let mut line = alice.attach_to(line.session.clone()).await;
        line.settles(&alice).await;
        alice.ends().await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_another_kind_twice_or_to_nobody_reach_nobody_else() {
    let liar = Liar::new();
    let (alice, mut line) = liar.victim(0xA).await;
    let lies = async {
        let (id, _) = line.hears().await;
        line.says(id + 700, &PeerAnswer::Done).await;
        line.says(id, &PeerAnswer::Was(true)).await;
        line.says(id, &PeerAnswer::Done).await;
    };
    let (found, ()) = join(alice.peers.find(Cid(1)), lies).await;
    assert!(matches!(found, Err(PeersError::Call(PeersCallError::Malformed))), "{found:?}");
    line.settles(&alice).await;
    // One that never answers: by the deadline.
    let silent = alice.peers.find(Cid(1));
    let found = tokio::time::timeout(Duration::from_secs(11), silent).await.unwrap();
    assert!(matches!(found, Err(PeersError::Call(PeersCallError::Deadline(_)))), "{found:?}");
    line.hears().await;
    line.settles(&alice).await;
    assert_eq!(alice.peers.info(Party::Account(Cid(1))).map(|info| info.standing), None::<Standing>);
    alice.ends().await;
}

/// The view that would make a peer of it may be a little behind its lane, and may never come.
#[tokio::test(start_paused = true)]
async fn fix_0064_a_lane_of_nobody_does_not_hold_up_the_end() {
    let liar = Liar::new();
    let (alice, mut to_alice) = liar.victim(0xA).await;
    let (carol, to_carol) = liar.victim(0xC).await;
    let lane = to_alice.calls(carol.party, carol.device()).await;
    to_alice.settles(&alice).await;
    tokio::time::timeout(Duration::from_secs(1), alice.ends())
        .await
        .expect("an end that waits for no deadline");
    drop((lane, to_carol));
    carol.ends().await;
}

/// Who began an attempt may give it up without a word, after the other end has said its last.
#[tokio::test(start_paused = true)]
async fn fix_0066_an_attempt_that_nobody_confirmed_does_not_hold_up_the_end() {
    let Two { alice, bob, to_alice, .. } = Two::peers().await;
    let before = alice.hub.sessions();
    let hub = Hub::new();
    let lane = to_alice.calls(bob.party, bob.device()).await.into_io();
    let trust = Trust::Peer(alice.device());
    let config = ClientConfig::new(handshake(&bob.identity, SessionKind::P2P), trust);
    let mut attempt = hub.connect(lane, config, session(), None).boxed();
    let is_answered = async {
        while alice.hub.sessions() == before {
            tokio::task::yield_now().await;
        }
    };
    match select(pin!(is_answered), &mut attempt).await {
        Either::Left(_) => {}
        Either::Right(_) => panic!("the last word was taken before anyone looked"),
    }
    let mut ends = alice.ends().boxed();
    assert!(ends.as_mut().now_or_never().is_none());
    drop(attempt);
    tokio::time::timeout(Duration::from_secs(1), ends).await.expect("an end that waits for nobody");
    bob.ends().await;
}

/// The server hears of it and says nothing more: as one that is away, or that will not know.
#[tokio::test(start_paused = true)]
async fn fix_0068_who_was_removed_is_no_peer_although_the_server_has_not_heard_it() {
    let mut two = Two::peers().await;
    let bob = two.bob.party;
    let removal = two.alice.peers.remove(bob);
    match select(pin!(removal), pin!(two.to_alice.hears())).await {
        Either::Right(((_, ask), _)) => assert!(matches!(ask, PeerAsk::Remove(party) if party == bob)),
        Either::Left((removed, _)) => panic!("{removed:?}"),
    }
    let registered = two.alice.peers.registered(bob).now_or_never();
    assert!(matches!(registered, Some(Err(PeersError::Pin(PinError::Withdrawn)))), "{registered:?}");
    two.end().await;
}
