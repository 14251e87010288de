//! What the client asks for once it has proven itself.

use super::codec::{Malformed, Reader, put_string8, put_string16};
use super::established::Instance;
use super::names::{DeviceName, DisplayName, UserName};
use super::password::Password;
use super::resume::{ResumeBinding, ResumeRequest, ResumptionKey};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Longest body of a request.
pub(super) const MAX_REQUEST_BODY: usize = 4_096;

/// Longest body that this library writes: a registration with every field at its longest.
const MAX_OWN_BODY: usize =
    1 + UserName::MAX_LEN + 1 + DisplayName::MAX_LEN + 2 + Password::MAX_LEN + 1 + DeviceName::MAX_LEN;

/// The client's request. A tag and a body behind a length, so that a server can refuse one that it does not know
/// instead of failing to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Request {
    /// A session between the two identities as they are, without an account.
    Identity,
    /// A new account, with this device as its first.
    Register {
        /// The name to log in by.
        user: UserName,
        /// The name to be shown.
        display_name: DisplayName,
        /// The password, for adding devices later.
        password: Password,
        /// What this device is called.
        device: DeviceName,
    },
    /// A session of the account that knows this device. The signature of flight 3 is the whole proof.
    Login {
        /// Whose account.
        user: UserName,
    },
    /// A session of an account that does not know this device yet, and from now on does.
    AddDevice {
        /// Whose account.
        user: UserName,
        /// The account's password.
        password: Password,
        /// What this device is called.
        device: DeviceName,
    },
    /// A session without an account on a server that has accounts; nothing of it stays.
    Transient,
    /// Another path for a session that both ends still hold.
    Resume(ResumeRequest),
}

/// Why a request cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Its body is not well-formed.
    #[error("malformed request")]
    Malformed,
    /// A request that this library does not know.
    #[error("unknown request {0}")]
    Unknown(u8),
}

impl From<Malformed> for RequestError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl Request {
    const IDENTITY: u8 = 0;
    const REGISTER: u8 = 1;
    const LOGIN: u8 = 2;
    const ADD_DEVICE: u8 = 3;
    const TRANSIENT: u8 = 4;
    const RESUME: u8 = 5;

    /// Reads an encoded request. Never panics; copies nothing before its length is checked.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let mut reader = Reader::new(bytes);
        let number = reader.u8()?;
        let body = reader.string16(MAX_REQUEST_BODY)?;
        reader.finish()?;
        let mut body = Reader::new(body);
        let request = match number {
            Self::IDENTITY => Self::Identity,
            Self::REGISTER => Self::Register {
                user: read_user(&mut body)?,
                display_name: DisplayName::from_bytes(body.string8()?).map_err(|_| Malformed)?,
                password: read_password(&mut body)?,
                device: read_device(&mut body)?,
            },
            Self::LOGIN => Self::Login { user: read_user(&mut body)? },
            Self::ADD_DEVICE => Self::AddDevice {
                user: read_user(&mut body)?,
                password: read_password(&mut body)?,
                device: read_device(&mut body)?,
            },
            Self::TRANSIENT => Self::Transient,
            Self::RESUME => Self::Resume(ResumeRequest::read(&mut body)?),
            unknown => return Err(RequestError::Unknown(unknown)),
        };
        body.finish()?;
        Ok(request)
    }

    /// The request's bytes, which may hold a password.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room for the longest at once: a vector that grows leaves its old bytes behind.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_OWN_BODY));
        let number = match self {
            Self::Identity => Self::IDENTITY,
            Self::Register { user, display_name, password, device } => {
                put_string8(&mut body, user.as_str().as_bytes());
                put_string8(&mut body, display_name.as_str().as_bytes());
                put_string16(&mut body, password.expose());
                put_string8(&mut body, device.as_str().as_bytes());
                Self::REGISTER
            }
            Self::Login { user } => {
                put_string8(&mut body, user.as_str().as_bytes());
                Self::LOGIN
            }
            Self::AddDevice { user, password, device } => {
                put_string8(&mut body, user.as_str().as_bytes());
                put_string16(&mut body, password.expose());
                put_string8(&mut body, device.as_str().as_bytes());
                Self::ADD_DEVICE
            }
            Self::Transient => Self::TRANSIENT,
            Self::Resume(resume) => {
                resume.write(&mut body);
                Self::RESUME
            }
        };
        let mut out = Zeroizing::new(Vec::with_capacity(3 + body.len()));
        out.push(number);
        put_string16(&mut out, &body);
        out
    }

    /// Whether a password is in it.
    pub const fn has_password(&self) -> bool {
        matches!(self, Self::Register { .. } | Self::AddDevice { .. })
    }

    /// Splits an encoded request off the front of `reader` without judging it.
    pub(super) fn read_raw<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
        Ok((reader.u8()?, reader.string16(MAX_REQUEST_BODY)?))
    }
}

fn read_user(reader: &mut Reader<'_>) -> Result<UserName, Malformed> {
    UserName::from_bytes(reader.string8()?).map_err(|_| Malformed)
}

fn read_device(reader: &mut Reader<'_>) -> Result<DeviceName, Malformed> {
    DeviceName::from_bytes(reader.string8()?).map_err(|_| Malformed)
}

fn read_password(reader: &mut Reader<'_>) -> Result<Password, Malformed> {
    Password::new(reader.string16(Password::MAX_LEN)?).map_err(|_| Malformed)
}

/// What a client is to ask for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientRequest {
    /// This, as it is.
    Plain(Request),
    /// Another path for a session that this end holds; its proof is made once the server is proven.
    Resume {
        /// Which session.
        instance: Instance,
        /// Number of the new path.
        path: u64,
        /// The session's key.
        key: Arc<ResumptionKey>,
    },
}

impl ClientRequest {
    /// The request as it travels in the handshake of `binding`.
    pub(super) fn encode(&self, binding: &ResumeBinding) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Plain(request) => request.encode(),
            Self::Resume { instance, path, key } => {
                Request::Resume(key.prove(binding, *instance, *path)).encode()
            }
        }
    }

    /// Whether a password is in it.
    pub const fn has_password(&self) -> bool {
        match self {
            Self::Plain(request) => request.has_password(),
            Self::Resume { .. } => false,
        }
    }
}

impl From<Request> for ClientRequest {
    fn from(request: Request) -> Self {
        Self::Plain(request)
    }
}
