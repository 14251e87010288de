//! One attempt, driven: probes from the socket into the machine, and what it says onto the socket and the session.

use super::super::client::Inner;
use super::arrive::{Listed, Slot};
use super::{DirectConfig, PROBES};
use crate::driver::{EstablishError, LetIn, Punch, WeakSession};
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

/// The way of probes to an attempt, closed when this goes.
struct Line {
    inner: Arc<Inner>,
    tag: Tag,
    probes: mpsc::Receiver<(SocketAddr, Packet)>,
}

impl Line {
    fn open(inner: &Arc<Inner>, tag: Tag) -> Self {
        let (sender, probes) = mpsc::channel(PROBES);
        inner.direct.attempts.lock().insert(tag, sender);
        Self { inner: Arc::clone(inner), tag, probes }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.inner.direct.attempts.lock().remove(&self.tag);
    }
}

/// What an attempt holds while it lasts.
struct Attempt<'a> {
    inner: &'a Arc<Inner>,
    punch: &'a Arc<Punch>,
    of: &'a Of,
    slot: Arc<Slot>,
    /// Who may connect: addresses at the socket, and whose they are.
    open: Vec<(LetIn, Option<Listed>)>,
    connecting: Option<BoxFuture<'static, Result<bool, EstablishError>>>,
}

/// Runs the attempt to its end.
pub(super) async fn run(
    inner: &Arc<Inner>,
    config: &DirectConfig,
    punch: &Arc<Punch>,
    of: &Of,
    keys: ProbeKeys,
    candidates: &Candidates,
) -> ProbeResult {
    let mut line = Line::open(inner, keys.tag());
    let (taken, mut is_taken) = mpsc::channel(1);
    let slot = Arc::new(Slot::new(of, taken));
    let mut attempt = Attempt { inner, punch, of, slot, open: Vec::new(), connecting: None };
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
            probe = line.probes.recv() => match probe {
                Some(probe) => {
                    heard = probe;
                    ProbeInput::Packet { from: heard.0, bytes: &heard.1 }
                }
                None => return ProbeResult::Nothing,
            },
            () = until(inner, due) => ProbeInput::Timeout,
        };
        machine.handle(inner.hub.now(), input);
    }
}

impl Attempt<'_> {
    fn act(&mut self, output: ProbeOutput) -> Option<ProbeResult> {
        match output {
            ProbeOutput::Send { to, packet } => self.punch.send(to, &packet),
            ProbeOutput::LetIn(address) => {
                let is_awaited = self.of.side == Side::Responder;
                let listed = is_awaited.then(|| Listed::new(self.inner, address, &self.slot));
                self.open.push((self.punch.let_in(address), listed));
            }
            ProbeOutput::Connect { to, round_trip } => {
                log::debug!(target: "citadel::direct", "{}: {to} is proven, {round_trip:?} away", self.of.party);
                self.connecting = Some(connect(self.inner, self.punch, self.of, to));
            }
            ProbeOutput::Over(result) => return Some(result),
        }
        None
    }
}

/// Connects and moves the session there.
fn connect(
    inner: &Arc<Inner>,
    punch: &Arc<Punch>,
    of: &Of,
    to: SocketAddr,
) -> BoxFuture<'static, Result<bool, EstablishError>> {
    let (hub, punch, session) = (inner.hub.clone(), Arc::clone(punch), of.session.clone());
    async move {
        let io = punch.connect(to).await?;
        let session = session.upgrade().filter(|session| session.closing().is_none());
        let session = session.ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?;
        hub.move_to(&session, io, PathKind::Direct(to)).await
    }
    .boxed()
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
