//! Asks an echo server once a line of its input. A connection that is lost is dialled again and the session goes on; when the
//! server was restarted, the client logs in again and asks what had no answer.

use citadel_sdk::prelude::*;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let server = std::env::args().nth(1).ok_or("usage: reconnecting_client PEER_ID@HOST:PORT")?.parse()?;
    // What was asked and not answered: it outlives a session.
    let unanswered = Arc::new(Mutex::new(None));
    let account = ServerConnection::to(server)
        .register_or_login("alice", "correct horse")
        .reconnect(Reconnect::FOREVER);
    let client = SingleClientServerConnectionKernel::new(account, move |mut connection| {
        let unanswered = Arc::clone(&unanswered);
        async move {
            println!("connected");
            let mut unanswered = unanswered.lock().await;
            loop {
                if unanswered.is_none() {
                    *unanswered = spawn_blocking(|| std::io::stdin().lines().next()).await?.transpose()?;
                }
                let Some(question) = unanswered.clone() else { return Ok(()) };
                connection.channel.send(question).await?;
                let answer = connection.channel.recv().await?.ok_or("the server has enough")?;
                println!("{}", String::from_utf8_lossy(&answer));
                *unanswered = None;
            }
        }
    });
    let (_kernel, report) = NodeBuilder::new(client).identity(Identity::generate()).start().await?.await?;
    println!("{report}");
    Ok(())
}
