//! Servers and clients that the tests start.

use citadel_sdk::prelude::*;
use citadel_sdk::{NodeError, NodeReport};

/// Sends back every message of channel 0.
pub(crate) fn echo() -> ClientConnectListenerKernel {
    ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    })
}

pub(crate) fn builder<K: NetKernel>(kernel: K) -> NodeBuilder<K> {
    NodeBuilder::new(kernel).identity(Identity::generate()).identities(true).transient(true)
}

pub(crate) async fn serve<K: NetKernel>(kernel: K) -> Node<K> {
    builder(kernel).listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap()
}

/// A client's whole life with this callback.
pub(crate) async fn client<F, Fut>(server: NodeAddr, callback: F) -> Result<NodeReport, NodeError>
where
    F: Fn(Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = KernelResult> + Send + 'static,
{
    let kernel = SingleClientServerConnectionKernel::new(ServerConnection::to(server), callback);
    let (_kernel, report) = builder(kernel).start().await.unwrap().await?;
    Ok(report)
}

/// One message there and back, then the end; the client's report is clean.
pub(crate) async fn echoes(server: &NodeAddr) {
    let report = client(server.clone(), |mut connection| async move {
        connection.channel.send("hello").await?;
        assert_eq!(connection.channel.recv().await?.as_deref(), Some(&b"hello"[..]));
        Ok(())
    })
    .await
    .unwrap();
    assert!(report.is_clean() && report.sessions.len() == 1, "{report}");
}
