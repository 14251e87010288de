//! Nodes on every transport at once.

use super::common::{builder, echo};
use citadel_sdk::memory::{Network, Transport as _};
use citadel_sdk::prelude::*;
use citadel_sdk::{NodeReport, Quic};

/// A client's whole life with one message there and back.
async fn echoes(server: ServerConnection) -> NodeReport {
    let kernel = SingleClientServerConnectionKernel::new(server, |mut connection: Connection| async move {
        connection.channel.send("hello").await?;
        assert_eq!(connection.channel.recv().await?.as_deref(), Some(&b"hello"[..]));
        Ok(())
    });
    builder(kernel).start().await.unwrap().await.unwrap().1
}

#[tokio::test]
async fn a_server_is_reached_over_tcp_quic_and_memory() {
    let network = Network::new(1);
    let listener = network.listen("10.0.0.1:443").await.unwrap();
    let server = builder(echo())
        .identities(true)
        .listen(Transport::Tcp("127.0.0.1:0"))
        .listen(Transport::Quic("127.0.0.1:0"))
        .listen_on(listener)
        .start()
        .await
        .unwrap();
    let addrs = server.local_addrs().to_vec();
    let to =
        |index: usize| ServerConnection::to(NodeAddr::from_socket(server.peer_id(), addrs[index])).identity();
    for server in [to(0), to(1).over(Quic::new()), to(2).over(network.clone())] {
        let report = echoes(server).await;
        assert!(report.is_clean() && report.sessions.len() == 1, "{report}");
    }
    let (_kernel, report) = server.shutdown().await.unwrap();
    assert!(report.is_clean(), "{report}");
}
