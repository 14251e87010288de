//! Says hello to an echo server, as a kernel: the session closes in order when the callback has returned.

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = std::env::args().nth(1).ok_or("usage: kernel_echo_client PEER_ID@HOST:PORT")?.parse()?;
    let hello =
        SingleClientServerConnectionKernel::new(ServerConnection::to(server), |mut connection| async move {
            connection.channel.send("hello").await?;
            println!("{:?}", connection.channel.recv().await?);
            Ok(())
        });
    let node = NodeBuilder::new(hello).identity(Identity::generate()).start().await?;
    let (_kernel, report) = node.await?;
    println!("{report}");
    Ok(())
}
