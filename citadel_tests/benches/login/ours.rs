//! A node with accounts, and devices that log in.

use super::Client;
use citadel_sdk::Backend;
use citadel_sdk::prefabs::server::EmptyKernel;
use citadel_sdk::prelude::*;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Answers each message of channel 0 with itself.
pub(crate) async fn serve(backend: Arc<dyn Backend>) -> Node<ClientConnectListenerKernel> {
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(())
    });
    let node = NodeBuilder::new(echo).identity(Identity::generate()).shared_backend(backend);
    node.listen(Transport::Tcp("127.0.0.1:0")).start().await.expect("a server")
}

/// A device that the server knows.
pub(crate) struct Device {
    node: Node<EmptyKernel>,
    server: ServerConnection,
}

impl Device {
    /// Makes an account, of which this is the first device.
    pub(crate) async fn register(server: NodeAddr, number: usize) -> Self {
        let node = NodeBuilder::new(EmptyKernel).identity(Identity::generate()).start();
        let node = node.await.expect("a client");
        let (server, user) = (ServerConnection::to(server), format!("user {number}"));
        let registration = server.clone().register(&user, "correct horse battery staple");
        let session = node.connect(&registration).await.expect("an account");
        session.close(0, "").await;
        Self { node, server: server.login(&user) }
    }
}

impl Client for Device {
    #[expect(clippy::async_yields_async, reason = "the goodbye is not part of what is timed")]
    fn login(&self) -> BoxFuture<'_, BoxFuture<'static, ()>> {
        async {
            let session = self.node.connect(&self.server).await.expect("a session");
            let mut channel = session.channel().expect("channel 0");
            channel.send("!").await.expect("an open session");
            channel.recv().await.expect("an open session").expect("an answer");
            async move {
                drop(channel);
                session.close(0, "").await;
            }
            .boxed()
        }
        .boxed()
    }
}
