//! Says hello to an echo server and renews the keys at the same time.

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server: NodeAddr = std::env::args().nth(1).ok_or("usage: echo_client PEER_ID@HOST:PORT")?.parse()?;
    let endpoint = Endpoint::client(Identity::generate());
    let session = endpoint.connect(server).await?;
    let mut channel = session.open_channel().await?;
    channel.send("hello").await?;
    let (rekey, echo) = tokio::join!(session.rekey(), channel.recv());
    println!("{:?} while moving to version {}", echo?, rekey?.version);
    channel.finish().await?;
    println!("{}", endpoint.close().await);
    Ok(())
}
