//! Sessions that a peer opened and nobody has taken: what was said on them is there for whoever takes them, and they are few.

use async_trait::async_trait;
use bytes::Bytes;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReport, Party, PeerConnectError, PeerEvent, PeerTrust, Session, Standing};
use citadel_tests::peer_scene::{Client, Server, Setup, Way, befriend};
use futures::FutureExt;
use futures::future::{BoxFuture, join};
use parking_lot::Mutex;
use rstest::rstest;
use std::sync::Arc;
use tokio::sync::watch;

const LINES: [&str; 3] = ["first line", "second line", "third line"];

async fn scene(clients: usize) -> (Server, Vec<Client>) {
    let setup = Setup::new(Way::Relayed);
    let networks = setup.networks(clients as u64);
    let server = Server::start(&setup, &networks).await;
    let mut started = Vec::new();
    for network in &networks {
        started.push(Client::start(&setup, &server, network, "").await);
    }
    (server, started)
}

async fn end(server: Server, clients: impl IntoIterator<Item = Client>) {
    for client in clients {
        client.ends().await;
    }
    server.ends().await;
}

/// Connects, says all lines and closes, at once.
async fn says_and_goes(from: &Client, to: Party) -> CloseReport {
    let session = from.peers.connect(to).await.unwrap().session;
    let mut channel = session.channel().unwrap();
    for line in LINES {
        channel.send(line).await.unwrap();
    }
    session.close(0, "").await
}

async fn hears_all(session: &Session) {
    let mut channel = session.channel().unwrap();
    for line in LINES {
        assert_eq!(channel.recv().await.unwrap().unwrap(), line);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_said_before_it_was_asked_for_is_in_the_session_that_is_given_out() {
    let (server, clients) = scene(2).await;
    let [alice, bob] = &clients[..] else { unreachable!() };
    befriend(alice, bob).await;
    let report = says_and_goes(alice, bob.party).await;
    assert!(report.clean, "{report}");
    // Who asks for a session gets one that takes messages; what was said before is where sessions of peers are.
    let (met, came) = join(bob.peers.connect(alice.party), alice.peers.accept_session()).await;
    let met = met.unwrap().session;
    assert_eq!(met.instance(), came.session.instance());
    let arrived = bob.peers.accept_session_of(alice.party).await.session;
    assert_ne!(arrived.instance(), met.instance());
    hears_all(&arrived).await;
    assert!(arrived.closed().await.clean);
    end(server, clients).await;
}

/// A kernel of peers on a node that agrees with whoever asks, at first use, and runs the kernel when it is told to.
struct Late {
    connection: ServerConnection,
    /// Who it is, once it may be asked.
    party: watch::Sender<Option<Party>>,
    is_time: watch::Receiver<bool>,
    kernel: PeerConnectionKernel,
}

#[async_trait]
impl NetKernel for Late {
    async fn run(&self, node: NodeRemote) -> KernelResult {
        let session = node.connect(&self.connection).await?;
        let peers = node.peers().await?;
        let mut events = peers.events();
        peers.attach(session.clone()).await?;
        self.party.send_replace(session.cid().map(Party::Account));
        let accepts = async {
            loop {
                if let PeerEvent::Requested(party) = events.next().await {
                    peers.accept(party, None).await.unwrap();
                }
            }
        };
        let mut is_time = self.is_time.clone();
        tokio::select! {
            () = accepts => {}
            is_time = is_time.wait_for(|is_time| *is_time) => drop(is_time?),
        }
        self.kernel.run(node).await
    }
}

/// Hears lines until there are no more.
fn hears(
    heard: &Arc<Mutex<Vec<Bytes>>>,
) -> impl Fn(PeerConnection) -> BoxFuture<'static, KernelResult> + use<> {
    let heard = Arc::clone(heard);
    move |mut peer| {
        let heard = Arc::clone(&heard);
        let hearing = async move {
            while let Some(line) = peer.channel.recv().await? {
                heard.lock().push(line);
            }
            Ok(())
        };
        hearing.boxed()
    }
}

#[rstest]
#[tokio::test]
async fn fix_0075_a_kernel_gets_the_session_of_a_peer_that_has_said_all_and_is_gone(
    #[values(false, true)] accounts: bool,
) {
    let setup = Setup { accounts, ..Setup::new(Way::Relayed) };
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let [sender, listener] = [(); 2].map(|()| Arc::new(Identity::generate()));
    let [to_sender, to_listener] = if accounts {
        ["sender", "listener"].map(Peers::user)
    } else {
        [&sender, &listener].map(|who| Peers::peer_id(who.peer_id()))
    };
    let heard = Arc::default();
    let connection = server.connection(&networks[1], "listener");
    let (tell, is_time) = watch::channel(false);
    let kernel = PeerConnectionKernel::for_each(connection.clone(), to_sender, hears(&heard));
    let late = Late { connection, party: watch::Sender::default(), is_time, kernel };
    let late = setup.node(late, listener).start().await.unwrap();
    let says = PeerConnectionKernel::for_each(
        server.connection(&networks[0], "sender"),
        to_listener,
        |mut peer: PeerConnection| async move {
            for line in LINES {
                peer.channel.send(line).await?;
            }
            Ok(())
        },
    );
    let says = setup.node(says, sender).start().await.unwrap();
    let (_kernel, report) = says.await.unwrap();
    assert!(report.is_clean(), "{report}");
    tell.send_replace(true);
    let (_kernel, report) = late.await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(*heard.lock(), LINES);
    server.ends().await;
}

/// What is over and has nothing to be heard is no session for a kernel: it waits for the peer to come again.
#[tokio::test]
async fn a_kernel_passes_over_what_came_and_went_without_a_word() {
    let setup = Setup { accounts: true, ..Setup::new(Way::Relayed) };
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let alice = Client::start(&setup, &server, &networks[0], "alice").await;
    let heard = Arc::default();
    let connection = server.connection(&networks[1], "bob");
    let ((tell, is_time), party) = (watch::channel(false), watch::Sender::default());
    let mut known = party.subscribe();
    let kernel = PeerConnectionKernel::for_each(connection.clone(), Peers::user("alice"), hears(&heard));
    let bob = Late { connection, party, is_time, kernel };
    let bob = setup.node(bob, Identity::generate()).start().await.unwrap();
    let party = known.wait_for(Option::is_some).await.unwrap().unwrap();
    alice.peers.ask(party, None).await.unwrap();
    alice.sees(party, Standing::Peer).await;
    alice.peers.online(party).await;
    assert!(alice.peers.connect(party).await.unwrap().session.close(0, "").await.clean);
    tell.send_replace(true);
    let talks = async {
        let session = alice.peers.accept_session().await.session;
        let mut channel = session.channel().unwrap();
        for line in LINES {
            channel.send(line).await.unwrap();
        }
        channel.finish().await.unwrap();
        session.close(0, "").await
    };
    let (report, ended) = join(talks, bob.into_future()).await;
    assert!(report.clean, "{report}");
    assert!(ended.unwrap().1.is_clean());
    assert_eq!(*heard.lock(), LINES);
    alice.ends().await;
    server.ends().await;
}

#[tokio::test(start_paused = true)]
async fn what_waits_of_a_peer_is_given_to_nobody_once_it_is_removed_or_blocked() {
    let (server, clients) = scene(2).await;
    let [alice, bob] = &clients[..] else { unreachable!() };
    for block in [false, true] {
        befriend(alice, bob).await;
        assert!(says_and_goes(alice, bob.party).await.clean);
        if block {
            bob.peers.set_blocked(alice.party, true).await.unwrap();
        } else {
            bob.peers.remove(alice.party).await.unwrap();
        }
        assert!(bob.peers.accept_session().now_or_never().is_none());
    }
    end(server, clients).await;
}

/// Sessions that are over and have nothing in them take nobody's place.
#[tokio::test(start_paused = true)]
async fn fix_0080_a_peer_that_comes_and_goes_where_nobody_takes_sessions_is_never_shut_out() {
    let (server, clients) = scene(2).await;
    let [alice, bob] = &clients[..] else { unreachable!() };
    befriend(alice, bob).await;
    for _ in 0..70 {
        let session = alice.peers.connect(bob.party).await.unwrap().session;
        assert!(session.close(0, "").await.clean);
    }
    end(server, clients).await;
}

/// What waits to be read is bounded for each peer, and one that is at its bound is told so and shuts nobody else out.
#[tokio::test(start_paused = true)]
async fn fix_0080_a_peer_whose_sessions_nobody_takes_shuts_out_nobody_but_itself() {
    let (server, clients) = scene(3).await;
    let [alice, bob, carol] = &clients[..] else { unreachable!() };
    befriend(alice, bob).await;
    befriend(carol, bob).await;
    for _ in 0..8 {
        assert!(says_and_goes(alice, bob.party).await.clean);
    }
    let refused = alice.peers.connect(bob.party).await;
    let error = refused.expect_err("nobody has taken eight");
    assert!(matches!(error, PeerConnectError::Establish(_)) && error.is_retryable(), "{error}");
    let (met, arrived) = join(carol.peers.connect(bob.party), bob.peers.accept_session_of(carol.party)).await;
    assert_eq!(met.unwrap().session.instance(), arrived.session.instance());
    // One is taken: there is room for one.
    hears_all(&bob.peers.accept_session().await.session).await;
    assert!(says_and_goes(alice, bob.party).await.clean);
    for _ in 0..8 {
        hears_all(&bob.peers.accept_session_of(alice.party).await.session).await;
    }
    end(server, clients).await;
}

/// The two agreed before, at first use; now the user says which device it must be.
#[rstest]
#[case::the_right_one(true)]
#[case::another_one(false)]
#[tokio::test]
async fn fix_0082_who_is_expected_is_held_to_it_also_if_the_two_agreed_before(
    #[case] is_right: bool,
    #[values(false, true)] has_called: bool,
) {
    let setup = Setup { accounts: true, ..Setup::new(Way::Relayed) };
    let networks = setup.networks(2);
    let server = Server::start(&setup, &networks).await;
    let alice = Client::start(&setup, &server, &networks[0], "alice").await;
    let own = alice.node.peer_id();
    let expected = if is_right { own } else { Identity::generate().peer_id() };
    let connection = server.connection(&networks[1], "bob");
    let trusts = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&trusts);
    let kernel = PeerConnectionKernel::for_each(
        connection.clone(),
        Peers::user("alice").expecting(expected),
        move |peer: PeerConnection| {
            shown.lock().push((peer.peer_id, peer.trust));
            async { Ok(()) }
        },
    );
    let (tell, is_time) = watch::channel(false);
    let party = watch::Sender::default();
    let mut known = party.subscribe();
    let bob = Late { connection, party, is_time, kernel };
    let bob = setup.node(bob, Identity::generate()).start().await.unwrap();
    let party = known.wait_for(Option::is_some).await.unwrap().unwrap();
    alice.peers.ask(party, None).await.unwrap();
    alice.sees(party, Standing::Peer).await;
    if has_called {
        alice.peers.online(party).await;
        assert!(says_and_goes(&alice, party).await.clean);
    }
    tell.send_replace(true);
    let ended = bob.await;
    if is_right {
        let (_kernel, report) = ended.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(*trusts.lock(), [(own, PeerTrust::Verified)]);
    } else {
        let error = format!("{:?}", ended.err().expect("it is another device"));
        assert!(error.contains("IdentityChanged"), "{error}");
        assert!(trusts.lock().is_empty());
    }
    alice.ends().await;
    server.ends().await;
}
