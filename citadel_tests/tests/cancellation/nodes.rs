//! Cases of nodes: over real sockets.

use super::pairs::forget;
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, Who};
use citadel_tests::canary;
use citadel_tests::cancel::{at_each_poll, poll_then_drop};

/// More polls than any of these futures needs.
const MOST: usize = 200;

fn builder<K: NetKernel>(kernel: K) -> NodeBuilder<K> {
    canary::watch();
    NodeBuilder::new(kernel).identity(Identity::generate()).identities(true).transient(true)
}

async fn server() -> Node<ClientConnectListenerKernel> {
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    });
    builder(echo).listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap()
}

async fn echoes(mut channel: Channel) {
    channel.send("hello").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "hello");
    channel.finish().await.unwrap();
    assert_eq!(channel.recv().await.unwrap(), None);
}

/// A whole session with `node`, whatever was left before.
async fn serves(node: &NodeRemote) {
    let session = Endpoint::client(Identity::generate()).connect(node.addr()).await.unwrap();
    echoes(session.channel().unwrap()).await;
    assert!(session.close(0, "").await.clean);
}

#[tokio::test]
async fn node_builder_start() {
    at_each_poll(MOST, async |polls| {
        let starting = builder(EmptyKernel).listen(Transport::Tcp("127.0.0.1:0")).start();
        let outcome = poll_then_drop(starting, polls).await;
        serves(&server().await.remote()).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn node_shutdown() {
    at_each_poll(MOST, async |polls| {
        let node = server().await;
        let session = Endpoint::client(Identity::generate()).connect(node.addr()).await.unwrap();
        echoes(session.channel().unwrap()).await;
        let outcome = forget(poll_then_drop(node.shutdown(), polls).await);
        let report = session.closed().await;
        let expected = [CloseReason::GoingAway, CloseReason::Aborted, CloseReason::application(0, "")];
        assert!(expected.contains(report.reason()), "{report}");
        outcome
    })
    .await;
}

#[tokio::test]
async fn node_remote_connect() {
    let (server, client) = (server().await, builder(EmptyKernel).start().await.unwrap());
    let to = ServerConnection::to(server.addr());
    at_each_poll(MOST, async |polls| {
        let outcome = poll_then_drop(client.connect(&to), polls).await;
        let session = client.connect(&to).await.unwrap();
        echoes(session.channel().unwrap()).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn node_remote_handle() {
    let (server, client) = (server().await, builder(EmptyKernel).start().await.unwrap());
    let to = ServerConnection::to(server.addr());
    at_each_poll(MOST, async |polls| {
        let session = client.connect(&to).await.unwrap();
        let channel = session.channel().unwrap();
        let handler = async move {
            echoes(channel).await;
            Ok(())
        };
        let outcome = poll_then_drop(client.handle(session.clone(), handler), polls).await;
        if polls > 0 {
            // The handler runs to its end and its session is closed in order, with nobody waiting.
            assert!(session.closed().await.clean);
        }
        serves(&server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn node_remote_disconnect() {
    let server = server().await;
    at_each_poll(MOST, async |polls| {
        let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
        let mut channel = session.channel().unwrap();
        channel.send("here").await.unwrap();
        channel.recv().await.unwrap();
        let outcome = poll_then_drop(server.disconnect(Who::Everybody, 5, ""), polls).await;
        if polls > 0 {
            assert_eq!(session.closed().await.reason(), &CloseReason::application(5, ""));
        }
        drop((channel, session));
        serves(&server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn node_remote_stopping() {
    let server = server().await;
    at_each_poll(MOST, async |polls| {
        if polls < 2 {
            serves(&server).await;
        } else {
            // Nobody else would wake it for a second poll.
            server.begin_shutdown();
        }
        forget(poll_then_drop(server.stopping(), polls).await)
    })
    .await;
    server.shutdown().await.unwrap();
}
