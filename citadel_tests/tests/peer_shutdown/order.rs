//! In which order a node's sessions end, whoever ends it, and what a look-up of a session with a peer finds meanwhile
//! (R-SHUT-1, -2; SCENARIOS 16, 19b; FIX-0003).

use citadel_proto::peers::PeerClient;
use citadel_sdk::{CloseReason, Party, PeerConnectError, Session};
use citadel_tests::cancel::poll_then_drop;
use citadel_tests::peer_scene::{Client, Pair, Server, Setup, Talk, Way, befriend, heard_of, say};
use futures::future::{join, join_all};
use parking_lot::Mutex;
use rstest::rstest;
use std::time::Duration;
use tokio::time::Instant;

const LEN: usize = 4_096;
/// No stage of a close waited for its deadline.
const SOON: Duration = Duration::from_secs(2);
/// How long a direct path outlives the server, by default.
const OUTLIVES: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    WithThePeer,
    WithTheServer,
}

/// Which ends come when. Those that are seen in one moment are taken in the order that no node may have: the server's first.
async fn order(peer: &Session, server: &Session) -> Vec<End> {
    let seen = Mutex::new(Vec::new());
    let see = async |session: &Session, end| {
        session.closed().await;
        seen.lock().push(end);
    };
    tokio::join!(biased; see(server, End::WithTheServer), see(peer, End::WithThePeer));
    seen.into_inner()
}

/// Who ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    AliceNode,
    BothNodes,
    TheServer,
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_session_with_a_peer_is_closed_before_the_one_with_the_server_and_everything_arrives(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Ends::AliceNode, Ends::BothNodes, Ends::TheServer)] ends: Ends,
    #[values(0, 100)] count: u64,
    #[values(false, true)] rekeys: bool,
) {
    let pair = Pair::meet(&Setup::new(way)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    assert_eq!(say(&mut talk.near.0, 0..count, LEN).await, (count, None));
    assert_eq!(say(&mut talk.far.0, 0..count, LEN).await, (count, None));
    if rekeys {
        pair.near.trigger_rekey().unwrap();
        pair.far.trigger_rekey().unwrap();
    }
    let Pair { server, alice, bob, near, far, .. } = pair;
    let (with_alice, with_bob) = (alice.session.clone(), bob.session.clone());
    let began = Instant::now();
    match ends {
        Ends::AliceNode => alice.node.begin_shutdown(),
        Ends::BothNodes => {
            alice.node.begin_shutdown();
            bob.node.begin_shutdown();
        }
        Ends::TheServer => server.node.begin_shutdown(),
    }
    // A direct path is none of the server's: it outlives it for a time.
    let outlives = way == Way::Direct && ends == Ends::TheServer;
    let mut expected = vec![End::WithThePeer, End::WithTheServer];
    if outlives {
        expected.reverse();
    }
    if ends == Ends::AliceNode {
        assert_eq!(order(&near, &with_alice).await, expected);
        far.closed().await;
    } else {
        let both = join(order(&near, &with_alice), order(&far, &with_bob)).await;
        assert_eq!(both, (expected.clone(), expected));
    }
    let longest = if outlives { OUTLIVES + SOON } else { SOON };
    assert!(began.elapsed() < longest, "the order took {:?}", began.elapsed());
    for session in [&near, &far, &with_alice] {
        let report = session.closed().await;
        assert!(report.clean, "{report}");
        assert_eq!(*report.reason(), CloseReason::GoingAway);
    }
    let heard = join(heard_of(&mut talk.far.1, LEN), heard_of(&mut talk.near.1, LEN)).await;
    assert_eq!(heard, (count, count));
    let reports = [alice.ends().await, bob.ends().await, server.ends().await];
    if ends == Ends::AliceNode {
        let order: Vec<_> = reports[0].sessions.iter().map(|session| session.instance).collect();
        assert_eq!(order, [near.instance(), with_alice.instance()]);
    }
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_session_that_comes_about_while_the_server_goes_away_is_closed_as_well(
    #[values(0, 1, 2, 4, 8, 16, 32, 64)] polls: usize,
) {
    let setup = Setup::seeded(Way::Relayed, polls as u64 + 1);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let alice = Client::start(&setup, &server, &networks[0], "alice").await;
    let bob = Client::start(&setup, &server, &networks[1], "bob").await;
    befriend(&alice, &bob).await;
    let peers = alice.peers.clone();
    let connecting = peers.connect(bob.party);
    tokio::pin!(connecting);
    let early = poll_then_drop(&mut connecting, polls).await;
    server.node.begin_shutdown();
    let met = if early.is_dropped() { connecting.await.ok() } else { alice.peers.session_with(bob.party) };
    if let Some(met) = met {
        assert_eq!(order(&met.session, &alice.session).await, [End::WithThePeer, End::WithTheServer]);
        assert_eq!(*met.session.closed().await.reason(), CloseReason::GoingAway);
    }
    // Flushing waits for lanes that were there as long as a handshake on them may take, not longer.
    alice.ends().await;
    bob.ends().await;
    server.ends().await;
}

/// A node with two servers: the one that goes away takes the peers that it carries and no others.
#[tokio::test(start_paused = true)]
async fn a_server_that_carries_no_peers_takes_none_along() {
    let setup = Setup::new(Way::Relayed);
    let pair = Pair::meet(&setup).await;
    let other = setup.networks(3);
    let second = Server::start(&setup, &other[2..]).await;
    let beside = pair.alice.node.connect(&second.connection(&other[2], "alice")).await.unwrap();
    second.node.begin_shutdown();
    assert_eq!(*beside.closed().await.reason(), CloseReason::GoingAway);
    let mut talk = Talk::new(&pair.near, &pair.far);
    talk.go_on(10, LEN).await;
    second.ends().await;
    // And the one that carries them takes them along as it would have.
    pair.server.node.begin_shutdown();
    assert_eq!(order(&pair.near, &pair.alice.session).await, [End::WithThePeer, End::WithTheServer]);
    assert!(pair.near.closed().await.clean);
    pair.ends().await;
}

/// Looks for the session with `party` all the time; says how often there was one, and how often there was none.
async fn looks(peers: &PeerClient, party: Party, until: &Session) -> (usize, usize) {
    let (mut found, mut missed) = (0, 0);
    let looking = async {
        loop {
            match peers.session_with(party) {
                Some(met) => {
                    assert_eq!(met.party, party);
                    found += 1;
                }
                None => missed += 1,
            }
            let _server = peers.server();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        _ = until.closed() => {}
        () = looking => {}
    }
    (found, missed)
}

/// What takes the session with the server away in the middle of the clean-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gone {
    Aborted,
    ByTheServer,
    TheNetwork,
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_session_with_a_peer_is_looked_up_at_any_moment_of_the_teardown_and_the_answer_may_be_none(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Gone::Aborted, Gone::ByTheServer, Gone::TheNetwork)] gone: Gone,
    #[values(0, 1, 2, 4, 8, 16)] steps: u64,
) {
    let pair = Pair::meet(&Setup::new(way)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    assert_eq!(say(&mut talk.near.0, 0..100, LEN).await, (100, None));
    let Pair { server, alice, bob, near, far, .. } = pair;
    assert_eq!(alice.peers.session_with(bob.party).unwrap().session.instance(), near.instance());
    assert!(alice.peers.session_with(alice.party).is_none());
    assert_eq!(alice.peers.server().unwrap().instance(), alice.session.instance());
    near.begin_shutdown(CloseReason::GoingAway);
    let tears_down = async {
        tokio::time::sleep(Duration::from_millis(10 * steps)).await;
        match gone {
            Gone::Aborted => alice.session.abort(),
            Gone::ByTheServer => drop(server.node.disconnect(alice.node.peer_id(), 7, "gone").await),
            Gone::TheNetwork => drop(alice.network.take_down()),
        }
    };
    let (looked, ()) = join(looks(&alice.peers, bob.party, &near), tears_down).await;
    assert_eq!(looked.0, 0, "a session that closes is none to take");
    assert!(looked.1 > 0);
    assert!(alice.peers.session_with(bob.party).is_none());
    match alice.peers.connect(bob.party).await {
        Ok(again) => drop(again.session.close(0, "").await),
        Err(error) => assert!(is_of_a_teardown(&error), "{error:?}"),
    }
    alice.network.heal();
    far.abort();
    drop((talk, far));
    let nodes = join_all([alice.ends(), bob.ends()]).await;
    assert_eq!(nodes.len(), 2);
    assert_eq!(near.closed().await.local, CloseReason::GoingAway);
    server.ends().await;
}

/// Typed, and what a caller can act on.
fn is_of_a_teardown(error: &PeerConnectError) -> bool {
    use PeerConnectError::{Deadline, Establish, GaveWay, Lane, NoServer, NotPeer, Offline};
    matches!(error, Offline | NoServer | NotPeer | GaveWay | Deadline(_) | Lane(_) | Establish(_))
}
