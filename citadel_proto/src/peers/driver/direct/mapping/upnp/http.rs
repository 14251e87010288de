//! One request and its answer, on a connection of its own that ends with it.
//!
//! Bounded in bytes here and in time by the caller. Nothing is followed to another address, and what comes out was checked.

use super::text;
use bytes::Bytes;
use futures::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use igd_next::RequestError;
use igd_next::aio::Provider;
use std::net::SocketAddrV4;
use tokio::net::TcpStream;
use url::Url;

/// Most lines of an answer's head, and most bytes of it: routers send ten, of some hundred bytes.
const MAX_HEADERS: usize = 64;
const MAX_HEAD: usize = 16 * 1_024;
/// What an action is named by.
const ACTION: &str = "SOAPAction";

/// How `igd-next` talks to a router: as bounded as everything here.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Bounded;

impl Provider for Bounded {
    async fn send_async(url: &str, action: &str, body: &str) -> Result<String, RequestError> {
        let url = Url::parse(url).map_err(|_| refused("no address of a router"))?;
        let to = super::endpoint(&url).ok_or_else(|| refused("no address of a router"))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(super::target(&url))
            .header(ACTION, action)
            .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"");
        // A fault comes with another status, and says in its text what it is.
        exchanged(to, request, body.to_owned()).await.map(|(_, text)| text)
    }
}

/// The text at an address.
pub(super) async fn fetched(from: SocketAddrV4, target: &str) -> Result<String, RequestError> {
    match exchanged(from, Request::builder().uri(target), String::new()).await? {
        (status, text) if status.is_success() => Ok(text),
        (status, _) => Err(refused(&status.to_string())),
    }
}

async fn exchanged(
    to: SocketAddrV4,
    request: hyper::http::request::Builder,
    body: String,
) -> Result<(StatusCode, String), RequestError> {
    let request = request.header(HOST, to.to_string()).header(CONNECTION, "close");
    let request = request.body(Full::new(Bytes::from(body)))?;
    let stream = TcpStream::connect(to).await?;
    let mut client = hyper::client::conn::http1::Builder::new();
    client.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    let answered = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), text::MAX_TEXT).collect().await;
        let body = body.map_err(|why| refused(&why.to_string()))?.to_bytes();
        let text = String::from_utf8(body.into())?;
        text::check(&text).map_err(refused)?;
        Ok((status, text))
    };
    // No task of its own: the connection ends with the request, also when that is given up.
    match select(core::pin::pin!(answered), core::pin::pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // How it ended is what the answer says.
        Either::Right((_, answered)) => answered.await,
    }
}

fn refused(why: &str) -> RequestError {
    RequestError::InvalidResponse(why.to_owned())
}
