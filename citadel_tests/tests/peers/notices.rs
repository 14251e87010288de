//! What a server owes its clients when its store fails in the midst of what they have agreed: whoever has a session hears of what
//! is durable, whatever the one who wrote it was told.

use citadel_proto::backend::{BackendError, Memory};
use citadel_proto::driver::memory::Network;
use citadel_proto::peers::{PeerAskError, PeersCallError};
use citadel_sdk::{Cid, Party, PeersError, Standing, async_trait};
use citadel_tests::peer_scene::{Client, Server, Setup, Way, befriend};
use citadel_tests::watched_backend::{Read, Watched, Watcher, Write};
use core::time::Duration;
use futures::FutureExt;
use futures::future::join;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What the store does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// Nothing.
    None,
    /// It does this and says that it did not.
    Lies(Write),
    /// It does not read this.
    Blind(Read),
    /// Once it has done this it does not read that.
    BlindAfter(Write, Read),
    /// It never says that it has done this.
    Silent(Write),
    /// The next of these waits, and none after it.
    Holds(Write),
}

#[derive(Clone)]
struct Store(Arc<State>);

struct State {
    fault: Mutex<Fault>,
    held: Semaphore,
}

impl Store {
    fn is(&self, fault: Fault) {
        *self.0.fault.lock() = fault;
    }
}

fn failure() -> BackendError {
    io::Error::other("the store of the test").into()
}

#[async_trait]
impl Watcher for Store {
    async fn begins(&self, write: Write) -> Result<(), BackendError> {
        let is_held = {
            let mut fault = self.0.fault.lock();
            let is_held = *fault == Fault::Holds(write);
            if is_held {
                *fault = Fault::None;
            }
            is_held
        };
        if is_held {
            let _permit = self.0.held.acquire().await;
        }
        Ok(())
    }

    async fn done(&self, write: Write) -> Result<(), BackendError> {
        let fault = *self.0.fault.lock();
        match fault {
            Fault::Lies(of) if of == write => Err(failure()),
            Fault::BlindAfter(of, read) if of == write => {
                self.is(Fault::Blind(read));
                Ok(())
            }
            Fault::Silent(of) if of == write => core::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn reads(&self, read: Read) -> Result<(), BackendError> {
        if *self.0.fault.lock() == Fault::Blind(read) { Err(failure()) } else { Ok(()) }
    }
}

/// Two peers of a server, and its store.
struct Scene {
    store: Store,
    server: Server,
    alice: Client,
    bob: Client,
}

impl Scene {
    async fn new() -> Self {
        let setup = Setup { accounts: true, ..Setup::new(Way::Relayed) };
        let store = Store(Arc::new(State { fault: Mutex::new(Fault::None), held: Semaphore::new(0) }));
        let backend = Arc::new(Watched::new(Memory::new(), store.clone()));
        let networks: Vec<Network> = setup.networks(2);
        let server = Server::on(backend, &setup, &networks).await;
        let alice = Client::start(&setup, &server, &networks[0], "alice").await;
        let bob = Client::start(&setup, &server, &networks[1], "bob").await;
        befriend(&alice, &bob).await;
        Self { store, server, alice, bob }
    }

    async fn ends(self) {
        let Self { server, alice, bob, .. } = self;
        join(alice.ends(), bob.ends()).await;
        server.ends().await;
    }
}

/// The server has told a client what it had to tell it before: it answers two requests, and tells between them.
async fn settles(client: &Client) {
    for _ in 0..2 {
        let found = client.peers.find(Party::Account(Cid(u64::MAX))).await;
        assert!(is_refused(&found, PeerAskError::Unknown), "{found:?}");
    }
}

fn is_refused<T>(outcome: &Result<T, PeersError>, why: PeerAskError) -> bool {
    matches!(outcome, Err(PeersError::Call(PeersCallError::Refused(error))) if *error == why)
}

/// As `client` sees it.
fn standing(client: &Client, other: &Client) -> Standing {
    client.peers.info(other.party).map(|info| info.standing).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn fix_0076_a_removal_that_is_durable_is_told_although_the_store_said_that_it_failed() {
    let scene = Scene::new().await;
    let Scene { store, alice, bob, .. } = &scene;
    store.is(Fault::Lies(Write::PutPair));
    let removed = alice.peers.remove(bob.party).await;
    assert!(is_refused(&removed, PeerAskError::Unavailable), "{removed:?}");
    settles(bob).await;
    assert_eq!(standing(bob, alice), Standing::Nothing);
    store.is(Fault::None);
    scene.ends().await;
}

#[tokio::test(start_paused = true)]
async fn fix_0076_a_removal_that_could_not_be_read_when_it_was_to_be_told_is_told_later() {
    let scene = Scene::new().await;
    let Scene { store, alice, bob, .. } = &scene;
    store.is(Fault::BlindAfter(Write::PutPair, Read::Pair));
    assert!(alice.peers.remove(bob.party).await.unwrap());
    settles(bob).await;
    assert_eq!(standing(bob, alice), Standing::Peer, "the server has read it");
    store.is(Fault::None);
    settles(bob).await;
    assert_eq!(standing(bob, alice), Standing::Nothing);
    scene.ends().await;
}

/// Said again it is nothing new: then nobody would be told for ever.
#[tokio::test(start_paused = true)]
async fn fix_0076_a_disown_that_is_durable_is_told_whatever_cannot_be_read_beside_it() {
    for fault in [Fault::Blind(Read::Outlines), Fault::Lies(Write::PutVouch)] {
        let scene = Scene::new().await;
        let Scene { store, alice, bob, .. } = &scene;
        store.is(fault);
        // It disowns itself: that is the end of its sessions with its peers.
        let disowned = alice.peers.disown(alice.node.peer_id()).await;
        let is_told = disowned.is_ok() || is_refused(&disowned, PeerAskError::Unavailable);
        assert!(is_told, "{fault:?}: {disowned:?}");
        settles(bob).await;
        let pinned = bob.peers.info(alice.party).unwrap().pinned.unwrap();
        assert!(pinned.devices.is_empty(), "{fault:?}: {pinned:?}");
        store.is(Fault::None);
        scene.ends().await;
    }
}

/// A server that is killed between the write and the notice has ended every session: who comes back is told what is durable, also
/// if the session before has not noticed yet that it is over.
#[tokio::test(start_paused = true)]
async fn fix_0076_a_removal_before_the_death_of_the_server_is_told_to_whoever_comes_back() {
    let mut scene = Scene::new().await;
    scene.store.is(Fault::Silent(Write::PutPair));
    {
        let mut removal = scene.alice.peers.remove(scene.bob.party).boxed();
        assert!(timeout(Duration::from_secs(1), &mut removal).await.is_err());
        settles(&scene.bob).await;
        assert_eq!(standing(&scene.bob, &scene.alice), Standing::Peer, "it was told already");
    }
    scene.store.is(Fault::None);
    scene.server = scene.server.restarted().await;
    scene.bob.connect_anew().await;
    assert_eq!(standing(&scene.bob, &scene.alice), Standing::Nothing);
    scene.alice.connect_anew().await;
    scene.ends().await;
}

#[tokio::test(start_paused = true)]
async fn fix_0077_what_is_said_of_the_devices_of_one_account_waits_for_no_other_account() {
    let scene = Scene::new().await;
    let Scene { store, alice, bob, .. } = &scene;
    let [phone, tablet] = [7, 8].map(|number| citadel_sdk::PeerId([number; 32]));
    store.is(Fault::Holds(Write::PutVouch));
    let mut held = alice.peers.vouch(phone).boxed();
    assert!(timeout(Duration::from_secs(1), &mut held).await.is_err());
    assert_eq!(*store.0.fault.lock(), Fault::None, "the write waits");
    let said = timeout(Duration::from_secs(5), bob.peers.vouch(tablet)).await;
    said.expect("it waits for another account").unwrap();
    store.0.held.add_permits(1);
    held.await.unwrap();
    scene.ends().await;
}
