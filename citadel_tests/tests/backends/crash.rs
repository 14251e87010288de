//! A crash at every moment of a script: the file opens, and holds what some moment of the script held, with everything that
//! was acknowledged before.

use super::setup::sealed;
use citadel_proto::backend::{Redb, RedbConfig, SealScope};
use citadel_tests::backend_script::{Dump, Model, Op, script};
use citadel_tests::canary;
use citadel_tests::crash_disk::{CrashDisk, Moment};
use rstest::rstest;

/// Subsets of the unsynced changes for each interval between two syncs.
const SUBSETS: u64 = 100;

struct Run {
    disk: CrashDisk,
    /// When the disk had an empty database, before the store was made in it.
    created: Moment,
    /// What the store holds before the first operation and after each.
    dumps: Vec<Dump>,
    /// When the store was open, and when each operation was acknowledged.
    acknowledged: Vec<Moment>,
}

async fn run(ops: &[Op], config: RedbConfig) -> Run {
    canary::watch();
    let (disk, mut model) = (CrashDisk::default(), Model::default());
    redb::Builder::new().create_with_backend(disk.clone()).unwrap().close().unwrap();
    let created = disk.moment();
    let backend = Redb::with_storage(disk.clone(), config).unwrap();
    let (mut dumps, mut acknowledged) = (vec![model.dump.clone()], vec![disk.moment()]);
    for op in ops {
        assert_eq!(op.run(&backend, &model).await, model.apply(op), "{op:?}");
        dumps.push(model.dump.clone());
        acknowledged.push(disk.moment());
    }
    drop(backend);
    Run { disk, created, dumps, acknowledged }
}

#[rstest]
fn nothing_acknowledged_is_lost_and_nothing_is_half_there(#[values(false, true)] is_sealed: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = || if is_sealed { sealed(1, SealScope::All) } else { RedbConfig::default() };
    let ops = script(if is_sealed { 7 } else { 1 }, 24);
    let Run { disk, created, dumps, acknowledged } = runtime.block_on(run(&ops, config()));
    let pairs = |dump: &Dump| dump.accounts.values().map(|of| of.pairs.clone()).collect::<Vec<_>>();
    let changes = dumps.windows(2).filter(|pair| pairs(&pair[0]) != pairs(&pair[1])).count();
    assert!(changes > 3, "only {changes} operations change pairs");
    let mut images = 0;
    disk.history().crashes(SUBSETS, |moment, image| {
        // A file gets its name when redb has created it: an earlier crash leaves none.
        if moment < created {
            return;
        }
        images += 1;
        let backend = Redb::with_storage(CrashDisk::new(image), config())
            .unwrap_or_else(|error| panic!("does not open after a crash at {moment:?}: {error:?}"));
        let found = runtime.block_on(Dump::of(&backend)).unwrap();
        let done = acknowledged.iter().filter(|at| **at <= moment).count().saturating_sub(1);
        let allowed = &dumps[done..(done + 2).min(dumps.len())];
        assert!(allowed.contains(&found), "after {done} operations, at {moment:?}: {found:#?}");
    });
    assert!(images > 2_000, "only {images} images were looked at");
}

/// The disk of the crash tests must lose what was not synced, or they show nothing.
#[test]
fn the_disk_loses_what_was_not_synced() {
    use redb::StorageBackend;
    let disk = CrashDisk::default();
    disk.write(0, b"kept").unwrap();
    disk.sync_data().unwrap();
    disk.write(4, b"maybe").unwrap();
    let (mut with, mut without) = (0, 0);
    let images = disk.history().crashes(SUBSETS, |moment, image| match (moment.syncs, &image[..]) {
        (1, b"keptmaybe") => with += 1,
        (1, b"kept") => without += 1,
        (1, image) => panic!("{image:?}"),
        (_, image) => assert!(b"kept".starts_with(image)),
    });
    assert_eq!((images, with + without), (2 * (2 + 100), 102));
    assert!(with > 20 && without > 20, "{with} with, {without} without");
}
