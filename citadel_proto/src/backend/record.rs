//! Bytes of stored records. The first byte of each is its version, so that every table can change by itself.
//!
//! Keys are in `keys`: ids as big-endian numbers, so that the order of bytes is theirs.

use super::account::{Device, Revision, UnixTime};
use super::error::BackendError;
use super::pair::{StoredPair, decode_pair, encode_outline, encode_pair};
use super::sealing::{Place, Sealer, is_field, plain_content};
use super::value::ValueVersion;
use crate::peers::Pair;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, UserName};
use citadel_crypt::wire;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The tables of a store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[non_exhaustive]
pub enum Table {
    /// Accounts by cid.
    Accounts = 1,
    /// Cids by user name.
    Users = 2,
    /// Devices by cid and peer id.
    Devices = 3,
    /// What each account holds, and its counters, by cid.
    Usage = 4,
    /// Mail by cid and id.
    Mail = 5,
    /// Values by space and key.
    Values = 6,
    /// Tickets by name.
    Tickets = 7,
    /// Pairs of accounts by cid and the other's cid, twice each.
    Pairs = 8,
    /// Vouches by cid, subject and signer.
    Vouches = 9,
    /// Pairs without their statements, by cid and the other's cid, where they count for the account.
    Outlines = 10,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 10] = [
        Self::Accounts,
        Self::Users,
        Self::Devices,
        Self::Usage,
        Self::Mail,
        Self::Values,
        Self::Tickets,
        Self::Pairs,
        Self::Vouches,
        Self::Outlines,
    ];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Users => "users",
            Self::Devices => "devices",
            Self::Usage => "usage",
            Self::Mail => "mail",
            Self::Values => "values",
            Self::Tickets => "tickets",
            Self::Pairs => "pairs",
            Self::Vouches => "vouches",
            Self::Outlines => "outlines",
        }
    }

    /// Version of the records written now. Accounts of version 1 held their devices; usage of version 1 knew no pairs, that of
    /// version 2 no requests.
    pub(super) const fn version(self) -> u8 {
        match self {
            Self::Accounts => 2,
            Self::Usage => 3,
            _ => 1,
        }
    }

    /// Whether its fields are sealed whenever there is a key.
    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::Accounts | Self::Tickets)
    }

    /// Whether its keys start with a cid whose account they belong to.
    pub(super) const fn is_by_account(self) -> bool {
        match self {
            Self::Users | Self::Tickets => false,
            Self::Accounts | Self::Devices | Self::Usage | Self::Mail | Self::Values => true,
            Self::Pairs | Self::Vouches | Self::Outlines => true,
        }
    }

    /// Position in a list of all.
    pub(super) const fn index(self) -> usize {
        self as usize - 1
    }

    pub(super) const fn corrupt(self) -> BackendError {
        BackendError::Corrupt { table: self.name() }
    }

    /// The record without its version.
    fn body(self, record: &[u8]) -> Result<&[u8], BackendError> {
        match record.split_first() {
            Some((version, body)) if *version == self.version() => Ok(body),
            _ => Err(self.corrupt()),
        }
    }

    /// The record of `value`.
    fn encode<T: Serialize>(self, value: &T) -> Vec<u8> {
        let body = wire::encode(value).expect("strings, numbers and byte vectors encode into memory");
        [&[self.version()], body.as_slice()].concat()
    }

    /// The value that `record` is. The longest, an account, is far below the cap.
    fn decode<T: for<'a> Deserialize<'a>>(self, record: &[u8]) -> Result<T, BackendError> {
        const MAX: usize = 4 << 10;
        wire::decode(self.body(record)?, MAX).map_err(|_| self.corrupt())
    }
}

/// Keys of records.
pub(super) mod keys {
    use super::super::mail::MailId;
    use super::super::value::Space;
    use citadel_crypt::addr::PeerId;
    use citadel_crypt::handshake::Cid;

    pub(crate) const fn account(cid: Cid) -> [u8; 8] {
        cid.0.to_be_bytes()
    }

    pub(crate) fn device(cid: Cid, peer: PeerId) -> Vec<u8> {
        [&account(cid)[..], peer.as_bytes()].concat()
    }

    pub(crate) fn mail(cid: Cid, id: MailId) -> Vec<u8> {
        [account(cid), id.0.to_be_bytes()].concat()
    }

    /// What all keys of a space start with; no key of another space does.
    pub(crate) fn space(space: Space) -> Vec<u8> {
        let (tag, peer) = space.peer.map_or((0, 0), |peer| (1, peer.0));
        [&account(space.cid)[..], &[tag], &peer.to_be_bytes()].concat()
    }

    pub(crate) fn value(of: Space, key: &[u8]) -> Vec<u8> {
        [&space(of)[..], key].concat()
    }

    pub(crate) fn pair(of: Cid, other: Cid) -> Vec<u8> {
        [account(of), account(other)].concat()
    }

    pub(crate) fn vouch(cid: Cid, subject: PeerId, signer: PeerId) -> Vec<u8> {
        [&account(cid)[..], subject.as_bytes(), signer.as_bytes()].concat()
    }

    /// The lowest key above `key`.
    pub(crate) fn above(key: &[u8]) -> Vec<u8> {
        [key, &[0]].concat()
    }
}

/// Record of an account. The password hash is a field of its own form.
#[derive(Serialize, Deserialize)]
pub(super) struct AccountRecord {
    pub(super) user: UserName,
    pub(super) display_name: DisplayName,
    pub(super) password: Vec<u8>,
    pub(super) created: u64,
    pub(super) blocked: bool,
    pub(super) revision: u64,
}

impl AccountRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        Table::Accounts.encode(self)
    }

    pub(super) fn decode(record: &[u8]) -> Result<Self, BackendError> {
        let account: Self = Table::Accounts.decode(record)?;
        if is_field(&account.password) { Ok(account) } else { Err(Table::Accounts.corrupt()) }
    }

    pub(super) const fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    /// Where the password hash of `cid` stands.
    pub(super) const fn password_place(key: &[u8; 8]) -> Place<'_> {
        const HEAD: &[u8] = &[Table::Accounts.version()];
        Place { table: Table::Accounts, key, head: HEAD }
    }
}

#[derive(Serialize, Deserialize)]
struct DeviceRecord {
    name: DeviceName,
    added: u64,
    revoked: Option<u64>,
}

/// Record of a device.
pub(super) fn encode_device(device: &Device) -> Vec<u8> {
    Table::Devices.encode(&DeviceRecord {
        name: device.name.clone(),
        added: device.added.0,
        revoked: device.revoked.map(|at| at.0),
    })
}

/// The device of the key whose record this is.
pub(super) fn decode_device(key: &[u8], record: &[u8]) -> Result<Device, BackendError> {
    let DeviceRecord { name, added, revoked } = Table::Devices.decode(record)?;
    let peer = key.get(8..).and_then(|peer| peer.try_into().ok()).ok_or(Table::Devices.corrupt())?;
    Ok(Device {
        peer: citadel_crypt::addr::PeerId(peer),
        name,
        added: UnixTime(added),
        revoked: revoked.map(UnixTime),
    })
}

/// Record of a user name.
pub(super) fn encode_user(cid: Cid) -> Vec<u8> {
    Table::Users.encode(&cid.0)
}

pub(super) fn decode_user(record: &[u8]) -> Result<Cid, BackendError> {
    Table::Users.decode(record).map(Cid)
}

/// What an account holds, and the numbers given last.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) last_mail: u64,
    pub(super) mails: u64,
    pub(super) mail_bytes: u64,
    pub(super) last_version: u64,
    pub(super) values: u64,
    pub(super) value_bytes: u64,
    pub(super) last_pair: u64,
    pub(super) pairs: u64,
    pub(super) requests: u64,
}

impl Usage {
    pub(super) fn encode(&self) -> Vec<u8> {
        Table::Usage.encode(self)
    }

    pub(super) fn decode(record: &[u8]) -> Result<Self, BackendError> {
        Table::Usage.decode(record)
    }
}

/// A record that is its version, perhaps a number, and a field.
struct Fielded<'a> {
    head: &'a [u8],
    field: &'a [u8],
}

/// Splits a record behind `head` bytes, version included.
fn fielded(table: Table, record: &[u8], head: usize) -> Result<Fielded<'_>, BackendError> {
    table.body(record)?;
    let (head, field) = record.split_at_checked(head).ok_or(table.corrupt())?;
    if is_field(field) { Ok(Fielded { head, field }) } else { Err(table.corrupt()) }
}

/// Length of the head of mail, of a vouch and of an outline.
const BARE: usize = 1;
/// Length of a head with a number.
const NUMBERED: usize = 9;

fn seal(
    sealer: &Sealer,
    table: Table,
    key: &[u8],
    number: Option<u64>,
    content: &[u8],
) -> Result<Vec<u8>, BackendError> {
    let mut head = vec![table.version()];
    head.extend(number.into_iter().flat_map(u64::to_le_bytes));
    let mut record = head.clone();
    sealer.seal(Place { table, key, head: &head }, content, &mut record)?;
    Ok(record)
}

fn number(head: &[u8]) -> u64 {
    head[1..].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Record of a mail.
pub(super) fn seal_mail(sealer: &Sealer, key: &[u8], item: &[u8]) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Mail, key, None, item)
}

pub(super) fn open_mail(sealer: &Sealer, key: &[u8], record: &[u8]) -> Result<Vec<u8>, BackendError> {
    let Fielded { head, field } = fielded(Table::Mail, record, BARE)?;
    Ok(std::mem::take(&mut *sealer.open(Place { table: Table::Mail, key, head }, field)?))
}

/// Record of a value.
pub(super) fn seal_value(
    sealer: &Sealer,
    key: &[u8],
    version: ValueVersion,
    value: &[u8],
) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Values, key, Some(version.0), value)
}

/// The version of a value, which is never sealed.
pub(super) fn value_version(record: &[u8]) -> Result<ValueVersion, BackendError> {
    Ok(ValueVersion(number(fielded(Table::Values, record, NUMBERED)?.head)))
}

pub(super) fn open_value(
    sealer: &Sealer,
    key: &[u8],
    record: &[u8],
) -> Result<(ValueVersion, Vec<u8>), BackendError> {
    let Fielded { head, field } = fielded(Table::Values, record, NUMBERED)?;
    let value = std::mem::take(&mut *sealer.open(Place { table: Table::Values, key, head }, field)?);
    Ok((ValueVersion(number(head)), value))
}

/// Record of a ticket.
pub(super) fn seal_ticket(
    sealer: &Sealer,
    key: &[u8],
    expires: UnixTime,
    secret: &[u8],
) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Tickets, key, Some(expires.0), secret)
}

pub(super) fn ticket_expiry(record: &[u8]) -> Result<UnixTime, BackendError> {
    Ok(UnixTime(number(fielded(Table::Tickets, record, NUMBERED)?.head)))
}

pub(super) fn open_ticket(
    sealer: &Sealer,
    key: &[u8],
    record: &[u8],
) -> Result<(UnixTime, Zeroizing<Vec<u8>>), BackendError> {
    let Fielded { head, field } = fielded(Table::Tickets, record, NUMBERED)?;
    let secret = sealer.open(Place { table: Table::Tickets, key, head }, field)?;
    Ok((UnixTime(number(head)), secret))
}

/// Record of a pair; the same content under another key for the other account.
pub(super) fn seal_pair(
    sealer: &Sealer,
    key: &[u8],
    revision: Revision,
    pair: &Pair,
) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Pairs, key, Some(revision.0), &encode_pair(pair))
}

pub(super) fn open_pair(sealer: &Sealer, key: &[u8], record: &[u8]) -> Result<StoredPair, BackendError> {
    let Fielded { head, field } = fielded(Table::Pairs, record, NUMBERED)?;
    let content = sealer.open(Place { table: Table::Pairs, key, head }, field)?;
    let pair = decode_pair(&content).ok_or(Table::Pairs.corrupt())?;
    Ok(StoredPair { pair, revision: Revision(number(head)) })
}

/// Record of a pair without its statements.
pub(super) fn seal_outline(sealer: &Sealer, key: &[u8], pair: &Pair) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Outlines, key, None, &encode_outline(pair))
}

pub(super) fn open_outline(sealer: &Sealer, key: &[u8], record: &[u8]) -> Result<Pair, BackendError> {
    let Fielded { head, field } = fielded(Table::Outlines, record, BARE)?;
    let content = sealer.open(Place { table: Table::Outlines, key, head }, field)?;
    decode_pair(&content).ok_or(Table::Outlines.corrupt())
}

/// Record of a vouch.
pub(super) fn seal_vouch(sealer: &Sealer, key: &[u8], statement: &[u8]) -> Result<Vec<u8>, BackendError> {
    seal(sealer, Table::Vouches, key, None, statement)
}

pub(super) fn open_vouch(sealer: &Sealer, key: &[u8], record: &[u8]) -> Result<Vec<u8>, BackendError> {
    let Fielded { head, field } = fielded(Table::Vouches, record, BARE)?;
    Ok(std::mem::take(&mut *sealer.open(Place { table: Table::Vouches, key, head }, field)?))
}

/// Whether `record` may stand in a table of pairs; its content where it is not sealed.
fn check_pair(
    table: Table,
    record: &[u8],
    head: usize,
    encode: fn(&Pair) -> Vec<u8>,
) -> Result<(), BackendError> {
    let Fielded { field, .. } = fielded(table, record, head)?;
    let is_its = |content| decode_pair(content).is_some_and(|pair| encode(&pair) == content);
    if plain_content(field).is_none_or(is_its) { Ok(()) } else { Err(table.corrupt()) }
}

/// Whether `record` may stand in `table`: its version, its shape, the bounds of its names. Says nothing about a seal,
/// which needs the key. For tools that look over a file; the bytes of a record that passes are the only ones of its value.
///
/// # Errors
/// [`BackendError::Corrupt`].
pub fn check_record(table: Table, record: &[u8]) -> Result<(), BackendError> {
    let again = match table {
        Table::Accounts => AccountRecord::decode(record)?.encode(),
        Table::Users => encode_user(decode_user(record)?),
        Table::Devices => encode_device(&decode_device(&[0; 40], record)?),
        Table::Usage => Usage::decode(record)?.encode(),
        Table::Mail | Table::Vouches => return fielded(table, record, BARE).map(|_| ()),
        Table::Pairs => return check_pair(table, record, NUMBERED, encode_pair),
        Table::Outlines => return check_pair(table, record, BARE, encode_outline),
        Table::Values | Table::Tickets => return fielded(table, record, NUMBERED).map(|_| ()),
    };
    if again == record { Ok(()) } else { Err(table.corrupt()) }
}
