//! One sender and many receivers: what each policy does with one that is slow, and what the report says of it.

#![allow(clippy::disallowed_methods, reason = "time is tokio's paused clock")]

use citadel_sdk::prefabs::client::{BroadcastReport, ReceiverReport, ReceiverState};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, NodeReport, Party, RecvError, Standing};
use citadel_tests::canary;
use citadel_tests::peer_scene::{Client, Server, Setup, Way, message};
use futures::future::join;
use rstest::rstest;
use std::time::Duration;
use tokio::time::Instant;

const LEN: usize = 16 << 10;
/// More than credit, buffers and lanes hold between two ends.
const COUNT: u64 = 400;
/// Messages that wait for a receiver.
const QUEUE: usize = 8;

/// A sender's identity, a server, and receivers that know nothing yet.
struct Scene {
    setup: Setup,
    server: Server,
    sender: Identity,
    connection: ServerConnection,
    receivers: Vec<Client>,
}

impl Scene {
    async fn new(way: Way, receivers: usize) -> Self {
        let setup = Setup::new(way);
        let networks = setup.networks(receivers as u64 + 1);
        let server = Server::start(&setup, &networks).await;
        let mut clients = Vec::new();
        for network in &networks[1..] {
            clients.push(Client::start(&setup, &server, network, "").await);
        }
        let connection = server.connection(&networks[0], "");
        Self { setup, server, sender: Identity::generate(), connection, receivers: clients }
    }

    fn peer(&self, at: usize) -> Peers {
        Peers::peer_id(self.receivers[at].node.peer_id())
    }

    /// Starts the sender; its report of the receivers, and that of its node.
    async fn sends(setup: Setup, kernel: BroadcastKernel, sender: Identity) -> (BroadcastReport, NodeReport) {
        let node = setup.node(kernel.queue(QUEUE, 1 << 20), sender).start().await.unwrap();
        let (kernel, report) = node.await.unwrap();
        (kernel.report(), report)
    }
}

/// A receiver agrees when it is asked, and has its session on the way that is wanted.
async fn joins(client: &Client, sender: PeerId, way: Way) -> Session {
    let party = Party::Transient(sender);
    client.sees(party, Standing::Asking).await;
    client.peers.accept(party, None).await.unwrap();
    let session = client.peers.accept_session().await.session;
    way.carries(&session).await;
    session
}

/// What a receiver heard, by number, and why there was no more.
async fn hears(channel: &mut Channel) -> (Vec<u64>, Result<(), RecvError>) {
    let mut heard = Vec::new();
    loop {
        match channel.recv().await {
            Ok(Some(bytes)) => {
                let number = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                assert!(bytes == message(number, bytes.len()));
                heard.push(number);
            }
            Ok(None) => return (heard, Ok(())),
            Err(error) => return (heard, Err(error)),
        }
    }
}

/// Everything that was offered is accounted for.
#[track_caller]
fn adds_up(receiver: &ReceiverReport) {
    assert_eq!(receiver.offered, receiver.sent + receiver.dropped + receiver.waiting(), "{receiver}");
    assert!(receiver.waiting() <= QUEUE as u64 + 1, "{receiver}");
}

fn all() -> Vec<u64> {
    (0..COUNT).collect()
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn everybody_waits_for_the_slowest_where_the_policy_says_so(
    #[values(Way::Relayed, Way::Direct)] way: Way,
) {
    let scene = Scene::new(way, 2).await;
    let sender = scene.sender.peer_id();
    let (progress, sent) = tokio::sync::watch::channel(0);
    let kernel = BroadcastKernel::new(
        scene.connection.clone(),
        scene.peer(0).and(scene.peer(1)),
        BackPressure::Wait,
        move |broadcast: Broadcast| {
            let progress = progress.clone();
            async move {
                assert_eq!(broadcast.joined(2).await, 2);
                for number in 0..COUNT {
                    assert_eq!(broadcast.send(message(number, LEN)).await, Ok(2));
                    progress.send_replace(number + 1);
                }
                Ok(())
            }
        },
    );
    let Scene { setup, receivers, server, sender: own, .. } = scene;
    let sending = Scene::sends(setup, kernel, own);
    let receiving = async {
        let (fast, slow) = join(joins(&receivers[0], sender, way), joins(&receivers[1], sender, way)).await;
        let (mut fast, mut slow) = (fast.channel().unwrap(), slow.channel().unwrap());
        let slow = async {
            // Long enough for everything that need not wait.
            tokio::time::sleep(Duration::from_secs(300)).await;
            let by_then = *sent.borrow();
            assert!(by_then < COUNT, "{by_then} were sent to one that reads nothing");
            hears(&mut slow).await
        };
        join(hears(&mut fast), slow).await
    };
    let ((report, node), (fast, slow)) = join(sending, receiving).await;
    assert_eq!(fast, (all(), Ok(())));
    assert_eq!(slow, (all(), Ok(())));
    for receiver in &report.receivers {
        adds_up(receiver);
        assert!(matches!(receiver.state, ReceiverState::Done), "{receiver}");
        assert_eq!((receiver.delivered(), receiver.dropped), (COUNT, 0), "{receiver}");
    }
    assert!(node.is_clean(), "{node}");
    for client in receivers {
        client.ends().await;
    }
    server.ends().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_receiver_that_stalls_delays_no_other_and_loses_the_oldest_or_its_session(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(BackPressure::DropOldest, BackPressure::DisconnectSlowest)] policy: BackPressure,
) {
    let scene = Scene::new(way, 3).await;
    let sender = scene.sender.peer_id();
    let (done, mut is_done) = tokio::sync::watch::channel(None);
    let callback = move |broadcast: Broadcast| {
        let done = done.clone();
        async move {
            assert_eq!(broadcast.joined(3).await, 3);
            let began = Instant::now();
            for number in 0..COUNT {
                broadcast.send(message(number, LEN)).await?;
            }
            done.send_replace(Some(began.elapsed()));
            let stalled = &broadcast.report().receivers[2];
            adds_up(stalled);
            Ok(())
        }
    };
    let others = scene.peer(0).and(scene.peer(1));
    let kernel = BroadcastKernel::new(scene.connection.clone(), others, BackPressure::Wait, callback)
        .and(scene.peer(2), policy);
    let Scene { setup, receivers, server, sender: own, .. } = scene;
    let sending = Scene::sends(setup, kernel, own);
    let receiving = async {
        let (a, b) = join(joins(&receivers[0], sender, way), joins(&receivers[1], sender, way)).await;
        let stalled = joins(&receivers[2], sender, way).await;
        let mut channels = [a, b, stalled].map(|session| session.channel().unwrap());
        let [a, b, stalled] = &mut channels;
        // It reads nothing until the others have everything.
        let late = async {
            is_done.wait_for(Option::is_some).await.unwrap();
            hears(stalled).await
        };
        let heard = tokio::join!(hears(a), hears(b), late);
        heard
    };
    let ((report, _node), (a, b, (late, end))) = join(sending, receiving).await;
    assert_eq!((a, b), ((all(), Ok(())), (all(), Ok(()))));
    assert!(late.is_sorted() && late.len() < COUNT as usize, "{} heard", late.len());
    for receiver in &report.receivers {
        adds_up(receiver);
        assert_eq!(receiver.waiting(), 0, "{receiver}");
    }
    let stalled = &report.receivers[2];
    assert_eq!(stalled.delivered(), late.len() as u64, "{stalled}");
    assert!(stalled.dropped > 0, "{stalled}");
    match policy {
        BackPressure::DropOldest => {
            assert_eq!(end, Ok(()));
            assert_eq!(late.last(), Some(&(COUNT - 1)), "the newest is never the one that is dropped");
            assert!(matches!(stalled.state, ReceiverState::Done), "{stalled}");
            assert_eq!(stalled.offered, COUNT);
        }
        _ => {
            let told = CloseReason::application(BroadcastKernel::TOO_SLOW, "too slow");
            assert_eq!(end, Err(RecvError::Closed(told)));
            assert_eq!(late, (0..late.len() as u64).collect::<Vec<_>>(), "a beginning without a gap");
            assert!(matches!(stalled.state, ReceiverState::TooSlow), "{stalled}");
        }
    }
    for client in receivers {
        client.ends().await;
    }
    server.ends().await;
}

/// A receiver that stalls for good is waited for only for the time to linger.
#[rstest]
#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_reads_does_not_keep_the_node(
    #[values(Way::Relayed, Way::Direct)] way: Way,
    #[values(BackPressure::DropOldest, BackPressure::DisconnectSlowest)] policy: BackPressure,
    #[values(false, true)] is_unreachable: bool,
) {
    let scene = Scene::new(way, 1).await;
    let sender = scene.sender.peer_id();
    let network = scene.receivers[0].network.clone();
    let (there, is_there) = tokio::sync::watch::channel(false);
    let callback = move |broadcast: Broadcast| {
        let (network, mut is_there) = (network.clone(), is_there.clone());
        async move {
            assert_eq!(broadcast.joined(1).await, 1);
            drop(is_there.wait_for(|is_there| *is_there).await?);
            if is_unreachable {
                network.take_down();
            }
            for number in 0..COUNT {
                broadcast.send(message(number, LEN)).await?;
                // Slower than the queue fills by itself.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
    };
    let kernel = BroadcastKernel::new(scene.connection.clone(), scene.peer(0), policy, callback);
    let kernel = kernel.linger(Duration::from_secs(3));
    let Scene { setup, mut receivers, server, sender: own, .. } = scene;
    let began = Instant::now();
    let sending = Scene::sends(setup, kernel, own);
    let client = receivers.pop().unwrap();
    let receiving = async {
        let session = joins(&client, sender, way).await;
        there.send_replace(true);
        session
    };
    let ((report, _node), session) = join(sending, receiving).await;
    let receiver = &report.receivers[0];
    adds_up(receiver);
    assert!(receiver.dropped > 0, "{receiver}");
    // Joining, sending, lingering, and the stages of two closes.
    assert!(began.elapsed() < Duration::from_secs(5 + 8 + 3 + 20), "{:?}", began.elapsed());
    client.network.heal();
    drop(session);
    client.ends().await;
    server.ends().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn who_comes_late_gets_what_is_sent_from_then_on_and_who_leaves_is_out(
    #[values(Way::Relayed, Way::Direct)] way: Way,
) {
    let scene = Scene::new(way, 2).await;
    let sender = scene.sender.peer_id();
    let callback = |broadcast: Broadcast| async move {
        assert_eq!(broadcast.joined(1).await, 1);
        for number in 0..10 {
            assert_eq!(broadcast.send(message(number, 100)).await, Ok(1));
        }
        assert_eq!(broadcast.joined(2).await, 2);
        for number in 10..20 {
            assert_eq!(broadcast.send(message(number, 100)).await, Ok(2));
        }
        while broadcast.receivers() == 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for number in 20..30 {
            assert_eq!(broadcast.send(message(number, 100)).await, Ok(1));
        }
        Ok(())
    };
    let wanted = scene.peer(0).and(scene.peer(1));
    let kernel = BroadcastKernel::new(scene.connection.clone(), wanted, BackPressure::Wait, callback);
    let Scene { setup, receivers, server, sender: own, .. } = scene;
    let sending = Scene::sends(setup, kernel, own);
    let receiving = async {
        let first = joins(&receivers[0], sender, way).await;
        let mut channel = first.channel().unwrap();
        for number in 0..10 {
            assert_eq!(channel.recv().await.unwrap().unwrap(), message(number, 100));
        }
        let late = joins(&receivers[1], sender, way).await;
        let mut late = late.channel().unwrap();
        let leaves = async {
            for number in 10..20 {
                assert_eq!(channel.recv().await.unwrap().unwrap(), message(number, 100));
            }
            first.close(0, "enough").await
        };
        join(leaves, hears(&mut late)).await
    };
    let ((report, _node), (left, late)) = join(sending, receiving).await;
    assert!(left.clean, "{left}");
    assert_eq!(late, ((10..30).collect(), Ok(())));
    let [first, second] = &report.receivers[..] else { panic!("{report}") };
    assert!(
        matches!(&first.state, ReceiverState::Lost(reason) if *reason == CloseReason::application(0, "enough"))
    );
    assert_eq!((first.offered, first.delivered()), (20, 20), "{first}");
    assert_eq!((second.offered, second.delivered()), (20, 20), "{second}");
    for client in receivers {
        client.ends().await;
    }
    server.ends().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn the_simple_form_sends_a_list_to_all_that_come_and_names_who_did_not(
    #[values(Way::Relayed, Way::Direct)] way: Way,
) {
    let scene = Scene::new(way, 3).await;
    let sender = scene.sender.peer_id();
    let absent = Peers::peer_id(Identity::generate().peer_id());
    let wanted = scene.peer(0).and(scene.peer(1)).and(scene.peer(2)).and(absent);
    let messages = (0..5).map(|number| canary::marked(format!("news {number}")));
    let kernel = BroadcastKernel::of(scene.connection.clone(), wanted, BackPressure::DropOldest, messages)
        .patience(Duration::from_secs(20));
    let Scene { setup, receivers, server, sender: own, .. } = scene;
    let sending = Scene::sends(setup, kernel, own);
    let receiving = async {
        let declines = async {
            let party = Party::Transient(sender);
            receivers[2].sees(party, Standing::Asking).await;
            receivers[2].peers.decline(party).await.unwrap();
        };
        let hears = async |client: &Client| {
            let mut channel = joins(client, sender, way).await.channel().unwrap();
            let mut heard = Vec::new();
            while let Some(bytes) = channel.recv().await.unwrap() {
                heard.push(bytes);
            }
            heard
        };
        tokio::join!(hears(&receivers[0]), hears(&receivers[1]), declines)
    };
    let ((report, node), (one, other, ())) = join(sending, receiving).await;
    let expected: Vec<_> = (0..5).map(|number| canary::marked(format!("news {number}"))).collect();
    assert_eq!((&one, &other), (&expected.iter().map(|it| it.clone().into()).collect(), &one));
    let states: Vec<_> = report.receivers.iter().map(|receiver| &receiver.state).collect();
    assert!(
        matches!(
            states[..],
            [ReceiverState::Done, ReceiverState::Done, ReceiverState::NotMet(_), ReceiverState::Awaited]
        ),
        "{report}"
    );
    assert_eq!(report.to_string().lines().count(), 4);
    assert!(node.is_clean(), "{node}");
    for client in receivers {
        client.ends().await;
    }
    server.ends().await;
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn a_broadcast_whose_node_is_to_end_sends_no_more(#[values(Way::Relayed, Way::Direct)] way: Way) {
    let scene = Scene::new(way, 1).await;
    let sender = scene.sender.peer_id();
    let callback = |broadcast: Broadcast| async move {
        broadcast.joined(1).await;
        let mut number = 0;
        while broadcast.send(message(number, 100)).await.is_ok() {
            number += 1;
        }
        Ok(())
    };
    let kernel = BroadcastKernel::new(scene.connection.clone(), scene.peer(0), BackPressure::Wait, callback);
    let Scene { setup, mut receivers, server, sender: own, .. } = scene;
    let node = setup.node(kernel, own).start().await.unwrap();
    let client = receivers.pop().unwrap();
    let session = joins(&client, sender, way).await;
    let mut channel = session.channel().unwrap();
    assert!(channel.recv().await.unwrap().is_some());
    let (ended, (heard, end)) = join(node.shutdown(), hears(&mut channel)).await;
    let (kernel, report) = ended.unwrap();
    assert!(!report.is_late, "{report}");
    assert_eq!(end, Err(RecvError::Closed(CloseReason::GoingAway)));
    let told = &kernel.report().receivers[0];
    assert_eq!(told.delivered(), heard.len() as u64 + 1, "{told}");
    client.ends().await;
    server.ends().await;
}
