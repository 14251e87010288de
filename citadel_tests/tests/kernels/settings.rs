//! What a node is told again while it runs, and whom a client trusts.

use super::common::{builder, client, echo, echoes, serve};
use citadel_sdk::prelude::*;
use citadel_sdk::{Limits, NodeError, Psk, PskHint, Reload, ServerTrust};
use std::sync::Arc;

fn psk(number: u8) -> Psk {
    Psk::new(PskHint([number; 16]), &[number; 32]).unwrap()
}

/// Says hello with a pre-shared key.
async fn hello_with(server: &NodeAddr, psk: Option<Psk>) -> Result<(), NodeError> {
    let kernel = SingleClientServerConnectionKernel::new(
        ServerConnection::to(server.clone()),
        |mut connection| async move {
            connection.channel.send("hello").await?;
            connection.channel.recv().await?;
            Ok(())
        },
    );
    let node = builder(kernel);
    let node = match psk {
        Some(psk) => node.psk(psk),
        None => node,
    };
    node.start().await?.await.map(drop)
}

#[tokio::test]
async fn a_pre_shared_key_is_rotated_without_a_restart() {
    let server = builder(echo()).accepted_psks([psk(1)]).require_psk(true);
    let server = server.listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap();
    let address = server.addr();
    hello_with(&address, Some(psk(1))).await.unwrap();
    assert!(hello_with(&address, Some(psk(2))).await.is_err());
    assert!(hello_with(&address, None).await.is_err());

    server.reload(Reload::new().accepted_psks([psk(1), psk(2)])).unwrap();
    hello_with(&address, Some(psk(1))).await.unwrap();
    hello_with(&address, Some(psk(2))).await.unwrap();

    server.reload(Reload::new().accepted_psks([psk(2)])).unwrap();
    assert!(hello_with(&address, Some(psk(1))).await.is_err());
    hello_with(&address, Some(psk(2))).await.unwrap();

    server.reload(Reload::new().require_psk(false)).unwrap();
    hello_with(&address, None).await.unwrap();
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn new_limits_are_those_of_new_sessions_and_sessions_keep_theirs() {
    let server = serve(echo()).await;
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server.addr()).await.unwrap();
    let mut before = session.channel().unwrap();
    let small = Limits { max_message: 1000, ..Limits::default() };
    server.reload(Reload::new().limits(small)).unwrap();

    let later = endpoint.connect(server.addr()).await.unwrap();
    let mut after = later.channel().unwrap();
    assert!(after.send(vec![0; 1001]).await.is_err());
    before.send(vec![0; 1001]).await.unwrap();
    assert_eq!(before.recv().await.unwrap().unwrap().len(), 1001);
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_dialled_by_its_id_is_trusted_by_policy_only() {
    let server = serve(echo()).await;
    let port = server.local_addrs()[0].port();
    let connects = async |trust: Option<ServerTrust>| {
        let at = ServerConnection::at("127.0.0.1", port);
        let kernel = SingleClientServerConnectionKernel::new(at, |_| async { Ok(()) });
        let node = builder(kernel);
        let node = match trust {
            Some(trust) => node.trust(trust),
            None => node,
        };
        node.start().await.unwrap().await.map(drop)
    };
    let Err(NodeError::Kernel { source, .. }) = connects(None).await else { panic!("trusted by nobody") };
    let told = format!("{source:?}");
    assert!(told.contains("Untrusted"), "{told}");
    assert!(connects(Some(ServerTrust::pinned([Identity::generate().peer_id()]))).await.is_err());
    connects(Some(ServerTrust::pinned([server.peer_id()]))).await.unwrap();
    connects(Some(ServerTrust::dangerous_anyone())).await.unwrap();
    let expected = server.peer_id();
    let first_use = ServerTrust::ask(move |peer| async move { peer.peer_id() == expected });
    connects(Some(first_use)).await.unwrap();

    // A password goes to such a one only by a second word.
    let registers = async |trust: ServerTrust| {
        let at = ServerConnection::at("127.0.0.1", port).register("alice", "correct horse");
        let kernel = SingleClientServerConnectionKernel::new(at, |_| async { Ok(()) });
        builder(kernel).trust(trust).start().await.unwrap().await.map(drop)
    };
    assert!(registers(ServerTrust::dangerous_anyone()).await.is_err());
    registers(ServerTrust::dangerous_anyone_with_passwords()).await.unwrap();
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_stalls_holds_up_no_other_session() {
    let stalls = Arc::new(tokio::sync::Notify::new());
    let released = Arc::clone(&stalls);
    let server = ClientConnectListenerKernel::new(move |mut connection: Connection| {
        let released = Arc::clone(&released);
        async move {
            let first = connection.channel.recv().await?;
            if first.as_deref() == Some(b"stall") {
                released.notified().await;
            } else if let Some(first) = first {
                connection.channel.send(first).await?;
            }
            while let Some(message) = connection.channel.recv().await? {
                connection.channel.send(message).await?;
            }
            Ok(connection.channel.finish().await?)
        }
    });
    const LIMIT: u64 = 256 * 1024;
    let server =
        builder(server).memory_limit(LIMIT).listen(Transport::Tcp("127.0.0.1:0")).start().await.unwrap();
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server.addr()).await.unwrap();
    let mut slow = session.channel().unwrap();
    slow.send("stall").await.unwrap();
    // Until the peer's credit and the own buffer are used up: a count, not a time.
    let mut accepted = 0u64;
    loop {
        match slow.try_send(vec![0; 1000]) {
            Ok(()) => accepted += 1000,
            Err(_) => break,
        }
        tokio::task::yield_now().await;
    }
    assert!(accepted <= LIMIT / 2 + (1 << 20), "{accepted} accepted");
    for _ in 0..10 {
        echoes(&server.addr()).await;
    }
    let again = client(server.addr(), |mut connection| async move {
        for _ in 0..100 {
            connection.channel.send(vec![1; 1000]).await?;
            assert_eq!(connection.channel.recv().await?.unwrap().len(), 1000);
        }
        Ok(())
    });
    assert!(again.await.unwrap().is_clean());
    stalls.notify_one();
    let mut echoed = 0;
    while echoed < accepted {
        echoed += slow.recv().await.unwrap().unwrap().len() as u64;
    }
    slow.finish().await.unwrap();
    session.close(0, "").await;
    server.shutdown().await.unwrap();
}
