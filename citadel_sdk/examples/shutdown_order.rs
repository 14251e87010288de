//! In which order a node ends: sessions with peers, which the server carries, then the one with the server, then the node.
//!
//! ```text
//! shutdown_order
//! ```
//!
//! One process is all of them here: a server, and two clients that are peers and have messages under way when one of them is
//! asked to end.

use citadel_sdk::prelude::*;
use citadel_sdk::{Party, Standing};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).transient(true);
    let server = server.listen(Transport::Tcp("127.0.0.1:0")).start().await?;
    let (alice, bob) = (client().await?, client().await?);
    let connection = ServerConnection::to(server.addr()).transient();
    let (at_alice, with_server) = attached(&alice, &connection).await?;
    let (at_bob, _bobs) = attached(&bob, &connection).await?;

    // The two agree, and one connects.
    let (to_alice, to_bob) = (Party::Transient(alice.peer_id()), Party::Transient(bob.peer_id()));
    at_alice.ask(to_bob, Some(bob.peer_id())).await?;
    let mut events = at_bob.events();
    while at_bob.info(to_alice).is_none_or(|info| info.standing != Standing::Asking) {
        events.next().await;
    }
    at_bob.accept(to_alice, Some(alice.peer_id())).await?;
    at_alice.registered(to_bob).await?;
    at_alice.online(to_bob).await;
    let with_bob = at_alice.connect(to_bob).await?.session;
    let mut channel = with_bob.channel()?;
    for _ in 0..100 {
        channel.send(vec![0; 1000]).await?;
    }

    // Asked to end, the node closes what the server carries before it lets go of the server.
    let (peer, carrier) = (with_bob.clone(), with_server.clone());
    let tells = async {
        let ended = |name: &'static str, session: Session| async move {
            let report = session.closed().await;
            println!("{name} closed, {}", if report.clean { "clean" } else { "not clean" });
        };
        tokio::join!(biased; ended("peer session", peer), ended("server session", carrier));
    };
    let ((), ended) = tokio::join!(tells, alice.shutdown());
    let (_kernel, report) = ended?;
    println!("node ended: {report}");
    bob.shutdown().await?;
    server.shutdown().await?;
    Ok(())
}

async fn client() -> Result<Node<EmptyKernel>, BoxError> {
    Ok(NodeBuilder::new(EmptyKernel).identity(Identity::generate()).start().await?)
}

/// The peers of a node at a server, and its session there.
async fn attached(
    node: &Node<EmptyKernel>,
    connection: &ServerConnection,
) -> Result<(citadel_sdk::PeerClient, Session), BoxError> {
    let session = node.connect(connection).await?;
    let peers = node.peers().await?;
    peers.attach(session.clone()).await?;
    Ok((peers, session))
}
