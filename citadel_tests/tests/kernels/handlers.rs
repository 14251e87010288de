//! Scenario 21: a handler's error or panic ends its own session, with a reason, and nothing else.

use super::common::{builder, client, echoes, serve};
use citadel_sdk::prelude::*;
use citadel_sdk::{CloseReason, HandlerError, HandlerLost, NodeError, RecvError};

/// Does to its session what the first message says; echoes the others.
fn obedient() -> ClientConnectListenerKernel {
    ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            match &message[..] {
                b"panic" => panic!("as the client wished"),
                b"fail" => return Err("a text with a secret".into()),
                b"refuse" => return Err(HandlerError::new(7, "not today").into()),
                b"return" => return Ok(()),
                _ => connection.channel.send(message).await?,
            }
        }
        Ok(())
    })
}

/// Sends `order`; how the channel and the session end for the client.
async fn order(server: &NodeAddr, order: &'static str) -> (Option<RecvError>, CloseReason, CloseReason) {
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server.clone()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send(order).await.unwrap();
    let end = channel.recv().await.err();
    let report = session.closed().await;
    (end, report.reason().clone(), report.local)
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_session_and_no_other() {
    let server = serve(obedient()).await;
    let bystander = Endpoint::client(Identity::generate());
    let session = bystander.connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("before").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "before");

    let (end, reason, _) = order(&server.addr(), "panic").await;
    assert!(end.is_some(), "half a stream does not look whole");
    assert_eq!(reason, CloseReason::HandlerPanicked);

    channel.send("after").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "after");
    assert!(session.close(0, "").await.clean);
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert_eq!((report.sessions.len(), report.earlier), (0, 2));
}

#[tokio::test]
async fn a_handler_that_fails_ends_its_session_with_a_code_and_tells_nobody_its_text() {
    let server = serve(obedient()).await;
    let (end, reason, _) = order(&server.addr(), "fail").await;
    assert!(matches!(end, Some(RecvError::Reset { code: 0 })), "{end:?}");
    assert_eq!(reason, CloseReason::application(HandlerError::UNSPECIFIED, "the handler failed"));

    let (end, reason, _) = order(&server.addr(), "refuse").await;
    assert!(matches!(end, Some(RecvError::Reset { code: 0 })), "{end:?}");
    assert_eq!(reason, CloseReason::application(7, "not today"));

    // One that returns early ends its session, too, and its half of the channel is whole.
    let (end, reason, local) = order(&server.addr(), "return").await;
    assert_eq!((end, reason), (None, CloseReason::application(0, "")));
    assert_eq!(local, CloseReason::PeerClosing);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_clients_own_error_is_its_nodes_after_the_session_closed_in_order() {
    let server = serve(obedient()).await;
    let failed = client(server.addr(), |mut connection| async move {
        connection.channel.send("hello").await?;
        connection.channel.recv().await?;
        Err(HandlerError::new(9, "enough").into())
    });
    let Err(NodeError::Kernel { source, report }) = failed.await else { panic!("the callback failed") };
    assert_eq!(source.downcast_ref::<HandlerError>(), Some(&HandlerError::new(9, "enough")));
    assert_eq!(report.sessions[0].local, CloseReason::application(9, "enough"));
    assert!(report.is_clean(), "{report}");

    let panicked = client(server.addr(), |_| async { panic!("of the client's own") });
    let Err(NodeError::Kernel { source, report }) = panicked.await else { panic!("the callback panicked") };
    assert_eq!(source.downcast_ref::<HandlerLost>(), Some(&HandlerLost::Panicked));
    assert_eq!(report.sessions[0].local, CloseReason::HandlerPanicked);
    server.shutdown().await.unwrap();
}

/// A kernel with callbacks of its own, written as an application would.
struct Picky {
    welcome: PeerId,
}

#[async_trait]
impl NetKernel for Picky {
    async fn on_identified(
        &self,
        peer: &citadel_sdk::IdentityPublic,
        _request: &citadel_sdk::Request,
    ) -> Result<(), citadel_sdk::RefusalCode> {
        if peer.peer_id() == self.welcome { Ok(()) } else { Err(citadel_sdk::RefusalCode(0x107)) }
    }

    async fn on_session(&self, session: Session) -> KernelResult {
        let mut channel = session.channel()?;
        while let Some(message) = channel.recv().await? {
            channel.send(message).await?;
        }
        Ok(channel.finish().await?)
    }
}

#[tokio::test]
async fn a_kernel_of_ones_own_chooses_whom_it_lets_in() {
    let friend = Identity::generate();
    let server = serve(Picky { welcome: friend.peer_id() }).await;
    let session = Endpoint::client(friend).connect(server.addr()).await.unwrap();
    let mut channel = session.channel().unwrap();
    channel.send("friend").await.unwrap();
    assert_eq!(channel.recv().await.unwrap().unwrap(), "friend");
    channel.finish().await.unwrap();

    let error = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap_err();
    assert!(error.to_string().contains("handshake") && !error.is_retryable(), "{error:?}");
    assert!(format!("{error:?}").contains("0x107") || format!("{error:?}").contains("263"), "{error:?}");
    session.close(0, "").await;
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn hundreds_of_failing_handlers_leave_nothing_behind() {
    let server = serve(obedient()).await;
    for what in ["panic", "fail", "refuse", "return"].into_iter().cycle().take(40) {
        order(&server.addr(), what).await;
    }
    echoes(&server.addr()).await;
    assert!(server.sessions().is_empty(), "{:?}", server.sessions());
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert_eq!((report.sessions.len(), report.earlier), (0, 41));
}

/// `on_start` fails: there is no node. `on_stop` fails: it is the node's error.
struct Failing {
    start: Option<&'static str>,
    stop: Option<&'static str>,
}

#[async_trait]
impl NetKernel for Failing {
    async fn on_start(&self, _node: &NodeRemote) -> KernelResult {
        self.start.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn run(&self, _node: NodeRemote) -> KernelResult {
        Ok(())
    }

    async fn on_stop(&self) -> KernelResult {
        match self.stop {
            Some("panic") => panic!("at the very end"),
            other => other.map_or(Ok(()), |error| Err(error.into())),
        }
    }
}

#[tokio::test]
async fn errors_of_the_first_and_the_last_callback_are_the_nodes() {
    let node = builder(Failing { start: Some("no"), stop: None }).start().await;
    assert!(matches!(node, Err(NodeError::Kernel { .. })), "{node:?}");

    let node = builder(Failing { start: None, stop: Some("late") }).start().await.unwrap();
    let Err(NodeError::Kernel { source, .. }) = node.await.map(drop) else { panic!("on_stop failed") };
    assert_eq!(source.to_string(), "late");

    let node = builder(Failing { start: None, stop: Some("panic") }).start().await.unwrap();
    assert!(matches!(node.await, Err(NodeError::Panicked { .. })));

    let node = builder(Failing { start: None, stop: None }).start().await.unwrap();
    let (_kernel, report) = node.await.unwrap();
    assert!(report.sessions.is_empty());
}
