//! Two peers and the session between them.

use super::{Client, Server, Setup};
use citadel_proto::driver::memory::Network;
use citadel_sdk::{NodeReport, Session, Standing};
use futures::future::join;

/// Two clients of one server that are peers and have a session.
pub struct Pair {
    /// The server.
    pub server: Server,
    /// One of the two.
    pub alice: Client,
    /// The other one.
    pub bob: Client,
    /// Alice's end of the session.
    pub near: Session,
    /// Bob's end.
    pub far: Session,
}

impl Pair {
    /// Starts all of them, makes peers of the two, and connects them: either may have dialled.
    pub async fn meet(setup: &Setup) -> Self {
        let networks = setup.networks(2);
        let server = Server::start(setup, &networks).await;
        let alice = Client::start(setup, &server, &networks[0], "alice").await;
        let bob = Client::start(setup, &server, &networks[1], "bob").await;
        befriend(&alice, &bob).await;
        let (near, far) = connect(&alice, &bob).await;
        Self { server, alice, bob, near, far }
    }

    /// Another session, once there is none.
    pub async fn meet_again(&mut self) {
        (self.near, self.far) = connect(&self.alice, &self.bob).await;
    }

    /// What carries the two.
    pub fn networks(&self) -> [&Network; 2] {
        [&self.alice.network, &self.bob.network]
    }

    /// Takes all down, the two first: the reports of Alice's node, Bob's and the server's.
    ///
    /// # Panics
    /// If anything is left.
    pub async fn ends(self) -> [NodeReport; 3] {
        let Self { server, alice, bob, near, far } = self;
        let (alice, bob) = join(alice.ends(), bob.ends()).await;
        drop((near, far));
        [alice, bob, server.ends().await]
    }
}

/// Both agree.
pub async fn befriend(one: &Client, other: &Client) {
    one.peers.ask(other.party, None).await.expect("a request");
    other.sees(one.party, Standing::Asking).await;
    other.peers.accept(one.party, None).await.expect("an acceptance");
    one.peers.registered(other.party).await.expect("a pin");
    other.peers.registered(one.party).await.expect("a pin");
}

/// A session that both asked for.
async fn connect(one: &Client, other: &Client) -> (Session, Session) {
    one.peers.online(other.party).await;
    other.peers.online(one.party).await;
    let (near, far) = join(one.peers.connect(other.party), other.peers.connect(one.party)).await;
    let (near, far) = (near.expect("a session").session, far.expect("a session").session);
    assert_eq!(near.instance(), far.instance());
    (near, far)
}
