//! When attempts at a direct path are made.

use citadel_crypt::Timestamp;
use citadel_proto::peers::direct::PursuitInput::{self, Changed, Failed, Path, Timeout};
use citadel_proto::peers::direct::PursuitOutput::{self, Begin};
use citadel_proto::peers::direct::{PAUSES, Pursuit, Standing};
use core::time::Duration;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn after(pursuit: &mut Pursuit, seconds: u64, input: PursuitInput) -> Option<PursuitOutput> {
    pursuit.handle(at(seconds), input);
    pursuit.poll_output()
}

#[test]
fn direct_attempts_come_at_once_and_then_with_pauses_that_double_to_five_minutes() {
    let mut pursuit = Pursuit::new(at(0), PAUSES);
    let (mut now, mut pauses) = (0, Vec::new());
    for attempt in 1..=9 {
        assert_eq!(pursuit.poll_timeout(), Some(at(now)));
        assert_eq!(after(&mut pursuit, now, Timeout), Some(Begin(attempt)));
        assert_eq!(after(&mut pursuit, now, Timeout), None, "one at a time");
        assert_eq!(pursuit.poll_timeout(), None);
        now += 5;
        assert_eq!(after(&mut pursuit, now, Failed(attempt)), None);
        let next = pursuit.poll_timeout().unwrap().since(at(now)).as_secs();
        pauses.push(next);
        now += next;
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn direct_attempts_are_made_at_once_when_the_network_changed_but_not_oftener_than_they_may() {
    let mut pursuit = Pursuit::new(at(0), PAUSES);
    assert_eq!(after(&mut pursuit, 0, Timeout), Some(Begin(1)));
    assert_eq!(after(&mut pursuit, 1, Changed), None, "one is under way");
    for failed in 0..6 {
        after(&mut pursuit, 1 + failed, Failed(1));
    }
    assert_eq!(after(&mut pursuit, 2, Changed), None, "the last one was a moment ago");
    assert_eq!(pursuit.poll_timeout(), Some(at(5)));
    assert_eq!(after(&mut pursuit, 5, Timeout), Some(Begin(2)));
    after(&mut pursuit, 6, Failed(2));
    assert_eq!(after(&mut pursuit, 20, Changed), Some(Begin(3)));
}

#[test]
fn direct_paths_that_lived_are_sought_again_at_once_and_others_after_a_pause() {
    for (lived, next) in [(59, 59 + 5), (60, 60)] {
        let mut pursuit = Pursuit::new(at(0), PAUSES);
        after(&mut pursuit, 0, Timeout);
        assert_eq!(after(&mut pursuit, 0, Path(Standing::Direct)), None);
        assert_eq!(pursuit.poll_timeout(), None, "on a direct path none is sought");
        assert_eq!(after(&mut pursuit, 0, Failed(1)), None, "it did not");
        after(&mut pursuit, lived, Path(Standing::Nothing));
        assert_eq!(pursuit.poll_timeout(), None, "without a lane none can be agreed");
        after(&mut pursuit, lived, Path(Standing::Relayed));
        assert_eq!(pursuit.poll_timeout(), Some(at(next)));
    }
}

#[test]
fn direct_attempts_outlive_the_lane_that_they_are_agreed_on() {
    let mut pursuit = Pursuit::new(at(0), PAUSES);
    assert_eq!(after(&mut pursuit, 0, Timeout), Some(Begin(1)));
    assert_eq!(after(&mut pursuit, 1, Path(Standing::Relayed)), None);
    // Who takes the new path drops the lane, and this end may see that first.
    assert_eq!(after(&mut pursuit, 1, Path(Standing::Nothing)), None);
    assert_eq!(after(&mut pursuit, 1, Path(Standing::Direct)), None);
    after(&mut pursuit, 70, Path(Standing::Relayed));
    assert_eq!(after(&mut pursuit, 70, Timeout), Some(Begin(2)));
    // If it fails all the same, the next one waits for a lane.
    after(&mut pursuit, 71, Path(Standing::Nothing));
    after(&mut pursuit, 75, Failed(2));
    after(&mut pursuit, 75, Path(Standing::Nothing));
    assert_eq!(pursuit.poll_timeout(), None);
    after(&mut pursuit, 76, Path(Standing::Relayed));
    assert_eq!(pursuit.poll_timeout(), Some(at(80)));
}
