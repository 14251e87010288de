//! One callback that gets all peers as they come.

#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

use bytes::Bytes;
use citadel_sdk::prefabs::client::PeerFailure;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, HandlerError, NodeError, Party, Standing};
use citadel_tests::peer_scene::{Client, Server, Setup, Way};
use futures::StreamExt;
use futures::future::join_all;
use parking_lot::Mutex;
use rstest::rstest;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How the callback with all of them ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    Well,
    WithACode,
    ByPanic,
}

impl Ends {
    fn act(self) -> KernelResult {
        match self {
            Self::Well => Ok(()),
            Self::WithACode => Err(HandlerError::new(5, "enough").into()),
            Self::ByPanic => panic!("a callback of the test"),
        }
    }

    fn reason(self) -> CloseReason {
        match self {
            Self::Well => CloseReason::application(0, ""),
            Self::WithACode => CloseReason::application(5, "enough"),
            Self::ByPanic => CloseReason::HandlerPanicked,
        }
    }
}

/// What each of those that were met said.
type Heard = Arc<Mutex<BTreeSet<Bytes>>>;

/// Hears each peer as it comes, and has two that are not met: one that is `absent`, and one that declines.
async fn hears_all(
    mut results: PeerResults,
    known: BTreeSet<PeerId>,
    absent: PeerId,
    heard: Heard,
) -> Result<(), BoxError> {
    let (mut met, mut missed) = (Vec::new(), Vec::new());
    while let Some(result) = results.next().await {
        match result {
            Ok(mut peer) => {
                assert!(known.contains(&peer.peer_id));
                let said = peer.channel.recv().await?.ok_or("nothing")?;
                heard.lock().insert(said);
                met.push(peer);
            }
            Err(failure) => missed.push(failure),
        }
    }
    assert_eq!((met.len(), missed.len()), (known.len(), 2));
    for failure in missed {
        match failure.source {
            PeerFailure::Absent(patience) => {
                assert_eq!((failure.name, patience), (absent.to_string(), Duration::from_secs(60)));
            }
            PeerFailure::Declined => {}
            other => panic!("{other}"),
        }
    }
    for peer in &mut met {
        peer.channel.send("heard").await?;
    }
    Ok(())
}

/// A peer of the hub: says who it is; what it was answered, and how its session ended.
async fn greets(
    setup: &Setup,
    connection: ServerConnection,
    identity: Identity,
    hub: PeerId,
) -> (Option<Bytes>, CloseReason) {
    let own = identity.peer_id().to_string();
    let told = Arc::new(Mutex::new(None));
    let tells = Arc::clone(&told);
    let way = setup.way;
    let kernel = PeerConnectionKernel::for_each(connection, Peers::peer_id(hub), move |mut peer| {
        let (own, tells) = (own.clone(), Arc::clone(&tells));
        async move {
            way.carries(&peer.session).await;
            peer.channel.send(own).await?;
            let answer = peer.channel.recv().await;
            let reason = peer.session.closed().await.reason().clone();
            *tells.lock() = Some((answer.ok().flatten(), reason));
            Ok(())
        }
    });
    setup.node(kernel, identity).start().await.unwrap().await.unwrap();
    told.lock().take().unwrap()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn each_peer_is_given_as_it_comes_and_who_is_not_met_with_the_reason(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(Ends::Well, Ends::WithACode, Ends::ByPanic)] ends: Ends,
    #[values(1, 3)] there: usize,
) {
    let setup = Setup::new(way);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let hub = Identity::generate();
    let hub_id = hub.peer_id();
    let peers: Vec<Identity> = (0..there).map(|_| Identity::generate()).collect();
    let declining = Client::start(&setup, &server, &networks[1], "").await;
    let absent = Identity::generate().peer_id();
    let known: BTreeSet<PeerId> = peers.iter().map(Identity::peer_id).collect();
    let wanted = known.iter().copied().chain([absent, declining.node.peer_id()]);
    let wanted = Peers::all(wanted.map(Peers::peer_id)).unwrap();

    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let connection = server.connection(&networks[0], "");
    let kernel = PeerConnectionKernel::for_all(connection, wanted, move |results: PeerResults| {
        let hearing = hears_all(results, known.clone(), absent, Arc::clone(&hears));
        async move {
            hearing.await?;
            ends.act()
        }
    });
    let hub_node = setup.node(kernel, hub).start().await.unwrap();
    let declines = async {
        let hub = Party::Transient(hub_id);
        declining.sees(hub, Standing::Asking).await;
        declining.peers.decline(hub).await.unwrap();
    };
    let each =
        peers.into_iter().map(|peer| greets(&setup, server.connection(&networks[1], ""), peer, hub_id));
    let (hub_end, told, ()) = tokio::join!(hub_node.into_future(), join_all(each), declines);
    // A panic waits for nobody: by a direct path its word may come after the server's, that the hub is gone.
    let may_be_late = way == Way::Direct && ends == Ends::ByPanic;
    for (_answer, reason) in &told {
        let is_late = may_be_late && *reason == CloseReason::Revoked;
        assert!(is_late || *reason == ends.reason(), "{reason}");
    }
    match (ends, hub_end) {
        (Ends::Well, Ok((_kernel, report))) => {
            assert!(report.is_clean() && report.sessions.len() == there + 1, "{report}");
            assert!(told.iter().all(|(answer, _)| answer.as_deref() == Some(&b"heard"[..])));
        }
        (Ends::WithACode | Ends::ByPanic, Err(NodeError::Kernel { .. })) => {}
        (_, end) => panic!("{:?}", end.map(|(_, report)| report)),
    }
    assert_eq!(heard.lock().len(), there);
    declining.ends().await;
    server.ends().await;
}

#[tokio::test(start_paused = true)]
async fn who_has_enough_of_them_looks_for_no_more_and_a_node_that_ends_gives_none() {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(1);
    let server = Server::start(&setup, &networks).await;
    for returns in [true, false] {
        let connection = server.connection(&networks[0], "");
        let wanted = Peers::peer_id(Identity::generate().peer_id());
        let kernel =
            PeerConnectionKernel::for_all(connection, wanted, move |results: PeerResults| async move {
                if returns {
                    return Ok(());
                }
                let rest: Vec<_> = results.collect().await;
                assert!(rest.is_empty(), "the node is to end: {rest:?}");
                Ok(())
            });
        let node = setup.node(kernel, Identity::generate()).start().await.unwrap();
        let began = tokio::time::Instant::now();
        if !returns {
            tokio::time::sleep(Duration::from_secs(5)).await;
            node.begin_shutdown();
        }
        let (_kernel, report) = node.await.unwrap();
        assert!(report.is_clean() && !report.is_late, "{report}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    server.ends().await;
}
