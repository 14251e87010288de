//! Cases of `citadel_sdk`: endpoints, over real sockets where the function is about one.

use super::pairs::{Pair, forget, works};
use citadel_proto::driver::Tcp;
use citadel_sdk::{Endpoint, EndpointConfig, Identity, TrustPolicy};
use citadel_tests::canary;
use citadel_tests::cancel::{Outcome, at_each_poll, poll_then_drop};
use futures::FutureExt;
use futures::future::{Either, select};
use std::pin::pin;
use std::sync::Arc;

/// More polls than any of these futures needs.
const MOST: usize = 200;

async fn server() -> Endpoint {
    canary::watch();
    Endpoint::bind(Identity::generate(), "127.0.0.1:0").await.unwrap()
}

/// Lets in the first one who gets through the handshake.
async fn serve(server: &Endpoint) -> citadel_sdk::Session {
    loop {
        if let Ok(session) = server.accept().await.unwrap().accept().await {
            return session;
        }
    }
}

/// A whole session over TCP, whatever was left of attempts before.
async fn still_works(client: &Endpoint, server: &Endpoint) {
    let (opened, accepted) = tokio::join!(client.connect(server.addr()), serve(server));
    works(&Pair { opened: opened.unwrap(), accepted }).await;
}

/// Runs `tested` while `other` goes on beside it; what `other` comes to does not matter.
async fn beside<T, U>(tested: impl Future<Output = T>, other: impl Future<Output = U>) -> T {
    match select(pin!(tested), pin!(other)).await {
        Either::Left((tested, _)) => tested,
        Either::Right((_kept, tested)) => tested.await,
    }
}

#[tokio::test]
async fn endpoint_bind() {
    at_each_poll(MOST, async |polls| {
        let outcome = poll_then_drop(Endpoint::bind(Identity::generate(), "127.0.0.1:0"), polls).await;
        still_works(&Endpoint::client(Identity::generate()), &server().await).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn endpoint_bind_with() {
    at_each_poll(MOST, async |polls| {
        let (identity, config) = (Identity::generate(), EndpointConfig::default());
        let outcome = poll_then_drop(Endpoint::bind_with(identity, "127.0.0.1:0", config), polls).await;
        still_works(&Endpoint::client(Identity::generate()), &server().await).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn endpoint_connect_over() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let outcome = poll_then_drop(client.connect_over(Tcp, server.addr()), polls).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn endpoint_accept() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let outcome = beside(poll_then_drop(server.accept(), polls), client.connect(server.addr())).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

/// The acceptor is what the endpoint's `accept` is made of.
#[tokio::test]
async fn acceptor_accept() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let mut dial = Box::pin(client.connect(server.addr()));
        let outcome = match select(&mut dial, pin!(poll_then_drop(server.accept(), polls))).await {
            Either::Left(_) => unreachable!("nobody has answered the dialler"),
            Either::Right((outcome, _)) => outcome,
        };
        if outcome.is_dropped() {
            // The dialler that was not taken is taken now.
            let (opened, accepted) = tokio::join!(dial, serve(&server));
            works(&Pair { opened: opened.unwrap(), accepted }).await;
        }
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn incoming_accept() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let accept = async { poll_then_drop(server.accept().await.unwrap().accept(), polls).await };
        let outcome = beside(accept, client.connect(server.addr())).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn incoming_identify() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let identify = async { poll_then_drop(server.accept().await.unwrap().identify(), polls).await };
        let outcome = beside(identify, client.connect(server.addr())).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn endpoint_connect() {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let outcome = beside(poll_then_drop(client.connect(server.addr()), polls), serve(&server)).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

/// Runs a case over an in-memory path; the endpoints work afterwards.
async fn over_a_pipe<T>(
    case: impl AsyncFn(
        &Endpoint,
        tokio::io::DuplexStream,
        &Endpoint,
        tokio::io::DuplexStream,
        usize,
    ) -> Outcome<T>,
) {
    let (server, client) = (server().await, Endpoint::client(Identity::generate()));
    at_each_poll(MOST, async |polls| {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let outcome = case(&client, near, &server, far, polls).await;
        still_works(&client, &server).await;
        forget(outcome)
    })
    .await;
}

#[tokio::test]
async fn endpoint_connect_io() {
    over_a_pipe(async |client, near, server, far, polls| {
        beside(poll_then_drop(client.connect_io(near, server.peer_id()), polls), server.accept_io(far)).await
    })
    .await;
}

#[tokio::test]
async fn endpoint_connect_io_with() {
    over_a_pipe(async |client, near, server, far, polls| {
        let policy: TrustPolicy = Arc::new(|_| async { true }.boxed());
        beside(poll_then_drop(client.connect_io_with(near, policy), polls), server.accept_io(far)).await
    })
    .await;
}

#[tokio::test]
async fn endpoint_accept_io() {
    over_a_pipe(async |client, near, server, far, polls| {
        beside(poll_then_drop(server.accept_io(far), polls), client.connect_io(near, server.peer_id())).await
    })
    .await;
}

#[tokio::test]
async fn endpoint_identify_io() {
    over_a_pipe(async |client, near, server, far, polls| {
        beside(poll_then_drop(server.identify_io(far), polls), client.connect_io(near, server.peer_id()))
            .await
    })
    .await;
}

#[tokio::test]
async fn endpoint_close() {
    at_each_poll(MOST, async |polls| {
        let (server, client) = (server().await, Endpoint::client(Identity::generate()));
        let (opened, accepted) = tokio::join!(client.connect(server.addr()), serve(&server));
        let pair = Pair { opened: opened.unwrap(), accepted };
        let outcome = forget(poll_then_drop(client.close(), polls).await);
        if polls == 0 {
            works(&pair).await;
        } else {
            let (near, far) = tokio::join!(pair.opened.closed(), pair.accepted.closed());
            assert!(near.clean && far.clean, "{near}; {far}");
        }
        outcome
    })
    .await;
}
