//! A router that speaks UPnP: the search for it, what it says of itself, and how it is talked to.
//!
//! Owns: whose answers count and which address is fetched from (here), the connection (`http.rs`), what a text may hold before
//! anything reads it, and what is read in it (`text.rs`). Never: what is asked of the router, which `igd-next` says and reads.
//!
//! `igd-next` has a search of its own. It fetches what any answer names, from any host, and reads texts that take up memory without
//! bound, so nothing of it is used but the requests and the reading of their answers, and each text is checked before that.

mod http;
mod text;

use super::place::Place;
use core::time::Duration;
use igd_next::aio::Gateway;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use tokio::net::UdpSocket;
use url::{Host, Position, Url};

pub(super) use http::Bounded;

/// A router that was found.
pub(super) type Router = Gateway<Bounded>;

/// Longest answer to a search, bytes: a packet of the own link.
const MAX_ANSWER: usize = 1_500;
/// Most answers of a search that are looked at. A router answers once for each thing that it is; where no gateway is known, other
/// devices of the link come between.
const MAX_ANSWERS: usize = 16;
/// Longest time for one description: who answers first and then says nothing keeps no other from being heard.
const FETCHING: Duration = Duration::from_secs(1);

/// Why no router was found.
#[derive(thiserror::Error, Debug)]
pub(super) enum NotFound {
    /// The search did not go.
    #[error("the search: {0}")]
    Search(#[from] io::Error),
    /// Those that answered are none.
    #[error("no router among those that answer")]
    Answers,
}

/// The router that answers the search; where the gateway is known, nobody else. The caller bounds its time.
pub(super) async fn find(place: Place, search: SocketAddrV4) -> Result<Box<Router>, NotFound> {
    let socket = UdpSocket::bind((place.own, 0)).await?;
    socket.send_to(request(search).as_bytes(), search).await?;
    // One byte more than may come: what is longer is seen to be.
    let mut packet = [0; MAX_ANSWER + 1];
    let (mut looked_at, mut tried) = (0, Vec::new());
    while looked_at < MAX_ANSWERS {
        // Some systems tell here that a packet was too long or not deliverable: that is one answer, and not the end.
        let Ok((len, from)) = socket.recv_from(&mut packet).await else {
            looked_at += 1;
            continue;
        };
        let IpAddr::V4(source) = from.ip() else { continue };
        if place.gateway.is_some_and(|gateway| gateway != source) {
            continue;
        }
        looked_at += 1;
        let at = packet.get(..len).and_then(|answer| location(answer, source));
        let Some(at) = at.filter(|at| !tried.contains(at)) else { continue };
        match tokio::time::timeout(FETCHING, described(&at)).await {
            Ok(Some(router)) => return Ok(Box::new(router)),
            _ => log::debug!(target: "citadel::direct", "{source} answers a search and is no router"),
        }
        tried.push(at);
    }
    Err(NotFound::Answers)
}

/// One packet. Devices of a later version answer to the first one, too.
fn request(search: SocketAddrV4) -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {search}\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\n\
         ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
    )
}

/// Where the description is, if it is at the address that answers: nobody else is asked on a stranger's word.
fn location(answer: &[u8], source: Ipv4Addr) -> Option<Url> {
    if answer.len() > MAX_ANSWER {
        return None;
    }
    let text = core::str::from_utf8(answer).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    let (_, at) = fields.find(|(name, _)| name.trim().eq_ignore_ascii_case("location"))?;
    let at = Url::parse(at.trim()).ok()?;
    (*endpoint(&at)?.ip() == source).then_some(at)
}

/// An address of HTTP that needs no name to be looked up.
fn endpoint(url: &Url) -> Option<SocketAddrV4> {
    let is_plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    match (url.host(), url.port_or_known_default()) {
        (Some(Host::Ipv4(ip)), Some(port)) if is_plain && port != 0 => Some(SocketAddrV4::new(ip, port)),
        _ => None,
    }
}

/// What a request asks for: path and query.
fn target(url: &Url) -> &str {
    &url[Position::BeforePath..Position::AfterQuery]
}

/// The router that the description is of.
async fn described(at: &Url) -> Option<Router> {
    let addr = endpoint(at)?;
    let text = http::fetched(addr, target(at)).await.ok()?;
    let (service, control) = text::service(&text)?.resolved(at)?;
    Some(Gateway {
        addr: SocketAddr::V4(addr),
        root_url: target(at).to_owned(),
        // Whole: a path of a router's choice may be read as an address.
        control_url: format!("http://{addr}{}", target(&control)),
        control_schema_url: String::new(),
        control_schema: actions(service),
        service_type: service.to_owned(),
        provider: Bounded,
    })
}

/// The actions that are used, and their arguments, as the standard has them. What the router would say of them is not asked for.
fn actions(service: &str) -> HashMap<String, Vec<String>> {
    const REMOVE: [&str; 3] = ["NewRemoteHost", "NewExternalPort", "NewProtocol"];
    const ADD: [&str; 8] = [
        "NewRemoteHost",
        "NewExternalPort",
        "NewProtocol",
        "NewInternalPort",
        "NewInternalClient",
        "NewEnabled",
        "NewPortMappingDescription",
        "NewLeaseDuration",
    ];
    // Without it other ports are asked for one by one.
    let any = (service == text::SECOND).then_some(("AddAnyPortMapping", &ADD[..]));
    let always = [("AddPortMapping", &ADD[..]), ("DeletePortMapping", &REMOVE[..])];
    let owned = |(action, arguments): (&str, &[&str])| {
        (action.to_owned(), arguments.iter().map(|name| (*name).to_owned()).collect())
    };
    always.into_iter().chain(any).map(owned).collect()
}

#[cfg(test)]
mod tests;
