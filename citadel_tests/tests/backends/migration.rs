//! Files of earlier versions, and of later ones.

use super::setup::{File, sealed};
use citadel_proto::backend::{
    Backend, BackendError, Expect, Quota, Redb, RedbConfig, SealScope, Space, UnixTime, ValueVersion,
};
use citadel_tests::backend_script::{Answer, Dump, Expected, Model, Op};
use citadel_tests::schema_1::{self, AccountV1};
use citadel_tests::{schema_2, schema_3, sources};
use redb::{Database, TableDefinition};
use rstest::rstest;
use std::fs;

/// A copy of the file that was stored when schema 1 was the newest.
fn stored() -> File {
    copy_of(schema_1::STORED)
}

fn copy_of(path: &str) -> File {
    let file = File::new();
    fs::copy(sources::root().join(path), file.path()).expect("the stored file");
    file
}

async fn holds(backend: &dyn Backend, accounts: &[AccountV1]) {
    let found = backend.accounts(None, usize::MAX).await.unwrap();
    assert_eq!(found.len(), accounts.len());
    for (found, old) in found.iter().zip(accounts) {
        assert_eq!(found.cid, old.cid);
        assert_eq!(found.user.as_str(), old.user);
        assert_eq!(found.display_name.as_str(), old.display_name);
        assert_eq!(found.password.expose(), old.password);
        assert_eq!((found.created.0, found.blocked, found.revision.0), (old.created, false, 1));
        assert_eq!(backend.account_by_user(&found.user).await.unwrap().as_ref(), Some(found));
        let devices = backend.devices(old.cid).await.unwrap();
        assert_eq!(devices.len(), old.devices.len());
        for (device, (peer, name, added)) in devices.iter().zip(&old.devices) {
            assert_eq!((device.peer.0, device.name.as_str(), device.added.0), (*peer, name.as_str(), *added));
            assert!(device.is_live());
        }
        let page = backend.list_values(Space::of(old.cid), b"", None, usize::MAX).await.unwrap();
        let values: Vec<_> = page.entries.into_iter().map(|e| (e.key, e.versioned.value)).collect();
        assert_eq!(values, old.values);
    }
}

#[tokio::test]
async fn the_stored_file_of_schema_1_opens_with_everything_in_it() {
    let (file, accounts) = (stored(), schema_1::accounts());
    let backend = Redb::open(file.path()).unwrap();
    holds(&backend, &accounts).await;
    drop(backend);
    // It is of the new schema now and opens as such.
    let backend = Redb::open(file.path()).unwrap();
    holds(&backend, &accounts).await;
    let (space, quota) = (Space::of(accounts[0].cid), Quota { items: 3, bytes: 1 << 20 });
    let had = accounts[0].values.len() as u64;
    let version = backend.put_value(space, b"new", b"v", Expect::Absent, quota).await.unwrap();
    assert_eq!(version, ValueVersion(had + 1), "versions go on after those of the old values");
    assert!(
        backend.put_value(space, b"newer", b"v", Expect::Absent, quota).await.is_err(),
        "old values count"
    );
    let removed = backend.revoke_device(
        accounts[0].cid,
        citadel_crypt::addr::PeerId(accounts[0].devices[0].0),
        UnixTime(1),
    );
    assert!(removed.await.unwrap());
    assert!(backend.remove_account(accounts[0].cid).await.unwrap().is_some());
    holds(&backend, &accounts[1..]).await;
}

#[rstest]
#[tokio::test]
async fn an_old_file_may_be_sealed_as_it_is_migrated(
    #[values(SealScope::Secrets, SealScope::All)] scope: SealScope,
) {
    let file = stored();
    drop(Redb::open_with(file.path(), sealed(1, scope)).unwrap());
    assert!(matches!(Redb::open(file.path()), Err(BackendError::KeyNeeded)));
    holds(&Redb::open_with(file.path(), sealed(1, scope)).unwrap(), &schema_1::accounts()).await;
}

#[tokio::test]
async fn the_kept_encoder_writes_what_was_stored() {
    let file = File::new();
    schema_1::write(file.path()).unwrap();
    holds(&Redb::open(file.path()).unwrap(), &schema_1::accounts()).await;
}

/// A migration is one transaction: a damaged record undoes all of it.
#[test]
fn a_damaged_old_file_is_refused_and_left_as_it_is() {
    let file = stored();
    let last = schema_1::accounts().last().unwrap().cid;
    let accounts = TableDefinition::<&[u8], &[u8]>::new("accounts");
    let database = Database::open(file.path()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(accounts).unwrap().insert(&last.0.to_be_bytes()[..], &[1, 7][..]).unwrap();
    write.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let opened = Redb::open(file.path());
        assert!(matches!(opened, Err(BackendError::Corrupt { table: "accounts" })));
    }
}

/// What goes on in a store of accounts 0, 1 and 2 that knew nothing of peers.
const AFTERWARDS: [Op; 9] = [
    Op::Push(0, 1),
    Op::Put(0, None, 1, 3, Expected::Absent),
    Op::PutPair(0, 1, 1, 40, Expected::Absent, 1),
    Op::PutPair(2, 1, 1, 40, Expected::Absent, 1),
    Op::PutVouch(1, 0, 1, 9),
    Op::RemoveMail(0, 99),
    Op::Remove(0),
    Op::PutPair(2, 1, 1, 40, Expected::Absent, 1),
    Op::TakeTicket(2, 0),
];

#[rstest]
#[tokio::test]
async fn the_stored_file_of_schema_2_gains_pairs_and_keeps_everything(
    #[values(None, Some(SealScope::Secrets), Some(SealScope::All))] scope: Option<SealScope>,
) {
    let (file, mut model) = (copy_of(schema_2::STORED), Model::default());
    for op in schema_2::operations() {
        model.apply(&op);
    }
    let open =
        || Redb::open_with(file.path(), scope.map_or_else(RedbConfig::default, |scope| sealed(1, scope)));
    for _ in 0..2 {
        assert_eq!(Dump::of(&open().unwrap()).await.unwrap(), model.dump);
    }
    let backend = open().unwrap();
    for op in AFTERWARDS {
        assert_eq!(op.run(&backend, &model).await, model.apply(&op), "{op:?}");
    }
    assert_eq!(Dump::of(&backend).await.unwrap(), model.dump);
    assert_eq!(model.dump.accounts[&2].pairs.len(), 1, "the operations reached what they are about");
    let kept = Op::TakeTicket(1, 0).run(&backend, &model).await;
    assert!(matches!(kept, Answer::Bytes(Some(secret)) if secret.len() == 30));
}

#[test]
fn a_damaged_file_of_schema_2_is_refused_and_left_as_it_is() {
    let file = copy_of(schema_2::STORED);
    let usage = TableDefinition::<&[u8], &[u8]>::new("usage");
    let database = Database::open(file.path()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(usage).unwrap().insert(&[0xFF; 8][..], &[1, 7][..]).unwrap();
    write.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let opened = Redb::open(file.path());
        assert!(matches!(opened, Err(BackendError::Corrupt { table: "usage" })));
    }
    // The records before the damaged one are still of their version.
    let database = Database::open(file.path()).unwrap();
    let read = redb::ReadableDatabase::begin_read(&database).unwrap().open_table(usage).unwrap();
    let (_, first) = redb::ReadableTable::first(&read).unwrap().unwrap();
    assert_eq!(first.value()[0], 1);
}

/// What goes on where 0 asked 1, 2 is a peer of 0, and 1 blocks 2.
const WITH_PAIRS: [Op; 7] = [
    // One request waits for 1, which may have one; and two pairs count for it.
    Op::PutPair(1, 2, 9, 40, Expected::Any, 3),
    Op::PutPair(1, 2, 9, 40, Expected::Any, 2),
    // 2 has the one pair, whatever 1 does about it.
    Op::PutPair(2, 1, 6, 40, Expected::Any, 1),
    Op::Remove(0),
    Op::PutPair(1, 2, 9, 40, Expected::Any, 1),
    Op::PutPair(1, 2, 5, 40, Expected::Any, 1),
    Op::TakeTicket(1, 0),
];

#[rstest]
#[case::plain(schema_3::STORED, None, None)]
#[case::sealed_as_it_is_opened(schema_3::STORED, None, Some(SealScope::All))]
#[case::sealed_before(schema_3::SEALED, Some(SealScope::All), Some(SealScope::All))]
#[case::sealed_before_and_otherwise_now(schema_3::SEALED, Some(SealScope::All), Some(SealScope::Secrets))]
#[tokio::test]
async fn the_stored_files_of_schema_3_gain_outlines_and_keep_everything(
    #[case] path: &str,
    #[case] before: Option<SealScope>,
    #[case] scope: Option<SealScope>,
) {
    let (file, mut model) = (copy_of(path), Model::default());
    for op in schema_3::operations() {
        model.apply(&op);
    }
    if before.is_some() {
        assert!(matches!(Redb::open(file.path()), Err(BackendError::KeyNeeded)));
        let other = Redb::open_with(file.path(), sealed(2, SealScope::All));
        assert!(matches!(other, Err(BackendError::WrongKey)));
    }
    let open =
        || Redb::open_with(file.path(), scope.map_or_else(RedbConfig::default, |scope| sealed(1, scope)));
    for _ in 0..2 {
        assert_eq!(Dump::of(&open().unwrap()).await.unwrap(), model.dump);
    }
    let backend = open().unwrap();
    for op in WITH_PAIRS {
        assert_eq!(op.run(&backend, &model).await, model.apply(&op), "{op:?}");
    }
    assert_eq!(Dump::of(&backend).await.unwrap(), model.dump);
}

#[test]
fn a_newer_schema_is_refused() {
    let file = File::new();
    drop(Redb::open(file.path()).unwrap());
    let database = Database::open(file.path()).unwrap();
    let write = database.begin_write().unwrap();
    let meta = TableDefinition::<&[u8], &[u8]>::new("meta");
    write.open_table(meta).unwrap().insert(&b"schema"[..], &5_u32.to_le_bytes()[..]).unwrap();
    write.commit().unwrap();
    drop(database);
    let opened = Redb::open_with(file.path(), RedbConfig::default());
    assert!(matches!(opened, Err(BackendError::NewerVersion { found: 5, known: 4 })));
}
