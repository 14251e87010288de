//! Connections of peers on the direct socket, from addresses that an attempt has heard.

use super::super::client::Inner;
use super::attempt::Of;
use super::streams::Proven;
use crate::driver::{Arriving, BoxedIo, EstablishError, Hub, Punch, WeakSession};
use crate::peers::Party;
use crate::session::PathKind;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Instance, RefusalCode, Request};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Connections that are no session's path yet, in all.
const IN_FLIGHT: usize = 16;
/// Connections of one attempt.
const OF_ONE: u8 = 4;

/// Whose connection it may be.
pub(super) struct Slot {
    device: PeerId,
    party: Party,
    instance: Instance,
    session: WeakSession,
    /// Told when one carries the session.
    taken: mpsc::Sender<()>,
    used: AtomicU8,
}

impl Slot {
    pub(super) fn new(of: &Of, taken: mpsc::Sender<()>) -> Self {
        let Of { device, party, instance, session, .. } = of.clone();
        Self { device, party, instance, session, taken, used: AtomicU8::new(0) }
    }

    /// Whether the session may move: one that closes does so where it is.
    fn may_move(&self) -> bool {
        self.session.upgrade().is_some_and(|session| session.closing().is_none())
    }
}

/// An address's place among those that may connect, given up when this goes.
pub(super) struct Listed {
    inner: Arc<Inner>,
    address: SocketAddr,
    slot: Arc<Slot>,
}

impl Listed {
    pub(super) fn new(inner: &Arc<Inner>, address: SocketAddr, slot: &Arc<Slot>) -> Self {
        inner.direct.slots.lock().insert(address, Arc::clone(slot));
        Self { inner: Arc::clone(inner), address, slot: Arc::clone(slot) }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut slots = self.inner.direct.slots.lock();
        if slots.get(&self.address).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            slots.remove(&self.address);
        }
    }
}

/// Takes connections until the client is gone or takes no session any more.
pub(super) async fn run(inner: Weak<Inner>, punch: Arc<Punch>, hub: Hub, gone: CancellationToken) {
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    loop {
        let arriving = tokio::select! {
            biased;
            () = gone.cancelled() => break,
            () = hub.closed() => break,
            arriving = punch.accept() => arriving,
        };
        let (Some(arriving), Some(inner)) = (arriving, inner.upgrade()) else { break };
        let slot = inner.direct.slots.lock().get(&arriving.remote()).cloned();
        let slot = slot.filter(|slot| slot.used.fetch_add(1, Ordering::Relaxed) < OF_ONE);
        match (slot, Arc::clone(&places).try_acquire_owned()) {
            (Some(slot), Ok(place)) => {
                let hub = hub.clone();
                inner.tasks.clone().spawn(async move {
                    let _place = place;
                    tokio::select! {
                        biased;
                        () = hub.closed() => {}
                        () = arrive(&inner, &slot, arriving) => {}
                    }
                });
            }
            _ => arriving.refuse(),
        }
    }
    punch.refuse();
}

async fn arrive(inner: &Inner, slot: &Slot, arriving: Arriving) {
    let Some(_place) = inner.doors.enter(slot.party) else { return arriving.refuse() };
    let kind = PathKind::Direct(arriving.remote());
    tell(slot, kind, take(inner, slot, kind, arriving.stream()).await);
}

/// Waits for so long until the peer asks for its session on a stream that is proven. The task ends with the stream, the client, or
/// the endpoint.
pub(super) fn wait_on(inner: &Arc<Inner>, slot: &Arc<Slot>, proven: Proven, patience: Duration) {
    let (inner, slot) = (Arc::clone(inner), Arc::clone(slot));
    let tasks = inner.tasks.clone();
    tasks.spawn(async move {
        let hub = inner.hub.clone();
        tokio::select! {
            biased;
            () = hub.closed() => {}
            () = wait(&inner, &slot, proven, patience) => {}
        }
    });
}

async fn wait(inner: &Inner, slot: &Slot, Proven { stream, remote }: Proven, patience: Duration) {
    // One that the initiator has no use for ends, and takes nobody's place.
    let begins = tokio::time::timeout(patience, stream.peek(&mut [0])).await;
    if !matches!(begins, Ok(Ok(1..))) {
        return;
    }
    let Some(_place) = inner.doors.enter(slot.party) else { return };
    let (io, kind): (BoxedIo, _) = (Box::new(stream), PathKind::DirectTcp(remote));
    tell(slot, kind, take(inner, slot, kind, core::future::ready(Ok(io))).await);
}

/// Tells the attempt.
fn tell(slot: &Slot, kind: PathKind, taken: Result<bool, EstablishError>) {
    match taken {
        Ok(true) => {
            // The attempt may be over by itself.
            let _heard = slot.taken.try_send(());
        }
        Ok(false) => log::debug!(target: "citadel::direct", "{}: {kind:?} is not it", slot.party),
        Err(error) => log::debug!(target: "citadel::direct", "{}: {kind:?}: {error}", slot.party),
    }
}

/// Whether what is at the other end of the stream carries the session now.
async fn take(
    inner: &Inner,
    slot: &Slot,
    kind: PathKind,
    stream: impl Future<Output = io::Result<BoxedIo>>,
) -> Result<bool, EstablishError> {
    let io = stream.await?;
    let from = io.remote_addr().map(|from| from.to_string()).unwrap_or_default();
    let (config, session) = (Arc::clone(&inner.answering), inner.config.session.clone());
    let identified = inner.hub.identify(io, from.as_bytes(), config, session, false).await?;
    let is_it = identified.peer_id() == slot.device
        && matches!(identified.request(), Request::Resume(asked) if asked.instance == slot.instance)
        && slot.may_move();
    if !is_it {
        identified.refuse(RefusalCode::REQUEST).await;
        return Ok(false);
    }
    identified.resume_on(Some(kind)).await?;
    Ok(true)
}
