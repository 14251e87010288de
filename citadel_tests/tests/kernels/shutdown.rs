//! How a node ends while its clients are in the middle of something.

use super::common::{builder, echo, serve};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, NodeError, RecvError, SendError};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what it receives until the channel ends.
fn counting(received: &Arc<AtomicUsize>) -> ClientConnectListenerKernel {
    let received = Arc::clone(received);
    ClientConnectListenerKernel::new(move |mut connection: Connection| {
        let received = Arc::clone(&received);
        async move {
            while connection.channel.recv().await?.is_some() {
                received.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    })
}

#[tokio::test]
async fn a_server_that_goes_away_takes_everything_that_its_clients_had_sent() {
    let received = Arc::new(AtomicUsize::new(0));
    let server = serve(counting(&received)).await;
    let mut sending = Vec::new();
    for _ in 0..8 {
        let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
        sending.push(async move {
            let mut channel = session.channel().unwrap();
            let mut sent = 0;
            let end = loop {
                match channel.send(vec![1; 4096]).await {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert!(matches!(end, SendError::Closed(CloseReason::GoingAway)), "{end}");
            let report = session.closed().await;
            assert!(report.clean, "{report}");
            assert_eq!(report.reason(), &CloseReason::GoingAway);
            sent
        });
    }
    let stopping = async {
        // In the middle of it: all of them are sending.
        while received.load(Ordering::SeqCst) < 1000 {
            tokio::task::yield_now().await;
        }
        server.shutdown().await.unwrap()
    };
    let (sent, (_kernel, report)) = tokio::join!(futures::future::join_all(sending), stopping);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.sessions.len(), 8);
    assert_eq!(sent.into_iter().sum::<usize>(), received.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_server_that_goes_away_delivers_everything_that_its_handlers_had_sent() {
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    let source = ClientConnectListenerKernel::new(move |mut connection: Connection| {
        let accepted = Arc::clone(&counted);
        async move {
            while connection.channel.send(vec![2; 4096]).await.is_ok() {
                accepted.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        }
    });
    let server = serve(source).await;
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    for _ in 0..100 {
        channel.recv().await.unwrap().unwrap();
    }
    server.begin_shutdown();
    let mut received = 100;
    let end = loop {
        match channel.recv().await {
            Ok(Some(_)) => received += 1,
            other => break other,
        }
    };
    // Everything, and then why there is no more: the handler had not finished.
    assert_eq!(end, Err(RecvError::Closed(CloseReason::GoingAway)));
    let (_kernel, report) = server.await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(received, accepted.load(Ordering::SeqCst));
    assert_eq!(session.closed().await.reason(), &CloseReason::GoingAway);
}

#[tokio::test]
async fn a_client_that_is_asked_to_shut_down_says_goodbye_and_has_no_error() {
    let server = serve(echo()).await;
    let account = ServerConnection::to(server.addr()).reconnect(Reconnect::FOREVER);
    let waits = SingleClientServerConnectionKernel::new(account, |mut connection| async move {
        connection.channel.send("hello").await?;
        while let Some(_echo) = connection.channel.recv().await? {}
        Ok(())
    });
    let client = builder(waits).start().await.unwrap();
    while server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    let (_kernel, report) = client.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.sessions[0].local, CloseReason::GoingAway);
    server.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handlers_that_do_not_end_are_cut_short_at_the_deadline_and_the_kernel_still_comes_back() {
    let stubborn = ClientConnectListenerKernel::new(|connection: Connection| async move {
        let _connection = connection;
        core::future::pending().await
    });
    let starting = builder(stubborn).listen(Transport::Tcp("127.0.0.1:0"));
    let server = starting.shutdown_deadline(Duration::from_secs(3)).start().await.unwrap();
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    while server.sessions().is_empty() {
        tokio::task::yield_now().await;
    }
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert_eq!(report.sessions.len(), 1);
    assert_eq!(session.closed().await.reason(), &CloseReason::GoingAway);
}

/// R-SHUT-3: the kernel's own work and a handler end at different times, and both to their own end.
struct TwoHalves {
    ended: Arc<AtomicUsize>,
}

#[async_trait]
impl NetKernel for TwoHalves {
    async fn run(&self, node: NodeRemote) -> KernelResult {
        while node.sessions().is_empty() {
            tokio::task::yield_now().await;
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        Err("the first half fails".into())
    }

    async fn on_session(&self, session: Session) -> KernelResult {
        let mut channel = session.channel()?;
        let end = loop {
            match channel.recv().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.ended.fetch_add(10, Ordering::SeqCst);
        end.map(drop).map_err(|error: RecvError| error.into())
    }
}

#[tokio::test]
async fn work_that_fails_cancels_no_handler_and_its_error_comes_after_all_have_ended() {
    let ended = Arc::new(AtomicUsize::new(0));
    let server = serve(TwoHalves { ended: Arc::clone(&ended) }).await;
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("something").await.unwrap_or_default();
    let Err(NodeError::Kernel { source, report }) = server.await.map(drop) else { panic!("run failed") };
    assert_eq!(source.to_string(), "the first half fails");
    assert_eq!(ended.load(Ordering::SeqCst), 11);
    assert!(report.is_clean(), "{report}");
    assert_eq!(session.closed().await.reason(), &CloseReason::GoingAway);
}
