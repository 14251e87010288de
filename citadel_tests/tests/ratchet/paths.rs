//! Paths: own keys each, rising, gone for good once removed.

use super::support::{pair, round};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::ratchets::{OpenError, PathId, PathReused, SealError};
use citadel_crypt::suite::Suite;
use rstest::rstest;

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn each_path_has_its_own_keys_and_serves_later_versions(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let (old, new) = (PathId(0), PathId(7));
    for end in [&mut a, &mut b] {
        end.tools.add_path(new).unwrap();
    }
    let on_new = a.seal(new, b"new");
    let on_old = a.seal(old, b"old");
    let mut swapped = on_new.clone();
    swapped.path = old;
    assert_eq!(b.open(&swapped), Err(OpenError::NotAuthentic));
    assert_eq!(b.open_next(&on_new).unwrap(), b"new");
    assert_eq!(b.open_next(&on_old).unwrap(), b"old");
    round(&mut a, &mut b, false);
    assert_eq!(b.tools.paths(), [old, new]);
    for path in [new, old] {
        let record = a.seal(path, b"later");
        assert_eq!(record.counter, 0);
        assert_eq!(b.open_next(&record).unwrap(), b"later");
    }
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn a_removed_path_never_comes_back(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let (old, new) = (PathId(0), PathId(1));
    for end in [&mut a, &mut b] {
        end.tools.add_path(new).unwrap();
    }
    let record = a.seal(old, b"old");
    a.tools.remove_path(old);
    b.tools.remove_path(old);
    assert_eq!(b.open(&record), Err(OpenError::NoPath(old)));
    assert_eq!(a.tools.seal(old, b"", &mut []), Err(SealError::NoPath(old)));
    for reused in [old, new, PathId(u64::MAX)] {
        assert_eq!(a.tools.add_path(reused), Err(PathReused(reused)));
    }
    round(&mut a, &mut b, false);
    let record = a.seal(new, b"new");
    assert_eq!(b.open_next(&record).unwrap(), b"new");
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn a_path_that_only_the_receiver_removed_opens_under_no_later_version(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    b.tools.remove_path(PathId::FIRST);
    for _ in 0..2 {
        round(&mut a, &mut b, false);
        let record = a.seal(PathId::FIRST, b"late");
        assert_eq!(b.open(&record), Err(OpenError::NoPath(PathId::FIRST)));
    }
}
