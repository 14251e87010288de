//! Sealing a whole store anew.

use super::super::engine::Write;
use super::super::error::BackendError;
use super::super::pair::StoredPair;
use super::super::record::{
    AccountRecord, Table, keys, open_mail, open_outline, open_pair, open_ticket, open_value, open_vouch,
    seal_mail, seal_outline, seal_pair, seal_ticket, seal_value, seal_vouch,
};
use super::super::sealing::Sealer;
use core::ops::ControlFlow;

/// Records read before they are written again.
const AT_ONCE: usize = 64;

/// Opens every field by `from` and seals it by `to`.
pub(in super::super) fn reseal(
    tables: &mut dyn Write,
    from: &Sealer,
    to: &Sealer,
) -> Result<(), BackendError> {
    let with_fields = [
        Table::Accounts,
        Table::Mail,
        Table::Values,
        Table::Tickets,
        Table::Pairs,
        Table::Vouches,
        Table::Outlines,
    ];
    for table in with_fields {
        let mut next = Vec::new();
        loop {
            let mut found = Vec::new();
            tables.scan(table, &next, &mut |key, record| {
                found.push((key.to_vec(), record.to_vec()));
                Ok(if found.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            let Some((last, _)) = found.last() else { break };
            next = keys::above(last);
            for (key, record) in found {
                let record = resealed(table, &key, &record, from, to)?;
                tables.put(table, &key, record)?;
            }
        }
    }
    Ok(())
}

fn resealed(
    table: Table,
    key: &[u8],
    record: &[u8],
    from: &Sealer,
    to: &Sealer,
) -> Result<Vec<u8>, BackendError> {
    match table {
        Table::Accounts => {
            let key: &[u8; 8] = key.try_into().map_err(|_| table.corrupt())?;
            let mut account = AccountRecord::decode(record)?;
            let place = AccountRecord::password_place(key);
            let password = from.open(place, &account.password)?;
            account.password.clear();
            to.seal(place, &password, &mut account.password)?;
            Ok(account.encode())
        }
        Table::Mail => seal_mail(to, key, &open_mail(from, key, record)?),
        Table::Values => {
            let (version, value) = open_value(from, key, record)?;
            seal_value(to, key, version, &value)
        }
        Table::Tickets => {
            let (expires, secret) = open_ticket(from, key, record)?;
            seal_ticket(to, key, expires, &secret)
        }
        Table::Pairs => {
            let StoredPair { pair, revision } = open_pair(from, key, record)?;
            seal_pair(to, key, revision, &pair)
        }
        Table::Vouches => seal_vouch(to, key, &open_vouch(from, key, record)?),
        Table::Outlines => seal_outline(to, key, &open_outline(from, key, record)?),
        Table::Users | Table::Devices | Table::Usage => Ok(record.to_vec()),
    }
}
