//! The life of a node: what it is told, what it says, what dropping it does.

use super::common::{builder, client, echo, echoes, serve};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, ConnectError, EstablishError, NodeError, Who};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

#[tokio::test]
async fn a_clients_node_resolves_when_its_callback_has_returned_and_the_session_is_closed() {
    let server = serve(echo()).await;
    for _ in 0..3 {
        echoes(&server.addr()).await;
    }
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_callback_that_returns_without_finishing_its_channel_still_delivers_everything() {
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let sink = ClientConnectListenerKernel::new(move |mut connection: Connection| {
        let count = Arc::clone(&count);
        async move {
            while connection.channel.recv().await?.is_some() {
                count.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    });
    let server = serve(sink).await;
    let report = client(server.addr(), |mut connection| async move {
        for _ in 0..1000 {
            connection.channel.send(vec![7; 500]).await?;
        }
        Ok(())
    });
    assert!(report.await.unwrap().is_clean());
    server.shutdown().await.unwrap();
    assert_eq!(received.load(Ordering::SeqCst), 1000);
}

#[tokio::test]
async fn a_node_that_is_dropped_is_aborted_with_its_handlers() {
    let (entered, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enters, drops) = (Arc::clone(&entered), Arc::clone(&dropped));
    struct TellsDrop(Arc<Notify>);
    impl Drop for TellsDrop {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let stubborn = ClientConnectListenerKernel::new(move |_connection| {
        let (enters, drops) = (Arc::clone(&enters), TellsDrop(Arc::clone(&drops)));
        async move {
            let _drops = drops;
            enters.notify_one();
            core::future::pending().await
        }
    });
    let server = serve(stubborn).await;
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server.addr()).await.unwrap();
    entered.notified().await;
    let remote = server.remote();
    drop(server);
    dropped.notified().await;
    let report = session.closed().await;
    assert!(!report.clean, "{report}");
    assert_eq!(report.reason(), &CloseReason::Aborted);
    assert!(remote.is_stopping());
    let refused = remote.connect(&ServerConnection::to(remote.addr())).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Establish(EstablishError::EndpointClosed)), "{refused}");
}

#[tokio::test]
async fn a_nodes_future_that_is_dropped_aborts_it_as_well() {
    let server = serve(echo()).await;
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("hello").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "hello");
    drop(server.into_future());
    assert_eq!(session.closed().await.reason(), &CloseReason::Aborted);
}

#[tokio::test]
async fn a_node_lists_its_sessions_and_disconnects_whom_it_is_told() {
    let server = serve(echo()).await;
    let mut ends = Vec::new();
    for _ in 0..4 {
        let endpoint = Endpoint::client(Identity::generate());
        let session = endpoint.connect(server.addr()).await.unwrap();
        let mut channel = session.channel().unwrap();
        channel.send("here").await.unwrap();
        channel.recv().await.unwrap();
        ends.push((session, channel));
    }
    assert_eq!(server.sessions().len(), 4);

    let (first, _) = &ends[0];
    let reports = server.disconnect(first.instance(), 40, "one").await;
    assert_eq!(reports.len(), 1);
    assert_eq!(first.closed().await.reason(), &CloseReason::application(40, "one"));

    let second = &server.sessions()[0];
    assert_eq!(server.disconnect(second.peer_id(), 41, "").await.len(), 1);
    assert_eq!(server.disconnect(Who::Everybody, 42, "all").await.len(), 2);
    assert!(server.disconnect(Who::Everybody, 42, "all").await.is_empty());
    for (session, _channel) in &ends {
        assert!(session.closed().await.clean);
    }
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    assert!(matches!(NodeBuilder::new(EmptyKernel).start().await, Err(NodeError::NoIdentity)));

    let taken = serve(EmptyKernel).await;
    let address = taken.local_addrs()[0].to_string();
    let second = builder(EmptyKernel).listen(Transport::Tcp(&address)).start().await;
    let Err(NodeError::Listen { address: told, .. }) = second else { panic!("{second:?}") };
    assert_eq!(told, address);

    let config = builder(EmptyKernel).suites([]).listen(Transport::Tcp("127.0.0.1:0")).start().await;
    if let Ok(node) = config {
        // A server's configuration is asked when the first one dials; nobody gets in.
        let refused = client(node.addr(), |_| async { Ok(()) }).await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn a_server_that_listens_at_several_places_serves_at_all_of_them() {
    let listening =
        builder(echo()).listen(Transport::Tcp("127.0.0.1:0")).listen(Transport::Tcp("127.0.0.1:0")).start();
    let server = listening.await.unwrap();
    let places = server.local_addrs().to_vec();
    assert_eq!(places.len(), 2);
    for place in &places {
        echoes(&NodeAddr::from_socket(server.peer_id(), *place)).await;
    }
    server.shutdown().await.unwrap();
    for place in places {
        // Closed: somebody else may listen there now.
        tokio::net::TcpListener::bind(place).await.unwrap();
    }
}

#[tokio::test]
async fn a_superseded_or_refused_client_does_not_connect_again_by_itself() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let ends = ClientConnectListenerKernel::new(move |connection: Connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            connection.session.shutdown(CloseReason::Superseded).await;
            Ok(())
        }
    });
    let server = serve(ends).await;
    let account = ServerConnection::to(server.addr()).reconnect(Reconnect::FOREVER);
    let waits = SingleClientServerConnectionKernel::new(account, |mut connection| async move {
        connection.channel.recv().await?;
        Err("over before its time".into())
    });
    let ended = builder(waits).start().await.unwrap().await;
    let Err(NodeError::Kernel { report, .. }) = ended.map(drop) else { panic!("it failed") };
    assert_eq!(report.sessions[0].reason(), &CloseReason::Superseded);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_whose_session_was_lost_connects_again_as_often_as_its_policy_says() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let aborts_twice = ClientConnectListenerKernel::new(move |mut connection: Connection| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if call < 2 {
                connection.session.abort();
                return Ok(());
            }
            connection.channel.send("third").await?;
            Ok(())
        }
    });
    let server = serve(aborts_twice).await;
    let account = ServerConnection::to(server.addr()).reconnect(Reconnect::attempts(1));
    let waits = SingleClientServerConnectionKernel::new(account, |mut connection| async move {
        assert_eq!(connection.channel.recv().await?.unwrap(), "third");
        Ok(())
    });
    let (_kernel, report) = builder(waits).start().await.unwrap().await.unwrap();
    let ends: Vec<_> = report.sessions.iter().map(|session| session.clean).collect();
    assert_eq!(ends, [false, false, true], "{report}");
    server.shutdown().await.unwrap();
}
