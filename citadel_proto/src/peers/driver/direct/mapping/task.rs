//! The task that keeps a client's port: asks when the machine says so, tells what it has, gives it back at the end.

use super::super::super::client::Inner;
use super::super::Changes;
use super::place::{Place, is_reached};
use super::router::{Forwarded, NoPort, Wish};
use super::{MappingConfig, PortMapping};
use crate::driver::{Hub, Punch};
use crate::peers::direct::{Grant, Lease, LeaseConfig, LeaseInput, LeaseOutput};
use citadel_crypt::Timestamp;
use core::num::NonZeroU16;
use core::time::Duration;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an attempt waits for the router's first answer: as long as for the server's, at the same time.
const PATIENCE: Duration = Duration::from_millis(900);
/// Longest farewell to a router: a node's end waits for it.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long of it an answer may take that is on its way: a router that answers does so in milliseconds.
const ON_ITS_WAY: Duration = Duration::from_millis(300);

/// What attempts tell peers of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct View {
    external: Option<SocketAddr>,
    until: Timestamp,
    is_asking: bool,
}

/// The port of a client's direct socket.
#[derive(Default)]
pub(in super::super) struct Mapping {
    view: watch::Sender<View>,
    /// What the last attempt was told.
    told: Mutex<Option<Option<SocketAddr>>>,
}

impl Mapping {
    /// Says what there is now. True if an attempt went without knowing it.
    fn show(&self, view: View) -> bool {
        // Held over both, here and where an attempt takes it: else it takes the old one and says so after this has looked.
        let told = self.told.lock();
        self.view.send_replace(view);
        view.external.is_some() && told.is_some_and(|told| told != view.external)
    }
}

/// Begins to ask, for a socket that was bound just now.
pub(in super::super) fn start(inner: &Arc<Inner>, punch: &Punch) {
    let Some(PortMapping::On(config)) = inner.direct.config().map(|config| &config.port_mapping) else {
        return;
    };
    // A network in memory has no router that this machine could ask, unless somebody says which.
    let is_given = inner.config.udp.is_some();
    if is_given && config.gateway.is_none() {
        return;
    }
    let Some(wish) = wish(inner, config, punch) else { return };
    let (mut changes, gone) = (inner.direct.changes.subscribe(), inner.direct.gone.clone());
    let locality = inner.direct.config().map(|config| config.locality).unwrap_or_default();
    let lease = LeaseConfig { locality, leases: config.leases, pauses: config.pauses };
    inner.direct.mapping.show(View { is_asking: true, ..View::default() });
    let keeper = Keeper {
        hub: inner.hub.clone(),
        config: config.clone(),
        bound: punch.local_addr().ip(),
        is_given,
        wish,
        lease: Lease::new(inner.hub.now(), lease),
        held: None,
        work: None,
        is_removing: false,
        seen: *changes.borrow_and_update(),
        inner: Arc::downgrade(inner),
    };
    inner.tasks.spawn(keeper.run(changes, gone));
}

fn wish(inner: &Inner, config: &MappingConfig, punch: &Punch) -> Option<Wish> {
    let mut nonce = [0; 12];
    inner.config.handshake.provider.random(&mut nonce).ok()?;
    let (words, _) = nonce.as_chunks::<4>();
    let mut numbers = words.iter().map(|word| u32::from_be_bytes(*word));
    let nonce = [numbers.next()?, numbers.next()?, numbers.next()?];
    let port = NonZeroU16::new(punch.local_addr().port())?;
    Some(Wish { port, nonce, search: config.search, lease: config.leases.1 })
}

/// The address that the router forwards from. It waits for the first answer of a router, for a short time.
pub(in super::super) async fn mapped(inner: &Inner) -> Option<SocketAddr> {
    let mapping = &inner.direct.mapping;
    let mut views = mapping.view.subscribe();
    // Late is none: the peer may see an address by itself, and the next attempt tells more.
    let _is_late = tokio::time::timeout(PATIENCE, views.wait_for(|view| !view.is_asking)).await.is_err();
    let mut told = mapping.told.lock();
    let view = *views.borrow();
    let external = view.external.filter(|_| inner.hub.now() < view.until);
    *told = Some(external);
    external
}

/// How something that was asked of a router ended.
enum Done {
    Asked(Result<(Forwarded, Grant), NoPort>),
    Removed(Result<(), NoPort>),
}

struct Keeper {
    hub: Hub,
    config: MappingConfig,
    /// Where the socket is.
    bound: IpAddr,
    /// It is no socket of this machine.
    is_given: bool,
    wish: Wish,
    lease: Lease,
    /// What a router forwards, until it is given back.
    held: Option<Forwarded>,
    work: Option<BoxFuture<'static, Done>>,
    /// The work is to give back what is held. Nothing else is begun meanwhile: a removal that is dropped leaves the port open.
    is_removing: bool,
    /// Changes of the network that the lease knows of.
    seen: Changes,
    inner: Weak<Inner>,
}

impl Keeper {
    async fn run(mut self, mut changes: watch::Receiver<Changes>, gone: CancellationToken) {
        loop {
            self.act();
            self.show(&mut changes);
            let (hub, due) = (self.hub.clone(), self.lease.poll_timeout());
            let input = tokio::select! {
                biased;
                () = gone.cancelled() => break,
                () = hub.closed() => break,
                done = done(&mut self.work) => {
                    self.work = None;
                    match self.on_done(done) {
                        Some(input) => input,
                        None => continue,
                    }
                }
                changed = changes.changed() => match changed {
                    Ok(()) => {
                        self.seen = *changes.borrow_and_update();
                        LeaseInput::Changed
                    }
                    Err(_) => break,
                },
                () = until(&hub, due) => LeaseInput::Timeout,
            };
            self.lease.handle(self.hub.now(), input);
        }
        if !gone.is_cancelled() {
            see_sessions_through(&self.hub, &gone).await;
        }
        self.end().await;
    }

    async fn end(mut self) {
        self.lease.handle(self.hub.now(), LeaseInput::End);
        let farewell = async {
            if let Some(work) = self.work.take()
                && let Ok(done) = tokio::time::timeout(ON_ITS_WAY, work).await
            {
                self.on_done(done);
            }
            // One that is not answered is asked once more.
            self.is_removing = false;
            self.act();
            if let Some(work) = self.work.take() {
                self.on_done(work.await);
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            log::debug!(target: "citadel::direct", "the router did not take its port back");
        }
    }

    /// Does what the lease wants.
    fn act(&mut self) {
        if self.is_removing {
            return;
        }
        match self.lease.poll_output() {
            Some(LeaseOutput::Ask) => self.work = Some(self.ask(self.place())),
            Some(LeaseOutput::Renew) => {
                let place = self.place();
                // A renewal is for the address that the machine had: the router would forward to it for ever.
                let held = self.held.clone().filter(|held| held.leads_to(place));
                self.work = Some(match held {
                    Some(held) => {
                        let wish = self.wish.clone();
                        async move { Done::Asked(wish.renew(&held).await) }.boxed()
                    }
                    None => self.ask(place),
                });
            }
            Some(LeaseOutput::Remove) => {
                let (wish, held) = (self.wish.clone(), self.held.clone());
                self.is_removing = held.is_some();
                self.work = held.map(|held| async move { Done::Removed(wish.remove(&held).await) }.boxed());
            }
            None => {}
        }
    }

    /// Where a router is asked from; none if what it forwards would not come to the socket.
    fn place(&self) -> Option<Place> {
        Place::now(&self.config).filter(|place| self.is_given || is_reached(self.bound, place.own))
    }

    fn ask(&self, place: Option<Place>) -> BoxFuture<'static, Done> {
        let (wish, before) = (self.wish.clone(), self.held.clone());
        async move {
            // What another router forwards, or this one to another address, is left to its end.
            let before = before.filter(|before| before.leads_to(place));
            let Some(place) = place else { return Done::Asked(Err(NoPort::nowhere())) };
            Done::Asked(wish.ask(place, before.as_ref()).await)
        }
        .boxed()
    }

    fn on_done(&mut self, done: Done) -> Option<LeaseInput> {
        match done {
            Done::Asked(Ok((held, grant))) => {
                log::debug!(target: "citadel::direct", "the router forwards {} for {:?}", grant.external, grant.lifetime);
                self.held = Some(held);
                Some(LeaseInput::Granted(grant))
            }
            Done::Asked(Err(why)) => {
                log::debug!(target: "citadel::direct", "no router forwards a port: {why:?}");
                Some(LeaseInput::Refused)
            }
            Done::Removed(removed) => {
                log::debug!(target: "citadel::direct", "the port is given back: {removed:?}");
                (self.held, self.is_removing) = (None, false);
                None
            }
        }
    }

    /// Tells attempts what there is. What the last one did not know is worth another one.
    fn show(&mut self, changes: &mut watch::Receiver<Changes>) {
        let Some(inner) = self.inner.upgrade() else { return };
        let now = self.hub.now();
        let (external, until) = match self.lease.external(now) {
            Some((external, until)) => (Some(external), until),
            None => (None, Timestamp::ZERO),
        };
        let view = View { external, until, is_asking: self.lease.is_asking() };
        if *inner.direct.mapping.view.borrow() == view || !inner.direct.mapping.show(view) {
            return;
        }
        *inner.direct.mapping.told.lock() = Some(external);
        inner.direct.on_server_path();
        // It is none to this task.
        self.seen.hints += 1;
        if *changes.borrow_and_update() != self.seen {
            changes.mark_changed();
        }
    }
}

/// The node ends: sessions on direct paths may come over the port, and close first.
async fn see_sessions_through(hub: &Hub, gone: &CancellationToken) {
    let sessions = hub.ends().into_iter().filter(|session| session.path.is_direct());
    let closed = join_all(sessions.map(|session| session.closed));
    tokio::select! {
        biased;
        () = gone.cancelled() => {}
        _ = closed => {}
    }
}

async fn done(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        Some(work) => work.await,
        None => core::future::pending().await,
    }
}

async fn until(hub: &Hub, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep_until(hub.instant(at)).await,
        None => core::future::pending().await,
    }
}
