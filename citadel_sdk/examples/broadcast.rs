//! One sends lines to many, through a server that cannot read them:
//!
//! ```text
//! kernel_echo_server
//! broadcast PEER_ID@127.0.0.1:PORT listen alice sender
//! broadcast PEER_ID@127.0.0.1:PORT listen bob sender
//! broadcast PEER_ID@127.0.0.1:PORT send sender alice bob
//! ```
//!
//! The sender begins when all are there. A listener that is too slow loses the oldest lines and keeps nobody waiting.

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [server, what, own, others @ ..] if what == "send" && !others.is_empty() => {
            send(account(server, own)?, others).await
        }
        [server, what, own, sender] if what == "listen" => listen(account(server, own)?, sender).await,
        _ => Err("usage: broadcast PEER_ID@HOST:PORT send OWN LISTENER... | listen OWN SENDER".into()),
    }
}

fn account(server: &str, own: &str) -> Result<ServerConnection, BoxError> {
    Ok(ServerConnection::to(server.parse()?).register_or_login(own, "correct horse battery staple"))
}

async fn send(account: ServerConnection, listeners: &[String]) -> Result<(), BoxError> {
    let listeners = Peers::all(listeners.iter().map(Peers::user)).ok_or("nobody listens")?;
    let lines = ["first line", "second line", "third line"].map(String::from);
    let broadcast = BroadcastKernel::of(account, listeners, BackPressure::DropOldest, lines);
    let node = NodeBuilder::new(broadcast).identity(Identity::generate()).start().await?;
    let (broadcast, report) = node.await?;
    println!("{}\n{report}", broadcast.report());
    Ok(())
}

async fn listen(account: ServerConnection, sender: &str) -> Result<(), BoxError> {
    let listener = PeerConnectionKernel::for_each(account, Peers::user(sender), |mut sender| async move {
        while let Some(line) = sender.channel.recv().await? {
            println!("{}: {}", sender.name, String::from_utf8_lossy(&line));
        }
        Ok(())
    });
    let node = NodeBuilder::new(listener).identity(Identity::generate()).start().await?;
    let (_listener, report) = node.await?;
    println!("{report}");
    Ok(())
}
