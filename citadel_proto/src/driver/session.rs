//! The handle of a session.

use super::channel::Channel;
use super::shared::{Lease, Shared, Wake};
use super::status::{End, SessionEvents, Status};
use crate::errors::{OpenError, RekeyError};
use crate::frames::ChannelId;
use crate::session::{Input, PathKind, SessionMachine, SessionStats};
use crate::shutdown::{CloseReason, CloseReport, PathLoss, Stage};
use bytes::Bytes;
use citadel_crypt::SecrecyMode;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{AppProtocol, Cid, Instance, SessionKind};
use citadel_crypt::identity::IdentityPublic;
use citadel_crypt::ratchets::rekey::{RekeyOutcome, Side, Version};
use citadel_crypt::ratchets::{ExportError, FINGERPRINT_LEN};
use citadel_crypt::suite::Suite;
use core::fmt;
use core::time::Duration;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// Longest wait of [`Session::rekey`].
const REKEY_DEADLINE: Duration = Duration::from_secs(10);

/// One authenticated, encrypted relation with a peer. Clones are handles to the same session.
///
/// When the last handle goes, channels and their halves counted, a session that is still open is aborted: the peer is
/// told once, nothing is waited for (R-SHUT-7). Close it to have everything delivered.
#[derive(Clone)]
pub struct Session {
    pub(super) lease: Arc<Lease>,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self::from_lease(Arc::new(Lease { shared }))
    }

    pub(super) const fn from_lease(lease: Arc<Lease>) -> Self {
        Self { lease }
    }

    pub(super) fn lease(&self) -> Weak<Lease> {
        Arc::downgrade(&self.lease)
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.lease.shared
    }

    /// Its generation: the same on both ends, different from every other session's.
    pub fn instance(&self) -> Instance {
        self.shared().about.instance
    }

    /// Whether it is with a server or a client, or with a peer.
    pub fn kind(&self) -> SessionKind {
        self.shared().about.kind
    }

    /// Which end this is.
    pub fn side(&self) -> Side {
        self.shared().about.side
    }

    /// The proven other end.
    pub fn peer(&self) -> &IdentityPublic {
        &self.shared().about.peer
    }

    /// The id that this end has proven.
    pub fn own_id(&self) -> PeerId {
        self.shared().about.own
    }

    /// The proven other end's id.
    pub fn peer_id(&self) -> PeerId {
        self.peer().peer_id()
    }

    /// The suite that both ends agreed on.
    pub fn suite(&self) -> Suite {
        self.shared().about.suite
    }

    /// The secrecy mode that both ends agreed on.
    pub fn mode(&self) -> SecrecyMode {
        self.shared().about.mode
    }

    /// The account that the session belongs to, on both ends; none for a session without one.
    pub fn cid(&self) -> Option<Cid> {
        self.shared().about.grant.cid
    }

    /// What two users compare, by voice or on screen, to know that nobody stands between them: 60 digits in 12 groups, the
    /// same from both ends, of the two identities and not of the session (R-P2P-7).
    pub fn verification_code(&self) -> String {
        self.shared().about.own.verification_code(&self.peer_id())
    }

    /// The changes of the session's state from now on: its paths, its keys, its end.
    pub fn events(&self) -> SessionEvents {
        SessionEvents::new(self.shared())
    }

    /// The application protocol that both ends agreed on.
    pub fn app_protocol(&self) -> Option<&AppProtocol> {
        self.shared().about.app_protocol.as_ref()
    }

    /// Channel 0, which exists on both ends without anyone opening it. Given out once, also after the close: what it
    /// received stays readable.
    ///
    /// # Errors
    /// [`OpenError::Taken`] the second time.
    pub fn channel(&self) -> Result<Channel, OpenError> {
        self.shared().act(|core, _| {
            let channel = core.machine.take_channel_zero();
            (channel.map(|id| Channel::new(&self.lease, id, Bytes::new())), Wake::Nobody)
        })
    }

    /// Finishes the own half of the channel `id` as [`SendHalf::finish`](super::SendHalf::finish) does, if it is not at an
    /// end. For a channel that was [left to the session](Channel::left_to_session).
    pub fn finish_channel(&self, id: ChannelId) {
        self.shared().act(|core, _| {
            // Stopped by the peer's reader: it is at its end.
            let _stopped = core.machine.finish(id);
            ((), Wake::Task)
        });
    }

    /// Gives up the channel `id` as the drop of its handles does: a half that was not finished is reset, a reader that is not
    /// at the end says `Stop`. For a channel that was [left to the session](Channel::left_to_session).
    pub fn drop_channel(&self, id: ChannelId) {
        self.shared().act(|core, _| {
            core.machine.drop_sender(id);
            core.machine.drop_receiver(id, 0);
            ((), Wake::Task)
        });
    }

    /// Opens a channel without a name; waits while the peer takes no further one.
    ///
    /// # Errors
    /// [`OpenError::Closed`].
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has opened nothing.
    pub async fn open_channel(&self) -> Result<Channel, OpenError> {
        self.open_named_channel(Bytes::new()).await
    }

    /// The same with a name of at most 255 bytes, which the peer sees.
    ///
    /// # Errors
    /// [`OpenError::NameTooLong`], [`OpenError::Closed`].
    ///
    /// # Cancel safety
    /// As [`open_channel`](Self::open_channel).
    pub async fn open_named_channel(&self, name: impl Into<Bytes>) -> Result<Channel, OpenError> {
        let name = name.into();
        let mut slots = self.shared().slots.subscribe();
        loop {
            slots.mark_unchanged();
            let opened = self.shared().act(|core, _| {
                let opened = core.machine.open_channel(name.clone());
                (opened.map(|id| Channel::new(&self.lease, id, name.clone())), Wake::Task)
            });
            match opened {
                Err(OpenError::Limit) => changed(&mut slots).await,
                other => return other,
            }
        }
    }

    /// The next channel that the peer opened; `Ok(None)` once the session closes in order: nothing more will come.
    ///
    /// # Errors
    /// [`OpenError::Closed`] when the session ended otherwise.
    ///
    /// # Cancel safety
    /// A future dropped before it resolved has taken nothing.
    pub async fn accept_channel(&self) -> Result<Option<Channel>, OpenError> {
        self.accept_any(SessionMachine::accept_channel).await
    }

    /// Opens a channel for a service between nodes, such as accounts. Its name starts with a zero byte, so no application can
    /// open or see it, and it does not count among the channels of applications. A peer that has too many already resets it
    /// with [`SERVICE_LIMIT`](crate::SERVICE_LIMIT).
    ///
    /// # Errors
    /// [`OpenError::NameTooLong`], [`OpenError::Closed`]; [`OpenError::Limit`] while
    /// [`MAX_SERVICE_CHANNELS`](crate::MAX_SERVICE_CHANNELS) of this end are alive.
    pub fn open_service_channel(&self, service: &str) -> Result<Channel, OpenError> {
        self.shared().act(|core, _| {
            let machine = &mut core.machine;
            let opened = machine.open_service_channel(service);
            (opened.map(|id| Channel::new(&self.lease, id, machine.channel_name(id))), Wake::Task)
        })
    }

    /// The next service channel that the peer opened, as [`accept_channel`](Self::accept_channel) gives others. A session
    /// whose configuration has no services resets them and never gives one.
    ///
    /// # Errors
    /// As [`accept_channel`](Self::accept_channel).
    ///
    /// # Cancel safety
    /// As [`accept_channel`](Self::accept_channel).
    pub async fn accept_service_channel(&self) -> Result<Option<Channel>, OpenError> {
        self.accept_any(SessionMachine::accept_service_channel).await
    }

    async fn accept_any(
        &self,
        next: fn(&mut SessionMachine) -> Option<ChannelId>,
    ) -> Result<Option<Channel>, OpenError> {
        let mut incoming = self.shared().incoming.subscribe();
        loop {
            incoming.mark_unchanged();
            match self.look_for(next) {
                Some(result) => return result,
                None => changed(&mut incoming).await,
            }
        }
    }

    /// What there is to accept now; nothing while more may come.
    fn look_for(
        &self,
        next: fn(&mut SessionMachine) -> Option<ChannelId>,
    ) -> Option<Result<Option<Channel>, OpenError>> {
        self.shared().act(|core, _| {
            let machine = &mut core.machine;
            let accepted = match next(machine) {
                Some(id) => Some(Ok(Some(Channel::new(&self.lease, id, machine.channel_name(id))))),
                None if machine.stage() == Stage::Running => None,
                None if machine.reason().is_orderly() => Some(Ok(None)),
                None => Some(Err(OpenError::Closed(machine.reason()))),
            };
            (accepted, Wake::Nobody)
        })
    }

    /// Renews the keys: waits until a round led to a version above the one at the call. Concurrent calls, also of the
    /// peer, share a round. Messages flow meanwhile.
    ///
    /// # Errors
    /// [`RekeyError::Closed`], [`RekeyError::TimedOut`] after 10 s.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the round running.
    pub async fn rekey(&self) -> Result<RekeyOutcome, RekeyError> {
        let mut versions = self.shared().versions.subscribe();
        let mut status = self.shared().status.subscribe();
        let version = self.trigger_rekey()?;
        let served = async {
            loop {
                versions.mark_unchanged();
                status.mark_unchanged();
                if let Some(result) = self.outcome(version) {
                    return result;
                }
                tokio::select! {
                    biased;
                    () = changed(&mut versions) => {}
                    () = changed(&mut status) => {}
                }
            }
        };
        tokio::time::timeout(REKEY_DEADLINE, served).await.unwrap_or(Err(RekeyError::TimedOut))
    }

    /// Asks for a round without waiting; returns the version that it will lead to, or a later one.
    ///
    /// # Errors
    /// [`RekeyError::Closed`].
    pub fn trigger_rekey(&self) -> Result<Version, RekeyError> {
        self.shared().act(|core, clock| (core.machine.trigger_rekey(clock.now()), Wake::Task))
    }

    fn outcome(&self, version: Version) -> Option<Result<RekeyOutcome, RekeyError>> {
        self.shared().look(|core| {
            let served = core.outcomes.iter().find(|outcome| outcome.version >= version);
            match served {
                Some(outcome) => Some(Ok(*outcome)),
                None if core.machine.stage() >= Stage::Announcing => {
                    Some(Err(RekeyError::Closed(core.machine.reason())))
                }
                None => None,
            }
        })
    }

    /// The version that seals now.
    pub fn version(&self) -> Version {
        self.shared().look(|core| core.machine.version())
    }

    /// The version that seals, as it rises.
    pub fn versions(&self) -> watch::Receiver<Version> {
        self.shared().versions.subscribe()
    }

    /// Fingerprint of a version's keys, equal on both ends, for diagnostics; none outside the window.
    pub fn fingerprint(&self, version: Version) -> Option<[u8; FINGERPRINT_LEN]> {
        self.shared().look(|core| core.machine.fingerprint(version))
    }

    /// Keying material for the application, the same on both ends for the life of the session and unrelated to any other
    /// label or context (R-CRY-10).
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export_keying_material(
        &self,
        label: &str,
        context: &[u8],
        out: &mut [u8],
    ) -> Result<(), ExportError> {
        self.shared().look(|core| core.machine.export(label, context, out))
    }

    /// Counters.
    pub fn stats(&self) -> SessionStats {
        self.shared().look(|core| SessionStats { path_kind: core.kind, ..core.machine.stats() })
    }

    /// Whether anything carries the session now.
    pub(crate) fn has_path(&self) -> bool {
        self.shared().look(|core| core.machine.path().is_some())
    }

    /// Whether it may change its path.
    pub(crate) fn is_resumable(&self) -> bool {
        !self.shared().about.grant.resume.is_zero()
    }

    /// Gives a direct path up, if it is on one, as if it had been lost. A session that closes does so where it is: past its last
    /// word it takes no other path.
    pub(crate) fn leave_direct_path(&self) {
        self.shared().act(|core, clock| {
            if core.kind.is_direct() && core.is_running() {
                core.machine.handle(clock.now(), Input::PathLost(PathLoss::Io));
            }
            ((), Wake::Task)
        });
    }

    /// Where the other end of the stream is that carries the session, or did last, if that is an address of a network.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.shared().look(|core| core.remote)
    }

    /// What carries the session now, or did last: a lane through the server, or a direct path.
    pub fn path_kind(&self) -> PathKind {
        self.shared().look(|core| core.kind)
    }

    /// Why the session is closing, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        match &self.shared().status.borrow().end {
            End::Open => None,
            End::Closing(reason) => Some(reason.clone()),
            End::Closed(report) => Some(report.reason().clone()),
        }
    }

    /// Waits until the session is over, whoever ends it.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn closed(&self) -> CloseReport {
        self.shared().closed().await
    }

    /// Closes in order: every message that `send` accepted on either end is delivered, then both ends say so. Bounded by
    /// the stages' deadlines, 8.25 s by default. The reason that came first counts.
    ///
    /// # Cancel safety
    /// The close goes on when the future is dropped.
    pub async fn close(&self, code: u32, reason: &str) -> CloseReport {
        self.shutdown(CloseReason::application(code, reason)).await
    }

    /// The same for any reason; one that is not orderly delivers nothing first.
    ///
    /// # Cancel safety
    /// As [`close`](Self::close).
    pub async fn shutdown(&self, reason: CloseReason) -> CloseReport {
        self.begin_shutdown(reason);
        self.closed().await
    }

    /// Begins to close and does not wait.
    pub fn begin_shutdown(&self, reason: CloseReason) {
        self.shared().close(reason);
    }

    /// Ends the session at once; the peer is told if the path takes it.
    pub fn abort(&self) {
        self.begin_shutdown(CloseReason::Aborted);
    }

    /// The last look at an attempt of the peer: says whether it was heard on it, and aborts it in the same step if not, so that
    /// nothing is acknowledged on it that nobody will have.
    pub(crate) fn abort_unless_heard(&self) -> bool {
        self.shared().abort_unless_heard()
    }

    /// The last look at a session that nobody here will have: ends it with `reason` if it runs, and says no. Else says whether it ends
    /// in order: then what the peer said is to be given to somebody.
    pub(crate) fn end_unless_in_order(&self, reason: CloseReason) -> bool {
        self.shared().end_unless_in_order(reason)
    }

    /// Whether something of the peer waits to be taken: a channel that it opened, or a whole message on any channel. Also after the
    /// end, for what came before it.
    pub fn has_unread(&self) -> bool {
        self.shared().look(|core| core.machine.has_unread())
    }

    /// A handle that does not keep the session open.
    pub fn downgrade(&self) -> WeakSession {
        WeakSession { lease: Arc::downgrade(&self.lease) }
    }
}

/// What the peer opens for services between nodes, without keeping the session open.
pub(crate) struct ServiceChannels {
    session: WeakSession,
    incoming: watch::Receiver<u64>,
    status: watch::Receiver<Status>,
}

impl ServiceChannels {
    /// Of `session`.
    pub(crate) fn of(session: &Session) -> Self {
        let shared = session.shared();
        let (incoming, status) = (shared.incoming.subscribe(), shared.status.subscribe());
        Self { session: session.downgrade(), incoming, status }
    }

    /// The next one; none once the session takes no more, or nobody holds it.
    ///
    /// A future dropped before it resolved has taken nothing.
    pub(crate) async fn next(&mut self) -> Option<Channel> {
        loop {
            self.incoming.mark_unchanged();
            self.status.mark_unchanged();
            let session = self.session.upgrade()?;
            let accepted = session.look_for(SessionMachine::accept_service_channel);
            drop(session);
            if let Some(result) = accepted {
                return result.ok().flatten();
            }
            let changed = tokio::select! {
                biased;
                changed = self.incoming.changed() => changed,
                changed = self.status.changed() => changed,
            };
            changed.ok()?;
        }
    }
}

/// The next state of `receiver`. Its sender lives as long as the session's handles: it cannot be gone.
pub(super) async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        core::future::pending::<()>().await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} with {})", self.instance(), self.peer_id())
    }
}

/// A handle that does not keep the session open.
#[derive(Clone, Debug)]
pub struct WeakSession {
    lease: Weak<Lease>,
}

impl WeakSession {
    /// The session, if any handle to it is left.
    pub fn upgrade(&self) -> Option<Session> {
        self.lease.upgrade().map(|lease| Session { lease })
    }
}
