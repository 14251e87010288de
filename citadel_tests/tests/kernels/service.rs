//! A protocol of bytes over channels: HTTP as hyper speaks it.

use super::common::{builder, serve};
use bytes::Bytes;
use citadel_sdk::prelude::*;
use citadel_sdk::{ChannelIo, CloseReason};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming as Body;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

/// Answers each request with its path and the client's id; panics at `/panic`.
fn http() -> InternalServiceKernel {
    InternalServiceKernel::new(|connection| async move {
        let peer = connection.session.peer_id();
        let answer = service_fn(move |request: Request<Body>| async move {
            assert_ne!(request.uri().path(), "/panic");
            let text = format!("{} for {peer}", request.uri().path());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        Ok(hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(connection.io), answer)
            .await?)
    })
}

/// GETs of `paths` on one connection.
async fn get(io: ChannelIo, paths: &[&str]) -> Result<Vec<String>, BoxError> {
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    let asking = async {
        let mut answers = Vec::new();
        for path in paths {
            let request = Request::get(*path).header("host", "node").body(Empty::<Bytes>::new())?;
            let body = send.send_request(request).await?.into_body().collect().await?.to_bytes();
            answers.push(String::from_utf8(body.to_vec())?);
        }
        drop(send);
        Ok::<_, BoxError>(answers)
    };
    let (answers, _connection) = tokio::join!(asking, connection);
    answers
}

#[tokio::test]
async fn http_runs_over_channel_0_and_over_channels_opened_beside_it() {
    let server = serve(http()).await;
    let kernel = SingleClientServerConnectionKernel::new(
        ServerConnection::to(server.addr()),
        |Connection { session, channel }| async move {
            let (one, two) = (session.open_channel().await?, session.open_channel().await?);
            let (zero, one, two) = tokio::join!(
                get(channel.into_io(), &["/a", "/b", "/c"]),
                get(one.into_io(), &["/one"]),
                get(two.into_io(), &["/two", "/three"])
            );
            let paths: Vec<_> = [zero?, one?, two?].concat();
            let paths: Vec<_> = paths.iter().filter_map(|answer| answer.split(' ').next()).collect();
            assert_eq!(paths, ["/a", "/b", "/c", "/one", "/two", "/three"]);
            Ok(())
        },
    );
    let (_kernel, report) = builder(kernel).start().await.unwrap().await.unwrap();
    assert!(report.is_clean(), "{report}");
    server.shutdown().await.unwrap();
}

#[tokio::test]
async fn nonsense_on_one_connection_ends_that_one_and_a_panic_ends_the_session() {
    let server = serve(http()).await;
    let session = Endpoint::client(Identity::generate()).connect(server.addr()).await.unwrap();
    let mut nonsense = session.open_channel().await.unwrap();
    nonsense.send("\0\0\0 this is no HTTP\r\n\r\n").await.unwrap();
    while let Ok(Some(_answer)) = nonsense.recv().await {}
    let other = session.open_channel().await.unwrap();
    assert_eq!(get(other.into_io(), &["/fine"]).await.unwrap().len(), 1);

    let last = session.open_channel().await.unwrap();
    assert!(get(last.into_io(), &["/panic"]).await.is_err());
    assert_eq!(session.closed().await.reason(), &CloseReason::HandlerPanicked);
    server.shutdown().await.unwrap();
}
