//! A thousand seeds in four parts, so that they run beside each other; and a seed is the same whenever it runs.

use citadel_tests::world::run_seed;
use rstest::rstest;
use std::time::Instant;

const PART: u64 = 250;

#[rstest]
#[case::from_0(0)]
#[case::from_250(250)]
#[case::from_500(500)]
#[case::from_750(750)]
fn a_mixed_workload_keeps_every_promise(#[case] from: u64) {
    #[expect(clippy::disallowed_methods, reason = "a stopwatch beside the worlds, not in them")]
    let start = Instant::now();
    let (mut sessions, mut delivered) = (0, 0);
    for seed in from..from + PART {
        match run_seed(seed) {
            Ok(report) => (sessions, delivered) = (sessions + report.sessions, delivered + report.delivered),
            Err(failure) => panic!("{failure}"),
        }
    }
    let each = PART as f64 / start.elapsed().as_secs_f64();
    println!("seeds {from}..{}: {each:.0} a second, {sessions} sessions, {delivered} messages", from + PART);
    assert!(sessions > 100 && delivered > 1000, "worlds in which nothing happens: {sessions}, {delivered}");
}

#[test]
fn a_seed_replays_alone_with_the_same_log_whether_its_keys_are_real_or_not() {
    for seed in [7, 10, 20, 40, 60] {
        let [one, other] = [(), ()].map(|()| run_seed(seed).unwrap_or_else(|failure| panic!("{failure}")));
        assert!(one.log.lines().len() > 50, "seed {seed} has nothing to tell");
        assert_eq!(one.log.lines(), other.log.lines(), "seed {seed}");
    }
}
