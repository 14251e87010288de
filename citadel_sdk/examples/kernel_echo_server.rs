//! An echo server as a kernel. Ctrl-C ends it in order: everything sent is delivered, then it prints its report.
//!
//! ```text
//! kernel_echo_server [ADDRESS [DIRECTORY]]
//! ```

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let echo = ClientConnectListenerKernel::new(|mut connection: Connection| async move {
        while let Some(message) = connection.channel.recv().await? {
            connection.channel.send(message).await?;
        }
        Ok(connection.channel.finish().await?)
    });
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let node = NodeBuilder::new(echo).listen(Transport::Tcp(&address)).transient(true);
    let node = match arguments.next() {
        // With a directory for its files it is the same server, with the same accounts, the next time.
        Some(files) => node
            .identity(Identity::load_or_create(format!("{files}/server.id"))?)
            .backend(Redb::open(format!("{files}/server.redb"))?),
        None => node.identity(Identity::generate()),
    };
    let node = node.start().await?;
    println!("{}", node.addr()); // PEER_ID@127.0.0.1:PORT
    tokio::signal::ctrl_c().await?;
    let (_kernel, report) = node.shutdown().await?;
    println!("{report}");
    Ok(())
}
