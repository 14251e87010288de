//! An accepted attempt whose peer says that it keeps it, and closes it in the same breath.

use super::*;
use crate::driver::Hub;
use crate::driver::memory::pair;
use crate::peers::driver::config::PeersConfig;
use crate::peers::{MemoryPins, PeerClient};
use crate::session::SessionConfig;
use citadel_crypt::handshake::{HandshakeConfig, SessionKind};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::Native;
use futures::future::join;
use tokio_util::task::TaskTracker;

fn handshake(identity: &Arc<Identity>) -> HandshakeConfig {
    HandshakeConfig::new(Arc::new(Native), Arc::clone(identity), SessionKind::P2P)
}

#[tokio::test(start_paused = true)]
async fn fix_0075_a_session_that_the_peer_closes_as_soon_as_it_has_it_closes_clean() {
    let [own, peer] = [(); 2].map(|()| Arc::new(Identity::generate()));
    let (hub, there) = (Hub::new(), Hub::new());
    let session = SessionConfig { services: true, ..SessionConfig::default() };
    let config = PeersConfig::new(handshake(&own), session.clone());
    let pins = Arc::new(MemoryPins::new());
    let client = PeerClient::new(hub.clone(), Arc::clone(&own), config, pins, TaskTracker::new());
    let client = client.await.unwrap();
    let (near, far) = pair(1);
    let dials = async {
        let config = ClientConfig::new(handshake(&peer), Trust::Peer(own.peer_id()));
        let dialled = there.connect(far, config, session.clone(), None).await.unwrap();
        greet(&dialled);
        dialled.close(0, "").await
    };
    let accepts = async {
        let answering = Arc::clone(&client.inner.answering);
        let identified = hub.identify(near, b"source", answering, session.clone(), false).await.unwrap();
        let grant = Grant { cid: None, resume: Duration::ZERO };
        let heard = accept_and_hear(&client.inner, identified, grant).await.unwrap();
        heard.closed().await
    };
    let (one, other) = join(dials, accepts).await;
    assert!(one.clean && other.clean, "{one} {other}");
}
