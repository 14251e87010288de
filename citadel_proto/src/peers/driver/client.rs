//! A client's handle on its peers: who there is, who wants what, and sessions with those who agreed.

use super::super::message::{PeerAnswer, PeerAsk, PeerAskError, Who};
use super::super::statement::{
    ConsentFault, Disown, PeerRequest, Standpoint, Statement, StatementNumber, Vouch, check_request,
};
use super::super::{Party, PeerTrust, PinError, Shown};
use super::book::{Book, PeerEvents, PeerInfo, Standing};
use super::config::PeersConfig;
use super::direct::{self, DirectPaths};
use super::doors::Doors;
use super::feed;
use super::meetings::Meetings;
use super::pin_store::{PinStore, PinStoreError};
use super::pins::PinBook;
use super::uplink::{PeersCallError, Uplink};
use crate::driver::{Hub, Session};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, Instance, ServerConfig};
use citadel_crypt::identity::Identity;
use citadel_crypt::suite::CryptoError;
use core::fmt;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Why something about peers was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The server did not do it, or did not answer.
    #[error(transparent)]
    Call(#[from] PeersCallError),
    /// The other one's statement does not hold, or is not of whom the caller named.
    #[error(transparent)]
    Statement(#[from] ConsentFault),
    /// There is no request of that party.
    #[error("there is no request of that party")]
    NoRequest,
    /// What it says of its devices pins nothing, or something else than is pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It is no peer, or not one whose devices are pinned.
    #[error("not a peer")]
    NotPeer,
    /// The pins cannot be kept.
    #[error("the pins cannot be kept")]
    Store(#[from] PinStoreError),
    /// A primitive failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl PeersError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Call(error) => error.code(),
            Self::Statement(_) => 0x1000,
            Self::NoRequest => 0x1001,
            Self::NotPeer => 0x1002,
            Self::Store(_) => 0x1003,
            Self::Crypto(_) => 0x1004,
            Self::Pin(_) => 0x1005,
        }
    }

    /// Whether the same may succeed later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Call(error) if error.is_retryable())
    }
}

/// The peers of one client node. Clones are the same.
///
/// It outlives the session with the server that it is [attached](Self::attach) to: what is known of peers stays, and so do the
/// sessions with them, for as long as their own time to resume.
#[derive(Clone)]
pub struct PeerClient {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) hub: Hub,
    pub(super) identity: Arc<Identity>,
    pub(super) config: PeersConfig,
    pub(super) book: Arc<Book>,
    pub(super) pins: PinBook,
    pub(super) tasks: TaskTracker,
    pub(super) uplink: watch::Sender<Option<Arc<Uplink>>>,
    /// The session that the uplink is of, or was.
    pub(super) attached: Mutex<Option<Instance>>,
    pub(super) meetings: Meetings,
    /// How handshakes of peers who connect are answered.
    pub(super) answering: Arc<ServerConfig>,
    pub(super) doors: Doors,
    pub(super) direct: DirectPaths,
}

impl PeerClient {
    /// The peers of the node `identity`, whose sessions are those of `hub`; pins are read from `store` and kept there. What
    /// there is to do is done in `tasks`, each of which ends with its session.
    ///
    /// # Errors
    /// [`PeersError::Store`] when the pins cannot be read, [`PeersError::Crypto`].
    ///
    /// # Cancel safety
    /// Dropping the future makes nothing.
    pub async fn new(
        hub: Hub,
        identity: Arc<Identity>,
        config: PeersConfig,
        store: Arc<dyn PinStore>,
        tasks: TaskTracker,
    ) -> Result<Self, PeersError> {
        let (own, answering) = (identity.peer_id(), Arc::new(config.answering()?));
        let direct = DirectPaths::new(config.direct.clone());
        let inner = Inner {
            direct,
            hub,
            identity,
            config,
            book: Arc::new(Book::new()),
            pins: PinBook::load(store, own, tasks.clone()).await?,
            tasks,
            uplink: watch::Sender::new(None),
            attached: Mutex::default(),
            answering,
            doors: Doors::default(),
            meetings: Meetings::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Uses `session` from now on: peers are found and reached through its server. A session before it is not used any more.
    /// Resolves when the server has told everything that there is.
    ///
    /// # Errors
    /// [`PeersError::Call`]: the session is over, or its server has no peers.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the session attached, or as it was.
    pub async fn attach(&self, session: Session) -> Result<(), PeersError> {
        let instance = session.instance();
        let (uplink, recv) = Uplink::open(session).await?;
        let teller = {
            // One after the other: who is asked and whose word counts are the same session.
            let mut attached = self.inner.attached.lock();
            *attached = Some(instance);
            self.inner.uplink.send_replace(Some(Arc::clone(&uplink)));
            self.inner.book.begin()
        };
        self.inner.tasks.spawn(direct::follow(Arc::clone(&self.inner), uplink.session.events()));
        self.inner.tasks.spawn(feed::run(Arc::clone(&self.inner), Arc::clone(&uplink), teller, recv));
        uplink.ask(&PeerAsk::Watch).await?;
        let whole = self.inner.book.wait(|book| book.is_whole().then_some(()));
        tokio::select! {
            biased;
            () = whole => Ok(()),
            _ = uplink.session.closed() => Err(PeersCallError::NoServer.into()),
        }
    }

    /// Says that the machine is in another network, as its operating system knows first: sessions leave their direct paths for a
    /// lane at once, and seek new ones. Without it a change is noticed when a path dies, or within
    /// [`DirectConfig::look`](super::direct::DirectConfig::look).
    pub fn network_changed(&self) {
        self.inner.direct.on_network();
    }

    /// Looks for a party by user name, by account id, or by the peer id of a session without an account. Says that there is
    /// one, and nothing else of it.
    ///
    /// # Errors
    /// [`PeersError::Call`]; [`PeerAskError::Unknown`](super::super::PeerAskError::Unknown) if there is none.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn find(&self, who: impl Into<Who>) -> Result<Party, PeersError> {
        match self.inner.ask(PeerAsk::Find(who.into())).await? {
            PeerAnswer::Found(party) => Ok(party),
            _ => Err(PeersCallError::Malformed.into()),
        }
    }

    /// Asks `party` to be a peer, and does not wait for its answer. One that asked meanwhile is accepted. `expect` is the peer id
    /// that it must have: then its pin counts as verified.
    ///
    /// # Errors
    /// [`PeersError::Call`], [`PeersError::Store`].
    ///
    /// # Cancel safety
    /// A future that is dropped may have asked; asking again is safe.
    pub async fn ask(&self, party: Party, expect: Option<PeerId>) -> Result<(), PeersError> {
        if let Some(Shown::AskedByThem { statement }) = self.inner.shown(party) {
            return self.inner.accept(party, &statement, expect).await;
        }
        let uplink = self.inner.uplink()?;
        let (provider, at) = (&*self.inner.config.handshake.provider, self.inner.standpoint(&uplink, party));
        let request = PeerRequest::new(provider, &at, StatementNumber::default(), expect)?;
        let numbered = move |number| Statement::from(PeerRequest { number, ..request });
        let request = self.inner.say(&uplink, party, numbered).await?;
        self.inner.pins.want((uplink.server, party), expect);
        uplink.ask(&PeerAsk::Ask { to: party, statement: request }).await?;
        Ok(())
    }

    /// Accepts the request of `party`. `expect` as in [`ask`](Self::ask).
    ///
    /// # Errors
    /// [`PeersError::NoRequest`]; [`PeersError::Statement`] when the request is not what it should be; else as
    /// [`ask`](Self::ask).
    ///
    /// # Cancel safety
    /// A future that is dropped may have accepted; accepting again is safe.
    pub async fn accept(&self, party: Party, expect: Option<PeerId>) -> Result<(), PeersError> {
        match self.inner.shown(party) {
            Some(Shown::AskedByThem { statement }) => self.inner.accept(party, &statement, expect).await,
            Some(Shown::Peers { .. }) => Ok(()),
            _ => Err(PeersError::NoRequest),
        }
    }

    /// Declines the request of `party`, and takes back what this end has asked it.
    ///
    /// # Errors
    /// [`PeersError::Call`], [`PeersError::Store`].
    ///
    /// # Cancel safety
    /// A future that is dropped may have declined.
    pub async fn decline(&self, party: Party) -> Result<(), PeersError> {
        let uplink = self.inner.uplink()?;
        self.inner.pins.forget_wanted((uplink.server, party));
        // In this order: of two who are peers by now nothing is taken back.
        uplink.ask(&PeerAsk::Decline(party)).await?;
        self.inner.withdraw(&uplink, party, false).await
    }

    /// Is no peer of `party` any more, takes an unanswered request back, or forgets a declined one; says whether there was
    /// anything. Its pin goes, and sessions with it close, before the server is told: nothing that this device has said to it
    /// until now counts any more, whatever a server shows.
    ///
    /// # Errors
    /// [`PeersError::Call`], [`PeersError::Store`].
    ///
    /// # Cancel safety
    /// A future that is dropped may have removed it; removing again is safe. So it is after an error.
    pub async fn remove(&self, party: Party) -> Result<bool, PeersError> {
        let uplink = self.inner.uplink()?;
        self.inner.withdraw(&uplink, party, true).await?;
        match uplink.ask(&PeerAsk::Remove(party)).await? {
            PeerAnswer::Was(was) => Ok(was),
            _ => Err(PeersCallError::Malformed.into()),
        }
    }

    /// Hears nothing of `party` any more, or again. Blocking ends what the two were, as [`remove`](Self::remove) does, but keeps
    /// the pin: whoever comes under that name later is held to it. The other one is not told.
    ///
    /// # Errors
    /// [`PeersError::Call`], [`PeersError::Store`].
    ///
    /// # Cancel safety
    /// A future that is dropped may have done it; doing it again is safe.
    pub async fn set_blocked(&self, party: Party, blocked: bool) -> Result<(), PeersError> {
        let uplink = self.inner.uplink()?;
        if blocked {
            self.inner.withdraw(&uplink, party, false).await?;
        }
        uplink.ask(&PeerAsk::Block { to: party, blocked }).await?;
        Ok(())
    }

    /// Everybody with whom there is anything.
    pub fn list(&self) -> Vec<PeerInfo> {
        self.inner.book.list()
    }

    /// What is known of `party`.
    pub fn info(&self, party: Party) -> Option<PeerInfo> {
        self.inner.book.info(party)
    }

    /// What changes, from now on; the first events say what there is.
    pub fn events(&self) -> PeerEvents {
        PeerEvents::new(Arc::clone(&self.inner.book))
    }

    /// Waits until `party` is a peer whose devices are pinned.
    ///
    /// # Errors
    /// [`PeersError::Pin`] if it is a peer and its statements pin nothing, or something else than is pinned.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn registered(&self, party: Party) -> Result<PeerInfo, PeersError> {
        let look = |book: &Book| {
            let known = book.get(party)?;
            match known.fault {
                Some(fault) => Some(Err(fault.into())),
                None if known.standing() == Standing::Peer => book.info(party).map(Ok),
                None => None,
            }
        };
        self.inner.book.wait(look).await
    }

    /// Waits until `party` has answered a request of this end, or there is none, and says how the two stand.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn answered(&self, party: Party) -> Standing {
        let standing = |book: &Book| book.get(party).map(|known| known.standing()).unwrap_or_default();
        let is_answer = |standing: &Standing| matches!(standing, Standing::Peer | Standing::Declined);
        self.inner.book.wait(|book| Some(standing(book)).filter(is_answer)).await
    }

    /// Waits until a device of `party`, a peer, has a session with the server.
    ///
    /// # Cancel safety
    /// Waits on state; dropping the future changes nothing.
    pub async fn online(&self, party: Party) {
        let is_there = |book: &Book| book.get(party).is_some_and(|known| !known.view.online.is_empty());
        self.inner.book.wait(|book| is_there(book).then_some(())).await;
    }

    /// Says that the codes were compared with `device`, one of `party`'s ([`verification_code`](Self::verification_code)): it is
    /// verified from now on, and so are those that it vouches for. Other devices of the party are not.
    ///
    /// # Errors
    /// [`PeersError::NotPeer`]; [`PeersError::Pin`] if the device is none of those that are pinned; [`PeersError::Store`].
    ///
    /// # Cancel safety
    /// A future that is dropped may have done it.
    pub async fn mark_verified(&self, party: Party, device: PeerId) -> Result<(), PeersError> {
        let here = self.inner.uplink()?.here();
        match self.inner.pins.mark_verified(here, party, device).await? {
            Ok(()) => {
                self.inner.book.look_at_pin(party, || self.inner.pins.stands((here.server, party)));
                Ok(())
            }
            Err(PinError::Unknown | PinError::Withdrawn) => Err(PeersError::NotPeer),
            Err(error) => Err(error.into()),
        }
    }

    /// What this node and the device `peer` compare, by voice or on screen (R-P2P-7).
    pub fn verification_code(&self, peer: PeerId) -> String {
        self.inner.identity.peer_id().verification_code(&peer)
    }

    /// Tells the peers of the own account, signed, that `device` is one of its devices. To this device it is one from now on: what
    /// it agrees with others, this one agreed. Both devices of an account have to say it of each other to have the same peers.
    ///
    /// # Errors
    /// [`PeersError::Pin`] if this device or the other one was disowned, or there are too many; then nothing has changed.
    /// [`PeersError::Store`]; [`PeersError::Call`]: this device knows it now, and others may not. Saying it again is safe.
    ///
    /// # Cancel safety
    /// A future that is dropped may have done it.
    pub async fn vouch(&self, device: PeerId) -> Result<(), PeersError> {
        self.inner
            .say_of_own(move |server, account, number| Vouch { server, account, device, number }.into())
            .await
    }

    /// Tells the peers of the own account, signed, that `device` is none of its devices any more, for ever.
    ///
    /// # Errors
    /// As [`vouch`](Self::vouch).
    ///
    /// # Cancel safety
    /// A future that is dropped may have done it.
    pub async fn disown(&self, device: PeerId) -> Result<(), PeersError> {
        self.inner
            .say_of_own(move |server, account, number| Disown { server, account, device, number }.into())
            .await
    }
}

impl Inner {
    /// The session with the server, if there is one.
    pub(super) fn uplink(&self) -> Result<Arc<Uplink>, PeersCallError> {
        self.uplink.borrow().clone().ok_or(PeersCallError::NoServer)
    }

    async fn ask(&self, ask: PeerAsk) -> Result<PeerAnswer, PeersError> {
        Ok(self.uplink()?.ask(&ask).await?)
    }

    /// From where statements of and to `other` are read.
    pub(super) fn standpoint(&self, uplink: &Uplink, other: Party) -> Standpoint {
        let siblings = self.pins.siblings(uplink.here());
        Standpoint {
            server: uplink.server,
            own: uplink.own,
            device: self.identity.peer_id(),
            siblings,
            other,
        }
    }

    /// The next statement of this device about `party`, signed. Its number is kept before it is used.
    async fn say(
        &self,
        uplink: &Uplink,
        party: Party,
        said: impl FnOnce(StatementNumber) -> Statement + Send + 'static,
    ) -> Result<Vec<u8>, PeersError> {
        let said = self.pins.say(uplink.here(), party, self.now(), said).await??;
        Ok(said.sign(&self.identity)?)
    }

    /// Takes back all that this end has said to `party`, and ends what came of it.
    async fn withdraw(&self, uplink: &Uplink, party: Party, forgets: bool) -> Result<(), PeersError> {
        if party != uplink.own {
            self.pins.withdraw(uplink.here(), party, self.now(), forgets).await?;
            self.book.withdraw(party);
            self.part(party);
            self.meetings.forget_untaken(party);
        }
        Ok(())
    }

    /// Tells all peers something of the own account's devices.
    async fn say_of_own(
        &self,
        said: impl FnOnce(PeerId, Cid, StatementNumber) -> Statement + Send + 'static,
    ) -> Result<(), PeersError> {
        let uplink = self.uplink()?;
        let account = uplink.own.cid().ok_or(PeersCallError::Refused(PeerAskError::Denied))?;
        let server = uplink.server;
        let statement = self.say(&uplink, uplink.own, move |number| said(server, account, number)).await?;
        uplink.ask(&PeerAsk::Vouch(statement)).await?;
        Ok(())
    }

    fn shown(&self, party: Party) -> Option<Shown> {
        self.book.get(party).map(|known| known.view.shown)
    }

    /// The user accepts a request.
    async fn accept(&self, party: Party, request: &[u8], expect: Option<PeerId>) -> Result<(), PeersError> {
        let uplink = self.uplink()?;
        let acceptance = self.acceptance(&uplink, party, request, expect).await?;
        self.pins.want((uplink.server, party), expect);
        uplink.ask(&PeerAsk::Accept { to: party, statement: acceptance }).await?;
        Ok(())
    }

    /// Checks a request; the acceptance of it.
    pub(super) async fn acceptance(
        &self,
        uplink: &Uplink,
        party: Party,
        request: &[u8],
        expect: Option<PeerId>,
    ) -> Result<Vec<u8>, PeersError> {
        let checked = check_request(request, &self.standpoint(uplink, party), expect)?;
        self.say(uplink, party, move |number| checked.acceptance(number).into()).await
    }

    /// What the numbers of an own device's statements rise with, if it says less than one in a second.
    fn now(&self) -> u64 {
        self.config.clock.unix().0
    }

    /// Whether sessions are made with a pin of that trust.
    pub(super) const fn suffices(&self, trust: PeerTrust) -> bool {
        matches!(trust, PeerTrust::Verified) || !self.config.require_verified
    }
}

impl fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerClient({}, {} parties)", self.inner.identity.peer_id(), self.list().len())
    }
}
