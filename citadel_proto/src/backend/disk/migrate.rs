//! Files of earlier schemas.
//!
//! Schema 1 kept an account's devices in the account's record, had neither usage nor mail nor tickets, knew values
//! of the account alone, without versions, and no seal:
//!
//! | table | key | record |
//! |---|---|---|
//! | accounts | cid | 1, then user, display name, password hash, created, devices of (peer id, name, added) |
//! | users | user name | 1, then cid |
//! | kv | cid, key | 1, then the value |
//!
//! Schema 2 had the tables of now but for pairs and vouches, and usage without the numbers of pairs:
//!
//! | table | key | record |
//! |---|---|---|
//! | usage | cid | 1, then last mail, mails, their bytes, last version, values, their bytes |
//!
//! Schema 3 had no outlines, and usage without the number of requests:
//!
//! | table | key | record |
//! |---|---|---|
//! | usage | cid | 2, then what version 1 had, last revision of a pair, pairs |

use super::super::account::{Device, Revision, UnixTime};
use super::super::engine::{Read, Write};
use super::super::error::BackendError;
use super::super::record::{
    AccountRecord, Table, Usage, encode_device, keys, open_pair, seal_outline, seal_value,
};
use super::super::sealing::Sealer;
use super::super::value::{Space, ValueVersion};
use super::tables::{Bytes, WriteTables, failed};
use crate::peers::Party;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{Cid, DeviceName, DisplayName, UserName};
use citadel_crypt::wire;
use core::ops::ControlFlow;
use redb::{ReadableTable, TableDefinition};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The values of schema 1.
const KV: Bytes = TableDefinition::new("kv");
/// First byte of every record of schema 1 and 2 that is migrated.
const VERSION: u8 = 1;
/// First byte of usage of schema 3.
const USAGE_2: u8 = 2;

#[derive(Deserialize)]
struct AccountV1 {
    user: UserName,
    display_name: DisplayName,
    password: String,
    created: u64,
    devices: Vec<DeviceV1>,
}

#[derive(Deserialize)]
struct DeviceV1 {
    peer: [u8; 32],
    name: DeviceName,
    added: u64,
}

/// From schema 1 to the present one, within the transaction.
pub(super) fn from_1(tables: &mut WriteTables) -> Result<(), BackendError> {
    for key in keys_of(tables, Table::Accounts)? {
        let cid = key.as_slice().try_into().map(u64::from_be_bytes).map_err(|_| Table::Accounts.corrupt())?;
        account(tables, Cid(cid))?;
    }
    values(tables)?;
    tables.transaction().delete_table(KV).map_err(failed)?;
    Ok(())
}

#[derive(Deserialize)]
struct UsageV1 {
    last_mail: u64,
    mails: u64,
    mail_bytes: u64,
    last_version: u64,
    values: u64,
    value_bytes: u64,
}

/// From schema 2 to the present one, within the transaction. Tables that are missing are made by who opens the file.
pub(super) fn from_2(tables: &mut WriteTables) -> Result<(), BackendError> {
    for key in keys_of(tables, Table::Usage)? {
        let record = tables.get(Table::Usage, &key)?.ok_or(Table::Usage.corrupt())?;
        let bytes = body(Table::Usage, VERSION, &record)?;
        let old: UsageV1 = wire::decode(bytes, wire::MAX_LEN).map_err(|_| Table::Usage.corrupt())?;
        let UsageV1 { last_mail, mails, mail_bytes, last_version, values, value_bytes } = old;
        let held =
            Usage { last_mail, mails, mail_bytes, last_version, values, value_bytes, ..Usage::default() };
        tables.put(Table::Usage, &key, held.encode())?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct UsageV2 {
    last_mail: u64,
    mails: u64,
    mail_bytes: u64,
    last_version: u64,
    values: u64,
    value_bytes: u64,
    last_pair: u64,
    pairs: u64,
}

/// From schema 3, whose fields are sealed like this, to the present one, within the transaction.
pub(super) fn from_3(tables: &mut WriteTables, sealer: &Sealer) -> Result<(), BackendError> {
    let mut requests = BTreeMap::<Vec<u8>, u64>::new();
    for key in keys_of(tables, Table::Pairs)? {
        let record = tables.get(Table::Pairs, &key)?.ok_or(Table::Pairs.corrupt())?;
        let pair = open_pair(sealer, &key, &record)?.pair;
        let (own, other) = key.split_at_checked(8).ok_or(Table::Pairs.corrupt())?;
        let (own_party, other_party) = (party(own)?, party(other)?);
        if pair.waits_for(own_party, other_party) {
            *requests.entry(own.to_vec()).or_default() += 1;
        }
        if pair.counts_for(own_party, other_party) {
            tables.put(Table::Outlines, &key, seal_outline(sealer, &key, &pair)?)?;
        }
    }
    for key in keys_of(tables, Table::Usage)? {
        let record = tables.get(Table::Usage, &key)?.ok_or(Table::Usage.corrupt())?;
        let bytes = body(Table::Usage, USAGE_2, &record)?;
        let old: UsageV2 = wire::decode(bytes, wire::MAX_LEN).map_err(|_| Table::Usage.corrupt())?;
        let UsageV2 { last_mail, mails, mail_bytes, last_version, values, value_bytes, last_pair, pairs } =
            old;
        let requests = requests.remove(&key).unwrap_or_default();
        let held = Usage {
            last_mail,
            mails,
            mail_bytes,
            last_version,
            values,
            value_bytes,
            last_pair,
            pairs,
            requests,
        };
        tables.put(Table::Usage, &key, held.encode())?;
    }
    // Whoever has a pair has usage.
    if requests.is_empty() { Ok(()) } else { Err(Table::Usage.corrupt()) }
}

/// The account of a part of a pair's key.
fn party(cid: &[u8]) -> Result<Party, BackendError> {
    let cid = cid.try_into().map_err(|_| Table::Pairs.corrupt())?;
    Ok(Party::Account(Cid(u64::from_be_bytes(cid))))
}

/// All keys of a table, which is rewritten while they are walked.
fn keys_of(tables: &WriteTables, table: Table) -> Result<Vec<Vec<u8>>, BackendError> {
    let mut keys = Vec::new();
    tables.scan(table, &[], &mut |key, _| {
        keys.push(key.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(keys)
}

/// A record without its version, which is this.
fn body(table: Table, version: u8, record: &[u8]) -> Result<&[u8], BackendError> {
    match record.split_first() {
        Some((found, body)) if *found == version => Ok(body),
        _ => Err(table.corrupt()),
    }
}

fn account(tables: &mut WriteTables, cid: Cid) -> Result<(), BackendError> {
    let key = keys::account(cid);
    let record = tables.get(Table::Accounts, &key)?.ok_or(Table::Accounts.corrupt())?;
    let bytes = body(Table::Accounts, VERSION, &record)?;
    let old: AccountV1 = wire::decode(bytes, wire::MAX_LEN).map_err(|_| Table::Accounts.corrupt())?;
    let mut password = Vec::new();
    Sealer::plain().seal(AccountRecord::password_place(&key), old.password.as_bytes(), &mut password)?;
    let record = AccountRecord {
        user: old.user,
        display_name: old.display_name,
        password,
        created: old.created,
        blocked: false,
        revision: Revision::FIRST.0,
    };
    tables.put(Table::Accounts, &key, record.encode())?;
    for DeviceV1 { peer, name, added } in old.devices {
        let device = Device::new(PeerId(peer), name, UnixTime(added));
        tables.put(Table::Devices, &keys::device(cid, device.peer), encode_device(&device))?;
    }
    Ok(())
}

/// Moves the old values over, some at a time.
fn values(tables: &mut WriteTables) -> Result<(), BackendError> {
    const AT_ONCE: usize = 64;
    let mut next = Vec::new();
    loop {
        let mut found = Vec::new();
        {
            let old = tables.transaction().open_table(KV).map_err(failed)?;
            for entry in old.range::<&[u8]>(next.as_slice()..).map_err(failed)?.take(AT_ONCE) {
                let (key, record) = entry.map_err(failed)?;
                found.push((key.value().to_vec(), record.value().to_vec()));
            }
        }
        let Some((last, _)) = found.last() else { return Ok(()) };
        next = keys::above(last);
        for (key, record) in found {
            value(tables, &key, &record)?;
        }
    }
}

fn value(tables: &mut WriteTables, old_key: &[u8], record: &[u8]) -> Result<(), BackendError> {
    let (cid, name) = old_key.split_at_checked(8).ok_or(Table::Values.corrupt())?;
    let cid = Cid(u64::from_be_bytes(cid.try_into().map_err(|_| Table::Values.corrupt())?));
    let value = body(Table::Values, VERSION, record)?;
    let usage = tables.get(Table::Usage, &keys::account(cid))?;
    let mut usage = usage.as_deref().map_or_else(|| Ok(Usage::default()), Usage::decode)?;
    usage.last_version += 1;
    usage.values += 1;
    usage.value_bytes += (name.len() + value.len()) as u64;
    let key = keys::value(Space::of(cid), name);
    let record = seal_value(&Sealer::plain(), &key, ValueVersion(usage.last_version), value)?;
    tables.put(Table::Values, &key, record)?;
    tables.put(Table::Usage, &keys::account(cid), usage.encode())
}
