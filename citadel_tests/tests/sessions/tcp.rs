//! Real sockets, and a proxy between them that cuts and forges.

use citadel_crypt::ratchets::PathId;
use citadel_proto::driver::{
    Acceptor, Admission, Dialer, HandshakeCaps, Session, SessionEvent, Tcp, Transport,
};
use citadel_proto::{CloseReason, PathLoss};
use citadel_tests::canary::marked;
use citadel_tests::resumable::Ends;
use futures::FutureExt;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const MESSAGES: u32 = 10_000;
const RESUME: Duration = Duration::from_secs(60);

/// Carries connections to a server, and spoils them when told to.
#[derive(Clone)]
struct Proxy {
    address: SocketAddr,
    open: Arc<Mutex<CancellationToken>>,
    forge: watch::Sender<bool>,
}

impl Proxy {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::default(),
            forge: watch::Sender::new(false),
        };
        let carrier = proxy.clone();
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                let token = CancellationToken::new();
                *carrier.open.lock() = token.clone();
                let forge = carrier.forge.clone();
                spawn(async move {
                    token.run_until_cancelled(carry(client, server, forge)).await.unwrap_or_default()
                });
            }
        });
        proxy
    }

    fn cut(&self) {
        self.open.lock().cancel();
    }

    /// Changes one bit of what goes to the server next.
    fn forge(&self) {
        self.forge.send_replace(true);
    }

    fn dialer(&self) -> Dialer {
        let address = self.address;
        Arc::new(move || async move { Tcp.connect("127.0.0.1", address.port()).await }.boxed())
    }
}

async fn carry(client: TcpStream, server: TcpStream, forge: watch::Sender<bool>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let there = async {
        let mut piece = vec![0; 8192];
        while let Ok(len @ 1..) = from_client.read(&mut piece).await {
            if forge.send_if_modified(|forges| std::mem::replace(forges, false)) {
                piece[len - 1] ^= 1;
            }
            if to_server.write_all(&piece[..len]).await.is_err() {
                break;
            }
        }
    };
    let back = tokio::io::copy(&mut from_server, &mut to_client);
    tokio::select! {
        () = there => {}
        _ended = back => {}
    }
}

fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// A session over TCP through a proxy, that comes back by itself.
async fn session(ends: &Ends) -> (Session, Session, Proxy) {
    let listener = Tcp.listen("127.0.0.1:0").await.unwrap();
    let admission = Admission::new(HandshakeCaps::default());
    let (hub, config) = (ends.server_hub.clone(), Arc::clone(&ends.server));
    let acceptor = Acceptor::new(hub, vec![listener], config, ends.session.clone(), admission).unwrap();
    let proxy = Proxy::to(acceptor.local_addrs()[0]).await;
    let connect =
        ends.client_hub.connect_with(proxy.dialer(), ends.client.clone(), ends.session.clone(), None);
    let accept = async { acceptor.accept().await.unwrap().accept().await };
    let (client, server) = tokio::join!(connect, accept);
    // Whoever comes from now on wants a session that is there.
    spawn(async move {
        while let Some(incoming) = acceptor.accept().await {
            let _resumed = incoming.accept().await;
        }
    });
    (client.unwrap(), server.unwrap(), proxy)
}

/// A message that says which it is, of one length or another.
fn message(number: u32) -> Vec<u8> {
    marked(number.to_le_bytes().repeat(1 + number as usize % 64))
}

/// Sends all messages and reads all of the other end; tells how many were read.
async fn exchange(session: &Session, progress: &watch::Sender<u32>) {
    let (mut send, mut recv) = session.channel().unwrap().split();
    let write = async {
        for number in 0..MESSAGES {
            send.send(message(number)).await.unwrap();
        }
        send.finish().await.unwrap();
        send.acknowledged().await.unwrap();
    };
    let read = async {
        for number in 0..MESSAGES {
            assert_eq!(recv.recv().await.unwrap().unwrap(), message(number));
            progress.send_replace(number + 1);
        }
        assert_eq!(recv.recv().await.unwrap(), None);
    };
    tokio::join!(write, read);
}

async fn close(ends: &Ends, client: Session, server: Session) {
    let report = client.close(0, "").await;
    assert!(report.clean, "{report}");
    assert!(server.closed().await.clean);
    drop((client, server));
    ends.client_hub.close(CloseReason::GoingAway).await;
    ends.server_hub.close(CloseReason::GoingAway).await;
    assert_eq!((ends.client_hub.sessions(), ends.server_hub.sessions()), (0, 0));
}

/// Spoils the path three times in the middle of the messages; everything arrives once and in order.
async fn spoilt(spoil: impl Fn(&Proxy), expected: &[PathLoss]) {
    let ends = Ends::new(RESUME);
    let (client, server, proxy) = session(&ends).await;
    let (there, mut read) = watch::channel(0);
    let unwatched = watch::Sender::new(0);
    let spoils = async {
        let mut events = server.events();
        for round in 1..=3_u32 {
            read.wait_for(|read| *read >= round * MESSAGES / 5).await.unwrap();
            spoil(&proxy);
            loop {
                match events.next().await.unwrap() {
                    SessionEvent::Detached { loss } => assert!(expected.contains(&loss), "{loss}"),
                    SessionEvent::Attached { path } if path >= PathId(round.into()) => break,
                    _ => {}
                }
            }
        }
    };
    tokio::join!(exchange(&client, &unwatched), exchange(&server, &there), spoils);
    assert!(client.version().0 > 0, "each resumption renews the keys");
    close(&ends, client, server).await;
}

#[tokio::test]
async fn messages_survive_cuts_of_the_connection_once_and_in_order() {
    spoilt(Proxy::cut, &[PathLoss::Ended, PathLoss::Io]).await;
}

#[tokio::test]
async fn one_forged_bit_ends_the_path_and_not_the_session() {
    spoilt(Proxy::forge, &[PathLoss::NotAuthentic, PathLoss::Malformed]).await;
}
