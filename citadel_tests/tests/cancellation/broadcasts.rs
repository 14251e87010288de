//! Cases of the kernels of peers: what is sent to many, and peers as they come.

#![allow(clippy::disallowed_methods, reason = "the readers of a test are tasks of their own")]

use super::pairs::forget;
use citadel_sdk::prelude::*;
use citadel_sdk::{Party, Standing};
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use citadel_tests::peer_scene::{Client, Server, Setup, Way, message};
use futures::future::join;
use tokio::sync::{mpsc, oneshot};

/// More polls than any of these futures needs.
const MOST: usize = 200;
const LEN: usize = 16 << 10;

/// A broadcast to one receiver, which reads one message whenever it is told to.
struct Stage {
    broadcast: Broadcast,
    reads: mpsc::UnboundedSender<()>,
}

/// Runs `scene` with a broadcast and its receiver.
async fn on_stage(scene: impl AsyncFnOnce(Stage)) {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let client = Client::start(&setup, &server, &networks[1], "").await;
    let (hand, handed) = oneshot::channel();
    let (over, is_over) = oneshot::channel::<()>();
    let slots = parking_lot::Mutex::new(Some((hand, is_over)));
    let sender = Identity::generate();
    let party = Party::Transient(sender.peer_id());
    let connection = server.connection(&networks[0], "");
    let wanted = Peers::peer_id(client.node.peer_id());
    let kernel = BroadcastKernel::new(connection, wanted, BackPressure::Wait, move |broadcast: Broadcast| {
        let slots = slots.lock().take();
        async move {
            let (hand, is_over) = slots.ok_or("once")?;
            let _handed = hand.send(broadcast);
            let _over = is_over.await;
            Ok(())
        }
    });
    let node = setup.node(kernel.queue(1, 1 << 20), sender).start().await.unwrap();
    let receiving = async {
        client.sees(party, Standing::Asking).await;
        client.peers.accept(party, None).await.unwrap();
        client.peers.accept_session().await.session
    };
    let (broadcast, session) = join(handed, receiving).await;
    let broadcast = broadcast.unwrap();
    assert_eq!(broadcast.joined(1).await, 1);
    let (reads, mut told) = mpsc::unbounded_channel();
    let mut channel = session.channel().unwrap();
    let reading = tokio::spawn(async move {
        while told.recv().await.is_some() {
            if channel.recv().await.unwrap().is_none() {
                return;
            }
        }
        while let Ok(Some(_)) = channel.recv().await {}
    });
    scene(Stage { broadcast, reads }).await;
    drop(over);
    reading.await.unwrap();
    node.await.unwrap();
    client.ends().await;
    server.ends().await;
}

#[tokio::test(start_paused = true)]
async fn broadcast_send() {
    on_stage(async |stage: Stage| {
        let Stage { broadcast, reads } = stage;
        // Until there is no room: the next one waits.
        while !poll_then_drop(broadcast.send(message(0, LEN)), 1).await.is_dropped() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        at_each_poll(MOST, async |polls| {
            let before = broadcast.report().receivers[0].offered;
            for _ in 0..200 {
                reads.send(()).unwrap();
            }
            let outcome = poll_then_drop(broadcast.send(message(1, LEN)), polls).await;
            let after = broadcast.report().receivers[0].offered;
            assert_eq!(after - before, u64::from(!outcome.is_dropped()), "nothing, or one");
            forget(outcome)
        })
        .await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn broadcast_joined() {
    on_stage(async |stage: Stage| {
        at_each_poll(MOST, async |polls| forget(poll_then_drop(stage.broadcast.joined(1), polls).await))
            .await;
        assert_eq!(stage.broadcast.joined(1).await, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn peer_results_next() {
    let setup = Setup::new(Way::Relayed);
    at_each_poll(MOST, async |polls| {
        let networks = setup.networks(2);
        let server = Server::start(&setup, &networks).await;
        let (one, other) = (Identity::generate(), Identity::generate());
        let (tells, mut told) = mpsc::channel(1);
        let wanted = Peers::peer_id(other.peer_id());
        let kernel = PeerConnectionKernel::for_all(
            server.connection(&networks[0], ""),
            wanted,
            move |mut results: PeerResults| {
                let tells = tells.clone();
                async move {
                    let outcome = poll_then_drop(results.next(), polls).await;
                    let is_dropped = outcome.is_dropped();
                    let met = match outcome {
                        Outcome::Finished(met) => met,
                        Outcome::Dropped => results.next().await,
                    };
                    met.ok_or("taken by a future that was dropped")??.channel.send("here").await?;
                    assert!(results.next().await.is_none());
                    tells.send(is_dropped).await?;
                    Ok(())
                }
            },
        );
        let connection = server.connection(&networks[1], "");
        let answers = PeerConnectionKernel::for_each(connection, Peers::peer_id(one.peer_id()), hears_one);
        let (one, other) = join(
            setup.node(kernel, one).start().await.unwrap().into_future(),
            setup.node(answers, other).start().await.unwrap().into_future(),
        )
        .await;
        one.unwrap();
        other.unwrap();
        server.ends().await;
        if told.recv().await.unwrap() { Outcome::Dropped } else { Outcome::Finished(()) }
    })
    .await;
}

async fn hears_one(mut peer: PeerConnection) -> KernelResult {
    assert_eq!(peer.channel.recv().await?.as_deref(), Some(&b"here"[..]));
    Ok(())
}
