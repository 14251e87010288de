//! The client's end of the service channel of peers: requests side by side, and what the server says by itself.

use super::super::message::{PeerAnswer, PeerAsk, PeerAskError};
use super::super::{Party, wire};
use super::pins::Here;
use super::serve::PEERS_SERVICE;
use crate::driver::{RecvHalf, SendHalf, Session};
use crate::errors::{OpenError, RecvError, SendError};
use bytes::Bytes;
use citadel_crypt::addr::PeerId;
use core::time::Duration;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, oneshot};

/// How long an answer may take. 10 s, as for requests of accounts.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a request about peers has no answer, or not the wanted one.
///
/// A request about the own account fails with [`CallError`](crate::accounts::CallError): the two services refuse for reasons of
/// their own, and a client of peers outlives its session ([`NoServer`](Self::NoServer)), while one of an account may ask for
/// what is too long to be sent. The numbers of the two differ.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeersCallError {
    /// The server said no; nothing was done, unless it says [`PeerAskError::Unavailable`].
    #[error(transparent)]
    Refused(#[from] PeerAskError),
    /// There is no session with the server now.
    #[error("there is no session with the server")]
    NoServer,
    /// The service channel cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The request was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer did not come. What was asked may have been done.
    #[error(transparent)]
    Recv(#[from] RecvError),
    /// The server ended the service without an answer: it has no peers, or did not understand.
    #[error("the server ended the service")]
    Ended,
    /// No answer by the deadline. What was asked may have been done.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The answer cannot be read, or is to another question.
    #[error("the server's answer cannot be read")]
    Malformed,
}

impl PeersCallError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Refused(error) => error.code(),
            Self::NoServer => 32,
            Self::Open(_) => 33,
            Self::Send(_) => 34,
            Self::Recv(_) => 35,
            Self::Ended => 36,
            Self::Deadline(_) => 37,
            Self::Malformed => 38,
        }
    }

    /// Whether the same may succeed later, or on a new session.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Recv(error) => error.is_retryable(),
            Self::NoServer | Self::Deadline(_) => true,
            Self::Open(_) | Self::Ended | Self::Malformed => false,
        }
    }
}

/// A session with a server, as far as peers are concerned.
pub(super) struct Uplink {
    pub(super) session: Session,
    /// The server that every statement names.
    pub(super) server: PeerId,
    /// Who this end is there.
    pub(super) own: Party,
    send: AsyncMutex<SendHalf>,
    waiting: Mutex<Waiting>,
    /// Parties about whom an errand is under way.
    errands: Mutex<BTreeSet<Party>>,
}

/// The one errand about a party, while it is under way: something that is said without a user. Another may begin when this goes.
pub(super) struct Errand {
    uplink: Arc<Uplink>,
    party: Party,
}

impl Errand {
    pub(super) const fn party(&self) -> Party {
        self.party
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.uplink.errands.lock().remove(&self.party);
    }
}

#[derive(Default)]
struct Waiting {
    /// The last id given; 0 is what the server says by itself.
    last: u64,
    answers: BTreeMap<u64, oneshot::Sender<PeerAnswer>>,
    /// Why no further answer will come.
    over: Option<PeersCallError>,
}

/// A request's place among those that wait; given up when the caller goes.
struct Place<'a> {
    uplink: &'a Uplink,
    id: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.uplink.waiting.lock().answers.remove(&self.id);
    }
}

impl Uplink {
    /// Opens the service channel of `session`.
    pub(super) async fn open(session: Session) -> Result<(Arc<Self>, RecvHalf), PeersCallError> {
        let channel = session.open_service_channel(PEERS_SERVICE)?;
        let (send, recv) = channel.split();
        let server = session.peer_id();
        let own = session.cid().map_or_else(|| Party::Transient(session.own_id()), Party::Account);
        let (send, waiting) = (AsyncMutex::new(send), Mutex::default());
        let errands = Mutex::default();
        Ok((Arc::new(Self { session, server, own, send, waiting, errands }), recv))
    }

    /// Begins an errand about `party`, unless one is under way. Who is told that there is one has put what there is to do into the
    /// book before: whoever ends it looks there.
    pub(super) fn begin_errand(self: &Arc<Self>, party: Party) -> Option<Errand> {
        let is_first = self.errands.lock().insert(party);
        is_first.then(|| Errand { uplink: Arc::clone(self), party })
    }

    /// This end as pins know it.
    pub(super) const fn here(&self) -> Here {
        Here { server: self.server, own: self.own }
    }

    /// Asks and waits for the answer, which whoever reads the channel hands to [`deliver`](Self::deliver).
    pub(super) async fn ask(&self, ask: &PeerAsk) -> Result<PeerAnswer, PeersCallError> {
        let exchange = async {
            let (place, answer) = self.place()?;
            let request = wire::encode_ask(place.id, ask).map_err(|_| PeersCallError::Malformed)?;
            self.send.lock().await.send(request).await?;
            answer.await.map_err(|_| self.why_over())
        };
        let answered = tokio::time::timeout(DEADLINE, exchange).await;
        match answered.unwrap_or(Err(PeersCallError::Deadline(DEADLINE)))? {
            PeerAnswer::Failed(error) => Err(error.into()),
            answer => Ok(answer),
        }
    }

    fn place(&self) -> Result<(Place<'_>, oneshot::Receiver<PeerAnswer>), PeersCallError> {
        let mut waiting = self.waiting.lock();
        if let Some(over) = &waiting.over {
            return Err(over.clone());
        }
        waiting.last += 1;
        let id = waiting.last;
        let (sender, receiver) = oneshot::channel();
        waiting.answers.insert(id, sender);
        Ok((Place { uplink: self, id }, receiver))
    }

    /// Hands an answer to whoever waits for it and gives back what nobody asked for: what the server says by itself.
    pub(super) fn deliver(&self, message: &Bytes) -> Result<Option<PeerAnswer>, PeersCallError> {
        let (id, answer) = wire::decode_answer(message).map_err(|_| PeersCallError::Malformed)?;
        if id == 0 {
            return Ok(Some(answer));
        }
        let waits = self.waiting.lock().answers.remove(&id);
        if let Some(waits) = waits {
            // Its caller may have gone meanwhile.
            let _gone = waits.send(answer);
        }
        Ok(None)
    }

    /// Nobody gets an answer any more.
    pub(super) fn end(&self, error: PeersCallError) {
        let mut waiting = self.waiting.lock();
        waiting.answers.clear();
        waiting.over.get_or_insert(error);
    }

    fn why_over(&self) -> PeersCallError {
        self.waiting.lock().over.clone().unwrap_or(PeersCallError::Ended)
    }
}
