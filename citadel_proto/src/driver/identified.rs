//! Proven clients that wait for an answer.

use super::establish::{self, Asked, EstablishError};
use super::hub::{Hub, Own};
use super::registry::Known;
use super::session::Session;
use super::shared::{NewPath, Shared};
use super::transport::BoxedIo;
use crate::session::PathKind;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{
    Established, Grant, HandshakeError, Input, RefusalCode, Refused, Request, ServerHandshake,
};
use citadel_crypt::identity::IdentityPublic;
use citadel_crypt::ratchets::PathId;
use core::fmt;
use std::sync::Arc;

/// A client that has proven who it is and waits for the answer. Dropping it ends the attempt without one.
pub struct Identified {
    hub: Hub,
    io: BoxedIo,
    machine: ServerHandshake,
    asked: Asked,
    own: Own,
}

impl Identified {
    pub(super) const fn new(hub: Hub, io: BoxedIo, machine: ServerHandshake, asked: Asked, own: Own) -> Self {
        Self { hub, io, machine, asked, own }
    }

    /// The proven client.
    pub const fn peer(&self) -> &IdentityPublic {
        &self.asked.peer
    }

    /// The proven client's id.
    pub fn peer_id(&self) -> PeerId {
        self.asked.peer.peer_id()
    }

    /// What it asks for.
    pub const fn request(&self) -> &Request {
        &self.asked.request
    }

    /// Says yes: to [`Request::Resume`] as [`resume`](Self::resume) does, to anything else with a new session, which
    /// belongs to no account and may be resumed as its configuration says.
    ///
    /// # Errors
    /// [`EstablishError`], when the handshake's deadline has passed for example.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; the client may have seen the yes.
    pub async fn accept(self) -> Result<Session, EstablishError> {
        if matches!(self.asked.request, Request::Resume(_)) {
            return self.resume().await;
        }
        let grant = Grant { cid: None, resume: self.own.config.resume };
        self.accept_with(grant).await
    }

    /// Says yes with a new session and grants this.
    ///
    /// # Errors
    /// As [`accept`](Self::accept); [`HandshakeError::Rejected`] with [`RefusalCode::REQUEST`] for a client that asks for a
    /// session that exists.
    ///
    /// # Cancel safety
    /// As [`accept`](Self::accept).
    pub async fn accept_with(self, grant: Grant) -> Result<Session, EstablishError> {
        if matches!(self.asked.request, Request::Resume(_)) {
            return Err(self.reject(RefusalCode::REQUEST).await);
        }
        let Self { hub, mut io, mut machine, own, .. } = self;
        let established = answer(&hub, &mut io, &mut machine, Input::Accept(grant)).await?;
        hub.spawn(io, established, own).map(|(session, _)| session)
    }

    /// The same for a session that is none yet: it is to be [kept](Hub::keep).
    pub(crate) async fn accept_attempt(mut self, grant: Grant) -> Result<Session, EstablishError> {
        self.own.is_kept = false;
        self.accept_with(grant).await
    }

    /// Carries the session that the client asks for on over this stream, if it is the client's, holds, and takes a path;
    /// else refuses, typed. The session's path before, if any, is dropped, also when its loss was not noticed yet.
    ///
    /// # Errors
    /// [`HandshakeError::Rejected`] with the refusal: [`RefusalCode::RESUME_UNKNOWN`], also for a proof that does not
    /// hold, [`RefusalCode::RESUME_EXPIRED`], [`RefusalCode::RESUME_SUPERSEDED`] for a path that is not above every
    /// one before, [`RefusalCode::RESUME_CLOSING`], and [`RefusalCode::REQUEST`] when the client asks for something
    /// else; otherwise as [`accept`](Self::accept).
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; the session is as it was before, and the client tries again.
    pub async fn resume(self) -> Result<Session, EstablishError> {
        self.resume_on(None).await
    }

    /// The same over a stream that is known to be of that kind.
    pub(crate) async fn resume_on(self, kind: Option<PathKind>) -> Result<Session, EstablishError> {
        let (shared, session, path) = match self.find() {
            Ok(found) => found,
            Err(code) => return Err(self.reject(code).await),
        };
        let Self { hub, mut io, mut machine, .. } = self;
        // The secrets of this handshake are wiped as they drop: the session goes on with its own.
        drop(answer(&hub, &mut io, &mut machine, Input::Accept(shared.about.grant)).await?);
        if !shared.holds_path(path) {
            return Err(HandshakeError::Rejected(RefusalCode::RESUME_SUPERSEDED).into());
        }
        let kind = kind.unwrap_or_else(|| shared.about.usual_path());
        shared.hand_over(NewPath { path, io, kind });
        Ok(session)
    }

    /// The session that the client asks for, and its new path, kept for this attempt.
    fn find(&self) -> Result<(Arc<Shared>, Session, PathId), RefusalCode> {
        let Request::Resume(request) = &self.asked.request else { return Err(RefusalCode::REQUEST) };
        let (shared, lease) = match self.hub.known(request.instance, self.peer_id()) {
            Known::Here(shared, lease) => (shared, lease),
            Known::Ended(code) => return Err(code),
            Known::Not => return Err(RefusalCode::RESUME_UNKNOWN),
        };
        if !shared.about.resumption.verify(&self.asked.binding, request) {
            return Err(RefusalCode::RESUME_UNKNOWN);
        }
        let lease = lease.upgrade().ok_or(RefusalCode::RESUME_CLOSING)?;
        let path = PathId(request.path);
        shared.reserve_path(path)?;
        Ok((shared, Session::from_lease(lease), path))
    }

    /// Says no, with a reason. The application's own codes start at [`RefusalCode::APPLICATION`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; the client may not learn the reason.
    pub async fn refuse(self, refused: impl Into<Refused>) {
        let Self { hub, mut io, mut machine, asked, .. } = self;
        let answer = Input::Refuse(refused.into());
        let decide = establish::decide(&mut io, &mut machine, answer, hub.clock());
        if let Err(error) = hub.unless_closed(decide).await {
            log::debug!(target: "citadel::session", "refused {}: {error}", asked.peer.peer_id());
        }
    }

    async fn reject(self, code: RefusalCode) -> EstablishError {
        self.refuse(code).await;
        HandshakeError::Rejected(code).into()
    }
}

async fn answer(
    hub: &Hub,
    io: &mut BoxedIo,
    machine: &mut ServerHandshake,
    answer: Input<'_>,
) -> Result<Established, EstablishError> {
    let established = hub.unless_closed(establish::decide(io, machine, answer, hub.clock())).await?;
    Ok(established.ok_or(HandshakeError::Rejected(RefusalCode::INTERNAL))?)
}

impl fmt::Debug for Identified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identified({}, {:?})", self.asked.peer.peer_id(), self.asked.request)
    }
}
