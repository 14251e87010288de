//! Records of one path: order, replay, skips, limits, tampering.

use super::support::{End, Record, pair};
use citadel_crypt::SecrecyMode::{self, BestEffort, Perfect};
use citadel_crypt::ratchets::{KeyLimits, OpenError, PathId, RatchetConfig, SealError};
use citadel_crypt::suite::Suite;
use rstest::rstest;

const PATH: PathId = PathId::FIRST;
// Written again: the largest jump, the keys kept for overtaken records, the replay window.
const JUMP: u64 = 1024;
const STORED: usize = 2048;
const WINDOW: usize = 1024;

fn records(end: &mut End, count: usize) -> Vec<Record> {
    (0..count).map(|i| end.seal(PATH, &(i as u32).to_le_bytes())).collect()
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn records_open_in_any_order_and_each_once(#[case] mode: SecrecyMode) {
    for suite in Suite::all() {
        let (mut a, mut b) = pair(*suite, mode);
        let records = records(&mut a, 300);
        let mut order: Vec<usize> = (0..300).collect();
        order.sort_by_key(|i| i * 7919 % 300);
        for i in order {
            assert_eq!(b.open(&records[i]).unwrap(), (i as u32).to_le_bytes());
            assert_eq!(b.open(&records[i]), Err(OpenError::Replayed));
        }
        assert!(records.iter().all(|record| b.open(record) == Err(OpenError::Replayed)));
    }
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn an_ordered_path_takes_the_next_record_and_no_other(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let records = records(&mut a, 100);
    assert_eq!(b.open_next(&records[1]), Err(OpenError::NotAuthentic));
    for (i, record) in records.iter().enumerate() {
        assert_eq!(b.open_next(record).unwrap(), (i as u32).to_le_bytes());
        assert_eq!(b.open_next(record), Err(OpenError::NotAuthentic));
    }
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn a_changed_record_opens_nowhere_and_costs_nothing(#[case] mode: SecrecyMode) {
    let (mut a, mut b) = pair(Suite::DEFAULT, mode);
    let records = records(&mut a, 40);
    for record in &records {
        for byte in 0..record.body.len() {
            let mut changed = record.clone();
            changed.body[byte] ^= 0x10;
            assert_eq!(b.open(&changed), Err(OpenError::NotAuthentic));
        }
        for len in 0..record.body.len() {
            let mut cut = record.clone();
            cut.body.truncate(len);
            assert_eq!(b.open(&cut), Err(OpenError::NotAuthentic));
        }
        let mut body = record.body.clone();
        let other_aad = b.tools.open(record.version, PATH, Some(record.counter), b"axd", &mut body);
        assert_eq!(other_aad, Err(OpenError::NotAuthentic));
    }
    let mut far = records[39].clone();
    far.counter = JUMP;
    assert_eq!(b.open(&far), Err(OpenError::NotAuthentic));
    assert!(records.iter().rev().all(|record| b.open(record).is_ok()));
}

#[test]
fn a_chain_jumps_at_most_1024_and_keeps_at_most_2048_keys() {
    let (mut a, mut b) = pair(Suite::DEFAULT, Perfect);
    let records = records(&mut a, 4200);
    assert_eq!(b.open(&records[JUMP as usize + 1]), Err(OpenError::TooFarAhead));
    for i in [1024, 2049, 3074] {
        assert!(b.open(&records[i]).is_ok(), "{i}");
        assert_eq!(b.open(&records[i + 1026]), Err(OpenError::TooFarAhead));
    }
    // 3 × 1,024 were overtaken; the oldest 1,024 of them are gone.
    let left: Vec<usize> = (0..3074).filter(|i| b.open(&records[*i]).is_ok()).collect();
    assert_eq!(left.len(), STORED);
    assert_eq!(left[0], 1025);
    assert!(b.open_next(&records[3075]).is_ok());
}

#[test]
fn the_replay_window_reaches_1024_back() {
    let (mut a, mut b) = pair(Suite::DEFAULT, BestEffort);
    let records = records(&mut a, 3000);
    assert!(b.open(&records[2999]).is_ok());
    assert_eq!(b.open(&records[2999 - WINDOW]), Err(OpenError::Replayed));
    assert!(b.open(&records[3000 - WINDOW]).is_ok());
    assert_eq!(b.open(&records[3000 - WINDOW]), Err(OpenError::Replayed));
}

#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn limits_hold_on_both_ends(#[case] mode: SecrecyMode) {
    let limits = KeyLimits { soft_records: 3, soft_bytes: 1000, hard_records: 5, hard_bytes: 1200 };
    let config = RatchetConfig { mode, limits };
    let (mut a, mut b) = pair(Suite::DEFAULT, config);
    let (mut boundless, _) = pair(Suite::DEFAULT, mode);
    for i in 0..5 {
        assert_eq!((a.tools.needs_rekey(), b.tools.needs_rekey()), (i >= 3, i >= 3));
        let record = a.seal(PATH, b"x");
        b.open_next(&record).unwrap();
    }
    assert_eq!(a.tools.seal(PATH, b"", &mut []), Err(SealError::KeyExhausted));
    let sixth = records(&mut boundless, 6).remove(5);
    assert_eq!(b.open_next(&sixth), Err(OpenError::KeyExhausted));
    assert_eq!(b.open(&sixth), Err(OpenError::KeyExhausted));
    let mut body = sixth.body;
    assert!(b.tools.open(b.tools.latest(), PATH, Some(5), b"aad", &mut body).is_err());
    assert!(body.iter().all(|byte| *byte == 0), "no plaintext after an error");

    // 984 bytes and their tag reach the soft limit, 200 more would pass the hard one.
    let (mut a, mut b) = pair(Suite::DEFAULT, config);
    let record = a.seal(PATH, &[0; 984]);
    b.open_next(&record).unwrap();
    assert!(a.tools.needs_rekey() && b.tools.needs_rekey());
    assert_eq!(a.tools.seal(PATH, b"", &mut [0; 185]), Err(SealError::KeyExhausted));
    let (mut boundless, _) = pair(Suite::DEFAULT, mode);
    boundless.seal(PATH, &[0; 984]);
    let over = boundless.seal(PATH, &[0; 185]);
    assert_eq!(b.open_next(&over), Err(OpenError::KeyExhausted));
    let record = a.seal(PATH, &[0; 184]);
    b.open_next(&record).unwrap();
}

// The answer to `KeyExhausted` is the end of the session, so a stranger's record must never be given it.
#[rstest]
#[case(BestEffort)]
#[case(Perfect)]
fn fix_0009_a_forged_number_or_length_is_no_key_limit(#[case] mode: SecrecyMode) {
    let limits = KeyLimits { soft_records: 3, soft_bytes: 1000, hard_records: 5, hard_bytes: 1200 };
    let (mut a, mut b) = pair(Suite::DEFAULT, RatchetConfig { mode, limits });
    for (counter, len) in [(Some(5), 17), (Some(500), 17), (None, 2000), (Some(u64::MAX), 17)] {
        let opened = b.tools.open(b.tools.latest(), PATH, counter, b"", &mut vec![0; len]);
        let far = mode == Perfect && counter == Some(u64::MAX);
        let expected = if far { OpenError::TooFarAhead } else { OpenError::NotAuthentic };
        assert_eq!(opened, Err(expected), "{counter:?} {len}");
    }
    let record = a.seal(PATH, b"still fine");
    b.open_next(&record).unwrap();
}
