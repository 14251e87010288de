//! Sessions with peers: dialled over a lane, and answered when a lane leads here.

use super::super::meeting::{Input, NotMet, OwnAttempt};
use super::super::wire::{self, LaneFrom, LaneOpen};
use super::super::{Party, PeerTrust, PinError, Shown};
use super::client::{Inner, PeerClient};
use super::meetings::{self, Caller, PeerSession};
use super::relay::LaneError;
use super::uplink::Uplink;
use crate::channel::RELAY;
use crate::driver::{BoxedIo, Channel, Dialer, EstablishError, Identified, Session, SessionEvent};
use crate::errors::{OpenError, RecvError, SendError};
use crate::shutdown::CloseReason;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    ClientConfig, Grant, HandshakeError, Instance, Psk, RefusalCode, Request, Trust,
};
use core::time::Duration;
use futures::FutureExt;
use std::io;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The service channel by which the end that opened a session shows that it keeps it, before anybody there has the session.
const GREETING: &str = "greeting";

/// Why there is no session with a peer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// It is this party itself.
    #[error("this is the own party")]
    Yourself,
    /// No peer, as far as is known.
    #[error("not a peer")]
    NotPeer,
    /// A peer none of whose devices has a session with the server now.
    #[error("the peer is offline")]
    Offline,
    /// There is no session with the server now.
    #[error("there is no session with the server")]
    NoServer,
    /// Its devices are not those that are pinned, or not of the wanted trust.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The lane could not be made.
    #[error("no lane: {0}")]
    Lane(LaneError),
    /// The handshake failed.
    #[error("the handshake failed: {0}")]
    Establish(Arc<EstablishError>),
    /// Both connected at once, this attempt gave way, and the peer's came to nothing.
    #[error("the peer's own attempt came to nothing")]
    GaveWay,
    /// It took too long.
    #[error("no session within {0:?}")]
    Deadline(Duration),
}

impl ConnectError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Yourself => 1,
            Self::NotPeer => 2,
            Self::Offline => 3,
            Self::NoServer => 4,
            Self::Pin(_) => 5,
            Self::GaveWay => 6,
            Self::Deadline(_) => 7,
            Self::Lane(error) => 0x100 + error.code(),
            Self::Establish(_) => 0x200,
        }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Offline | Self::NoServer | Self::GaveWay | Self::Deadline(_) => true,
            Self::Lane(error) => matches!(error, LaneError::Offline | LaneError::Gone | LaneError::Full),
            Self::Establish(error) => error.is_retryable(),
            Self::Yourself | Self::NotPeer | Self::Pin(_) => false,
        }
    }
}

impl PeerClient {
    /// A session with a device of `party` that is there: the one that there is, or a new one. If both ends ask at the same
    /// time, both get the same. One that the peer opened and closed before this was called is left to
    /// [`accept_session`](Self::accept_session) and its like. Resolves within [`connect_deadline`](super::config::PeersConfig::connect_deadline).
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up, unless another caller waits for the same.
    pub async fn connect(&self, party: Party) -> Result<PeerSession, ConnectError> {
        self.connect_with(party, None).await
    }

    /// The same with a pre-shared key, which the peer must [accept](super::config::PeersConfig::accepted_psks).
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        &self,
        party: Party,
        psk: Option<Arc<Psk>>,
    ) -> Result<PeerSession, ConnectError> {
        let (device, trust) = self.inner.choose(party)?;
        let caller = Caller::enter(&self.inner, device, party, trust, psk);
        let deadline = self.inner.config.connect_deadline;
        tokio::time::timeout(deadline, caller.outcome())
            .await
            .unwrap_or(Err(ConnectError::Deadline(deadline)))
    }

    /// The session with a device of `party` that there is now and that takes messages. None is an ordinary answer at any time,
    /// while things end above all (R-SHUT-1).
    pub fn session_with(&self, party: Party) -> Option<PeerSession> {
        self.inner.meetings.present(party)
    }

    /// The session with the server through which peers are found and reached now, for channels of the application beside
    /// them; none while there is none.
    pub fn server(&self) -> Option<Session> {
        self.inner.uplink().ok().map(|uplink| uplink.session.clone())
    }

    /// The session with a server that this was [attached](Self::attach) to last, whether or not it lives.
    pub fn attached(&self) -> Option<Instance> {
        *self.inner.attached.lock()
    }

    /// The next session that a peer opened and nobody here waited for, or that this end opened, no caller took and the peer has closed
    /// in order. It is given as it is now: it may be over, with what the peer said on it still to be read. At most 64 wait, and 8 of one party; beyond that a peer is refused with `BUSY`, and may come again.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn accept_session(&self) -> PeerSession {
        self.inner.meetings.arrival(|_| true).await
    }

    /// The same of the sessions that devices of `party` opened; those of others go on waiting.
    ///
    /// # Cancel safety
    /// As [`accept_session`](Self::accept_session).
    pub async fn accept_session_of(&self, party: Party) -> PeerSession {
        self.inner.meetings.arrival(|arrived| arrived.party == party).await
    }
}

impl Inner {
    /// A device of `party` that is there and that a session may be made with: a verified one, if there is one.
    fn choose(&self, party: Party) -> Result<(PeerId, PeerTrust), ConnectError> {
        let uplink = self.uplink().map_err(|_| ConnectError::NoServer)?;
        if party == uplink.own {
            return Err(ConnectError::Yourself);
        }
        let known = self.book.get(party).ok_or(ConnectError::NotPeer)?;
        match known.fault {
            Some(PinError::Withdrawn) => return Err(ConnectError::NotPeer),
            Some(fault) => return Err(fault.into()),
            None => {}
        }
        if !matches!(known.view.shown, Shown::Peers { .. }) {
            return Err(ConnectError::NotPeer);
        }
        let (mut chosen, mut refused) = (None, ConnectError::Offline);
        for device in known.view.online {
            match self.allows(&uplink, party, device) {
                Ok(PeerTrust::Verified) => return Ok((device, PeerTrust::Verified)),
                Ok(trust) => chosen = chosen.or(Some((device, trust))),
                Err(error) => refused = error.into(),
            }
        }
        chosen.ok_or(refused)
    }

    fn allows(&self, uplink: &Uplink, party: Party, device: PeerId) -> Result<PeerTrust, PinError> {
        let trust = self.pins.allows((uplink.server, party), device)?;
        if self.suffices(trust) { Ok(trust) } else { Err(PinError::NotVerified) }
    }

    /// Closes every session with a party that is no peer any more.
    pub(super) fn part(&self, party: Party) {
        for session in self.meetings.sessions_of(party) {
            session.begin_shutdown(CloseReason::Revoked);
        }
    }

    /// Closes the sessions with devices of `party` that are none of its any more.
    pub(super) fn close_disowned(&self, server: PeerId, party: Party) {
        for session in self.meetings.sessions_of(party) {
            if self.pins.is_out((server, party), session.peer_id()) {
                session.begin_shutdown(CloseReason::Revoked);
            }
        }
    }

    /// A session with `party` is there. Consent that was taken back meanwhile saw none to close.
    pub(super) fn look_again(&self, party: Party) {
        let known = self.book.get(party);
        let is_withdrawn = known.as_ref().is_some_and(|known| known.fault == Some(PinError::Withdrawn));
        if is_withdrawn || !known.is_some_and(|known| matches!(known.view.shown, Shown::Peers { .. })) {
            self.part(party);
        }
        if is_withdrawn {
            self.meetings.forget_untaken(party);
        }
    }

    /// Opens lanes to a device, over whichever session with the server there is then.
    fn dialer(self: &Arc<Self>, to: Party, device: PeerId) -> Dialer {
        // The session's own task holds it: it must not hold what holds the session.
        let inner = Arc::downgrade(self);
        Arc::new(move || {
            let inner = inner.upgrade();
            async move {
                let inner = inner.ok_or(io::ErrorKind::NotConnected)?;
                let mut uplink = inner.uplink.subscribe();
                let uplink = uplink.wait_for(Option::is_some).await.ok().and_then(|uplink| uplink.clone());
                open_lane(&*uplink.ok_or(io::ErrorKind::NotConnected)?, to, device).await
            }
            .boxed()
        })
    }
}

/// A lane to a device, as a path. What is written to it at once follows the opening message.
async fn open_lane(uplink: &Uplink, to: Party, device: PeerId) -> io::Result<BoxedIo> {
    let opened = uplink.session.open_service_channel(RELAY);
    let mut channel = opened.map_err(|error: OpenError| io::Error::other(error))?;
    let head = wire::encode_lane(&LaneOpen { to, device }).map_err(io::Error::other)?;
    channel.send(head).await.map_err(|error: SendError| io::Error::other(error))?;
    Ok(Box::new(channel.into_io()))
}

async fn dial(
    inner: &Arc<Inner>,
    party: Party,
    device: PeerId,
    psk: Option<Arc<Psk>>,
) -> Result<Session, EstablishError> {
    let common = inner.config.handshake.clone();
    let config = ClientConfig { psk, ..ClientConfig::new(common, Trust::Peer(device)) };
    let session = inner.config.session.clone();
    inner.hub.attempt(inner.dialer(party, device), config, session).await
}

/// One attempt for a meeting, unless it is given up.
pub(super) async fn attempt(
    inner: Arc<Inner>,
    device: PeerId,
    party: Party,
    psk: Option<Arc<Psk>>,
    id: OwnAttempt,
    token: CancellationToken,
) {
    match token.run_until_cancelled(dial(&inner, party, device, psk)).await {
        Some(Ok(session)) => {
            meetings::made(&inner, device, id, &session);
            inner.look_again(party);
        }
        Some(Err(error)) => meetings::failed(&inner, device, id, error),
        None => {}
    }
}

/// What a caller is told; `patience` is what an attempt has.
pub(super) fn failure(why: NotMet, error: Option<Arc<EstablishError>>, patience: Duration) -> ConnectError {
    match (why, error) {
        (NotMet::MayPass | NotMet::Final, Some(error)) => match lane_error(&error) {
            Some(lane) => ConnectError::Lane(lane),
            None => ConnectError::Establish(error),
        },
        (NotMet::TimedOut, _) => ConnectError::Deadline(patience),
        _ => ConnectError::GaveWay,
    }
}

/// What the server reset the lane with, if it did.
fn lane_error(error: &EstablishError) -> Option<LaneError> {
    let EstablishError::Io(error) = error else { return None };
    let error = error.get_ref()?;
    match (error.downcast_ref::<RecvError>(), error.downcast_ref::<SendError>()) {
        (Some(RecvError::Reset { code }), _) | (_, Some(SendError::Stopped { code })) => {
            Some(LaneError::from_code(*code))
        }
        _ => None,
    }
}

/// Answers a lane that the server opened to this client.
pub(super) async fn answer(inner: Arc<Inner>, uplink: Arc<Uplink>, mut channel: Channel) {
    let Ok(Some(head)) = channel.recv().await else { return };
    let Ok(LaneFrom { from, .. }) = wire::decode_lane::<LaneFrom>(&head) else {
        return channel.reset(LaneError::Malformed.code());
    };
    // Lanes and views come on channels of their own: the view that makes it a peer may be a little behind.
    let is_known = inner.book.wait(|book| {
        let known = book.get(from)?;
        // To one whose consent was taken back nothing is proven, whatever the server shows.
        let is_peer = known.fault != Some(PinError::Withdrawn);
        (known.pinned.is_some() || known.fault.is_some()).then_some(is_peer)
    });
    let is_peer = tokio::select! {
        biased;
        // A node that ends waits for nobody.
        () = inner.hub.closed() => false,
        is_peer = tokio::time::timeout(inner.config.handshake.deadline, is_known) => is_peer == Ok(true),
    };
    if !is_peer {
        return channel.reset(LaneError::NotPeers.code());
    }
    let Some(_place) = inner.doors.enter(from) else { return channel.reset(LaneError::Full.code()) };
    let source = from.to_bytes();
    let (config, session) = (Arc::clone(&inner.answering), inner.config.session.clone());
    let identified = inner.hub.identify(channel.into_io(), &source, config, session, false).await;
    match identified {
        Ok(identified) => judge(&inner, &uplink, from, identified).await,
        Err(error) => log::debug!(target: "citadel::peers", "{from}: {error}"),
    }
}

/// The other end has proven which device it is.
async fn judge(inner: &Arc<Inner>, uplink: &Uplink, from: Party, identified: Identified) {
    let device = identified.peer_id();
    let trust = match inner.allows(uplink, from, device) {
        Ok(trust) => trust,
        Err(error) => {
            log::warn!(target: "citadel::peers", "{from}: {error}");
            return identified.refuse(RefusalCode::PEER_NOT_PINNED).await;
        }
    };
    match identified.request() {
        Request::Resume(_) => {
            if let Err(error) = identified.resume().await {
                log::debug!(target: "citadel::peers", "{from}: {error}");
            }
        }
        Request::Identity if inner.meetings.has_room(from) => meet(inner, from, trust, identified).await,
        Request::Identity => identified.refuse(RefusalCode::BUSY).await,
        _ => identified.refuse(RefusalCode::REQUEST).await,
    }
}

async fn meet(inner: &Arc<Inner>, from: Party, trust: PeerTrust, identified: Identified) {
    let device = identified.peer_id();
    let (id, answer) = meetings::proven(inner, device, from, trust);
    let failed = |error: &dyn core::fmt::Display| {
        log::debug!(target: "citadel::peers", "{from}: {error}");
        meetings::say(inner, device, Input::TheirFailed(id));
    };
    match answer.await {
        Ok(Ok(abandoned)) => {
            let grant = Grant { cid: None, resume: inner.config.session.resume };
            match accept_and_hear(identified, grant, &abandoned).await {
                Ok(session) => {
                    meetings::heard(inner, device, from, trust, id, &session);
                    inner.look_again(from);
                }
                Err(error) => failed(&error),
            }
        }
        Ok(Err(code)) => identified.refuse(code).await,
        Err(_) => failed(&HandshakeError::Rejected(RefusalCode::ABORTED)),
    }
}

/// The session of an accepted attempt, once the peer has shown that it keeps it. Dropped before that, or abandoned, it is
/// aborted.
///
/// What was heard is heard, whatever has become of the session since: a peer that has a session may say all that it has to say
/// and close it, and its own end is in order, before anybody here has looked.
async fn accept_and_hear(
    identified: Identified,
    grant: Grant,
    abandoned: &CancellationToken,
) -> Result<Session, EstablishError> {
    let aborted = || EstablishError::from(io::Error::from(io::ErrorKind::ConnectionAborted));
    let accepted = abandoned.run_until_cancelled(identified.accept_attempt(grant)).await;
    let session = accepted.ok_or_else(aborted)??;
    let mut events = session.events();
    // A lane that goes before it carried a word is an attempt that was given up: nothing is to be resumed.
    let given_up = async { while let Some(SessionEvent::Rekeyed(_)) = events.next().await {} };
    tokio::select! {
        biased;
        _greeting = session.accept_service_channel() => {}
        () = given_up => {}
        () = abandoned.cancelled() => {}
    }
    if session.abort_unless_heard() { Ok(session) } else { Err(aborted()) }
}

/// Shows the peer that this end keeps the session.
pub(super) fn greet(session: &Session) {
    match session.open_service_channel(GREETING) {
        // Dropped, it is reset: that it came is all there is to say.
        Ok(channel) => drop(channel),
        Err(error) => log::debug!(target: "citadel::peers", "session {}: {error}", session.instance()),
    }
}

#[cfg(test)]
mod tests;
