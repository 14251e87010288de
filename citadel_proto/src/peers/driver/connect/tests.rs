//! An accepted attempt between what this end has heard and what its meeting says of it.

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

/// The node ends in that moment: the peer may have given the attempt up by then, and nobody else knows of it.
#[tokio::test(start_paused = true)]
async fn fix_0075_a_heard_attempt_is_none_of_the_node_s_sessions_before_its_meeting_says_so() {
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
        dialled
    };
    let accepts = async {
        let answering = Arc::clone(&client.inner.answering);
        let identified = hub.identify(near, b"source", answering, session.clone(), false).await.unwrap();
        let grant = Grant { cid: None, resume: Duration::ZERO };
        accept_and_hear(identified, grant).await.unwrap()
    };
    let (dialled, heard) = join(dials, accepts).await;
    let reports = hub.close(CloseReason::GoingAway).await;
    assert!(reports.is_empty(), "{reports:?}");
    assert!(heard.closing().is_some());
    drop(dialled);
    there.abort();
}
