//! The client's end of the service channel: methods that ask and wait for the answer.

use super::line::Line;
use super::serve::{OUTSTANDING, SERVICE};
use crate::accounts::message::{AskError, Profile, RequestBody, ResponseBody};
use crate::backend::{Device, Expect, ValuePage, ValueVersion, Versioned};
use crate::driver::Session;
use crate::errors::{OpenError, RecvError, SendError};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DisplayName, Password};
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

/// How long an answer may take. 10 s: the server may have 64 passwords before ours.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why a request has no answer, or not the wanted one. One about peers fails with
/// [`PeersCallError`](crate::peers::PeersCallError), which says what the two have not in common.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server said no; nothing was done, unless it says [`AskError::Unavailable`].
    #[error(transparent)]
    Refused(#[from] AskError),
    /// The service channel cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The request was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The answer did not come. What was asked may have been done.
    #[error(transparent)]
    Recv(#[from] RecvError),
    /// The server ended the service channel without an answer: it has no accounts, or did not understand. What was asked may
    /// have been done.
    #[error("the server ended the service")]
    Ended,
    /// No answer by the deadline. What was asked may have been done.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// The answer cannot be read, or is to another question.
    #[error("the server's answer cannot be read")]
    Malformed,
    /// A key or a value is too long to be sent.
    #[error("the request is too long")]
    TooLong,
}

impl CallError {
    /// Stable number.
    pub const fn code(&self) -> u32 {
        match self {
            Self::Refused(error) => error.code(),
            Self::Open(_) => 32,
            Self::Send(_) => 33,
            Self::Recv(_) => 34,
            Self::Ended => 35,
            Self::Deadline(_) => 36,
            Self::Malformed => 37,
            Self::TooLong => 38,
        }
    }

    /// Whether the same may succeed later, or on a new session.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_retryable(),
            Self::Send(error) => error.is_retryable(),
            Self::Recv(error) => error.is_retryable(),
            Self::Deadline(_) => true,
            Self::Open(_) | Self::Ended | Self::Malformed | Self::TooLong => false,
        }
    }
}

/// What a client asks of its account. Clones share one service channel, which is opened at the first request. Requests run
/// side by side, up to 64; those that one waits for before sending the next take effect in that order.
///
/// Every method waits for the server's answer, 10 s at most unless [`with_deadline`](Self::with_deadline) says otherwise, and
/// fails with [`CallError`].
///
/// Holds the session as any handle does. Dropping the last clone ends the service channel.
///
/// # Cancel safety
/// A future that is dropped before it resolved may have asked: what was asked is done or not done, and its answer is
/// dropped. Other requests are not touched.
#[derive(Clone)]
pub struct AccountClient {
    session: Session,
    deadline: Duration,
    line: Arc<AsyncMutex<Option<Arc<Line>>>>,
    turns: Arc<Semaphore>,
}

impl AccountClient {
    /// For the account of `session`, whose other end is a server with accounts.
    pub fn new(session: Session) -> Self {
        let (line, turns) = (Arc::default(), Arc::new(Semaphore::new(OUTSTANDING)));
        Self { session, deadline: DEADLINE, line, turns }
    }

    /// The same with another deadline for each request.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The account; none for a session without one.
    pub fn cid(&self) -> Option<Cid> {
        self.session.cid()
    }

    /// What the account is called.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn profile(&self) -> Result<Profile, CallError> {
        match self.call(RequestBody::Profile).await? {
            ResponseBody::Profile(profile) => Ok(profile),
            _ => Err(CallError::Malformed),
        }
    }

    /// Its devices, live ones first.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn devices(&self) -> Result<Vec<Device>, CallError> {
        match self.call(RequestBody::Devices).await? {
            ResponseBody::Devices(devices) => Ok(devices),
            _ => Err(CallError::Malformed),
        }
    }

    /// Shuts a device out for good and closes its sessions; whether it was live. A device may shut itself out.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn revoke_device(&self, peer: PeerId) -> Result<bool, CallError> {
        self.was(RequestBody::RevokeDevice { peer }).await
    }

    /// Replaces the password. `revoke_others` shuts every other device out in the same transaction.
    ///
    /// # Errors
    /// [`CallError`]; [`AskError::Credentials`] when `old` is wrong.
    pub async fn change_password(
        &self,
        old: Password,
        new: Password,
        revoke_others: bool,
    ) -> Result<(), CallError> {
        self.done(RequestBody::ChangePassword { old, new, revoke_others }).await
    }

    /// Replaces the name that others are shown.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn set_display_name(&self, display_name: DisplayName) -> Result<(), CallError> {
        self.done(RequestBody::SetDisplayName { display_name }).await
    }

    /// Removes the account with everything in it; whether it was there. Its sessions close, this one last.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn deregister(&self) -> Result<bool, CallError> {
        self.was(RequestBody::Deregister).await
    }

    /// A value of the account, or of what it keeps `about` a peer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get(
        &self,
        about: Option<Cid>,
        key: impl Into<Vec<u8>>,
    ) -> Result<Option<Versioned>, CallError> {
        match self.call(RequestBody::Get { about, key: key.into() }).await? {
            ResponseBody::Value(value) => Ok(value),
            _ => Err(CallError::Malformed),
        }
    }

    /// Sets a value if it is as `expect` says; its version.
    ///
    /// # Errors
    /// [`CallError`]; [`AskError::Version`] when it is not.
    pub async fn put(
        &self,
        about: Option<Cid>,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
        expect: Expect,
    ) -> Result<ValueVersion, CallError> {
        let (key, value) = (key.into(), value.into());
        match self.call(RequestBody::Put { about, key, value, expect }).await? {
            ResponseBody::Version(version) => Ok(version),
            _ => Err(CallError::Malformed),
        }
    }

    /// Deletes a value if it is as `expect` says; whether there was one.
    ///
    /// # Errors
    /// [`CallError`]; [`AskError::Version`] when it is not.
    pub async fn delete(
        &self,
        about: Option<Cid>,
        key: impl Into<Vec<u8>>,
        expect: Expect,
    ) -> Result<bool, CallError> {
        self.was(RequestBody::Delete { about, key: key.into(), expect }).await
    }

    /// Up to `limit` values whose keys start with `prefix` and stand above `after`, by rising key. A page may hold fewer; it
    /// says whether there are more.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn list(
        &self,
        about: Option<Cid>,
        prefix: impl Into<Vec<u8>>,
        after: Option<Vec<u8>>,
        limit: u64,
    ) -> Result<ValuePage, CallError> {
        match self.call(RequestBody::List { about, prefix: prefix.into(), after, limit }).await? {
            ResponseBody::Page(page) => Ok(page),
            _ => Err(CallError::Malformed),
        }
    }

    async fn was(&self, body: RequestBody) -> Result<bool, CallError> {
        match self.call(body).await? {
            ResponseBody::Was(was) => Ok(was),
            _ => Err(CallError::Malformed),
        }
    }

    async fn done(&self, body: RequestBody) -> Result<(), CallError> {
        match self.call(body).await? {
            ResponseBody::Done => Ok(()),
            _ => Err(CallError::Malformed),
        }
    }

    async fn call(&self, body: RequestBody) -> Result<ResponseBody, CallError> {
        let exchange = async {
            // Nobody closes it.
            let _turn = self.turns.acquire().await;
            self.open().await?.exchange(&body).await
        };
        let answered = tokio::time::timeout(self.deadline, exchange).await;
        match answered.unwrap_or(Err(CallError::Deadline(self.deadline)))? {
            ResponseBody::Failed(error) => Err(error.into()),
            response => Ok(response),
        }
    }

    /// The service channel; a new one if the last is over.
    async fn open(&self) -> Result<Arc<Line>, CallError> {
        let mut line = self.line.lock().await;
        if let Some(line) = line.as_ref().filter(|line| !line.is_over()) {
            return Ok(Arc::clone(line));
        }
        let channel = self.session.open_service_channel(SERVICE)?;
        Ok(Arc::clone(line.insert(Arc::new(Line::new(channel)))))
    }
}

impl fmt::Debug for AccountClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountClient({:?})", self.session)
    }
}
