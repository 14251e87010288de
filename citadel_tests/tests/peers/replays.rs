//! A server that shows again what was taken back: its own storage is put back to what it was.

use super::devices::told;
use super::scene::{Client, befriend, client, ends_empty, server_on};
use citadel_proto::backend::{Backend, Memory, PairLimits, UnixTime};
use citadel_proto::peers::Pair;
use citadel_sdk::prelude::*;
use citadel_sdk::{Cid, Standing};
use futures::future::join;
use std::sync::Arc;

struct Scene {
    backend: Arc<dyn Backend>,
    server: Node<EmptyKernel>,
    alice: Client,
    bob: Client,
}

impl Scene {
    async fn friends() -> Self {
        let backend: Arc<dyn Backend> = Arc::new(Memory::new());
        let server = server_on(Arc::clone(&backend)).await;
        let (alice, bob) = join(client(&server, "alice"), client(&server, "bob")).await;
        befriend(&alice, &bob).await;
        Self { backend, server, alice, bob }
    }

    fn cids(&self) -> (Cid, Cid) {
        (self.alice.party.cid().unwrap(), self.bob.party.cid().unwrap())
    }

    async fn pair(&self) -> Pair {
        let (alice, bob) = self.cids();
        self.backend.pair(alice, bob).await.unwrap().unwrap().pair
    }

    /// The server has `pair` again and tells Alice of it.
    async fn shows_again(&self, pair: &Pair) {
        let (alice, bob) = self.cids();
        let now = self.backend.pair(alice, bob).await.unwrap().map(|stored| stored.revision);
        let limits = PairLimits { pairs: 1_024, requests: 64, now: UnixTime(0) };
        self.backend.put_pair(alice, bob, pair, now, limits).await.unwrap();
        self.alice.peers.attach(self.alice.session.clone()).await.unwrap();
        told(&self.alice).await;
    }

    /// Alice has told the server again that she took her consent back (FIX-0062).
    async fn is_taken_back(&self) {
        let (alice, bob) = self.cids();
        while self.backend.pair(alice, bob).await.unwrap().is_some_and(|stored| stored.pair.is_agreed()) {
            tokio::task::yield_now().await;
        }
    }

    async fn nothing_comes_of_it(&self) {
        let info = self.alice.peers.info(self.bob.party);
        assert!(info.is_none_or(|info| info.pinned.is_none() && info.standing == Standing::Nothing));
        let peers = &self.alice.peers;
        assert!(peers.connect(self.bob.party).await.is_err());
        assert!(self.bob.peers.connect(self.alice.party).await.is_err(), "he is refused");
    }

    async fn ends(self) {
        self.alice.ends().await;
        self.bob.ends().await;
        ends_empty(self.server).await;
    }
}

#[tokio::test]
async fn fix_0043_a_removed_peer_is_none_again_because_the_server_says_so() {
    let scene = Scene::friends().await;
    let agreed = scene.pair().await;
    scene.alice.peers.remove(scene.bob.party).await.unwrap();
    scene.shows_again(&agreed).await;
    scene.nothing_comes_of_it().await;
    scene.is_taken_back().await;
    // What is said anew counts, again and again.
    for _ in 0..3 {
        scene.alice.peers.remove(scene.bob.party).await.unwrap();
        scene.bob.sees_nothing(scene.alice.party).await;
        befriend(&scene.alice, &scene.bob).await;
        befriend_back(&scene).await;
    }
    let latest = scene.pair().await;
    scene.shows_again(&agreed).await;
    scene.is_taken_back().await;
    scene.shows_again(&latest).await;
    scene.alice.peers.registered(scene.bob.party).await.unwrap();
    scene.ends().await;
}

/// Bob asks, Alice accepts.
async fn befriend_back(scene: &Scene) {
    scene.alice.peers.remove(scene.bob.party).await.unwrap();
    scene.bob.sees_nothing(scene.alice.party).await;
    befriend(&scene.bob, &scene.alice).await;
}

#[tokio::test]
async fn who_was_blocked_is_no_peer_because_the_server_says_so() {
    let scene = Scene::friends().await;
    let agreed = scene.pair().await;
    scene.alice.peers.set_blocked(scene.bob.party, true).await.unwrap();
    scene.shows_again(&agreed).await;
    scene.nothing_comes_of_it().await;
    scene.is_taken_back().await;
    scene.ends().await;
}
