//! Bytes of requests and answers on the service channel: an id and a body, one message each.
//!
//! Read from an authenticated peer and trusted no further: the length is capped before anything is decoded, names and
//! lengths are checked as they are read, the whole input is the value (see [`citadel_crypt::wire`]).

use super::message::{AskError, Profile, RequestBody, ResponseBody};
use crate::backend::{
    Device, Entry, Expect, MAX_PAGE_BYTES, Space, UnixTime, ValuePage, ValueVersion, Versioned,
};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, Password, UserName};
use citadel_crypt::wire::{WireError, decode_borrowed, encode};
use core::time::Duration;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Longest request, bytes: the longest key and value, or two passwords, and what stands around them.
pub const MAX_REQUEST_LEN: usize = Space::MAX_KEY + Space::MAX_VALUE + 128;
/// Longest answer, bytes: a page of values, and the last value that filled it.
pub const MAX_RESPONSE_LEN: usize = 2 * MAX_PAGE_BYTES;

#[derive(Serialize, Deserialize)]
struct WireRequest<'a> {
    id: u64,
    #[serde(borrow)]
    body: WireAsk<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireAsk<'a> {
    Profile,
    Devices,
    RevokeDevice { peer: [u8; 32] },
    ChangePassword { old: &'a [u8], new: &'a [u8], revoke_others: bool },
    SetDisplayName { display_name: &'a str },
    Deregister,
    Get { about: u64, key: &'a [u8] },
    Put { about: u64, key: &'a [u8], value: &'a [u8], expect: WireExpect },
    Delete { about: u64, key: &'a [u8], expect: WireExpect },
    List { about: u64, prefix: &'a [u8], after: Option<&'a [u8]>, limit: u64 },
}

#[derive(Serialize, Deserialize)]
enum WireExpect {
    Any,
    Absent,
    Version(u64),
}

#[derive(Serialize, Deserialize)]
struct WireResponse<'a> {
    id: u64,
    #[serde(borrow)]
    body: WireAnswer<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireAnswer<'a> {
    #[serde(borrow)]
    Profile(WireProfile<'a>),
    Devices(Vec<WireDevice<'a>>),
    Done,
    Was(bool),
    Value(Option<WireValue<'a>>),
    Version(u64),
    Page {
        entries: Vec<WireEntry<'a>>,
        more: bool,
    },
    Failed(WireRefusal),
}

#[derive(Serialize, Deserialize)]
struct WireProfile<'a> {
    cid: u64,
    user: &'a str,
    display_name: &'a str,
    created: u64,
}

#[derive(Serialize, Deserialize)]
struct WireDevice<'a> {
    peer: [u8; 32],
    name: &'a str,
    added: u64,
    revoked: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct WireValue<'a> {
    version: u64,
    value: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    key: &'a [u8],
    #[serde(borrow)]
    value: WireValue<'a>,
}

#[derive(Serialize, Deserialize)]
enum WireRefusal {
    Denied,
    Gone,
    Credentials,
    RateLimited { millis: u64 },
    Conflict,
    Version(Option<u64>),
    TooLong,
    Quota,
    Busy,
    Unavailable,
}

/// No account has it; on the wire: about no peer.
const NO_PEER: u64 = 0;

const fn about_number(about: &Option<Cid>) -> u64 {
    match about {
        Some(cid) => cid.0,
        None => NO_PEER,
    }
}

fn about_of(number: u64) -> Option<Cid> {
    (number != NO_PEER).then_some(Cid(number))
}

/// The bytes of a request, which may hold passwords.
///
/// # Errors
/// [`WireError::TooLong`] over [`MAX_REQUEST_LEN`].
pub fn encode_request(id: u64, body: &RequestBody) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let expect = |expect: &Expect| match expect {
        Expect::Any => WireExpect::Any,
        Expect::Absent => WireExpect::Absent,
        Expect::Version(version) => WireExpect::Version(version.0),
    };
    let body = match body {
        RequestBody::Profile => WireAsk::Profile,
        RequestBody::Devices => WireAsk::Devices,
        RequestBody::RevokeDevice { peer } => WireAsk::RevokeDevice { peer: peer.0 },
        RequestBody::ChangePassword { old, new, revoke_others } => {
            WireAsk::ChangePassword { old: old.expose(), new: new.expose(), revoke_others: *revoke_others }
        }
        RequestBody::SetDisplayName { display_name } => {
            WireAsk::SetDisplayName { display_name: display_name.as_str() }
        }
        RequestBody::Deregister => WireAsk::Deregister,
        RequestBody::Get { about, key } => WireAsk::Get { about: about_number(about), key },
        RequestBody::Put { about, key, value, expect: wanted } => {
            WireAsk::Put { about: about_number(about), key, value, expect: expect(wanted) }
        }
        RequestBody::Delete { about, key, expect: wanted } => {
            WireAsk::Delete { about: about_number(about), key, expect: expect(wanted) }
        }
        RequestBody::List { about, prefix, after, limit } => {
            WireAsk::List { about: about_number(about), prefix, after: after.as_deref(), limit: *limit }
        }
    };
    capped(Zeroizing::new(encode(&WireRequest { id, body })?), MAX_REQUEST_LEN)
}

/// The request that `bytes` are, all of them.
///
/// # Errors
/// [`WireError`].
pub fn decode_request(bytes: &[u8]) -> Result<(u64, RequestBody), WireError> {
    let WireRequest { id, body } = decode_borrowed(bytes, MAX_REQUEST_LEN)?;
    let password = |bytes: &[u8]| Password::new(bytes).map_err(|_| WireError::Malformed);
    let expect = |expect| match expect {
        WireExpect::Any => Expect::Any,
        WireExpect::Absent => Expect::Absent,
        WireExpect::Version(version) => Expect::Version(ValueVersion(version)),
    };
    let body = match body {
        WireAsk::Profile => RequestBody::Profile,
        WireAsk::Devices => RequestBody::Devices,
        WireAsk::RevokeDevice { peer } => RequestBody::RevokeDevice { peer: PeerId(peer) },
        WireAsk::ChangePassword { old, new, revoke_others } => {
            RequestBody::ChangePassword { old: password(old)?, new: password(new)?, revoke_others }
        }
        WireAsk::SetDisplayName { display_name } => {
            RequestBody::SetDisplayName { display_name: name(display_name, DisplayName::new)? }
        }
        WireAsk::Deregister => RequestBody::Deregister,
        WireAsk::Get { about, key } => RequestBody::Get { about: about_of(about), key: key.into() },
        WireAsk::Put { about, key, value, expect: wanted } => RequestBody::Put {
            about: about_of(about),
            key: key.into(),
            value: value.into(),
            expect: expect(wanted),
        },
        WireAsk::Delete { about, key, expect: wanted } => {
            RequestBody::Delete { about: about_of(about), key: key.into(), expect: expect(wanted) }
        }
        WireAsk::List { about, prefix, after, limit } => RequestBody::List {
            about: about_of(about),
            prefix: prefix.into(),
            after: after.map(Into::into),
            limit,
        },
    };
    Ok((id, body))
}

/// The bytes of an answer.
///
/// # Errors
/// [`WireError::TooLong`] over [`MAX_RESPONSE_LEN`].
pub fn encode_response(id: u64, body: &ResponseBody) -> Result<Vec<u8>, WireError> {
    let body = match body {
        ResponseBody::Profile(profile) => WireAnswer::Profile(WireProfile {
            cid: profile.cid.0,
            user: profile.user.as_str(),
            display_name: profile.display_name.as_str(),
            created: profile.created.0,
        }),
        ResponseBody::Devices(devices) => WireAnswer::Devices(devices.iter().map(WireDevice::of).collect()),
        ResponseBody::Done => WireAnswer::Done,
        ResponseBody::Was(was) => WireAnswer::Was(*was),
        ResponseBody::Value(value) => WireAnswer::Value(value.as_ref().map(WireValue::of)),
        ResponseBody::Version(version) => WireAnswer::Version(version.0),
        ResponseBody::Page(page) => {
            WireAnswer::Page { entries: page.entries.iter().map(WireEntry::of).collect(), more: page.more }
        }
        ResponseBody::Failed(error) => WireAnswer::Failed(WireRefusal::of(error)),
    };
    capped(encode(&WireResponse { id, body })?, MAX_RESPONSE_LEN)
}

/// The answer that `bytes` are, all of them.
///
/// # Errors
/// [`WireError`].
pub fn decode_response(bytes: &[u8]) -> Result<(u64, ResponseBody), WireError> {
    let WireResponse { id, body } = decode_borrowed(bytes, MAX_RESPONSE_LEN)?;
    let body = match body {
        WireAnswer::Profile(profile) => ResponseBody::Profile(Profile::new(
            Cid(profile.cid),
            name(profile.user, UserName::new)?,
            name(profile.display_name, DisplayName::new)?,
            UnixTime(profile.created),
        )),
        WireAnswer::Devices(devices) => {
            ResponseBody::Devices(devices.into_iter().map(WireDevice::read).collect::<Result<_, _>>()?)
        }
        WireAnswer::Done => ResponseBody::Done,
        WireAnswer::Was(was) => ResponseBody::Was(was),
        WireAnswer::Value(value) => ResponseBody::Value(value.map(WireValue::read)),
        WireAnswer::Version(version) => ResponseBody::Version(ValueVersion(version)),
        WireAnswer::Page { entries, more } => {
            let entry = |entry: WireEntry<'_>| Entry { key: entry.key.into(), versioned: entry.value.read() };
            ResponseBody::Page(ValuePage { entries: entries.into_iter().map(entry).collect(), more })
        }
        WireAnswer::Failed(error) => ResponseBody::Failed(error.read()),
    };
    Ok((id, body))
}

fn capped<B: AsRef<[u8]>>(bytes: B, max: usize) -> Result<B, WireError> {
    if bytes.as_ref().len() > max { Err(WireError::TooLong) } else { Ok(bytes) }
}

fn name<N, E>(text: &str, read: impl FnOnce(String) -> Result<N, E>) -> Result<N, WireError> {
    // No name is longer; a longer text is not copied.
    if text.len() > DisplayName::MAX_LEN {
        return Err(WireError::Malformed);
    }
    read(text.to_owned()).map_err(|_| WireError::Malformed)
}

impl<'a> WireDevice<'a> {
    fn of(device: &'a Device) -> Self {
        let Device { peer, name, added, revoked } = device;
        Self { peer: peer.0, name: name.as_str(), added: added.0, revoked: revoked.map(|at| at.0) }
    }

    fn read(self) -> Result<Device, WireError> {
        let name = name(self.name, DeviceName::new)?;
        let (added, revoked) = (UnixTime(self.added), self.revoked.map(UnixTime));
        Ok(Device { peer: PeerId(self.peer), name, added, revoked })
    }
}

impl<'a> WireValue<'a> {
    fn of(versioned: &'a Versioned) -> Self {
        Self { version: versioned.version.0, value: &versioned.value }
    }

    fn read(self) -> Versioned {
        Versioned { version: ValueVersion(self.version), value: self.value.into() }
    }
}

impl<'a> WireEntry<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self { key: &entry.key, value: WireValue::of(&entry.versioned) }
    }
}

impl WireRefusal {
    fn of(error: &AskError) -> Self {
        match error {
            AskError::Denied => Self::Denied,
            AskError::Gone => Self::Gone,
            AskError::Credentials => Self::Credentials,
            AskError::RateLimited(wait) => {
                let millis = wait.as_nanos().div_ceil(1_000_000);
                Self::RateLimited { millis: u64::try_from(millis).unwrap_or(u64::MAX) }
            }
            AskError::Conflict => Self::Conflict,
            AskError::Version(found) => Self::Version(found.map(|version| version.0)),
            AskError::TooLong => Self::TooLong,
            AskError::Quota => Self::Quota,
            AskError::Busy => Self::Busy,
            AskError::Unavailable => Self::Unavailable,
        }
    }

    const fn read(self) -> AskError {
        match self {
            Self::Denied => AskError::Denied,
            Self::Gone => AskError::Gone,
            Self::Credentials => AskError::Credentials,
            Self::RateLimited { millis } => AskError::RateLimited(Duration::from_millis(millis)),
            Self::Conflict => AskError::Conflict,
            Self::Version(Some(version)) => AskError::Version(Some(ValueVersion(version))),
            Self::Version(None) => AskError::Version(None),
            Self::TooLong => AskError::TooLong,
            Self::Quota => AskError::Quota,
            Self::Busy => AskError::Busy,
            Self::Unavailable => AskError::Unavailable,
        }
    }
}
