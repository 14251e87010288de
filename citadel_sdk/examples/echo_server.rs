//! Prints its address and echoes every message of every channel of every session.
#![expect(clippy::disallowed_methods, reason = "an application spawns its own tasks")]

use citadel_sdk::prelude::*;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let endpoint = Endpoint::bind(Identity::generate(), "127.0.0.1:0").await?;
    println!("{}", endpoint.addr()); // PEER_ID@127.0.0.1:PORT
    while let Some(incoming) = endpoint.accept().await {
        tokio::spawn(async move {
            let session = incoming.accept().await?;
            while let Some(mut channel) = session.accept_channel().await? {
                while let Some(message) = channel.recv().await? {
                    channel.send(message).await?;
                }
                channel.finish().await?;
            }
            Ok::<_, BoxError>(())
        });
    }
    Ok(())
}
