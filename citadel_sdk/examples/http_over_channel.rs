//! HTTP over a channel: hyper at both ends knows nothing of sessions, and the request never leaves them.
//!
//! ```text
//! http_over_channel                              serves; prints PEER_ID@HOST:PORT
//! http_over_channel PEER_ID@HOST:PORT PATH       GETs PATH from such a server
//! ```

use bytes::Bytes;
use citadel_sdk::prelude::*;
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => serve().await,
        [server, path] => get(server.parse()?, path.clone()).await,
        _ => Err("usage: http_over_channel [PEER_ID@HOST:PORT PATH]".into()),
    }
}

async fn serve() -> Result<(), BoxError> {
    let http = InternalServiceKernel::new(|connection| async move {
        let answer = service_fn(async |request: Request<hyper::body::Incoming>| {
            let text = format!("you asked for {}\n", request.uri().path());
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(text))))
        });
        let io = TokioIo::new(connection.io);
        Ok(hyper::server::conn::http1::Builder::new().serve_connection(io, answer).await?)
    });
    let node = NodeBuilder::new(http).identity(Identity::generate()).transient(true);
    let node = node.listen(Transport::Tcp("127.0.0.1:0")).start().await?;
    println!("{}", node.addr());
    node.await?;
    Ok(())
}

async fn get(server: NodeAddr, path: String) -> Result<(), BoxError> {
    let get = SingleClientServerConnectionKernel::new(ServerConnection::to(server), move |connection| {
        let path = path.clone();
        async move {
            let io = TokioIo::new(connection.channel.into_io());
            let (mut http, driver) = hyper::client::conn::http1::handshake(io).await?;
            let asking = async move {
                let request = Request::get(path).header("host", "node").body(Empty::<Bytes>::new())?;
                let answer = http.send_request(request).await?;
                println!("{}", answer.status());
                print!("{}", String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()));
                Ok::<_, BoxError>(())
            };
            let (asked, driven) = tokio::join!(asking, driver);
            asked?;
            Ok(driven?)
        }
    });
    let (_kernel, report) = NodeBuilder::new(get).identity(Identity::generate()).start().await?.await?;
    println!("{report}");
    Ok(())
}
