//! Sessions between the same two, one after the other, and what one of them lives through (SCENARIOS 19, 20, 26, 28, 30).

use citadel_proto::driver::memory::Faults;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, PeerConnectError, RekeyError, Standing};
use citadel_tests::peer_scene::{Client, Loss, Pair, Server, Setup, Talk, Way, befriend, hear, message, say};
use futures::future::join;
use rstest::rstest;
use std::time::Duration;

const LEN: usize = 2_000;

/// SCENARIOS 28, R-SHUT-4.
#[rstest]
#[tokio::test(start_paused = true)]
async fn both_disconnect_at_once_and_reconnect_at_once_and_a_late_disconnect_changes_nothing(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(1, 2, 3)] seed: u64,
) {
    let mut pair = Pair::meet(&Setup::seeded(way, seed)).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    for round in 0..10 {
        talk.go_on(5, LEN).await;
        let (near, far) = (pair.near.clone(), pair.far.clone());
        if way == Way::Changing {
            pair.lose([Loss::AliceLeaves, Loss::BobLeaves, Loss::BothLeave][round % 3]);
        }
        near.begin_shutdown(CloseReason::application(1, ""));
        far.begin_shutdown(CloseReason::application(2, ""));
        // The next one is asked for while this one closes.
        pair.meet_again().await;
        assert_ne!(pair.near.instance(), near.instance());
        talk = Talk::new(&pair.near, &pair.far);
        // Whoever still holds the old one may say what he likes.
        for late in [&near, &far] {
            late.begin_shutdown(CloseReason::GoingAway);
            late.abort();
            let _closed = late.close(3, "late").await;
        }
        talk.go_on(5, LEN).await;
        assert_eq!(pair.near.closing(), None, "round {round}");
    }
    pair.ends().await;
}

/// SCENARIOS 20: the same for a session that one end lost and the other did not notice yet.
#[rstest]
#[tokio::test(start_paused = true)]
async fn who_lost_its_session_gets_another_one_before_the_peer_noticed(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(0, 1, 3, 10)] polls: usize,
) {
    let mut pair = Pair::meet(&Setup::new(way)).await;
    for _ in 0..5 {
        let old = pair.far.clone();
        pair.near.abort();
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        let met = pair.alice.peers.connect(pair.bob.party).await.unwrap();
        assert_ne!(met.session.instance(), old.instance());
        old.closed().await;
        // Bob has it too: by asking he gets the same one.
        let there = pair.bob.peers.connect(pair.alice.party).await.unwrap();
        assert_eq!(there.session.instance(), met.session.instance());
        (pair.near, pair.far) = (met.session, there.session);
        Talk::new(&pair.near, &pair.far).go_on(5, LEN).await;
    }
    pair.ends().await;
}

/// SCENARIOS 19: every path of a leg is cut after some bytes, again and again.
#[rstest]
#[tokio::test(start_paused = true)]
async fn what_two_peers_say_arrives_once_and_in_order_however_often_their_legs_are_cut(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(1, 2, 3, 4)] seed: u64,
    #[values(false, true)] rekeys: bool,
) {
    let setup = Setup::seeded(way, seed);
    let pair = Pair::meet(&setup).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    for network in pair.networks() {
        // Enough for a handshake, and then some records.
        network.set_faults(Faults { cut_after: Some(30_000..=150_000), ..Faults::DELAYS });
        network.cut();
    }
    let renews = async {
        for _ in 0..if rekeys { 20 } else { 0 } {
            let (one, other) = join(pair.near.rekey(), pair.far.rekey()).await;
            // A path that lives for less than 5 s is followed by a pause of up to 5 s: a round may take longer than its caller waits.
            for outcome in [one, other] {
                assert!(matches!(outcome, Ok(_) | Err(RekeyError::TimedOut)), "{outcome:?}");
            }
        }
    };
    pair.while_it_changes(join(talk.go_on(500, LEN), renews)).await;
    for network in pair.networks() {
        network.set_faults(Faults::DELAYS);
        network.cut();
    }
    pair.near.rekey().await.unwrap();
    talk.finish().await;
    let (a, b) = join(pair.near.close(0, ""), pair.far.closed()).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    pair.ends().await;
}

/// SCENARIOS 30: a lane comes again, and a direct path goes on.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_server_that_is_killed_and_comes_back_carries_the_two_on_with_what_was_in_flight(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(0, 1, 2, 4, 8)] polls: usize,
) {
    let setup = Setup { accounts: true, ..Setup::seeded(way, polls as u64 + 1) };
    let mut pair = Pair::meet(&setup).await;
    let mut talk = Talk::new(&pair.near, &pair.far);
    for _ in 0..3 {
        assert_eq!(say(&mut talk.near.0, 0..200, LEN).await, (200, None));
        assert_eq!(say(&mut talk.far.0, 0..200, LEN).await, (200, None));
        for _ in 0..polls {
            tokio::task::yield_now().await;
        }
        pair.server = pair.server.restarted().await;
        // The server has forgotten their sessions with it; the one between the two is none of its.
        join(pair.alice.session.closed(), pair.bob.session.closed()).await;
        join(pair.alice.connect_anew(), pair.bob.connect_anew()).await;
        join(hear(&mut talk.far.1, 0..200, LEN), hear(&mut talk.near.1, 0..200, LEN)).await;
        assert_eq!((pair.near.closing(), pair.far.closing()), (None, None));
        pair.near.rekey().await.unwrap();
    }
    assert_eq!(pair.near.path_kind().is_direct(), way == Way::Direct);
    // Its node's plan knows what carries it now.
    pair.server.node.begin_shutdown();
    let (a, b) = join(pair.near.closed(), pair.far.closed()).await;
    assert!(a.clean && b.clean, "{a} / {b}");
    assert_eq!(*a.reason(), CloseReason::GoingAway);
    pair.ends().await;
}

/// SCENARIOS 26.
#[tokio::test(start_paused = true)]
async fn one_connects_while_the_other_declines_and_no_session_comes_about() {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let alice = Client::start(&setup, &server, &networks[0], "alice").await;
    let bob = Client::start(&setup, &server, &networks[1], "bob").await;
    alice.peers.ask(bob.party, None).await.unwrap();
    bob.sees(alice.party, Standing::Asking).await;
    let (declined, connected) = join(bob.peers.decline(alice.party), alice.peers.connect(bob.party)).await;
    declined.unwrap();
    assert!(matches!(connected, Err(PeerConnectError::NotPeer)), "{connected:?}");
    alice.sees(bob.party, Standing::Declined).await;
    // Peers, and then no more, while one connects: either there is no session, or it is closed at once.
    befriend(&alice, &bob).await;
    let (removed, connected) = join(bob.peers.remove(alice.party), alice.peers.connect(bob.party)).await;
    assert!(removed.unwrap());
    if let Ok(met) = connected {
        met.session.closed().await;
    }
    assert!(alice.peers.session_with(bob.party).is_none());
    alice.ends().await;
    bob.ends().await;
    server.ends().await;
}

/// Channels between a client and its server are what they were, beside sessions with peers.
#[rstest]
#[tokio::test(start_paused = true)]
async fn channels_with_the_server_work_beside_peers_and_after_them(
    #[values(Way::Relayed, Way::Direct)] way: Way,
) {
    let setup = Setup::new(way);
    let networks = setup.networks(2);
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    });
    let server = Server::with_kernel(echo, &setup, &networks).await;
    let alice = Client::start(&setup, &server, &networks[0], "alice").await;
    let bob = Client::start(&setup, &server, &networks[1], "bob").await;
    befriend(&alice, &bob).await;
    let (met, there) = join(alice.peers.connect(bob.party), bob.peers.connect(alice.party)).await;
    let (near, far) = (met.unwrap().session, there.unwrap().session);
    let mut talk = Talk::new(&near, &far);
    let mut with_server = alice.peers.server().unwrap().channel().unwrap();
    let echoes = async {
        for number in 0..50 {
            with_server.send(message(number, LEN)).await.unwrap();
            assert!(with_server.recv().await.unwrap().unwrap() == message(number, LEN));
        }
        // One that the server opens, while the two talk.
        let served = server.node.sessions();
        let to_alice = served.iter().find(|session| session.peer_id() == alice.node.peer_id()).unwrap();
        let mut opened = to_alice.open_channel().await.unwrap();
        opened.send(message(1, LEN)).await.unwrap();
        opened.finish().await.unwrap();
        let mut arrived = alice.session.accept_channel().await.unwrap().unwrap();
        assert!(arrived.recv().await.unwrap().unwrap() == message(1, LEN));
        assert_eq!(arrived.recv().await, Ok(None));
    };
    join(echoes, talk.go_on(300, LEN)).await;
    // The peer stalls: credit of the lane is its own.
    let stalls = say(&mut talk.near.0, 0..100_000, LEN);
    let echoes = async {
        for number in 0..50 {
            with_server.send(message(number, LEN)).await.unwrap();
            assert!(with_server.recv().await.unwrap().unwrap() == message(number, LEN));
        }
    };
    tokio::select! {
        biased;
        () = echoes => {}
        (said, end) = stalls => panic!("nobody reads, and {said} were taken: {end:?}"),
    }
    far.abort();
    near.closed().await;
    drop((talk, far));
    with_server.send(message(9, LEN)).await.unwrap();
    assert!(with_server.recv().await.unwrap().unwrap() == message(9, LEN));
    with_server.finish().await.unwrap();
    let alice = alice.ends().await;
    assert!(alice.sessions.last().unwrap().clean, "{alice}");
    bob.ends().await;
    server.ends().await;
}

/// Time that is over for who waits, without a path, and for nobody else.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_for_good_ends_the_two_when_their_time_to_resume_is_over(
    #[values(Way::Relayed)] way: Way,
) {
    let resume = Duration::from_secs(20);
    let pair = Pair::meet(&Setup { resume, ..Setup::new(way) }).await;
    let Pair { server, alice, bob, near, far, .. } = pair;
    for network in [&alice.network, &bob.network] {
        network.take_down();
    }
    let began = tokio::time::Instant::now();
    let (a, b) = join(near.closed(), far.closed()).await;
    for report in [a, b] {
        assert!(matches!(report.local, CloseReason::PathLost(_)), "{report}");
    }
    // 30 s until silence counts as loss, then the time to resume, and the last dial under way.
    let longest = Duration::from_secs(30) + resume + Duration::from_secs(15);
    assert!(began.elapsed() <= longest, "{:?}", began.elapsed());
    alice.ends().await;
    bob.ends().await;
    server.ends().await;
}
