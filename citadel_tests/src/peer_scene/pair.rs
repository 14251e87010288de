//! Two peers and the session between them.

use super::{Client, Loss, Server, Setup, Way, has_another_path};
use citadel_proto::driver::memory::{Network, PacketNetwork};
use citadel_sdk::{NodeReport, PeerClient, Session, Standing};
use core::cell::Cell;
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
    /// What carries them.
    pub way: Way,
    /// Where direct paths go.
    pub packets: PacketNetwork,
}

impl Pair {
    /// Starts all of them, makes peers of the two, and connects them: either may have dialled. They are on their way.
    pub async fn meet(setup: &Setup) -> Self {
        let networks = setup.networks(2);
        let server = Server::start(setup, &networks).await;
        let alice = Client::start(setup, &server, &networks[0], "alice").await;
        let bob = Client::start(setup, &server, &networks[1], "bob").await;
        befriend(&alice, &bob).await;
        let (near, far) = connect(&alice, &bob).await;
        let (way, packets) = (setup.way, setup.packets.clone());
        let pair = Self { server, alice, bob, near, far, way, packets };
        pair.is_on_its_way().await;
        pair
    }

    /// Another session, once there is none.
    pub async fn meet_again(&mut self) {
        (self.near, self.far) = connect(&self.alice, &self.bob).await;
        self.is_on_its_way().await;
    }

    async fn is_on_its_way(&self) {
        join(self.way.carries(&self.near), self.way.carries(&self.far)).await;
    }

    /// Takes the direct path away. Nobody waits for what comes of it; [`heal`](Self::heal) lets one be found again.
    pub fn lose(&self, loss: Loss) {
        let (alice, bob) = (&self.alice.peers, &self.bob.peers);
        match loss {
            Loss::AliceLeaves => alice.network_changed(),
            Loss::BobLeaves => bob.network_changed(),
            Loss::BothLeave => [alice, bob].into_iter().for_each(PeerClient::network_changed),
            Loss::Silence => self.packets.take_down(),
        }
    }

    /// Where the way changes: the two lose their direct path so, go on over a lane, and are on a direct path again. Nothing
    /// happens on other ways.
    ///
    /// # Panics
    /// If the session closes meanwhile.
    pub async fn change(&self, loss: Loss) {
        if self.way != Way::Changing {
            return;
        }
        self.is_on_its_way().await;
        let [mut near, mut far] = [&self.near, &self.far].map(Session::events);
        self.lose(loss);
        join(has_another_path(&mut near), has_another_path(&mut far)).await;
        self.heal();
        self.is_on_its_way().await;
    }

    /// Does `work`. Where the way changes it does so all the while, and at least once.
    ///
    /// # Panics
    /// If the session closes meanwhile.
    pub async fn while_it_changes<T>(&self, work: impl Future<Output = T>) -> T {
        let is_done = Cell::new(self.way != Way::Changing);
        let work = async {
            let done = work.await;
            is_done.set(true);
            done
        };
        let changes = async {
            for loss in Loss::ALL.into_iter().cycle() {
                self.change(loss).await;
                if is_done.get() {
                    break;
                }
            }
        };
        join(work, changes).await.0
    }

    /// Nothing comes to Bob any more, or from him, and nobody is told of it but by that.
    pub fn cut_off(&self) {
        self.bob.network.take_down();
        self.packets.take_down();
    }

    /// All that was taken down is there again.
    pub fn heal(&self) {
        self.networks().into_iter().for_each(Network::heal);
        self.packets.heal();
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
        let Self { server, alice, bob, near, far, .. } = self;
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
