//! The same ends over real sockets: TCP to the server, and UDP from one peer to the other.

use super::scene::{befriend, carried, client_of, ends_empty, server};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, Session};
use citadel_tests::peer_scene::{Talk, Way, heard_of, say};
use futures::future::join;
use rstest::rstest;

const COUNT: u64 = 200;
const LEN: usize = 3_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closes {
    Alice,
    Bob,
    Both,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_flight_when_a_session_closes_arrives_over_real_sockets(
    #[values(Way::Relayed, Way::Direct, Way::Changing)] way: Way,
    #[values(Closes::Alice, Closes::Bob, Closes::Both)] closes: Closes,
    #[values(false, true)] rekeys: bool,
) {
    let server = server().await;
    let node = || carried(way, EmptyKernel, Identity::generate());
    let (alice, bob) = join(client_of(&server, "alice", node()), client_of(&server, "bob", node())).await;
    befriend(&alice, &bob).await;
    let (near, far) = join(alice.peers.connect(bob.party), bob.peers.connect(alice.party)).await;
    let (near, far): (Session, Session) = (near.unwrap().session, far.unwrap().session);
    join(way.carries(&near), way.carries(&far)).await;
    let mut talk = Talk::new(&near, &far);
    talk.go_on(COUNT, LEN).await;
    let Talk { near: (mut near_says, mut near_hears), far: (mut far_says, mut far_hears), .. } = talk;
    let hears = join(heard_of(&mut near_hears, LEN), heard_of(&mut far_hears, LEN));
    let closes = async {
        let says = join(say(&mut near_says, 0..COUNT, LEN), say(&mut far_says, 0..COUNT, LEN)).await;
        assert_eq!(says, ((COUNT, None), (COUNT, None)));
        if way == Way::Changing {
            alice.peers.network_changed();
        }
        for (session, is_closing) in [(&near, closes != Closes::Bob), (&far, closes != Closes::Alice)] {
            if rekeys {
                session.trigger_rekey().unwrap();
            }
            if is_closing {
                session.begin_shutdown(CloseReason::application(1, "done"));
            }
        }
        join(near.closed(), far.closed()).await
    };
    let (heard, (a, b)) = join(hears, closes).await;
    assert_eq!(heard, (COUNT, COUNT));
    assert!(a.clean && b.clean, "{a} / {b}");
    drop((near, far));
    alice.ends().await;
    bob.ends().await;
    ends_empty(server).await;
}
