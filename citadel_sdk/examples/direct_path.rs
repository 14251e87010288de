//! Two peers meet by a server and leave it: prints what carries their session, whenever that changes.
//!
//! ```text
//! direct_path server 127.0.0.1
//! direct_path peer PEER_ID@127.0.0.1:PORT alice bob
//! direct_path peer PEER_ID@127.0.0.1:PORT bob alice
//! ```
//!
//! On the server's machine addresses of that machine count, too. A peer ends when both have a direct path, or 20 s after
//! they met (`direct_path peer SERVER OWN OTHER SECONDS`).

use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, DirectConfig, Locality, PathKind, SessionEvent};
use std::future::pending;
use std::net::IpAddr;
use std::time::{Duration, Instant};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", host] => serve(host).await,
        ["peer", server, own, other] => meet(server, own, other, 20).await,
        ["peer", server, own, other, seconds] => meet(server, own, other, seconds.parse()?).await,
        _ => {
            Err("usage: direct_path server HOST | direct_path peer PEER_ID@HOST:PORT OWN OTHER [SECONDS]"
                .into())
        }
    }
}

async fn serve(host: &str) -> Result<(), BoxError> {
    let at = format!("{host}:0");
    let server = NodeBuilder::new(EmptyKernel).identity(Identity::generate());
    // The observation port tells peers behind address translators where they are seen.
    let node = server.listen(Transport::Tcp(&at)).observe(&at).start().await?;
    println!("{}", node.addr());
    tokio::signal::ctrl_c().await?;
    node.shutdown().await?;
    Ok(())
}

async fn meet(server: &str, own: &str, other: &str, seconds: u64) -> Result<(), BoxError> {
    let server: NodeAddr = server.parse()?;
    let is_near = server.host().parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let locality = if is_near { Locality::Local } else { Locality::Reachable };
    let account = ServerConnection::to(server)
        .register_or_login(own, "correct horse battery staple")
        .reconnect(Reconnect::FOREVER);
    let patience = Duration::from_secs(seconds);
    let kernel =
        PeerConnectionKernel::for_each(account, Peers::user(other), move |peer| watch(peer, patience));
    let direct = Direct::On(DirectConfig { locality, ..DirectConfig::default() });
    let node = NodeBuilder::new(kernel).identity(Identity::generate()).direct(direct).start().await?;
    let (_kernel, report) = node.await?;
    println!("{report}");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a demonstration with a stopwatch")]
async fn watch(peer: PeerConnection, patience: Duration) -> KernelResult {
    let PeerConnection { session, channel, name, .. } = peer;
    let (mut send, mut recv) = channel.split();
    let met = Instant::now();
    let mut events = session.events();
    send.send("hello").await?;
    recv.recv().await?;
    println!(
        "first byte: {} ms after {name} was met, {}",
        met.elapsed().as_millis(),
        carrier(session.path_kind())
    );
    let is_direct = async {
        while !session.path_kind().is_direct() {
            match events.next().await {
                Some(SessionEvent::PathChanged { from, to }) => {
                    println!("path: {} -> {}", carrier(from), carrier(to))
                }
                Some(_) => {}
                None => pending().await,
            }
        }
        println!("direct after: {} ms", met.elapsed().as_millis());
    };
    // Who has waited long enough says so by its end of the channel.
    let _direct_or_not = tokio::time::timeout(patience, is_direct).await;
    send.finish().await?;
    while recv.recv().await?.is_some() {}
    println!("path at the end: {}", if session.path_kind().is_direct() { "direct" } else { "relayed" });
    Ok(())
}

fn carrier(path: PathKind) -> String {
    match path {
        PathKind::Direct(address) => format!("direct, {address}"),
        PathKind::DirectTcp(address) => format!("direct by TCP, {address}"),
        path => format!("{path:?}").to_lowercase(),
    }
}
