//! Secrets at rest.

use super::setup::{File, account, alice, cid, code, device, key, most, peer, sealed};
use citadel_proto::backend::{
    Backend, BackendError, Expect, Quota, Redb, RedbConfig, Revision, SealScope, Space, StoredPair,
    TicketName, UnixTime,
};
use citadel_proto::peers::{Half, Pair, Stance};
use citadel_tests::backend_script::{Dump, Model, script};
use rstest::rstest;
use std::fs;

const SECRETS: [&[u8]; 2] = [b"first-hash", b"ticket-canary"];
const DATA: [&[u8]; 4] = [b"mail-canary", b"value-canary", b"pair-canary", b"vouch-canary"];

fn asked() -> Pair {
    let statement = b"pair-canary".to_vec();
    let lower = Half { stance: Stance::Asked, at: UnixTime(7), statement, blocks: false };
    Pair { lower, ..Pair::default() }
}

async fn fill(backend: &dyn Backend) {
    alice(backend).await;
    backend.push_mail(cid(1), b"mail-canary", Quota::DEFAULT).await.unwrap();
    let space = Space::of(cid(1));
    backend.put_value(space, b"key", b"value-canary", Expect::Any, Quota::DEFAULT).await.unwrap();
    backend.put_ticket(&TicketName::new("name").unwrap(), b"ticket-canary", UnixTime(9)).await.unwrap();
    backend.create_account(account(2, "bob"), device(2)).await.unwrap();
    backend.put_pair(cid(1), cid(2), &asked(), None, most(9)).await.unwrap();
    backend.put_vouch(cid(1), peer(1), peer(2), b"vouch-canary", 9).await.unwrap();
}

async fn holds_all(backend: &dyn Backend) {
    let account = backend.account(cid(1)).await.unwrap().unwrap();
    assert_eq!(account.password.expose(), "$argon2id$first-hash");
    assert_eq!(backend.mail(cid(1), None, 1).await.unwrap()[0].item, b"mail-canary");
    assert_eq!(backend.value(Space::of(cid(1)), b"key").await.unwrap().unwrap().value, b"value-canary");
    let stored = Some(StoredPair { pair: asked(), revision: Revision(1) });
    assert_eq!(backend.pair(cid(1), cid(2)).await.unwrap(), stored);
    assert_eq!(backend.pair(cid(2), cid(1)).await.unwrap(), stored);
    assert_eq!(backend.vouches(cid(1)).await.unwrap(), [b"vouch-canary"]);
    let name = TicketName::new("name").unwrap();
    assert_eq!(backend.take_ticket(&name, UnixTime(0)).await.unwrap().unwrap()[..], b"ticket-canary"[..]);
    backend.put_ticket(&name, b"ticket-canary", UnixTime(9)).await.unwrap();
}

fn contains(file: &File, canary: &[u8]) -> bool {
    fs::read(file.path()).unwrap().windows(canary.len()).any(|window| window == canary)
}

#[rstest]
#[tokio::test]
async fn what_is_sealed_cannot_be_read_in_the_file(
    #[values(None, Some(SealScope::Secrets), Some(SealScope::All))] scope: Option<SealScope>,
) {
    let file = File::new();
    let config = || scope.map_or_else(RedbConfig::default, |scope| sealed(1, scope));
    let backend = Redb::open_with(file.path(), config()).unwrap();
    fill(&backend).await;
    drop(backend);
    assert_eq!(SECRETS.map(|canary| contains(&file, canary)), [scope.is_none(); 2]);
    assert_eq!(DATA.map(|canary| contains(&file, canary)), [scope != Some(SealScope::All); 4]);
    holds_all(&Redb::open_with(file.path(), config()).unwrap()).await;
}

#[tokio::test]
async fn a_sealed_file_opens_with_its_key_alone() {
    let file = File::new();
    let backend = Redb::open_with(file.path(), sealed(1, SealScope::Secrets)).unwrap();
    fill(&backend).await;
    assert!(matches!(Redb::open(file.path()), Err(BackendError::InUse)));
    drop(backend);
    let before = fs::read(file.path()).unwrap();
    assert!(matches!(Redb::open(file.path()), Err(BackendError::KeyNeeded)));
    let wrong = Redb::open_with(file.path(), sealed(2, SealScope::Secrets));
    assert!(matches!(wrong, Err(BackendError::WrongKey)));
    assert_eq!(fs::read(file.path()).unwrap().len(), before.len());
    holds_all(&Redb::open_with(file.path(), sealed(1, SealScope::Secrets)).unwrap()).await;
}

#[tokio::test]
async fn a_file_is_sealed_when_it_is_opened_with_a_key_and_as_far_as_asked() {
    let file = File::new();
    let backend = Redb::open(file.path()).unwrap();
    fill(&backend).await;
    drop(backend);
    for scope in [SealScope::Secrets, SealScope::All, SealScope::Secrets] {
        holds_all(&Redb::open_with(file.path(), sealed(1, scope)).unwrap()).await;
        let other = Redb::open_with(file.path(), sealed(2, scope));
        assert_eq!(code(other), 51);
    }
    assert_eq!(code(Redb::open(file.path())), 50);
}

#[tokio::test]
async fn a_long_store_is_sealed_anew_without_a_change_to_what_it_holds() {
    let (file, mut model) = (File::new(), Model::default());
    let backend = Redb::open(file.path()).unwrap();
    for op in script(11, 120) {
        assert_eq!(op.run(&backend, &model).await, model.apply(&op));
    }
    drop(backend);
    for scope in [SealScope::All, SealScope::Secrets] {
        let backend = Redb::open_with(file.path(), sealed(1, scope)).unwrap();
        assert_eq!(Dump::of(&backend).await.unwrap(), model.dump);
    }
}

#[test]
fn a_key_is_silent_and_has_its_length() {
    use citadel_proto::backend::SealingKey;
    assert_eq!(format!("{:?}", key(7)), "SealingKey(..)");
    assert!(SealingKey::from_bytes(&[7; 31]).is_err() && SealingKey::from_bytes(&[7; 33]).is_err());
    assert_ne!(SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
    assert!(!format!("{:?}", sealed(7, SealScope::All)).contains('7'));
}

#[cfg(unix)]
#[test]
fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::new();
    let _open = Redb::open(file.path()).unwrap();
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let file = File::new();
    fs::write(file.path(), vec![7; 9_000]).unwrap();
    assert!(matches!(Redb::open(file.path()), Err(BackendError::Corrupt { .. })));
    assert_eq!(fs::read(file.path()).unwrap(), vec![7; 9_000]);
    fs::remove_file(file.path()).unwrap();
    let foreign = redb::Database::create(file.path()).unwrap();
    let write = foreign.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).unwrap();
    write.commit().unwrap();
    drop(foreign);
    assert!(matches!(Redb::open(file.path()), Err(BackendError::Corrupt { .. })));
}

#[test]
fn a_file_appears_whole_and_nothing_is_left_beside_it() {
    let folder = std::env::temp_dir().join(format!("citadel-folder-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("store.redb");
    // What a crash during a creation leaves beside the file does not matter.
    fs::write(folder.join("store.redb.0000000000000000.new"), [0; 99]).unwrap();
    let opened: Vec<_> = std::thread::scope(|scope| {
        let openers: Vec<_> = (0..4).map(|_| scope.spawn(|| Redb::open(&path))).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert!(opened.iter().any(Result::is_ok));
    assert!(opened.into_iter().filter(Result::is_err).all(|opened| code(opened) == 52));
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["store.redb", "store.redb.0000000000000000.new"]);
    fs::remove_dir_all(folder).unwrap();
}
