//! Servers and clients that the tests start, and where they keep files.

use citadel_sdk::prelude::*;
use citadel_sdk::{NodeError, NodeReport};
use citadel_tests::canary;
use std::path::{Path, PathBuf};

/// A directory that is gone with the test.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("citadel-kernels-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends back every message of channel 0.
pub(crate) fn echo() -> ClientConnectListenerKernel {
    canary::watch();
    ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    })
}

pub(crate) fn builder<K: NetKernel>(kernel: K) -> NodeBuilder<K> {
    canary::watch();
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
