//! Ordered tables of bytes with transactions: what an implementation brings, and the backend that follows from it.

use super::record::Table;
use super::store::{Reader, Writer};
use super::*;
use core::future::Future;
use core::ops::ControlFlow;
use zeroize::Zeroizing;

/// What a visitor of a scan says: go on or stop.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, BackendError>;

/// The tables as one transaction sees them.
pub(super) trait Read {
    /// The record of `key`.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, BackendError>;

    /// Visits the records from `from` on, by rising key, until the visitor stops.
    fn scan(&self, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), BackendError>;
}

/// The tables as the one writing transaction sees them.
pub(super) trait Write: Read {
    /// Sets the record of `key`.
    fn put(&mut self, table: Table, key: &[u8], record: Vec<u8>) -> Result<(), BackendError>;

    /// Removes the record of `key`, if there is one.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), BackendError>;
}

/// Runs transactions.
pub(super) trait Engine: Send + Sync + fmt::Debug + 'static {
    /// Runs `work` on a state that no write changes meanwhile.
    fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(Reader<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> impl Future<Output = Result<R, BackendError>> + Send;

    /// Runs `work` alone and makes durable what it did, or undoes it when it fails.
    fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer<'_>) -> Result<R, BackendError> + Send + 'static,
    ) -> impl Future<Output = Result<R, BackendError>> + Send;
}

#[async_trait]
impl<E: Engine> Backend for E {
    async fn create_account(&self, account: NewAccount, device: Device) -> Result<(), BackendError> {
        self.write(move |store| store.create_account(&account, &device)).await
    }

    async fn account(&self, cid: Cid) -> Result<Option<Account>, BackendError> {
        self.read(move |store| store.account(cid)).await
    }

    async fn account_by_user(&self, user: &UserName) -> Result<Option<Account>, BackendError> {
        let user = user.clone();
        self.read(move |store| store.account_by_user(&user)).await
    }

    async fn accounts(&self, after: Option<Cid>, limit: usize) -> Result<Vec<Account>, BackendError> {
        self.read(move |store| store.accounts(after, limit)).await
    }

    async fn update_account(
        &self,
        cid: Cid,
        expected: Revision,
        change: AccountChange,
    ) -> Result<Updated, BackendError> {
        self.write(move |store| store.update_account(cid, expected, change)).await
    }

    async fn remove_account(&self, cid: Cid) -> Result<Option<Vec<Cid>>, BackendError> {
        self.write(move |store| store.remove_account(cid)).await
    }

    async fn device(&self, cid: Cid, peer: PeerId) -> Result<Option<Device>, BackendError> {
        self.read(move |store| store.device(cid, peer)).await
    }

    async fn member(&self, cid: Cid, peer: PeerId) -> Result<Option<Member>, BackendError> {
        self.read(move |store| store.member(cid, peer)).await
    }

    async fn member_by_user(&self, user: &UserName, peer: PeerId) -> Result<Option<Member>, BackendError> {
        let user = user.clone();
        self.read(move |store| store.member_by_user(&user, peer)).await
    }

    async fn devices(&self, cid: Cid) -> Result<Vec<Device>, BackendError> {
        self.read(move |store| store.devices(cid)).await
    }

    async fn add_device(&self, cid: Cid, device: Device, most: usize) -> Result<(), BackendError> {
        self.write(move |store| store.add_device(cid, &device, most)).await
    }

    async fn revoke_device(&self, cid: Cid, peer: PeerId, at: UnixTime) -> Result<bool, BackendError> {
        self.write(move |store| store.revoke_device(cid, peer, at)).await
    }

    async fn push_mail(&self, cid: Cid, item: &[u8], quota: Quota) -> Result<MailId, BackendError> {
        if item.len() > Mail::MAX_LEN {
            return Err(Limit::Mail.into());
        }
        let item = item.to_vec();
        self.write(move |store| store.push_mail(cid, &item, quota)).await
    }

    async fn mail(&self, cid: Cid, after: Option<MailId>, limit: usize) -> Result<Vec<Mail>, BackendError> {
        self.read(move |store| store.mail(cid, after, limit)).await
    }

    async fn remove_mail(&self, cid: Cid, up_to: MailId) -> Result<u64, BackendError> {
        self.write(move |store| store.remove_mail(cid, up_to)).await
    }

    async fn value(&self, space: Space, key: &[u8]) -> Result<Option<Versioned>, BackendError> {
        let key = key.to_vec();
        self.read(move |store| store.value(space, &key)).await
    }

    async fn put_value(
        &self,
        space: Space,
        key: &[u8],
        value: &[u8],
        expect: Expect,
        quota: Quota,
    ) -> Result<ValueVersion, BackendError> {
        if key.len() > Space::MAX_KEY {
            return Err(Limit::Key.into());
        }
        if value.len() > Space::MAX_VALUE {
            return Err(Limit::Value.into());
        }
        let (key, value) = (key.to_vec(), value.to_vec());
        self.write(move |store| store.put_value(space, &key, &value, expect, quota)).await
    }

    async fn delete_value(&self, space: Space, key: &[u8], expect: Expect) -> Result<bool, BackendError> {
        let key = key.to_vec();
        self.write(move |store| store.delete_value(space, &key, expect)).await
    }

    async fn list_values(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ValuePage, BackendError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        self.read(move |store| store.list_values(space, &prefix, after.as_deref(), limit)).await
    }

    async fn pair(&self, a: Cid, b: Cid) -> Result<Option<StoredPair>, BackendError> {
        self.read(move |store| store.pair(a, b)).await
    }

    async fn pairs(
        &self,
        of: Cid,
        after: Option<Cid>,
        limit: usize,
    ) -> Result<Vec<(Cid, StoredPair)>, BackendError> {
        self.read(move |store| store.pairs(of, after, limit)).await
    }

    async fn outlines(&self, of: Cid) -> Result<Vec<(Cid, Pair)>, BackendError> {
        self.read(move |store| store.outlines(of)).await
    }

    async fn put_pair(
        &self,
        a: Cid,
        b: Cid,
        pair: &Pair,
        expected: Option<Revision>,
        limits: PairLimits,
    ) -> Result<Option<Revision>, BackendError> {
        if [&pair.lower, &pair.upper].iter().any(|half| half.statement.len() > Half::MAX_STATEMENT) {
            return Err(Limit::Statement.into());
        }
        let pair = pair.clone();
        self.write(move |store| store.put_pair([a, b], &pair, expected, limits)).await
    }

    async fn put_vouch(
        &self,
        cid: Cid,
        subject: PeerId,
        signer: PeerId,
        statement: &[u8],
        most: usize,
    ) -> Result<(), BackendError> {
        if statement.len() > Half::MAX_STATEMENT {
            return Err(Limit::Statement.into());
        }
        let statement = statement.to_vec();
        self.write(move |store| store.put_vouch(cid, [subject, signer], &statement, most)).await
    }

    async fn vouches(&self, cid: Cid) -> Result<Vec<Vec<u8>>, BackendError> {
        self.read(move |store| store.vouches(cid)).await
    }

    async fn put_ticket(
        &self,
        name: &TicketName,
        secret: &[u8],
        expires: UnixTime,
    ) -> Result<(), BackendError> {
        if secret.len() > TicketName::MAX_SECRET {
            return Err(Limit::Ticket.into());
        }
        let (name, secret) = (name.clone(), Zeroizing::new(secret.to_vec()));
        self.write(move |store| store.put_ticket(&name, &secret, expires)).await
    }

    async fn take_ticket(
        &self,
        name: &TicketName,
        now: UnixTime,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, BackendError> {
        let name = name.clone();
        self.write(move |store| store.take_ticket(&name, now)).await
    }

    async fn purge_tickets(&self, now: UnixTime) -> Result<u64, BackendError> {
        self.write(move |store| store.purge_tickets(now)).await
    }

    async fn flush(&self) -> Result<(), BackendError> {
        // The writer is one and writes in order: whoever has had its turn has seen all before it through.
        self.write(|_| Ok(())).await
    }
}
