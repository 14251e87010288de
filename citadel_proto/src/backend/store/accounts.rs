//! Accounts: creation, look-up, change, removal.

use super::super::account::{
    Account, AccountChange, Device, NewAccount, PasswordHash, Revision, UnixTime, Updated,
};
use super::super::error::{BackendError, Conflict};
use super::super::record::{AccountRecord, Table, decode_user, encode_device, encode_user, keys};
use super::super::{MAX_PAGE, sealing::Sealer};
use super::{Reader, Writer};
use citadel_crypt::handshake::{Cid, UserName};
use core::ops::ControlFlow;

impl Reader<'_> {
    pub(in super::super) fn account(&self, cid: Cid) -> Result<Option<Account>, BackendError> {
        let key = keys::account(cid);
        let record = self.tables.get(Table::Accounts, &key)?;
        record.map(|record| open(self.sealer, key, &record)).transpose()
    }

    pub(in super::super) fn account_by_user(&self, user: &UserName) -> Result<Option<Account>, BackendError> {
        let Some(record) = self.tables.get(Table::Users, user.as_str().as_bytes())? else { return Ok(None) };
        self.account(decode_user(&record)?)
    }

    pub(in super::super) fn accounts(
        &self,
        after: Option<Cid>,
        limit: usize,
    ) -> Result<Vec<Account>, BackendError> {
        let limit = limit.min(MAX_PAGE);
        let from = after.map_or_else(Vec::new, |cid| keys::above(&keys::account(cid)));
        let mut accounts = Vec::new();
        if limit == 0 {
            return Ok(accounts);
        }
        self.tables.scan(Table::Accounts, &from, &mut |key, record| {
            let key = key.try_into().map_err(|_| Table::Accounts.corrupt())?;
            accounts.push(open(self.sealer, key, record)?);
            Ok(if accounts.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(accounts)
    }
}

impl Writer<'_> {
    pub(in super::super) fn create_account(
        &mut self,
        account: &NewAccount,
        device: &Device,
    ) -> Result<(), BackendError> {
        let (cid, user) = (account.cid, account.user.as_str().as_bytes());
        if self.tables.get(Table::Users, user)?.is_some() {
            return Err(Conflict::UserTaken.into());
        }
        let key = keys::account(cid);
        if self.tables.get(Table::Accounts, &key)?.is_some() {
            return Err(Conflict::CidTaken.into());
        }
        let record = AccountRecord {
            user: account.user.clone(),
            display_name: account.display_name.clone(),
            password: seal_password(self.sealer, key, &account.password)?,
            created: account.created.0,
            blocked: false,
            revision: Revision::FIRST.0,
        };
        self.tables.put(Table::Accounts, &key, record.encode())?;
        self.tables.put(Table::Users, user, encode_user(cid))?;
        self.tables.put(Table::Devices, &keys::device(cid, device.peer), encode_device(device))
    }

    pub(in super::super) fn update_account(
        &mut self,
        cid: Cid,
        expected: Revision,
        change: AccountChange,
    ) -> Result<Updated, BackendError> {
        let key = keys::account(cid);
        let record = self.tables.get(Table::Accounts, &key)?.ok_or(BackendError::NoAccount)?;
        let mut record = AccountRecord::decode(&record)?;
        if record.revision() != expected {
            return Err(Conflict::Revision(record.revision()).into());
        }
        let AccountChange { password, display_name, blocked, revoke } = change;
        if let Some(password) = password {
            record.password = seal_password(self.sealer, key, &password)?;
        }
        if let Some(display_name) = display_name {
            record.display_name = display_name;
        }
        record.blocked = blocked.unwrap_or(record.blocked);
        record.revision += 1;
        self.tables.put(Table::Accounts, &key, record.encode())?;
        let revoked = revoke.map_or_else(|| Ok(Vec::new()), |revoke| self.revoke_devices(cid, revoke))?;
        Ok(Updated { revision: record.revision(), revoked })
    }

    pub(in super::super) fn remove_account(&mut self, cid: Cid) -> Result<Option<Vec<Cid>>, BackendError> {
        let key = keys::account(cid);
        let Some(record) = self.tables.get(Table::Accounts, &key)? else { return Ok(None) };
        let record = AccountRecord::decode(&record)?;
        self.tables.delete(Table::Users, record.user.as_str().as_bytes())?;
        let others = self.delete_pairs_with(cid)?;
        for table in Table::ALL.into_iter().filter(|table| table.is_by_account()) {
            self.delete_prefix(table, &key)?;
        }
        Ok(Some(others))
    }
}

fn seal_password(sealer: &Sealer, key: [u8; 8], password: &PasswordHash) -> Result<Vec<u8>, BackendError> {
    let mut field = Vec::new();
    sealer.seal(AccountRecord::password_place(&key), password.expose().as_bytes(), &mut field)?;
    Ok(field)
}

fn open(sealer: &Sealer, key: [u8; 8], record: &[u8]) -> Result<Account, BackendError> {
    let record = AccountRecord::decode(record)?;
    let corrupt = || Table::Accounts.corrupt();
    let mut password = sealer.open(AccountRecord::password_place(&key), &record.password)?;
    let password = String::from_utf8(std::mem::take(&mut *password)).map_err(|_| corrupt())?;
    let revision = record.revision();
    Ok(Account {
        cid: Cid(u64::from_be_bytes(key)),
        user: record.user,
        display_name: record.display_name,
        password: PasswordHash::new(password).map_err(|_| corrupt())?,
        created: UnixTime(record.created),
        blocked: record.blocked,
        revision,
    })
}
