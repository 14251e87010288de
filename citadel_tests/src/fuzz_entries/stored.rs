//! Records of a stored backend: what lies in a file that somebody else may have written.

use citadel_proto::backend::{Table, check_record};

/// A table, by the first byte, and a record of it.
pub fn stored_records(data: &[u8]) {
    let Some((table, record)) = data.split_first() else { return };
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    if check_record(table, record).is_ok() {
        assert!(check_record(table, &record[..record.len() - 1]).is_err() || is_open_ended(table));
        let mut other = record.to_vec();
        other[0] ^= 0x80;
        assert!(check_record(table, &other).is_err(), "a record of another version is none of ours");
        if !is_open_ended(table) {
            other[0] ^= 0x80;
            other.push(0);
            assert!(check_record(table, &other).is_err(), "a record is all of its bytes");
        }
    }
}

/// Whether the records of `table` end in bytes of any length.
const fn is_open_ended(table: Table) -> bool {
    matches!(table, Table::Mail | Table::Values | Table::Tickets)
}
