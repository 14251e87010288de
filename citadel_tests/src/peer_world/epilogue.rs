//! The beginning and the end of every run: everybody gets to know everybody; later all is healed, everybody gets a session with
//! everybody, talks, and leaves in order, and nothing is left.

use super::app;
use super::client::Client;
use super::flow::{Ending, Pace, Plan};
use super::server::Server;
use super::world::{World, pass};
use crate::world::Dice;
use citadel_proto::driver::Session;
use core::time::Duration;
use futures::future::{join, join_all};
use std::sync::Arc;
use tokio::time::timeout;

/// What must happen happens in this time: a silent path is found dead, a session that lost its lane gives up, an attempt ends.
const SOON: Duration = Duration::from_secs(150);
/// In this time a session gets to a direct path: one attempt may fail, and the next is a pause later.
const PEACE: Duration = Duration::from_secs(60);
/// A word to each other.
const WORD: Plan =
    Plan { count: 3, len: 900, gap: Duration::ZERO, ending: Ending::Finish, pace: Pace::Eager };

impl World {
    /// The server and all clients, who are peers and see each other.
    pub(super) async fn begin(self: &Arc<Self>) {
        let server = Server::start(self).await;
        *self.server.lock() = Some(server);
        for number in 0..self.setup.clients {
            Client::start(self, number).await;
        }
        self.gather().await;
    }

    /// Every client there, attached, a peer of every other one, and online to it.
    async fn gather(self: &Arc<Self>) {
        for client in self.running() {
            let there = timeout(SOON, async {
                while self.party(client.number).is_none() {
                    pass(Duration::from_millis(50)).await;
                }
            });
            self.promise(there.await.is_ok(), format_args!("client {} has no account", client.number));
        }
        let pairs = self.pairs();
        join_all(pairs.iter().map(|(one, other)| self.acquaint(one, other))).await;
    }

    fn pairs(&self) -> Vec<(Arc<Client>, Arc<Client>)> {
        let all = self.running();
        let pairs = all.iter().enumerate().flat_map(|(at, one)| {
            all[at + 1..].iter().map(move |other| (Arc::clone(one), Arc::clone(other)))
        });
        pairs.collect()
    }

    /// Two become peers, if they are none, and are online to each other.
    async fn acquaint(&self, one: &Client, other: &Client) {
        let (Some(here), Some(there)) = (self.party(one.number), self.party(other.number)) else { return };
        let agree = async {
            loop {
                // Whoever has asked, or is a peer, is told so.
                while let Err(error) = one.peers.ask(there, None).await {
                    if !error.is_retryable() {
                        break;
                    }
                    pass(Duration::from_secs(1)).await;
                }
                let (mine, theirs) = join(one.peers.registered(there), other.peers.registered(here)).await;
                if mine.is_ok() && theirs.is_ok() {
                    break;
                }
                // One of them took its consent back when the server did not hear it, and says so again.
                pass(Duration::from_secs(1)).await;
            }
            join(one.peers.online(there), other.peers.online(here)).await;
        };
        let agreed = timeout(SOON, agree).await;
        self.promise(
            agreed.is_ok(),
            format_args!("clients {} and {} are no peers: {agreed:?}", one.number, other.number),
        );
    }

    fn promise(&self, holds: bool, text: core::fmt::Arguments<'_>) {
        self.ledger.check(holds, text);
    }

    /// All is healed, and held to what was promised.
    pub(super) async fn finish(self: &Arc<Self>) {
        self.ledger.say(format_args!("epilogue: all is healed"));
        (0..self.setup.clients).for_each(|client| self.heal(client));
        self.internet.iter().for_each(|internet| internet.calm());
        self.wishes.close();
        let over = timeout(SOON, self.wishes.wait()).await;
        self.promise(over.is_ok(), format_args!("a call never came back"));
        for number in 0..self.setup.clients {
            self.heal(number);
            if self.client(number).is_none() {
                Client::start(self, number).await;
            }
        }
        // Paths of bad weather may end at any byte: what follows goes over others.
        for network in &self.networks {
            network.cut();
        }
        pass(Duration::from_secs(1)).await;
        self.gather().await;
        pass(SOON).await;
        let pairs = self.pairs();
        pairs.iter().for_each(|(one, other)| drop(self.agreed(one, other)));
        join_all(pairs.iter().map(|(one, other)| self.meet(one, other))).await;
        pass(if self.internet.is_some() { PEACE } else { Duration::from_secs(10) }).await;
        for (one, other) in &pairs {
            self.carried(one, other);
            let shared = self.agreed(one, other);
            self.promise(
                shared.is_some(),
                format_args!("{} and {} have no session", one.number, other.number),
            );
        }
        self.rest().await;
        drop(pairs);
        self.part_all().await;
        self.ledger.audit();
    }

    /// Nobody says a word for longer than translators remember, and every direct path is still one.
    async fn rest(&self) {
        let Some(air) = &self.setup.air else { return };
        let fallen = || self.ledger.with(|state| state.fallen);
        let before = fallen();
        pass(air.binding * 2).await;
        let lost = fallen() - before;
        self.promise(lost == 0, format_args!("{lost} ends have lost a direct path that nobody used"));
    }

    /// The session of two, which both have or neither.
    fn agreed(&self, one: &Client, other: &Client) -> Option<Session> {
        let (here, there) = (one.sessions_with(other.number), other.sessions_with(one.number));
        let names = |sessions: &[Session]| {
            sessions.iter().map(|session| self.ledger.number(session.instance())).collect::<Vec<_>>()
        };
        let (mine, theirs) = (names(&here), names(&there));
        self.promise(
            mine == theirs && mine.len() < 2,
            format_args!("client {} has {mine:?}, client {} has {theirs:?}", one.number, other.number),
        );
        here.into_iter().next()
    }

    /// What carries the session of two is what their places and wishes allow, at both ends.
    fn carried(&self, one: &Client, other: &Client) {
        let expected = self.setup.allows_direct(one.number, other.number);
        let (here, there) = (one.sessions_with(other.number), other.sessions_with(one.number));
        for session in here.iter().chain(&there) {
            let kind = session.path_kind();
            self.promise(
                kind.is_direct() == expected,
                format_args!("{} and {} are on {kind:?}; direct: {expected}", one.number, other.number),
            );
        }
    }

    /// Both want a session, and get the same; then they talk in it and renew its keys.
    async fn meet(&self, one: &Arc<Client>, other: &Arc<Client>) {
        let (Some(here), Some(there)) = (self.party(one.number), self.party(other.number)) else { return };
        let (mine, theirs) = join(one.peers.connect(there), other.peers.connect(here)).await;
        let (mine, theirs) = match (mine, theirs) {
            (Ok(mine), Ok(theirs)) => (mine, theirs),
            (mine, theirs) => {
                let faults = (mine.err(), theirs.err());
                return self
                    .ledger
                    .fail(format_args!("{} and {} do not meet: {faults:?}", one.number, other.number));
            }
        };
        let is_one = mine.session.instance() == theirs.session.instance();
        self.promise(is_one, format_args!("{} and {} have met in two sessions", one.number, other.number));
        let session = mine.session.clone();
        one.show(mine, "is there in the end");
        other.show(theirs, "is there in the end");
        let talk = app::open(Arc::clone(one), session.clone(), other.number, [WORD, WORD]);
        let talked = timeout(SOON, talk).await;
        self.promise(talked.is_ok(), format_args!("{} and {} cannot talk", one.number, other.number));
        let rekeyed = session.rekey().await;
        self.promise(rekeyed.is_ok(), format_args!("no new keys: {:?}", rekeyed.err()));
    }

    /// All leave, one after the other or at once, and the server last.
    async fn part_all(self: &Arc<Self>) {
        let mut dice = Dice::new(self.setup.seed, 0x202);
        let (clients, at_once) = (self.running(), dice.percent(50));
        let mut leaves = Vec::new();
        for client in clients {
            let number = client.number;
            let leave = async move { (number, client.leave().await) };
            if at_once {
                leaves.push(leave);
            } else {
                let (number, is_clean) = leave.await;
                self.promise(is_clean, format_args!("client {number} did not end clean"));
            }
        }
        for (number, is_clean) in join_all(leaves).await {
            self.promise(is_clean, format_args!("client {number} did not end clean"));
        }
        let server = self.server.lock().take();
        match server {
            Some(server) => server.stop(self, true).await,
            None => self.ledger.fail(format_args!("the server is not there")),
        }
        pass(Duration::from_secs(1)).await;
        for (client, network) in self.networks.iter().enumerate() {
            let left = network.paths();
            self.promise(left == 0, format_args!("client {client}: {left} paths are left"));
        }
    }
}
