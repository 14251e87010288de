//! What stands between two direct sockets: an address for each, and a switch.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Two addresses: what is sent to one comes from the other, to whoever last sent to that.
pub(crate) struct Middle {
    addresses: [SocketAddr; 2],
    is_open: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Middle {
    pub(crate) async fn new() -> Self {
        let bind = || async { Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()) };
        let sockets = [bind().await, bind().await];
        let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
        let is_open = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        tasks.spawn(forward(sockets, Arc::clone(&is_open)));
        Self { addresses, is_open, _tasks: tasks }
    }

    /// The first leads to who sends to the second, and the other way round.
    pub(crate) const fn addresses(&self) -> [SocketAddr; 2] {
        self.addresses
    }

    pub(crate) fn let_through(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
    }
}

async fn forward(sockets: [Arc<UdpSocket>; 2], is_open: Arc<AtomicBool>) {
    let mut behind: [Option<SocketAddr>; 2] = [None; 2];
    let (mut one, mut other) = ([0; 2_048], [0; 2_048]);
    loop {
        // What comes to an address was sent by the end behind the other one.
        let (at, len, from) = tokio::select! {
            Ok((len, from)) = sockets[0].recv_from(&mut one) => (0, len, from),
            Ok((len, from)) = sockets[1].recv_from(&mut other) => (1, len, from),
            else => return,
        };
        behind[1 - at] = Some(from);
        let bytes = if at == 0 { &one[..len] } else { &other[..len] };
        if let Some(to) = behind[at].filter(|_| is_open.load(Ordering::Acquire)) {
            // What the system does not take is lost.
            let _sent = sockets[1 - at].send_to(bytes, to).await;
        }
    }
}
