//! The mailbox of an account.

use super::super::error::{BackendError, Limit};
use super::super::mail::{Mail, MailId};
use super::super::record::{Table, keys, open_mail, seal_mail};
use super::super::value::Quota;
use super::super::{MAX_PAGE, MAX_PAGE_BYTES};
use super::{Reader, Writer};
use citadel_crypt::handshake::Cid;
use core::ops::ControlFlow;

impl Reader<'_> {
    pub(in super::super) fn mail(
        &self,
        cid: Cid,
        after: Option<MailId>,
        limit: usize,
    ) -> Result<Vec<Mail>, BackendError> {
        let prefix = keys::account(cid);
        let from = after.map_or_else(|| prefix.to_vec(), |id| keys::above(&keys::mail(cid, id)));
        let (mut mail, mut bytes, limit) = (Vec::new(), 0, limit.min(MAX_PAGE));
        self.scan_prefix(Table::Mail, &prefix, &from, |key, record| {
            if mail.len() >= limit || bytes >= MAX_PAGE_BYTES {
                return Ok(ControlFlow::Break(()));
            }
            let item = open_mail(self.sealer, key, record)?;
            bytes += item.len();
            mail.push(Mail { id: id_of(key)?, item });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(mail)
    }
}

impl Writer<'_> {
    pub(in super::super) fn push_mail(
        &mut self,
        cid: Cid,
        item: &[u8],
        quota: Quota,
    ) -> Result<MailId, BackendError> {
        self.require_account(cid)?;
        let mut usage = self.reader().usage(cid)?;
        usage.mails += 1;
        usage.mail_bytes += item.len() as u64;
        if usage.mails > quota.items || usage.mail_bytes > quota.bytes {
            return Err(Limit::Quota.into());
        }
        usage.last_mail += 1;
        let id = MailId(usage.last_mail);
        let key = keys::mail(cid, id);
        let record = seal_mail(self.sealer, &key, item)?;
        self.tables.put(Table::Mail, &key, record)?;
        self.put_usage(cid, &usage)?;
        Ok(id)
    }

    pub(in super::super) fn remove_mail(&mut self, cid: Cid, up_to: MailId) -> Result<u64, BackendError> {
        let (prefix, sealer) = (keys::account(cid), self.sealer);
        let (mut found, mut bytes) = (Vec::new(), 0);
        self.reader().scan_prefix(Table::Mail, &prefix, &prefix, |key, record| {
            if id_of(key)? > up_to {
                return Ok(ControlFlow::Break(()));
            }
            bytes += open_mail(sealer, key, record)?.len() as u64;
            found.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        if found.is_empty() {
            return Ok(0);
        }
        for key in &found {
            self.tables.delete(Table::Mail, key)?;
        }
        let (mut usage, count) = (self.reader().usage(cid)?, found.len() as u64);
        usage.mails = usage.mails.checked_sub(count).ok_or(Table::Usage.corrupt())?;
        usage.mail_bytes = usage.mail_bytes.checked_sub(bytes).ok_or(Table::Usage.corrupt())?;
        self.put_usage(cid, &usage)?;
        Ok(count)
    }
}

fn id_of(key: &[u8]) -> Result<MailId, BackendError> {
    let id = key.get(8..).and_then(|id| id.try_into().ok()).ok_or(Table::Mail.corrupt())?;
    Ok(MailId(u64::from_be_bytes(id)))
}
