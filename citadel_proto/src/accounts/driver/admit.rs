//! From a proven client to its session.

use super::Accounts;
use crate::accounts::authorize::Actor;
use crate::driver::{EstablishError, Hub, Identified, Session};
use crate::shutdown::CloseReason;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, Instance, Refused, Request};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;

/// Departed sessions whose order is remembered before they are looked for.
const SLACK: usize = 64;

/// Why a client got no session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// It was told so, with this code.
    #[error("refused: {}", .0.code)]
    Refused(Refused),
    /// The answer did not reach it.
    #[error(transparent)]
    Establish(#[from] EstablishError),
    /// The account or the device was shut out, or a newer session of the device came, while this one was made.
    #[error("shut out while it was let in: {0}")]
    ShutOut(CloseReason),
}

/// In which order the sessions of devices were let in.
#[derive(Default)]
pub(super) struct Latest {
    order: Mutex<Order>,
}

#[derive(Default)]
struct Order {
    next: u64,
    tickets: HashMap<Instance, u64>,
}

impl Latest {
    /// A place in the order, for an attempt whose proof held.
    fn ticket(&self) -> u64 {
        let mut order = self.order.lock();
        order.next += 1;
        order.next
    }

    /// Notes the session of `ticket`, closes the older ones of the same device and account, and says whether there is a
    /// newer one. Of two that are let in at the same time each sees the other here, or comes later and is seen.
    fn note(&self, hub: &Hub, session: &Session, cid: Cid, ticket: u64) -> bool {
        let own = session.instance();
        let mut order = self.order.lock();
        if order.tickets.len() > 2 * hub.sessions() + SLACK {
            order.tickets.retain(|instance, _| hub.session(*instance).is_some());
        }
        order.tickets.insert(own, ticket);
        let others = hub.sessions_of(session.peer_id()).into_iter();
        let others = others.filter(|other| other.instance() != own && other.cid() == Some(cid));
        let (newer, older): (Vec<_>, Vec<_>) =
            others.partition(|other| order.tickets.get(&other.instance()) > Some(&ticket));
        drop(order);
        for session in older {
            session.begin_shutdown(CloseReason::Superseded);
        }
        newer.iter().any(|session| session.closing().is_none())
    }
}

impl Accounts {
    /// Answers a proven client from `source`: with its session, or with a refusal. A session of an account closes older ones
    /// of the same device with [`CloseReason::Superseded`]; other devices are not touched. What the session then asks of its
    /// account is answered by [`serve`](Self::serve).
    ///
    /// A client that asks to resume gets its session another path, and what is returned is that session, which is served
    /// already: whoever starts something for each new one looks at [`Identified::request`] before.
    ///
    /// # Errors
    /// [`AdmitError`].
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt; what was decided may be durable.
    pub async fn admit(&self, identified: Identified, source: IpAddr) -> Result<Session, AdmitError> {
        if matches!(identified.request(), Request::Resume(_)) {
            return Ok(identified.resume().await?);
        }
        let ticket = self.inner.latest.ticket();
        let peer = identified.peer_id();
        let decision = match self.decide(peer, identified.request(), source).await {
            Ok(decision) => decision,
            Err(refused) => {
                identified.refuse(refused).await;
                return Err(AdmitError::Refused(refused));
            }
        };
        let session = identified.accept_with(decision.grant).await?;
        let Some(cid) = decision.grant.cid else { return Ok(session) };
        let is_superseded =
            decision.supersedes && self.inner.latest.note(&self.inner.hub, &session, cid, ticket);
        let reason = if is_superseded {
            CloseReason::Superseded
        } else if self.stands(cid, peer).await {
            return Ok(session);
        } else {
            CloseReason::Revoked
        };
        session.begin_shutdown(reason.clone());
        Err(AdmitError::ShutOut(reason))
    }

    /// Whether the device may still have a session. Whoever shuts it out writes that first and then closes the sessions
    /// that the hub has; a session is in the hub before this is read: one of the two sees the other.
    async fn stands(&self, cid: Cid, peer: PeerId) -> bool {
        let member = self.inner.backend.member(cid, peer).await;
        matches!(member, Ok(Some(member)) if member.is_live())
    }

    /// Who the other end of `session` is to the table.
    pub fn actor(session: &Session) -> Actor {
        let peer = session.peer_id();
        match session.cid() {
            Some(cid) => Actor::Device { cid, peer },
            None => Actor::Transient { peer },
        }
    }
}
