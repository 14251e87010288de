//! Steps of a script, carried out. What takes time is a task of its own: the script goes on.

use super::app;
use super::client::Client;
use super::flow::Plan;
use super::script::Step;
use super::server::Server;
use super::world::{World, pass};
use citadel_proto::CloseReason;
use citadel_proto::driver::memory::Faults;
use core::time::Duration;
use std::sync::Arc;
use tokio::time::timeout;

/// Longer than any call may take.
const PATIENCE: Duration = Duration::from_secs(120);

impl World {
    /// Carries out one step.
    pub(super) async fn apply(self: &Arc<Self>, step: &Step) {
        match *step {
            Step::Pass(time) => pass(time).await,
            Step::Connect(a, b, patience) => self.connect(a, b, patience),
            Step::ConnectBoth(a, b) => {
                self.connect(a, b, None);
                self.connect(b, a, None);
            }
            Step::Call(a, b, plans) => self.call(a, b, plans),
            Step::Open(a, b, plans) => {
                self.at(a, |client| {
                    let session = client.sessions_with(b).pop()?;
                    client.run(app::open(Arc::clone(&client), session, b, plans));
                    Some(())
                });
            }
            Step::Rekey(a, b) => self.rekey(a, b),
            Step::RekeyServer(a) => {
                // A session that is over has no keys to renew.
                self.at(a, |client| client.server()?.trigger_rekey().ok());
            }
            Step::Close(a, b, code) => {
                self.close(a, b, &CloseReason::application(code, "done"));
            }
            Step::CloseBoth(a, b) => {
                self.close(a, b, &CloseReason::application(1, "both at once"));
                self.close(b, a, &CloseReason::application(2, "both at once"));
            }
            Step::Abort(a, b) => self.close(a, b, &CloseReason::Aborted),
            Step::Cut(a) => {
                let count = self.networks[a].cut();
                self.ledger.say(format_args!("client {a}: {count} paths are cut"));
            }
            Step::Down(a) => {
                self.networks[a].take_down();
                self.ledger.say(format_args!("client {a}: the network is down"));
            }
            Step::Heal(a) => self.heal(a),
            Step::Weather(a, most) => {
                let delay = self.setup.delay.clone();
                self.networks[a].set_faults(Faults { delay, cut_after: Some(0..=most) });
            }
            Step::Restart(is_orderly, outage) => self.restart(is_orderly, outage),
            Step::Leave(a) => self.wish(a, |client| async move {
                client.leave().await;
            }),
            Step::Kill(a) => self.wish(a, |client| async move { client.kill().await }),
            Step::Reborn(a, b) => self.reborn(a, b),
            Step::Come(a) => {
                if self.client(a).is_none() {
                    Client::start(self, a).await;
                }
            }
            Step::Part(a, b) => self.part(a, b),
            Step::Befriend(a, b) => self.befriend(a, b),
            Step::CutDirect(a, b) => {
                self.internet.iter().for_each(|internet| internet.cut(a, b));
                self.ledger.say(format_args!("clients {a} and {b}: the direct way is cut"));
            }
            Step::HealDirect(a, b) => self.internet.iter().for_each(|internet| internet.heal(a, b)),
            Step::Relocate(a, is_told) => self.relocate(a, is_told),
        }
    }

    fn at<T>(&self, client: usize, act: impl FnOnce(Arc<Client>) -> Option<T>) -> Option<T> {
        act(self.client(client)?)
    }

    /// Something that a client's user wants, and waits for.
    fn wish<F: Future<Output = ()> + Send + 'static>(
        &self,
        client: usize,
        work: impl FnOnce(Arc<Client>) -> F,
    ) {
        if let Some(client) = self.client(client) {
            let (work, ledger) = (work(client), Arc::clone(&self.ledger));
            self.wishes.spawn(async move {
                let over = timeout(PATIENCE, work).await;
                ledger.check(over.is_ok(), format_args!("a call never came back"));
            });
        }
    }

    /// One end wants a session, and gives up after a while or never.
    fn connect(&self, a: usize, b: usize, patience: Option<Duration>) {
        let Some(party) = self.party(b) else { return };
        let is_rough = self.setup.is_rough;
        self.wish(a, |client| async move {
            let connect = client.peers.connect(party);
            match timeout(patience.unwrap_or(PATIENCE), connect).await {
                Ok(Ok(met)) => client.show(met, "is there"),
                Ok(Err(error)) => {
                    client.say(format_args!("no session with client {b}: {error}"));
                    let is_promised = !is_rough && error.code() != 6;
                    let ledger = &client.world.ledger;
                    ledger.with(|state| state.not_met += 1);
                    ledger.check(
                        !is_promised,
                        format_args!("client {a} on a whole network, to client {b}: {error}"),
                    );
                }
                Err(_) => client.say(format_args!("gives up on client {b}")),
            }
        });
    }

    /// One end has said all that it had to say, and closes, as soon as it has a session.
    fn call(&self, a: usize, b: usize, plans: [Plan; 2]) {
        let Some(party) = self.party(b) else { return };
        self.wish(a, |client| async move {
            let met = match client.peers.connect(party).await {
                Ok(met) => met,
                Err(error) => return client.say(format_args!("does not reach client {b}: {error}")),
            };
            let session = met.session.clone();
            client.show(met, "is there for a call");
            let talk = app::open(Arc::clone(&client), session.clone(), b, plans);
            tokio::pin!(talk);
            let is_over = futures::poll!(&mut talk).is_ready();
            session.begin_shutdown(CloseReason::application(3, "that is all"));
            drop(session);
            if !is_over {
                talk.await;
            }
        });
    }

    /// A client falls and is there again before anyone knows, with a wish.
    fn reborn(&self, a: usize, b: usize) {
        let Some(party) = self.party(b) else { return };
        self.wish(a, |client| async move {
            client.fall().await;
            let again = Client::start(&client.world, a).await;
            let reach = async {
                let there = timeout(PATIENCE / 4, again.peers.online(party)).await;
                if there.is_err() {
                    return;
                }
                match again.peers.connect(party).await {
                    Ok(met) => again.show(met, "is there, after all"),
                    Err(error) => again.say(format_args!("no session with client {b}, after all: {error}")),
                }
            };
            tokio::join!(client.ends(), reach);
        });
    }

    fn rekey(&self, a: usize, b: usize) {
        self.wish(a, |client| async move {
            let Some(session) = client.sessions_with(b).pop() else { return };
            let number = client.world.ledger.number(session.instance());
            let outcome = session.rekey().await;
            let told = outcome.as_ref().map(|outcome| outcome.version.0).map_err(|error| error.code());
            client.say(format_args!("session {number} has new keys: {told:?}"));
        });
    }

    fn close(&self, a: usize, b: usize, reason: &CloseReason) {
        self.at(a, |client| {
            let session = client.sessions_with(b).pop()?;
            client.say(format_args!(
                "closes session {}: {reason}",
                client.world.ledger.number(session.instance())
            ));
            session.begin_shutdown(reason.clone());
            Some(())
        });
    }

    /// A client is in another network.
    fn relocate(&self, a: usize, is_told: bool) {
        self.internet.iter().for_each(|internet| internet.relocate(a));
        let count = self.networks[a].cut();
        self.ledger.say(format_args!("client {a} is elsewhere, {count} paths are cut; told: {is_told}"));
        if let Some(client) = self.client(a).filter(|_| is_told) {
            client.peers.network_changed();
        }
    }

    fn restart(self: &Arc<Self>, is_orderly: bool, outage: Duration) {
        let Some(server) = self.server.lock().take() else { return };
        let world = Arc::clone(self);
        self.wishes.spawn(async move {
            server.stop(&world, is_orderly).await;
            pass(outage).await;
            if !is_orderly {
                world.networks.iter().for_each(citadel_proto::driver::memory::Network::heal);
            }
            let next = Server::start(&world).await;
            *world.server.lock() = Some(next);
        });
    }

    /// Is no peer any more.
    fn part(&self, a: usize, b: usize) {
        let Some(party) = self.party(b) else { return };
        self.wish(a, |client| async move {
            let removed = client.peers.remove(party).await;
            client.say(format_args!(
                "parts from client {b}: {:?}",
                removed.as_ref().map_err(|error| error.code())
            ));
            if removed.is_ok() {
                let left = client.sessions_with(b).len();
                let ledger = &client.world.ledger;
                ledger
                    .check(left == 0, format_args!("client {a}: a session with client {b}, who is no peer"));
            }
        });
    }

    pub(super) fn befriend(&self, a: usize, b: usize) {
        let Some(party) = self.party(b) else { return };
        self.wish(a, |client| async move {
            let asked = client.peers.ask(party, None).await;
            client.say(format_args!("asks client {b}: {:?}", asked.map_err(|error| error.code())));
        });
    }
}
