//! Three hundred seeds of accounts whose network breaks and whose devices give up at any point.

use citadel_tests::accounts_world::run_seed;
use rstest::rstest;

const PART: u64 = 100;

#[rstest]
#[case::from_0(0)]
#[case::from_100(100)]
#[case::from_200(200)]
fn devices_register_join_and_go_and_every_answer_is_kept(#[case] from: u64) {
    let (mut granted, mut refused, mut unanswered, mut revoked) = (0, 0, 0, 0);
    for seed in from..from + PART {
        match run_seed(seed) {
            Ok(report) => {
                granted += report.granted;
                refused += report.refused;
                unanswered += report.unanswered;
                revoked += report.revoked;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    let all = (granted, refused, unanswered, revoked);
    println!("seeds {from}..{}: granted, refused, unanswered, shut out: {all:?}", from + PART);
    assert!(granted > 400 && refused > 400 && unanswered > 400 && revoked > 80, "nothing happens: {all:?}");
}

#[test]
fn a_seed_of_accounts_replays_alone_with_the_same_log() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8] {
        let [one, other] = [(), ()].map(|()| run_seed(seed).unwrap_or_else(|failure| panic!("{failure}")));
        assert_eq!(one.log.lines(), other.log.lines(), "seed {seed}");
    }
}
