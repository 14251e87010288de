//! What the operator of a node does to accounts, in its own process.

use super::{Accounts, NO_DEVICE};
use crate::accounts::authorize::{Action, Actor, Denied, Resource, authorize};
use crate::accounts::step::{Fact, Need};
use crate::backend::{Account, AccountChange, BackendError, Device, RevokeDevices};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, Password, UserName};

/// Tries to change an account that its user changes at the same time.
const TRIES: usize = 8;

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The table does not allow it.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// The account was changed again and again at the same time.
    #[error("the account is being changed")]
    Conflict,
    /// The password could not be hashed now.
    #[error("passwords cannot be hashed now")]
    Busy,
    /// The store failed.
    #[error("the store failed")]
    Backend(#[source] BackendError),
}

impl From<BackendError> for AdminError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::NoAccount => Self::NoAccount,
            error => Self::Backend(error),
        }
    }
}

fn allowed(action: Action, cid: Cid) -> Result<(), AdminError> {
    Ok(authorize(&Actor::Admin, action, &Resource::Account { cid, is_peer: false })?)
}

/// Operations of the operator. Each is durable when it resolves, and closes the sessions that it concerns with
/// [`CloseReason::Revoked`](crate::CloseReason::Revoked). A dropped future leaves an operation done or not done; each may be
/// repeated.
impl Accounts {
    /// Up to `limit` accounts with an id above `after`.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn list(&self, after: Option<Cid>, limit: usize) -> Result<Vec<Account>, AdminError> {
        authorize(&Actor::Admin, Action::ListAccounts, &Resource::Server)?;
        Ok(self.inner.backend.accounts(after, limit).await?)
    }

    /// The account of `user`.
    ///
    /// # Errors
    /// [`AdminError::NoAccount`] and the store's own.
    pub async fn find(&self, user: &UserName) -> Result<Account, AdminError> {
        let account = self.inner.backend.account_by_user(user).await?.ok_or(AdminError::NoAccount)?;
        allowed(Action::ReadProfile, account.cid)?;
        Ok(account)
    }

    /// The devices of an account, revoked ones too.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn devices(&self, cid: Cid) -> Result<Vec<Device>, AdminError> {
        allowed(Action::ListDevices, cid)?;
        Ok(self.inner.backend.devices(cid).await?)
    }

    /// Replaces a password, for a user who forgot it. `revoke_devices` shuts all devices out with it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn reset_password(
        &self,
        cid: Cid,
        new: Password,
        revoke_devices: bool,
    ) -> Result<(), AdminError> {
        allowed(Action::ResetPassword, cid)?;
        let hashed = self.inner.fact(Need::Hash(new), NO_DEVICE).await;
        let Fact::Hashed(hash) = hashed else { return Err(AdminError::Busy) };
        let at = self.inner.clock.unix();
        let revoke = revoke_devices.then_some(RevokeDevices { except: None, at });
        let change = AccountChange { password: Some(hash), revoke, ..AccountChange::default() };
        let revoked = self.change(cid, &change).await?;
        self.close_sessions(cid, &revoked, None);
        Ok(())
    }

    /// Blocks an account, so that none of its devices has a session or gets one, or unblocks it.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn set_blocked(&self, cid: Cid, blocked: bool) -> Result<(), AdminError> {
        allowed(Action::SetBlocked, cid)?;
        let change = AccountChange { blocked: Some(blocked), ..AccountChange::default() };
        self.change(cid, &change).await?;
        if blocked {
            let devices = self.inner.backend.devices(cid).await?;
            self.close_sessions(cid, &peers(&devices), None);
        }
        Ok(())
    }

    /// Shuts a device out for good; whether it was live.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn revoke_device(&self, cid: Cid, peer: PeerId) -> Result<bool, AdminError> {
        allowed(Action::RevokeDevice, cid)?;
        let was_live = self.inner.backend.revoke_device(cid, peer, self.inner.clock.unix()).await?;
        self.close_sessions(cid, &[peer], None);
        Ok(was_live)
    }

    /// Removes an account with everything in it; whether it was there. It is blocked first, so that its sessions are closed
    /// before nobody knows which they were: one that was cut off in between, by a failure of the store for example, leaves
    /// the account blocked and is repeated.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn delete(&self, cid: Cid) -> Result<bool, AdminError> {
        allowed(Action::DeleteAccount, cid)?;
        let change = AccountChange { blocked: Some(true), ..AccountChange::default() };
        match self.change(cid, &change).await {
            Ok(_) => {}
            Err(AdminError::NoAccount) => return Ok(false),
            Err(error) => return Err(error),
        }
        let devices = self.inner.backend.devices(cid).await?;
        self.close_sessions(cid, &peers(&devices), None);
        Ok(self.inner.remove(cid).await?)
    }

    /// Applies `change` to the account as it is then; the devices that it revoked.
    async fn change(&self, cid: Cid, change: &AccountChange) -> Result<Vec<PeerId>, AdminError> {
        for _ in 0..TRIES {
            let account = self.inner.backend.account(cid).await?.ok_or(AdminError::NoAccount)?;
            let updated = self.inner.backend.update_account(cid, account.revision, change.clone()).await;
            match updated {
                Ok(updated) => return Ok(updated.revoked),
                Err(BackendError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdminError::Conflict)
    }
}

fn peers(devices: &[Device]) -> Vec<PeerId> {
    devices.iter().map(|device| device.peer).collect()
}
