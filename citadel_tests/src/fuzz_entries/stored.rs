//! Records of a stored backend: what lies in a file that somebody else may have written.

use citadel_proto::backend::{Table, check_record};

/// A table, by the first byte, and a record of it.
pub fn stored_records(data: &[u8]) {
    let Some((table, record)) = data.split_first() else { return };
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    if check_record(table, record).is_ok() {
        assert!(check_record(table, &record[..record.len() - 1]).is_err() || is_open_ended(table, record));
        let mut other = record.to_vec();
        other[0] ^= 0x80;
        assert!(check_record(table, &other).is_err(), "a record of another version is none of ours");
        if !is_open_ended(table, record) {
            other[0] ^= 0x80;
            other.push(0);
            assert!(check_record(table, &other).is_err(), "a record is all of its bytes");
        }
    }
}

/// Whether the record ends in bytes of any length. That of a pair or an outline does where it is sealed: behind version and
/// revision stands the form of its field, which is 0 where it is not.
fn is_open_ended(table: Table, record: &[u8]) -> bool {
    match table {
        Table::Mail | Table::Values | Table::Tickets | Table::Vouches => true,
        Table::Pairs => record.get(9) != Some(&0),
        Table::Outlines => record.get(1) != Some(&0),
        _ => false,
    }
}
