//! Where a server keeps what must outlive it: accounts, their devices, a mailbox and a key-value space for each, what pairs of
//! them have agreed, tickets.
//!
//! Owns: the trait [`Backend`], its two implementations [`Memory`] and [`Redb`], the layout of stored records, sealing
//! at rest. Never: who may do what (accounts decide that), what a pair may become (peers decide that), keys of sessions (they
//! are never stored).
//!
//! Every method is one transaction: done and durable when its future resolves with `Ok`, or without any effect. What a
//! transaction means is written once, in `store/`, over ordered tables of bytes; `memory.rs` and `disk/` are such tables.

mod account;

mod disk;
mod engine;
mod error;
mod mail;
mod memory;
mod pair;
mod record;
mod sealing;
mod store;
mod ticket;
mod value;

pub use account::{
    Account, AccountChange, Device, Member, NewAccount, PasswordHash, PasswordHashError, Revision,
    RevokeDevices, UnixTime, Updated,
};

pub use disk::{Redb, RedbConfig};
pub use error::{BackendError, Conflict, Limit};
pub use mail::{Mail, MailId};
pub use memory::Memory;
pub use pair::{PairLimits, StoredPair};
pub use record::{Table, check_record};
pub use sealing::{SealScope, SealingKey, SealingKeyError};
pub use ticket::TicketName;
pub use value::{Entry, Expect, Quota, Space, ValuePage, ValueVersion, Versioned};

use crate::peers::{Half, Pair};
use async_trait::async_trait;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, UserName};
use core::fmt;

/// Most accounts, mails or entries that one call lists; a larger `limit` is taken as this.
pub const MAX_PAGE: usize = 1_000;
/// Bytes of keys and values after which a page ends, so that a page fits in one message. A page holds at least one entry.
pub const MAX_PAGE_BYTES: usize = 256 << 10;
/// Revoked devices that are remembered for an account; the one revoked first is forgotten first. A forgotten one is an
/// unknown one, which is refused as well.
pub const MAX_REVOKED: usize = 256;

/// A store of accounts and of what belongs to them.
///
/// Calls may be made from many tasks at once and take effect in one order (they are linearizable). Times are arguments: a
/// backend reads no clock.
///
/// # Cancel safety
/// Dropping the future of any method leaves the transaction either done or not done, never half. Whether it was done
/// can be read afterwards: every method may be called again.
#[async_trait]
pub trait Backend: Send + Sync + fmt::Debug + 'static {
    /// Creates `account` with `device` as its first. Revision and block start at [`Revision::FIRST`] and unblocked.
    ///
    /// # Errors
    /// [`Conflict::UserTaken`], [`Conflict::CidTaken`].
    async fn create_account(&self, account: NewAccount, device: Device) -> Result<(), BackendError>;

    /// The account `cid`.
    ///
    /// # Errors
    /// The store's own.
    async fn account(&self, cid: Cid) -> Result<Option<Account>, BackendError>;

    /// The account of `user`, byte for byte.
    ///
    /// # Errors
    /// The store's own.
    async fn account_by_user(&self, user: &UserName) -> Result<Option<Account>, BackendError>;

    /// Up to `limit` accounts with a cid above `after`, by rising cid.
    ///
    /// # Errors
    /// The store's own.
    async fn accounts(&self, after: Option<Cid>, limit: usize) -> Result<Vec<Account>, BackendError>;

    /// Changes an account that still has the revision `expected`, and revokes devices with it if asked. Returns the new
    /// revision and the devices that were live until now.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`]; [`Conflict::Revision`] when somebody else was first.
    async fn update_account(
        &self,
        cid: Cid,
        expected: Revision,
        change: AccountChange,
    ) -> Result<Updated, BackendError>;

    /// Removes an account with its devices, mailbox, values, vouches and the pairs that it is in, in one transaction; its user
    /// name is free again. Returns the accounts that it had pairs with, by rising cid. None when there was no account, so that
    /// it may be repeated.
    ///
    /// # Errors
    /// The store's own.
    async fn remove_account(&self, cid: Cid) -> Result<Option<Vec<Cid>>, BackendError>;

    /// The device `peer` of `cid`, revoked or not.
    ///
    /// # Errors
    /// The store's own.
    async fn device(&self, cid: Cid, peer: PeerId) -> Result<Option<Device>, BackendError>;

    /// The account `cid` with its device `peer`, both as they were at one moment.
    ///
    /// # Errors
    /// The store's own.
    async fn member(&self, cid: Cid, peer: PeerId) -> Result<Option<Member>, BackendError>;

    /// The account of `user` with its device `peer`, both as they were at one moment. The device is looked for in any case,
    /// so that an answer of none takes no less.
    ///
    /// # Errors
    /// The store's own.
    async fn member_by_user(&self, user: &UserName, peer: PeerId) -> Result<Option<Member>, BackendError>;

    /// All devices of `cid` by peer id, revoked ones too. None for an unknown account.
    ///
    /// # Errors
    /// The store's own.
    async fn devices(&self, cid: Cid) -> Result<Vec<Device>, BackendError>;

    /// Adds a device to an account with fewer than `most` live ones.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`]; [`Conflict::DeviceKnown`] for one that it has or had; [`Limit::Devices`].
    async fn add_device(&self, cid: Cid, device: Device, most: usize) -> Result<(), BackendError>;

    /// Revokes a device for good. False when it is unknown or was revoked before, so that it may be repeated.
    ///
    /// # Errors
    /// The store's own.
    async fn revoke_device(&self, cid: Cid, peer: PeerId, at: UnixTime) -> Result<bool, BackendError>;

    /// Puts `item` at the end of the mailbox of `cid`, within `quota` for the whole mailbox. Ids rise and are never reused.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`]; [`Limit::Mail`] for more than [`Mail::MAX_LEN`] bytes; [`Limit::Quota`].
    async fn push_mail(&self, cid: Cid, item: &[u8], quota: Quota) -> Result<MailId, BackendError>;

    /// Up to `limit` mails above `after`, oldest first; ends early at [`MAX_PAGE_BYTES`].
    ///
    /// # Errors
    /// The store's own.
    async fn mail(&self, cid: Cid, after: Option<MailId>, limit: usize) -> Result<Vec<Mail>, BackendError>;

    /// Removes all mails up to and with `up_to`; how many those were. May be repeated.
    ///
    /// # Errors
    /// The store's own.
    async fn remove_mail(&self, cid: Cid, up_to: MailId) -> Result<u64, BackendError>;

    /// The value of `key`.
    ///
    /// # Errors
    /// The store's own.
    async fn value(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, BackendError>;

    /// Sets `key` if it is as `expect` says, within `quota` for all spaces of the account together. Returns its version,
    /// which is higher than any before it in the account: a key that is deleted and set again never has an old version.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`]; [`Conflict::Version`]; [`Limit::Key`], [`Limit::Value`], [`Limit::Quota`] (setting
    /// something smaller is always within the quota).
    async fn put_value(
        &self,
        space: Space,
        key: &[u8],
        value: &[u8],
        expect: Expect,
        quota: Quota,
    ) -> Result<ValueVersion, BackendError>;

    /// Deletes `key` if it is as `expect` says; whether there was one.
    ///
    /// # Errors
    /// [`Conflict::Version`].
    async fn delete_value(&self, space: Space, key: &[u8], expect: Expect) -> Result<bool, BackendError>;

    /// Up to `limit` entries whose key starts with `prefix` and is above `after`, by rising key (bytes compared); ends early
    /// at [`MAX_PAGE_BYTES`].
    ///
    /// # Errors
    /// The store's own.
    async fn list_values(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ValuePage, BackendError>;

    /// What `a` and `b` have agreed, whichever is named first.
    ///
    /// # Errors
    /// The store's own.
    async fn pair(&self, a: Cid, b: Cid) -> Result<Option<StoredPair>, BackendError>;

    /// Up to `limit` pairs of `of` with accounts above `after`, by rising cid of the other; ends early at [`MAX_PAGE_BYTES`].
    ///
    /// # Errors
    /// The store's own.
    async fn pairs(
        &self,
        of: Cid,
        after: Option<Cid>,
        limit: usize,
    ) -> Result<Vec<(Cid, StoredPair)>, BackendError>;

    /// All pairs that count for `of` ([`Pair::counts_for`]), by rising cid of the other, their statements left out: what each half
    /// said, when, and whether it blocks. About 30 bytes each, however long what was signed.
    ///
    /// # Errors
    /// The store's own.
    async fn outlines(&self, of: Cid) -> Result<Vec<(Cid, Pair)>, BackendError>;

    /// Sets the pair of `a` and `b`, whichever is named first, if it still has the revision `expected`; `None` expects that there
    /// is no record. Returns the revision now, which is what the next change is to expect: none after a pair that is nothing,
    /// which is no record.
    ///
    /// Each account for which the pair begins to count, or of which somebody begins to ask something in it, must have room within
    /// `limits`; so must one that blocks who begins to speak, so that the answer does not tell. Where there is none, what is over by
    /// `limits.now` is taken out of its other pairs in the same transaction, 64 of them at most, and gives room.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`] when either is gone; [`Conflict::Oneself`]; [`Conflict::Revision`] with
    /// [`Revision::NONE`] when there is no record; [`Limit::Pairs`]; [`Limit::Requests`]; [`Limit::Statement`] for one of more than
    /// [`Half::MAX_STATEMENT`] bytes.
    async fn put_pair(
        &self,
        a: Cid,
        b: Cid,
        pair: &Pair,
        expected: Option<Revision>,
        limits: PairLimits,
    ) -> Result<Option<Revision>, BackendError>;

    /// Keeps what the device `signer` says of the device `subject` in their account `cid`; replaces what it said of it before. A
    /// new one needs the account to have fewer than `most`.
    ///
    /// # Errors
    /// [`BackendError::NoAccount`]; [`Limit::Vouches`]; [`Limit::Statement`].
    async fn put_vouch(
        &self,
        cid: Cid,
        subject: PeerId,
        signer: PeerId,
        statement: &[u8],
        most: usize,
    ) -> Result<(), BackendError>;

    /// All vouches of `cid`, by subject and signer. None for an unknown account.
    ///
    /// # Errors
    /// The store's own.
    async fn vouches(&self, cid: Cid) -> Result<Vec<Vec<u8>>, BackendError>;

    /// Keeps a small secret of the server itself (a cookie's, a rotated key's) until `expires`; replaces one of the same
    /// name.
    ///
    /// # Errors
    /// [`Limit::Ticket`] for more than [`TicketName::MAX_SECRET`] bytes.
    async fn put_ticket(
        &self,
        name: &TicketName,
        secret: &[u8],
        expires: UnixTime,
    ) -> Result<(), BackendError>;

    /// Takes the secret of a ticket away: of all who ask, one gets it. None when there is none or it expired by `now`.
    ///
    /// # Errors
    /// The store's own.
    async fn take_ticket(
        &self,
        name: &TicketName,
        now: UnixTime,
    ) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, BackendError>;

    /// Removes all tickets that expired by `now`; how many.
    ///
    /// # Errors
    /// The store's own.
    async fn purge_tickets(&self, now: UnixTime) -> Result<u64, BackendError>;

    /// Waits for every transaction that was begun before, also of those whose future was dropped.
    ///
    /// # Errors
    /// The store's own.
    async fn flush(&self) -> Result<(), BackendError>;
}
