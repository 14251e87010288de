//! Two peers of one server, and their session.

use super::scene::{Client, befriend, client_of, ends_empty};
use citadel_sdk::prelude::*;
use citadel_sdk::{Direct, DirectConfig, PathKind, PeerSession};
use citadel_tests::peer_scene::is_carried;
use futures::future::{join, join_all};

pub(crate) fn builder(direct: DirectConfig) -> NodeBuilder<EmptyKernel> {
    NodeBuilder::new(EmptyKernel).identity(Identity::generate()).direct(Direct::On(direct))
}

/// Alice asked for the session, so it is she who chooses its path; Bob is the second.
pub(crate) struct Pair {
    pub(crate) alice: Client,
    pub(crate) bob: Client,
    pub(crate) sessions: [PeerSession; 2],
    server: Node<EmptyKernel>,
}

impl Pair {
    /// Two that met, and whose session is on a direct path.
    pub(crate) async fn direct(server: Node<EmptyKernel>, builders: [NodeBuilder<EmptyKernel>; 2]) -> Self {
        let [one, other] = builders;
        let (alice, bob) = join(client_of(&server, "alice", one), client_of(&server, "bob", other)).await;
        befriend(&alice, &bob).await;
        let (met, arrived) = join(alice.peers.connect(bob.party), bob.peers.accept_session()).await;
        let pair = Self { alice, bob, sessions: [met.unwrap(), arrived], server };
        pair.is_direct().await;
        pair
    }

    /// Waits until it is, on both ends.
    pub(crate) async fn is_direct(&self) {
        join_all(self.sessions.iter().map(|peer| is_carried(&peer.session, PathKind::is_direct))).await;
    }

    /// Twenty messages each way, in order.
    pub(crate) async fn talk(&self) {
        let [alice, bob] = &self.sessions;
        let (near, far) = join(alice.session.open_channel(), bob.session.accept_channel()).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap().unwrap());
        for number in 0_u32..20 {
            near.send(number.to_be_bytes().to_vec()).await.unwrap();
            assert_eq!(far.recv().await.unwrap().unwrap()[..], number.to_be_bytes());
            far.send(number.to_be_bytes().to_vec()).await.unwrap();
            assert_eq!(near.recv().await.unwrap().unwrap()[..], number.to_be_bytes());
        }
    }

    /// All three end, in order and with nothing left.
    pub(crate) async fn ends(self) {
        // A session that nobody holds is cut short.
        let Self { alice, bob, sessions: _held, server } = self;
        alice.ends().await;
        bob.ends().await;
        ends_empty(server).await;
    }
}
