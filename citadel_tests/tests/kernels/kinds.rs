//! What an application may rely on at compile time: everything public that is held or awaited is `Send + 'static`.

use citadel_sdk::prelude::*;
use citadel_sdk::{HandlerEnd, NodeError, NodeReport, SessionEnd, Who};

const fn is_send<T: Send + 'static>() {}
const fn is_shared<T: Send + Sync + 'static>() {}

fn is_send_future<F: Future + Send + 'static>(_: impl FnOnce() -> F) {}

#[test]
fn handles_are_send_and_static() {
    is_send::<NodeBuilder<EmptyKernel>>();
    is_shared::<Node<EmptyKernel>>();
    is_shared::<NodeRemote>();
    is_shared::<ServerConnection>();
    is_shared::<NodeError>();
    is_shared::<NodeReport>();
    is_shared::<Session>();
    is_send::<Channel>();
    is_send::<Connection>();
    is_send::<HandlerEnd>();
    is_send::<SessionEnd>();
    is_shared::<Endpoint>();
    is_send::<Incoming>();
    is_shared::<ClientConnectListenerKernel>();
    is_shared::<SingleClientServerConnectionKernel>();
}

/// Never called: that it compiles is the test.
#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_are_send_and_static(
    builder: NodeBuilder<EmptyKernel>,
    node: (Node<EmptyKernel>, Node<EmptyKernel>),
    remote: NodeRemote,
    server: ServerConnection,
    session: Session,
) {
    is_send_future(|| builder.start());
    is_send_future(|| node.0.into_future());
    is_send_future(|| node.1.shutdown());
    let remotes = [remote.clone(), remote.clone(), remote.clone()];
    is_send_future(|| async move { remote.connect(&server).await });
    let [a, b, c] = remotes;
    is_send_future(|| async move { a.handle(session, async { Ok(()) }).await });
    is_send_future(|| async move { b.disconnect(Who::Everybody, 0, "").await });
    is_send_future(|| async move { c.stopping().await });
}
