//! An echo server as a kernel. Ctrl-C ends it in order: everything sent is delivered, then it prints its report.

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    });
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let node = NodeBuilder::new(echo).identity(Identity::generate()).transient(true);
    let node = node.listen(Transport::Tcp(&address)).start().await?;
    println!("{}", node.addr()); // PEER_ID@127.0.0.1:PORT
    tokio::signal::ctrl_c().await?;
    let (_kernel, report) = node.shutdown().await?;
    println!("{report}");
    Ok(())
}
