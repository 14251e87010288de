//! The key-value spaces of an account.

use super::super::error::{BackendError, Conflict, Limit};
use super::super::record::{Table, keys, open_value, seal_value, value_version};
use super::super::value::{Entry, Expect, Quota, Space, ValuePage, ValueVersion, Versioned};
use super::super::{MAX_PAGE, MAX_PAGE_BYTES};
use super::{Reader, Writer};
use core::ops::ControlFlow;

impl Reader<'_> {
    pub(in super::super) fn value(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Option<Versioned>, BackendError> {
        let key = keys::value(space, key);
        let Some(record) = self.tables.get(Table::Values, &key)? else { return Ok(None) };
        let (version, value) = open_value(self.sealer, &key, &record)?;
        Ok(Some(Versioned { version, value }))
    }

    pub(in super::super) fn list_values(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<ValuePage, BackendError> {
        let start = keys::space(space).len();
        let prefix = keys::value(space, prefix);
        let after = after.map(|key| keys::above(&keys::value(space, key)));
        let from = after.filter(|after| *after > prefix).unwrap_or_else(|| prefix.clone());
        let (mut page, mut bytes, limit) =
            (ValuePage { entries: Vec::new(), more: false }, 0, limit.min(MAX_PAGE));
        self.scan_prefix(Table::Values, &prefix, &from, |key, record| {
            if page.entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                page.more = true;
                return Ok(ControlFlow::Break(()));
            }
            let (version, value) = open_value(self.sealer, key, record)?;
            bytes += key.len() + value.len();
            page.entries.push(Entry { key: key[start..].to_vec(), versioned: Versioned { version, value } });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// Version and length of the value of the whole key, checked against what the caller expects.
    fn expected(&self, key: &[u8], expect: Expect) -> Result<Option<u64>, BackendError> {
        let Some(record) = self.tables.get(Table::Values, key)? else {
            return match expect {
                Expect::Version(_) => Err(Conflict::Version(None).into()),
                Expect::Any | Expect::Absent => Ok(None),
            };
        };
        let version = value_version(&record)?;
        match expect {
            Expect::Absent => return Err(Conflict::Version(Some(version)).into()),
            Expect::Version(expected) if expected != version => {
                return Err(Conflict::Version(Some(version)).into());
            }
            Expect::Any | Expect::Version(_) => {}
        }
        Ok(Some(open_value(self.sealer, key, &record)?.1.len() as u64))
    }
}

impl Writer<'_> {
    pub(in super::super) fn put_value(
        &mut self,
        space: Space,
        key: &[u8],
        value: &[u8],
        expect: Expect,
        quota: Quota,
    ) -> Result<ValueVersion, BackendError> {
        self.require_account(space.cid)?;
        let (key_len, key) = (key.len() as u64, keys::value(space, key));
        let old = self.reader().expected(&key, expect)?;
        let before = self.reader().usage(space.cid)?;
        let mut usage = before;
        if let Some(old) = old {
            usage.value_bytes = usage.value_bytes.checked_sub(old).ok_or(Table::Usage.corrupt())?;
        } else {
            usage.values += 1;
            usage.value_bytes += key_len;
        }
        usage.value_bytes += value.len() as u64;
        let more_items = usage.values > quota.items && usage.values > before.values;
        let more_bytes = usage.value_bytes > quota.bytes && usage.value_bytes > before.value_bytes;
        if more_items || more_bytes {
            return Err(Limit::Quota.into());
        }
        usage.last_version += 1;
        let version = ValueVersion(usage.last_version);
        let record = seal_value(self.sealer, &key, version, value)?;
        self.tables.put(Table::Values, &key, record)?;
        self.put_usage(space.cid, &usage)?;
        Ok(version)
    }

    pub(in super::super) fn delete_value(
        &mut self,
        space: Space,
        key: &[u8],
        expect: Expect,
    ) -> Result<bool, BackendError> {
        let (key_len, key) = (key.len() as u64, keys::value(space, key));
        let Some(old) = self.reader().expected(&key, expect)? else { return Ok(false) };
        let mut usage = self.reader().usage(space.cid)?;
        usage.values = usage.values.checked_sub(1).ok_or(Table::Usage.corrupt())?;
        usage.value_bytes = usage.value_bytes.checked_sub(old + key_len).ok_or(Table::Usage.corrupt())?;
        self.tables.delete(Table::Values, &key)?;
        self.put_usage(space.cid, &usage)?;
        Ok(true)
    }
}
