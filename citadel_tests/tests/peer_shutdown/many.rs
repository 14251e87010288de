//! Many peers of one client (SCENARIOS 22, 31).

use citadel_sdk::Standing;
use citadel_tests::peer_scene::{Client, Server, Setup, Way, hear, message, say};
use futures::future::join_all;
use rstest::rstest;

const LEN: usize = 4_096;

#[rstest]
#[tokio::test(start_paused = true)]
async fn sixty_four_peers_send_to_one_client_and_one_that_stalls_delays_no_other(
    #[values(Way::Relayed, Way::Direct)] way: Way,
) {
    const PEERS: usize = 64;
    const EACH: u64 = 100;
    let setup = Setup::new(way);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let hub = Client::start(&setup, &server, &networks[0], "").await;
    let peers = join_all((0..PEERS).map(|_| Client::start(&setup, &server, &networks[1], ""))).await;
    for peer in &peers {
        peer.peers.ask(hub.party, None).await.unwrap();
        hub.sees(peer.party, Standing::Asking).await;
        hub.peers.accept(peer.party, None).await.unwrap();
    }
    let connected = join_all(peers.iter().map(|peer| async {
        peer.peers.registered(hub.party).await.unwrap();
        peer.peers.online(hub.party).await;
        peer.peers.connect(hub.party).await.unwrap().session
    }));
    let arrived = async {
        let mut arrived = Vec::new();
        while arrived.len() < PEERS {
            arrived.push(hub.peers.accept_session().await);
        }
        arrived
    };
    let (sessions, arrived) = futures::future::join(connected, arrived).await;
    join_all(sessions.iter().chain(arrived.iter().map(|met| &met.session)).map(|end| way.carries(end))).await;
    if way == Way::Relayed {
        assert_eq!(server.node.switchboard().unwrap().lanes(), PEERS);
    }
    // Nobody reads what the first one sends: it waits, with what its credit lets it have under way.
    let stalled = arrived.iter().position(|met| met.party == peers[0].party).unwrap();
    let (mut first, _unread) = (sessions[0].channel().unwrap(), arrived[stalled].session.channel().unwrap());
    let others = arrived.iter().enumerate().filter(|(at, _)| *at != stalled);
    let reads = join_all(others.map(|(_, met)| async {
        let (_send, mut recv) = met.session.channel().unwrap().split();
        hear(&mut recv, 0..EACH, LEN).await;
    }));
    let sends = join_all(sessions[1..].iter().map(|session| async {
        let (mut send, _recv) = session.channel().unwrap().split();
        assert_eq!(say(&mut send, 0..EACH, LEN).await, (EACH, None));
        send.acknowledged().await.unwrap();
    }));
    let stalls = async {
        let mut taken = 0;
        loop {
            first.send(message(taken, LEN)).await.unwrap();
            taken += 1;
            // The credit of a session, and as much again that its sender keeps.
            assert!(taken * LEN as u64 <= 4 << 20, "no bound on what waits for a reader that stalls");
        }
    };
    tokio::select! {
        biased;
        _ = futures::future::join(reads, sends) => {}
        () = stalls => {}
    }
    drop(first);
    let ends = join_all(peers.into_iter().map(Client::ends));
    let (reports, hub_report) = tokio::join!(ends, hub.ends());
    let clean = reports.iter().filter(|report| report.is_clean()).count();
    assert!(clean >= PEERS - 1, "{clean} of {PEERS}: {hub_report}");
    drop((sessions, arrived));
    server.ends().await;
}
