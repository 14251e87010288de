//! Devices of an account.

use super::super::MAX_REVOKED;
use super::super::account::{Account, Device, Member, RevokeDevices, UnixTime};
use super::super::error::{BackendError, Conflict, Limit};
use super::super::record::{Table, decode_device, encode_device, keys};
use super::{Reader, Writer};
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, UserName};
use core::ops::ControlFlow;

/// No account has it.
const NOBODY: Cid = Cid(0);

impl Reader<'_> {
    pub(in super::super) fn member(&self, cid: Cid, peer: PeerId) -> Result<Option<Member>, BackendError> {
        self.with_device(self.account(cid)?, peer)
    }

    pub(in super::super) fn member_by_user(
        &self,
        user: &UserName,
        peer: PeerId,
    ) -> Result<Option<Member>, BackendError> {
        self.with_device(self.account_by_user(user)?, peer)
    }

    /// Where there is no account, nobody's device is looked for: whoever asks learns nothing by the time that it takes.
    fn with_device(&self, account: Option<Account>, peer: PeerId) -> Result<Option<Member>, BackendError> {
        let device = self.device(account.as_ref().map_or(NOBODY, |account| account.cid), peer)?;
        Ok(account.map(|account| Member { account, device }))
    }

    pub(in super::super) fn device(&self, cid: Cid, peer: PeerId) -> Result<Option<Device>, BackendError> {
        let key = keys::device(cid, peer);
        let record = self.tables.get(Table::Devices, &key)?;
        record.map(|record| decode_device(&key, &record)).transpose()
    }

    pub(in super::super) fn devices(&self, cid: Cid) -> Result<Vec<Device>, BackendError> {
        let prefix = keys::account(cid);
        let mut devices = Vec::new();
        self.scan_prefix(Table::Devices, &prefix, &prefix, |key, record| {
            devices.push(decode_device(key, record)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(devices)
    }
}

impl Writer<'_> {
    pub(in super::super) fn add_device(
        &mut self,
        cid: Cid,
        device: &Device,
        most: usize,
    ) -> Result<(), BackendError> {
        self.require_account(cid)?;
        let devices = self.reader().devices(cid)?;
        if devices.iter().any(|known| known.peer == device.peer) {
            return Err(Conflict::DeviceKnown.into());
        }
        if devices.iter().filter(|known| known.is_live()).count() >= most {
            return Err(Limit::Devices.into());
        }
        self.tables.put(Table::Devices, &keys::device(cid, device.peer), encode_device(device))
    }

    pub(in super::super) fn revoke_device(
        &mut self,
        cid: Cid,
        peer: PeerId,
        at: UnixTime,
    ) -> Result<bool, BackendError> {
        Ok(!self.revoke_where(cid, at, |device| device.peer == peer)?.is_empty())
    }

    /// Revokes the live devices that `revoke` names; which those were.
    pub(super) fn revoke_devices(
        &mut self,
        cid: Cid,
        revoke: RevokeDevices,
    ) -> Result<Vec<PeerId>, BackendError> {
        self.revoke_where(cid, revoke.at, |device| Some(device.peer) != revoke.except)
    }

    fn revoke_where(
        &mut self,
        cid: Cid,
        at: UnixTime,
        named: impl Fn(&Device) -> bool,
    ) -> Result<Vec<PeerId>, BackendError> {
        let mut devices = self.reader().devices(cid)?;
        let mut revoked = Vec::new();
        for device in devices.iter_mut().filter(|device| device.is_live() && named(device)) {
            device.revoked = Some(at);
            self.tables.put(Table::Devices, &keys::device(cid, device.peer), encode_device(device))?;
            revoked.push(device.peer);
        }
        // The oldest go first; of those revoked at the same second the lower peer id.
        let mut past: Vec<_> = devices.iter().filter_map(|d| d.revoked.map(|at| (at, d.peer))).collect();
        past.sort_unstable();
        for (_, peer) in &past[..past.len().saturating_sub(MAX_REVOKED)] {
            self.tables.delete(Table::Devices, &keys::device(cid, *peer))?;
        }
        Ok(revoked)
    }
}
