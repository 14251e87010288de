//! A thousand seeds in four parts, so that they run beside each other; and a seed is the same whenever it runs.

use citadel_tests::peer_world::run_seed;
use rstest::rstest;
use std::time::Instant;

const PART: u64 = 250;

#[rstest]
#[case::from_0(0)]
#[case::from_250(250)]
#[case::from_500(500)]
#[case::from_750(750)]
fn peers_keep_every_promise_while_their_server_and_its_paths_come_and_go(#[case] from: u64) {
    #[expect(clippy::disallowed_methods, reason = "a stopwatch beside the worlds, not in them")]
    let start = Instant::now();
    let (mut met, mut delivered, mut resumed, mut rounds) = (0, 0, 0, 0);
    let (mut direct, mut fallen) = (0, 0);
    for seed in from..from + PART {
        match run_seed(seed) {
            Ok(report) => {
                met += report.met;
                delivered += report.delivered;
                resumed += report.resumed;
                rounds += report.rounds;
                direct += report.direct;
                fallen += report.fallen;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    let each = PART as f64 / start.elapsed().as_secs_f64();
    println!(
        "seeds {from}..{}: {each:.0} a second, {met} ends of sessions, {delivered} messages, {resumed} paths, {rounds} rounds, \
         {direct} direct, {fallen} back",
        from + PART
    );
    let all = (met, delivered, resumed, rounds);
    assert!(met > 1_000 && delivered > 10_000 && resumed > 20 && rounds > 1_000, "nothing happens: {all:?}");
    assert!(direct > 150 && fallen > 5, "direct paths: {direct} found, {fallen} lost");
}

#[test]
fn a_seed_of_peers_replays_alone_with_the_same_log() {
    for seed in [1, 2, 3, 4, 5, 6, 7, 8, 11, 25, 27, 75, 100, 198] {
        let [mut one, mut other] =
            [(), ()].map(|()| run_seed(seed).unwrap_or_else(|failure| panic!("{failure}")));
        // What happens in the same moment may be told in any order.
        one.lines.sort();
        other.lines.sort();
        assert!(one.lines.len() > 20, "seed {seed} has nothing to tell");
        assert_eq!(one.lines, other.lines, "seed {seed}");
    }
}

/// A lane is there again before the other end's last word on the direct path.
#[test]
fn fix_0067_a_lane_that_is_quicker_than_the_direct_path_does_not_undo_the_move() {
    for seed in [3, 27, 43, 67] {
        // In the end of a world whoever may have a direct path has one.
        let report = run_seed(seed).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(
            report.direct > report.fallen,
            "seed {seed}: {} found, {} lost",
            report.direct,
            report.fallen
        );
    }
}
