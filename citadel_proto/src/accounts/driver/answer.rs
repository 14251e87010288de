//! Answers what a machine asks for: from the backend, the hasher and the provider.

use super::Inner;
use crate::accounts::step::{Create, Fact, Failure, Need};
use crate::backend::{BackendError, Conflict, Device, Limit, NewAccount};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::Cid;

impl Inner {
    /// The answer to `need`, for the device `peer`.
    pub(super) async fn fact(&self, need: Need, peer: PeerId) -> Fact {
        self.ask(need, peer).await.unwrap_or_else(Fact::Failed)
    }

    async fn ask(&self, need: Need, peer: PeerId) -> Result<Fact, Failure> {
        let backend = &*self.backend;
        Ok(match need {
            Need::AccountOf(user) => Fact::Account(backend.account_by_user(&user).await.map_err(failure)?),
            Need::Account(cid) => Fact::Account(backend.account(cid).await.map_err(failure)?),
            Need::Device(cid, peer) => Fact::Device(backend.device(cid, peer).await.map_err(failure)?),
            Need::Member(user, peer) => {
                Fact::Member(backend.member_by_user(&user, peer).await.map_err(failure)?)
            }
            Need::Devices(cid) => Fact::Devices(backend.devices(cid).await.map_err(failure)?),
            Need::Verify { password, against } => {
                Fact::Verified(self.hashing.verify(password, against).await?)
            }
            Need::Hash(password) => Fact::Hashed(self.hashing.hash(password, self.random()?).await?),
            Need::FreshCid => Fact::Cid(Cid(u64::from_le_bytes(self.random()?))),
            Need::Create(create) => {
                let Create { cid, user, display_name, password, device } = *create;
                let created = self.clock.unix();
                let account = NewAccount { cid, user, display_name, password, created };
                let device = Device::new(peer, device, created);
                backend.create_account(account, device).await.map_err(failure)?;
                Fact::Done
            }
            Need::AddDevice { cid, name } => {
                let device = Device::new(peer, name, self.clock.unix());
                let most = self.rules.load().policy.max_devices;
                backend.add_device(cid, device, most).await.map_err(failure)?;
                Fact::Done
            }
            Need::RevokeDevice { cid, peer } => {
                let was_live = backend.revoke_device(cid, peer, self.clock.unix()).await;
                Fact::Revoked(was_live.map_err(failure)?)
            }
            Need::Update { cid, expected, change } => {
                Fact::Updated(backend.update_account(cid, expected, *change).await.map_err(failure)?)
            }
            Need::Remove(cid) => Fact::Removed(self.remove(cid).await.map_err(failure)?),
            Need::Value { space, key } => Fact::Value(backend.value(space, &key).await.map_err(failure)?),
            Need::Put { space, key, value, expect } => {
                let quota = self.rules.load().policy.values;
                let put = backend.put_value(space, &key, &value, expect, quota).await;
                Fact::Version(put.map_err(failure)?)
            }
            Need::Delete { space, key, expect } => {
                Fact::Deleted(backend.delete_value(space, &key, expect).await.map_err(failure)?)
            }
            Need::List { space, prefix, after, limit } => {
                let page = backend.list_values(space, &prefix, after.as_deref(), limit).await;
                Fact::Page(page.map_err(failure)?)
            }
        })
    }

    /// Removes an account, and says so to who must know; whether it was there.
    pub(super) async fn remove(&self, cid: Cid) -> Result<bool, BackendError> {
        let others = self.backend.remove_account(cid).await?;
        if let Some(others) = &others {
            self.tell(|watcher| watcher.left(cid, others));
        }
        Ok(others.is_some())
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], Failure> {
        let mut random = [0; N];
        self.provider.random(&mut random).map_err(|_| Failure::Unavailable)?;
        Ok(random)
    }
}

fn failure(error: BackendError) -> Failure {
    match error {
        BackendError::Conflict(Conflict::UserTaken) => Failure::UserTaken,
        BackendError::Conflict(Conflict::CidTaken) => Failure::CidTaken,
        BackendError::Conflict(Conflict::DeviceKnown) => Failure::DeviceKnown,
        BackendError::Conflict(Conflict::Revision(_)) => Failure::Revision,
        BackendError::Conflict(Conflict::Version(found)) => Failure::Version(found),
        BackendError::NoAccount => Failure::NoAccount,
        BackendError::Limit(Limit::Devices) => Failure::TooManyDevices,
        BackendError::Limit(Limit::Key | Limit::Value) => Failure::TooLong,
        BackendError::Limit(Limit::Quota) => Failure::Quota,
        error => {
            log::error!(target: "citadel::accounts", "the backend failed: {error}");
            Failure::Unavailable
        }
    }
}
