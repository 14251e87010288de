//! A client whose connection is cut goes on with the same session.

use super::common::{builder, echo, serve};
use citadel_sdk::prelude::*;
use citadel_tests::canary::marked;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// Forwards to `server` and cuts every connection when it is told to.
struct Proxy {
    address: SocketAddr,
    cut: Arc<Notify>,
    /// Connections so far.
    count: watch::Receiver<u32>,
}

impl Proxy {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), Arc::new(Notify::new()));
        let cuts = Arc::clone(&cut);
        let (counts, count) = watch::channel(0);
        #[expect(clippy::disallowed_methods, reason = "a network of the test's own")]
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                counts.send_modify(|count| *count += 1);
                let mut far = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = copy_bidirectional(&mut near, &mut far) => {}
                    () = cuts.notified() => {}
                }
            }
        });
        Self { address, cut, count }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_is_dialled_again_and_nothing_is_lost_or_doubled() {
    let server = serve(echo()).await;
    let proxy = Proxy::to(server.local_addrs()[0]).await;
    let through = NodeAddr::from_socket(server.peer_id(), proxy.address);
    let (cut, count) = (Arc::clone(&proxy.cut), proxy.count.clone());
    let kernel =
        SingleClientServerConnectionKernel::new(ServerConnection::to(through), move |mut connection| {
            let (cut, mut count) = (Arc::clone(&cut), count.clone());
            async move {
                let channel = &mut connection.channel;
                for batch in 0..4u32 {
                    for number in 0..500 {
                        channel.send(marked((500 * batch + number).to_be_bytes())).await?;
                    }
                    if batch > 0 {
                        // With the batch on its way there and back; what was on the wire is gone.
                        let before = *count.borrow();
                        cut.notify_one();
                        count.wait_for(|count| *count > before).await?;
                    }
                    for number in 0..500 {
                        let expected = marked((500 * batch + number).to_be_bytes());
                        assert_eq!(channel.recv().await?.as_deref(), Some(&expected[..]));
                    }
                }
                Ok(())
            }
        });
    let (_kernel, report) = builder(kernel).start().await.unwrap().await.unwrap();
    assert!(report.is_clean() && report.sessions.len() == 1, "{report}");
    assert_eq!(*proxy.count.borrow(), 4);
    server.shutdown().await.unwrap();
}
