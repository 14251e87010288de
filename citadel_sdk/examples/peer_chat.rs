//! Two peers talk, line by line, through a server that cannot read them:
//!
//! ```text
//! kernel_echo_server
//! peer_chat PEER_ID@127.0.0.1:PORT alice bob
//! peer_chat PEER_ID@127.0.0.1:PORT bob alice
//! ```
//!
//! Either may be the first. The end of the input says goodbye.

use citadel_sdk::prelude::*;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, own, other] = &arguments[..] else {
        return Err("usage: peer_chat PEER_ID@HOST:PORT OWN OTHER".into());
    };
    let account = ServerConnection::to(server.parse()?)
        .register_or_login(own, "correct horse battery staple")
        .reconnect(Reconnect::FOREVER);
    let chat = PeerConnectionKernel::for_each(account, Peers::user(other), talk);
    let node = NodeBuilder::new(chat).identity(Identity::generate()).start().await?;
    let (_kernel, report) = node.await?;
    println!("{report}");
    Ok(())
}

async fn talk(peer: PeerConnection) -> KernelResult {
    let PeerConnection { session, channel, name, .. } = peer;
    println!("{name} is here; compare {}", session.verification_code());
    let (mut send, mut recv) = channel.split();
    let say = async {
        while let Some(line) = spawn_blocking(|| std::io::stdin().lines().next()).await?.transpose()? {
            send.send(line).await?;
        }
        Ok(send.finish().await?)
    };
    let hear = async {
        while let Some(line) = recv.recv().await? {
            println!("{name}: {}", String::from_utf8_lossy(&line));
        }
        println!("{name} has said everything");
        Ok(())
    };
    // Each to its own end: who has nothing more to say may still be told something.
    let (said, heard): (KernelResult, KernelResult) = tokio::join!(say, hear);
    said.and(heard)
}
