//! Brings a session back: one resumption over a stream, and the task that dials until one succeeds (R-SES-7).

use super::establish::{self, EstablishError};
use super::shared::{NewPath, Shared, Wake};
use super::status::{Carrier, End};
use super::transport::BoxedIo;
use crate::session::{Input, PathKind};
use crate::shutdown::PathLoss;
use citadel_crypt::handshake::{ClientConfig, ClientRequest, HandshakeError, RefusalCode};
use citadel_crypt::ratchets::PathId;
use core::time::Duration;
use futures::future::BoxFuture;
use std::io;
use std::sync::Arc;

/// Opens a stream to a session's peer, as often as it is asked to.
pub type Dialer = Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxedIo>> + Send + Sync>;

/// Pause after the first failed attempt and longest pause. 100 ms: a restarted listener is back in less than a few of
/// them. 5 s: a server that comes back serves a thousand clients within seconds, spread by the jitter.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Asks at the other end of `io`, which is of that kind, for the session of `shared` and, if it is granted, hands `io` to the
/// session's task. Says which path it is.
///
/// Dropping the future ends the attempt; the number of its path is not used again.
pub(super) async fn resume(shared: &Shared, io: BoxedIo, kind: PathKind) -> Result<PathId, EstablishError> {
    if shared.about.client.is_none() {
        return Err(EstablishError::NotResumable);
    }
    let path = shared.act(|core, _| (core.machine.next_path_id(), Wake::Nobody));
    let path = path.ok_or(EstablishError::NotResumable)?;
    resume_as(shared, path, io, kind).await.map(|()| path)
}

/// The same with the number that the path is to have.
async fn resume_as(
    shared: &Shared,
    path: PathId,
    mut io: BoxedIo,
    kind: PathKind,
) -> Result<(), EstablishError> {
    let about = &shared.about;
    let Some(client) = &about.client else { return Err(EstablishError::NotResumable) };
    let (instance, key) = (about.instance, Arc::clone(&about.resumption));
    let request = ClientRequest::Resume { instance, path: path.0, key };
    let config = ClientConfig { request, ..(**client).clone() };
    // The secrets of this handshake are wiped as they drop: the session goes on with its own.
    drop(establish::client(&mut io, config, None, shared.clock).await?);
    shared.hand_over(NewPath { path, io, kind });
    Ok(())
}

/// Keeps the session of `shared` on a path until it is over: dials whenever it has none.
pub(super) async fn keep(shared: Arc<Shared>, dialer: Dialer) {
    let mut status = shared.status.subscribe();
    let mut pause = Duration::ZERO;
    let mut attached_at = shared.clock.now();
    loop {
        let (carrier, is_closed) = {
            let status = status.borrow_and_update();
            (status.carrier, matches!(status.end, End::Closed(_)))
        };
        if is_closed {
            return;
        }
        if carrier.lost.is_none() {
            attached_at = shared.clock.now();
        } else {
            let lived = shared.clock.now().since(attached_at);
            if lived >= PAUSES.1 {
                pause = Duration::ZERO;
            }
            tokio::select! {
                biased;
                () = left(&shared, carrier) => {}
                () = dial(&shared, &dialer, &mut pause) => left(&shared, carrier).await,
            }
            continue;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Resolves when the session is not in this state any more, or is over.
async fn left(shared: &Shared, carrier: Carrier) {
    let mut status = shared.status.subscribe();
    let is_left = status.wait_for(|status| status.carrier != carrier || matches!(status.end, End::Closed(_)));
    drop(is_left.await);
}

/// Why an attempt came to nothing.
struct Failed {
    error: EstablishError,
    /// The number that it asked for, if it came so far.
    path: Option<PathId>,
}

impl Failed {
    /// What the session ends with, if no further attempt helps.
    fn verdict(&self, shared: &Shared) -> Option<PathLoss> {
        let loss = verdict(&self.error)?;
        let is_own = |path| shared.look(|core| core.machine.has_given_above(path));
        // What was granted to this end in the meantime, and has failed, is nobody else's: the next number is above it.
        let is_overtaken = loss == PathLoss::ResumeSuperseded && self.path.is_some_and(is_own);
        (!is_overtaken).then_some(loss)
    }
}

/// Tries until there is a path, or the peer has said that it is no use.
async fn dial(shared: &Shared, dialer: &Dialer, pause: &mut Duration) {
    loop {
        wait(shared, *pause).await;
        shared.settle().await;
        *pause = (*pause * 2).clamp(PAUSES.0, PAUSES.1);
        let Err(failed) = attempt(shared, dialer).await else { return };
        log::debug!(target: "citadel::session", "session {}: {}", shared.about.instance, failed.error);
        if let Some(loss) = failed.verdict(shared) {
            // A move that takes the place of this may be why.
            shared.settle().await;
            return abandon(shared, loss);
        }
        *pause = (*pause).max(retry_after(&failed.error).unwrap_or_default());
    }
}

/// One attempt. Without a failure the session has a path: this one's, or that of a move.
async fn attempt(shared: &Shared, dialer: &Dialer) -> Result<(), Failed> {
    let early = |error| Failed { error, path: None };
    let Some(client) = &shared.about.client else { return Err(early(EstablishError::NotResumable)) };
    let io = dial_within(client.common.deadline, dialer).await.map_err(early)?;
    // One may have begun meanwhile. One that begins later has a higher number.
    shared.settle().await;
    let path = shared.act(|core, _| {
        let machine = &mut core.machine;
        (machine.is_detached().then(|| machine.next_path_id()), Wake::Nobody)
    });
    let Some(path) = path else { return Ok(()) };
    let path = path.ok_or(early(EstablishError::NotResumable))?;
    let resumed = resume_as(shared, path, io, shared.about.usual_path()).await;
    resumed.map_err(|error| Failed { error, path: Some(path) })
}

/// One dial, by `deadline` at the latest.
pub(super) async fn dial_within(deadline: Duration, dialer: &Dialer) -> Result<BoxedIo, EstablishError> {
    let dialled = tokio::time::timeout(deadline, dialer()).await;
    Ok(dialled.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??)
}

/// Half of `pause` and up to as much again, by chance: the clients of a server do not all come back at once.
async fn wait(shared: &Shared, pause: Duration) {
    if pause.is_zero() {
        return;
    }
    let mut random = [0xff; 4];
    if let Some(client) = &shared.about.client {
        // Without randomness the whole pause.
        let _given = client.common.provider.random(&mut random);
    }
    let part = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    sleep(pause.mul_f64(0.5 + part / 2.0)).await;
}

#[expect(clippy::disallowed_methods, reason = "a driver may wait: the pause is the back-off of a redial")]
async fn sleep(pause: Duration) {
    tokio::time::sleep(pause).await;
}

/// What the session ends with if `error` says that no further attempt helps. Only the proven peer can say so: what
/// anyone on the way may have written ends an attempt and not a session.
const fn verdict(error: &EstablishError) -> Option<PathLoss> {
    match error {
        EstablishError::Handshake(refused @ HandshakeError::Refused { code, authenticated: true, .. }) => {
            match *code {
                RefusalCode::RESUME_UNKNOWN => Some(PathLoss::ResumeUnknown),
                RefusalCode::RESUME_EXPIRED => Some(PathLoss::ResumeExpired),
                RefusalCode::RESUME_SUPERSEDED => Some(PathLoss::ResumeSuperseded),
                RefusalCode::RESUME_CLOSING => Some(PathLoss::ResumeClosing),
                _ if refused.is_retryable() => None,
                _ => Some(PathLoss::ResumeRefused),
            }
        }
        _ => None,
    }
}

const fn retry_after(error: &EstablishError) -> Option<Duration> {
    match error {
        EstablishError::Handshake(HandshakeError::Refused { retry_after, .. }) => *retry_after,
        _ => None,
    }
}

fn abandon(shared: &Shared, loss: PathLoss) {
    shared.act(|core, clock| {
        // Another attempt, made by hand, may have brought a path meanwhile.
        if core.machine.is_detached() {
            core.machine.handle(clock.now(), Input::Abandoned(loss));
        }
        ((), Wake::Task)
    });
}
