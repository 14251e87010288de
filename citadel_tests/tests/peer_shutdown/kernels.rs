//! The kernel of peers: each callback to its own end, whatever becomes of the others (R-SHUT-3, -6; SCENARIOS 21, 27;
//! FIX-0002).

use citadel_sdk::prefabs::client::PeerFailures;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, HandlerError, NodeError, NodeReport, RecvError};
use citadel_tests::peer_scene::{Server, Setup, Way, hear, say};
use futures::future::join_all;
use parking_lot::Mutex;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;

const LEN: usize = 100;
const COUNT: u64 = 20;

/// What the callback with one of the peers does, at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Early {
    Returns,
    Fails,
    FailsWithACode,
    Panics,
}

impl Early {
    fn act(self) -> KernelResult {
        match self {
            Self::Returns => Ok(()),
            Self::Fails => Err("it failed".into()),
            Self::FailsWithACode => Err(HandlerError::new(77, "it failed").into()),
            Self::Panics => panic!("a callback of the test"),
        }
    }

    /// What the other end is told.
    fn reason(self) -> CloseReason {
        match self {
            Self::Returns => CloseReason::application(0, ""),
            Self::Fails => CloseReason::application(HandlerError::UNSPECIFIED, "the handler failed"),
            Self::FailsWithACode => CloseReason::application(77, "it failed"),
            Self::Panics => CloseReason::HandlerPanicked,
        }
    }
}

/// Sends the messages, one every second, and hears as many.
async fn talks(mut peer: PeerConnection) -> KernelResult {
    for number in 0..COUNT {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let message = citadel_tests::peer_scene::message(number, LEN);
        peer.channel.send(message).await?;
    }
    let (send, mut recv) = peer.channel.split();
    hear(&mut recv, 0..COUNT, LEN).await;
    drop(send);
    Ok(())
}

/// Sends all of them, hears until the end; what that was.
async fn answers(peer: PeerConnection) -> (u64, Option<RecvError>, CloseReason) {
    let (session, (mut send, mut recv)) = (peer.session.clone(), peer.channel.split());
    let _said = say(&mut send, 0..COUNT, LEN).await;
    let (mut heard, mut end) = (0, None);
    loop {
        match recv.recv().await {
            Ok(Some(_)) => heard += 1,
            Ok(None) => break,
            Err(error) => {
                end = Some(error);
                break;
            }
        }
    }
    drop((send, recv));
    let reason = session.closed().await.reason().clone();
    (heard, end, reason)
}

type Told = Arc<Mutex<Vec<(u64, Option<RecvError>, CloseReason)>>>;

/// A peer of `hub` that answers.
async fn answering(
    setup: Setup,
    connection: ServerConnection,
    identity: Identity,
    hub: PeerId,
) -> (u64, Option<RecvError>, CloseReason) {
    let told: Told = Arc::default();
    let tells = Arc::clone(&told);
    let kernel = PeerConnectionKernel::for_each(connection, Peers::peer_id(hub), move |peer| {
        let tells = Arc::clone(&tells);
        async move {
            let end = answers(peer).await;
            tells.lock().push(end);
            Ok(())
        }
    });
    setup.node(kernel, identity).start().await.unwrap().await.unwrap();
    let mut told = told.lock();
    assert_eq!(told.len(), 1, "one session each");
    told.remove(0)
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_callback_that_ends_or_fails_long_before_the_others_leaves_them_alone(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Early::Returns, Early::Fails, Early::FailsWithACode, Early::Panics)] early: Early,
    #[values(1, 3)] early_ones: usize,
) {
    let setup = Setup::new(way);
    let networks = setup.networks(1);
    let server = Server::start(&setup, &networks).await;
    let identities: Vec<_> = (0..early_ones + 2).map(|_| Identity::generate()).collect();
    let ids: Vec<PeerId> = identities.iter().map(Identity::peer_id).collect();
    let (hub, others) = ids.split_first().unwrap();
    let (late, wanted) = (others[0], Peers::all(others.iter().map(|id| Peers::peer_id(*id))).unwrap());
    let connection = || server.connection(&networks[0], "");
    let kernel = PeerConnectionKernel::for_each(connection(), wanted, move |peer| async move {
        if peer.peer_id == late { talks(peer).await } else { early.act() }
    });
    let mut identities = identities.into_iter();
    let hub_node = setup.node(kernel, identities.next().unwrap());
    let hub_ends = async move { hub_node.start().await.unwrap().await.map(|(_kernel, report)| report) };
    let answering =
        join_all(identities.map(|identity| answering(setup.clone(), connection(), identity, *hub)));
    let (hub_end, told): (Result<NodeReport, NodeError>, Vec<_>) = tokio::join!(hub_ends, answering);

    let (heard, end, reason) = &told[0];
    assert_eq!((*heard, end, reason), (COUNT, &None, &CloseReason::application(0, "")), "the late one");
    for (heard, _, reason) in &told[1..] {
        assert_eq!((*heard, reason), (0, &early.reason()));
    }
    if early == Early::Returns {
        let report = hub_end.unwrap();
        assert_eq!(report.sessions.len(), early_ones + 2, "{report}");
        assert!(report.is_clean(), "{report}");
    } else {
        let Err(NodeError::Kernel { source, .. }) = hub_end else { panic!("{hub_end:?}") };
        let PeerFailures { failures } = *source.downcast::<PeerFailures>().unwrap();
        let mut failed: Vec<String> = failures.into_iter().map(|(name, _)| name).collect();
        let mut expected: Vec<String> = others[1..].iter().map(PeerId::to_string).collect();
        failed.sort();
        expected.sort();
        assert_eq!(failed, expected, "each of those, and not the one that ended well");
    }
    server.ends().await;
}

/// Longer than an orderly end takes, and much shorter than anything that would be waited for in vain.
const SOON: Duration = Duration::from_secs(2);

/// Hears until the end, and makes an error of whatever that is.
async fn hears_until_the_end(mut peer: PeerConnection) -> KernelResult {
    while peer.channel.recv().await?.is_some() {}
    Err("it ended".into())
}

#[tokio::test(start_paused = true)]
async fn fix_0048_a_node_with_peers_that_is_asked_to_end_has_no_error() {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let (one, other) = (Identity::generate(), Identity::generate());
    let kernel = |network, peer: &Identity| {
        let connection = server.connection(network, "").reconnect(Reconnect::FOREVER);
        PeerConnectionKernel::for_each(connection, Peers::peer_id(peer.peer_id()), hears_until_the_end)
    };
    let kernels = [kernel(&networks[0], &other), kernel(&networks[1], &one)];
    let mut nodes = Vec::new();
    for (kernel, identity) in kernels.into_iter().zip([one, other]) {
        nodes.push(setup.node(kernel, identity).start().await.unwrap());
    }
    while nodes.iter().any(|node| node.sessions().is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for node in &nodes {
        node.begin_shutdown();
    }
    for node in nodes {
        let (_kernel, report) = node.await.unwrap();
        assert!(report.is_clean() && report.sessions.len() == 2, "{report}");
    }
    server.ends().await;
}

/// What a kernel waits for when its node is asked to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WaitsFor {
    Server,
    Peer,
    Answer,
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn fix_0049_a_kernel_stops_looking_when_its_node_is_asked_to_end(
    #[values(WaitsFor::Server, WaitsFor::Peer, WaitsFor::Answer)] waits: WaitsFor,
) {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let silent = citadel_tests::peer_scene::Client::start(&setup, &server, &networks[1], "").await;
    let wanted = match waits {
        WaitsFor::Answer => silent.node.peer_id(),
        WaitsFor::Server | WaitsFor::Peer => Identity::generate().peer_id(),
    };
    if waits == WaitsFor::Server {
        networks[0].take_down();
    }
    let connection = server.connection(&networks[0], "").reconnect(Reconnect::FOREVER);
    let kernel = PeerConnectionKernel::for_each(connection, Peers::peer_id(wanted), hears_until_the_end);
    let node = setup.node(kernel, Identity::generate()).start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let began = tokio::time::Instant::now();
    let (_kernel, report) = node.shutdown().await.unwrap();
    assert!(!report.is_late && report.is_clean(), "{report}");
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    silent.ends().await;
    server.ends().await;
}
