//! One acceptor, several listeners, and a configuration that changes while it runs.

use citadel_crypt::handshake::{HandshakeError, Psk, PskHint, RefusalCode, ServerConfig};
use citadel_proto::driver::{Acceptor, Admission, Arrived, EstablishError, HandshakeCaps, Hub, Listener};
use citadel_tests::resumable::Ends;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

/// A listener that a test feeds; it fails when the test has gone.
struct Fed(u16, mpsc::UnboundedReceiver<io::Result<DuplexStream>>);

fn fed(port: u16) -> (mpsc::UnboundedSender<io::Result<DuplexStream>>, Box<dyn Listener>) {
    let (feed, receiver) = mpsc::unbounded_channel();
    (feed, Box::new(Fed(port, receiver)))
}

#[async_trait::async_trait]
impl Listener for Fed {
    async fn accept(&mut self) -> io::Result<Arrived> {
        let io = self.1.recv().await.unwrap_or_else(|| Err(io::Error::other("out of order")))?;
        Ok(Arrived { io: Box::new(io), remote: SocketAddr::from(([127, 0, 0, 1], self.0)) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], self.0)))
    }
}

fn acceptor(hub: &Hub, listeners: Vec<Box<dyn Listener>>, ends: &Ends) -> Acceptor {
    let admission = Admission::new(HandshakeCaps::default());
    Acceptor::new(hub.clone(), listeners, Arc::clone(&ends.server), ends.session.clone(), admission).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_fails_holds_up_no_other_and_is_tried_again() {
    let ends = Ends::new(Duration::ZERO);
    let ((broken, first), (working, second)) = (fed(1), fed(2));
    let acceptor = acceptor(&ends.server_hub, vec![first, second], &ends);
    assert_eq!(acceptor.local_addrs().iter().map(SocketAddr::port).collect::<Vec<_>>(), [1, 2]);
    for _ in 0..20 {
        broken.send(Err(io::Error::other("no file descriptors"))).unwrap();
    }
    let began = tokio::time::Instant::now();
    let mut kept = Vec::new();
    for _ in 0..10 {
        let (near, far) = duplex(64);
        working.send(Ok(far)).unwrap();
        assert_eq!(acceptor.accept().await.unwrap().remote_addr().port(), 2);
        kept.push(near);
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nobody waited for the one that fails");
    let (_near, far) = duplex(64);
    broken.send(Ok(far)).unwrap();
    assert_eq!(acceptor.accept().await.unwrap().remote_addr().port(), 1);
    assert!(began.elapsed() > Duration::from_secs(10), "its pauses grew");
}

#[test]
fn an_acceptor_without_a_listener_is_refused() {
    let ends = Ends::new(Duration::ZERO);
    let admission = Admission::new(HandshakeCaps::default());
    let made = Acceptor::new(ends.server_hub, Vec::new(), ends.server, ends.session, admission);
    assert_eq!(made.err().map(|error| error.kind()), Some(io::ErrorKind::InvalidInput));
}

#[tokio::test(start_paused = true)]
async fn a_new_configuration_counts_for_whoever_comes_next() {
    let mut ends = Ends::new(Duration::ZERO);
    let (feed, listener) = fed(1);
    let acceptor = acceptor(&ends.server_hub, vec![listener], &ends);
    let connect = async |ends: &Ends| {
        let (near, far) = duplex(1 << 16);
        feed.send(Ok(far)).unwrap();
        let accept = async { acceptor.accept().await.unwrap().accept().await };
        let connect = ends.client_hub.connect(near, ends.client.clone(), ends.session.clone(), None);
        tokio::join!(connect, accept)
    };
    let (before, kept) = connect(&ends).await;
    let (before, kept) = (before.unwrap(), kept.unwrap());
    let psk = |byte| Psk::new(PskHint([1; 16]), &[byte; 32]).unwrap();
    let rotated = ServerConfig { psks: Arc::from([psk(1)]), require_psk: true, ..(*ends.server).clone() };
    acceptor.reload(Arc::new(rotated), ends.session.clone());
    let (refused, _) = connect(&ends).await;
    let code = RefusalCode::PSK_REQUIRED;
    let expected = HandshakeError::Refused { code, authenticated: false, retry_after: None };
    assert!(matches!(refused, Err(EstablishError::Handshake(error)) if error == expected), "{refused:?}");
    ends.client.psk = Some(Arc::new(psk(1)));
    let (after, other) = connect(&ends).await;
    after.unwrap();
    other.unwrap();
    before.rekey().await.unwrap();
    drop(kept);
}
