//! The encoder of schema 1 of a stored backend, kept to prove that its files still open.
//!
//! `tests/data/backend_1.redb` was written by it (`cargo run -p citadel_tests --example stored_files`) and is not
//! written again.

use citadel_crypt::handshake::Cid;
use redb::{Database, TableDefinition};
use std::path::Path;

/// The stored file, from the root of the repository.
pub const STORED: &str = "citadel_tests/tests/data/backend_1.redb";

const VERSION: u8 = 1;

/// An account of schema 1 with what belonged to it.
pub struct AccountV1 {
    /// Its id.
    pub cid: Cid,
    /// Its user name.
    pub user: &'static str,
    /// Its display name.
    pub display_name: &'static str,
    /// The hash of its password.
    pub password: &'static str,
    /// When it was created.
    pub created: u64,
    /// Peer id, name and time of each device.
    pub devices: Vec<([u8; 32], String, u64)>,
    /// Its values by key.
    pub values: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The accounts of the stored file, by cid.
pub fn accounts() -> Vec<AccountV1> {
    let devices = |count: u8| {
        (0..count).map(|n| ([n + 1; 32], format!("device {n}"), 1_700_000_000 + u64::from(n))).collect()
    };
    let alice = AccountV1 {
        cid: Cid(0x0102_0304_0506_0708),
        user: "alice",
        display_name: "Alice",
        password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
        created: 1_700_000_000,
        devices: devices(2),
        values: vec![(Vec::new(), b"empty key".to_vec()), (vec![0; 9], vec![7; 300])],
    };
    let zoe = AccountV1 {
        cid: Cid(u64::MAX),
        user: "zo\u{eb}",
        display_name: "",
        password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aA",
        created: 1_700_000_001,
        devices: devices(1),
        values: (0..150_u8).map(|n| (vec![n, n], vec![n; 20])).collect(),
    };
    vec![alice, zoe]
}

/// A sequence of bytes as schema 1 wrote it: its length, 8 bytes little-endian, and itself.
fn put(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    record.extend_from_slice(bytes);
}

fn account_record(account: &AccountV1) -> Vec<u8> {
    let mut record = vec![VERSION];
    for text in [account.user, account.display_name, account.password] {
        put(&mut record, text.as_bytes());
    }
    record.extend_from_slice(&account.created.to_le_bytes());
    record.extend_from_slice(&(account.devices.len() as u64).to_le_bytes());
    for (peer, name, added) in &account.devices {
        record.extend_from_slice(peer);
        put(&mut record, name.as_bytes());
        record.extend_from_slice(&added.to_le_bytes());
    }
    record
}

/// Writes the accounts into a new file at `path`.
///
/// # Errors
/// What redb says.
pub fn write(path: &Path) -> Result<(), redb::Error> {
    const fn table(name: &'static str) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
        TableDefinition::new(name)
    }
    let mut database = Database::create(path)?;
    let write = database.begin_write()?;
    {
        let mut accounts_table = write.open_table(table("accounts"))?;
        let mut users = write.open_table(table("users"))?;
        let mut values = write.open_table(table("kv"))?;
        for account in accounts() {
            let cid = account.cid.0.to_be_bytes();
            accounts_table.insert(&cid[..], account_record(&account).as_slice())?;
            let user = [&[VERSION][..], &account.cid.0.to_le_bytes()].concat();
            users.insert(account.user.as_bytes(), user.as_slice())?;
            for (key, value) in &account.values {
                let key = [&cid[..], key].concat();
                values.insert(key.as_slice(), [&[VERSION], value.as_slice()].concat().as_slice())?;
            }
        }
        let mut meta = write.open_table(table("meta"))?;
        meta.insert(&b"schema"[..], &1_u32.to_le_bytes()[..])?;
    }
    write.commit()?;
    while database.compact()? {}
    Ok(())
}
