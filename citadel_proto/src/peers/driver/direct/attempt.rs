//! One attempt, driven: probes from the socket into the machine, and what it says onto the socket and the session.

use super::super::client::Inner;
use super::arrive::{self, Listed, Slot};
use super::streams::{self, Greeted, Proven, Streams};
use super::{Means, PROBES, Ways};
use crate::driver::{BoxedIo, EstablishError, LetIn, WeakSession};
use crate::peers::Party;
use crate::peers::direct::{
    Candidates, Packet, ProbeInput, ProbeKeys, ProbeOutput, ProbeResult, Probing, Tag,
};
use crate::session::PathKind;
use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Instance;
use citadel_crypt::ratchets::rekey::Side;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The session that an attempt is for.
#[derive(Clone)]
pub(super) struct Of {
    pub(super) session: WeakSession,
    pub(super) instance: Instance,
    pub(super) side: Side,
    pub(super) device: PeerId,
    pub(super) party: Party,
}

/// An attempt's keys, and its ways: what the peer sends with them waits here from now on.
pub(super) struct Line {
    entry: Entry,
    keys: Arc<ProbeKeys>,
    probes: mpsc::Receiver<(SocketAddr, Packet)>,
    streams: mpsc::Receiver<Greeted>,
}

/// The attempt's place among those that are under way, given up when this goes.
struct Entry {
    inner: Arc<Inner>,
    tag: Tag,
}

impl Line {
    pub(super) fn open(inner: &Arc<Inner>, keys: ProbeKeys) -> Self {
        let (to_probes, probes) = mpsc::channel(PROBES);
        let (to_streams, streams) = streams::way();
        let entry = Entry { inner: Arc::clone(inner), tag: keys.tag() };
        inner.direct.attempts.lock().insert(entry.tag, Ways { probes: to_probes, streams: to_streams });
        Self { entry, keys: Arc::new(keys), probes, streams }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.inner.direct.attempts.lock().remove(&self.tag);
    }
}

/// What an attempt holds while it lasts.
struct Attempt<'a> {
    inner: &'a Arc<Inner>,
    means: &'a Means,
    of: &'a Of,
    slot: Arc<Slot>,
    /// The initiator's stream, until it is taken.
    held: Option<Proven>,
    /// Who may connect: addresses at the socket, and whose they are.
    open: Vec<(LetIn, Option<Listed>)>,
    connecting: Option<BoxFuture<'static, Result<bool, EstablishError>>>,
}

/// Runs the attempt to its end.
pub(super) async fn run(line: Line, means: &Means, of: &Of, candidates: &Candidates) -> ProbeResult {
    let Line { entry, keys, mut probes, streams } = line;
    let (inner, config) = (&entry.inner, &means.config);
    let (taken, mut is_taken) = mpsc::channel(1);
    let slot = Arc::new(Slot::new(of, taken));
    let mut attempt = Attempt { inner, means, of, slot, held: None, open: Vec::new(), connecting: None };
    let mut streams = Streams::new(Arc::clone(&keys), streams, candidates, &means.links);
    let now = inner.hub.now();
    let mut machine = Probing::new(of.side, keys, candidates, config.locality, config.times, now);
    loop {
        while let Some(output) = machine.poll_output() {
            if let Some(result) = attempt.act(output) {
                return result;
            }
        }
        let due = machine.poll_timeout();
        let heard;
        let input = tokio::select! {
            biased;
            _ = is_taken.recv() => ProbeInput::Taken,
            moved = moved(&mut attempt.connecting) => {
                attempt.connecting = None;
                match moved {
                    Ok(true) => ProbeInput::Taken,
                    Ok(false) => ProbeInput::NotTaken,
                    Err(error) => {
                        log::debug!(target: "citadel::direct", "{}: {error}", of.party);
                        ProbeInput::NotTaken
                    }
                }
            }
            probe = probes.recv() => match probe {
                Some(probe) => {
                    heard = probe;
                    ProbeInput::Packet { from: heard.0, bytes: &heard.1 }
                }
                None => return ProbeResult::Nothing,
            },
            proven = streams.next() => match attempt.on_stream(proven) {
                Some(input) => input,
                None => continue,
            },
            () = until(inner, due) => ProbeInput::Timeout,
        };
        machine.handle(inner.hub.now(), input);
    }
}

impl Attempt<'_> {
    /// The initiator holds one; the responder waits on each until the initiator asks for the session there.
    fn on_stream(&mut self, proven: Proven) -> Option<ProbeInput<'static>> {
        log::debug!(target: "citadel::direct", "{}: a stream with {}", self.of.party, proven.remote);
        match self.of.side {
            Side::Initiator if self.held.is_none() => {
                self.held = Some(proven);
                Some(ProbeInput::Stream)
            }
            Side::Initiator => None,
            Side::Responder => {
                arrive::wait_on(self.inner, &self.slot, proven, self.means.config.times.whole);
                None
            }
        }
    }

    fn act(&mut self, output: ProbeOutput) -> Option<ProbeResult> {
        match output {
            ProbeOutput::Send { to, packet } => self.means.punch.send(to, &packet),
            ProbeOutput::LetIn(address) => {
                let is_awaited = self.of.side == Side::Responder;
                let listed = is_awaited.then(|| Listed::new(self.inner, address, &self.slot));
                self.open.push((self.means.punch.let_in(address), listed));
            }
            ProbeOutput::Connect { to, round_trip } => {
                log::debug!(target: "citadel::direct", "{}: {to} is proven, {round_trip:?} away", self.of.party);
                let punch = Arc::clone(&self.means.punch);
                self.go(PathKind::Direct(to), async move { punch.connect(to).await });
            }
            ProbeOutput::TakeStream => {
                if let Some(Proven { stream, remote }) = self.held.take() {
                    let io: BoxedIo = Box::new(stream);
                    self.go(PathKind::DirectTcp(remote), core::future::ready(Ok(io)));
                }
            }
            ProbeOutput::Over(result) => return Some(result),
        }
        None
    }

    /// Connects and moves the session there.
    fn go(&mut self, kind: PathKind, connect: impl Future<Output = io::Result<BoxedIo>> + Send + 'static) {
        let (hub, session) = (self.inner.hub.clone(), self.of.session.clone());
        let moved = async move {
            let io = connect.await?;
            let session = session.upgrade().filter(|session| session.closing().is_none());
            let session = session.ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?;
            hub.move_to(&session, io, kind).await
        };
        self.connecting = Some(moved.boxed());
    }
}

async fn moved(
    connecting: &mut Option<BoxFuture<'static, Result<bool, EstablishError>>>,
) -> Result<bool, EstablishError> {
    match connecting {
        Some(connecting) => connecting.await,
        None => core::future::pending().await,
    }
}

/// At that time; never if there is none.
pub(super) async fn until(inner: &Inner, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep_until(inner.hub.instant(at)).await,
        None => core::future::pending().await,
    }
}
