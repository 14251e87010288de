//! Two devices that want one session of each other (R-P2P-4): the rule in sentences, then every order of everything.

#[path = "meeting_mutants.rs"]
mod mutants;

use citadel_crypt::Timestamp;
use citadel_crypt::addr::PeerId;
use citadel_crypt::handshake::{HandshakeError, Instance, RefusalCode};
use citadel_proto::peers::meeting::{
    Failure, Input, Meeting, MeetingConfig, MeetingTimer, NotMet, Output, OwnAttempt, TheirAttempt,
};
use citadel_tests::meeting_world::{Driver, Scenario, explore};
use rstest::rstest;
use std::io::Write;
use std::time::Duration;

const SMALLER: PeerId = PeerId([1; 32]);
const LARGER: PeerId = PeerId([2; 32]);
const OLD: Instance = Instance([1; 16]);
const NEW: Instance = Instance([2; 16]);
const SIMULTANEOUS: RefusalCode = RefusalCode::PEER_SIMULTANEOUS;

fn at(seconds: u64) -> Timestamp {
    Timestamp::ZERO + Duration::from_secs(seconds)
}

fn own(number: u64) -> OwnAttempt {
    OwnAttempt(number)
}

fn theirs(number: u64) -> TheirAttempt {
    TheirAttempt(number)
}

fn meeting(own: PeerId) -> Meeting {
    let peer = if own == SMALLER { LARGER } else { SMALLER };
    Meeting::new(own, peer, MeetingConfig::default())
}

/// What the machine says to an input after so many seconds.
fn said(meeting: &mut Meeting, seconds: u64, input: Input) -> Vec<Output> {
    meeting.handle(at(seconds), input);
    std::iter::from_fn(|| meeting.poll_output()).collect()
}

/// A machine with the session [`OLD`], which the peer's first attempt made.
fn met(own: PeerId) -> Meeting {
    let mut meeting = meeting(own);
    assert_eq!(said(&mut meeting, 0, Input::Proven(theirs(1))), [Output::Accept(theirs(1))]);
    assert_eq!(said(&mut meeting, 0, Input::TheirEstablished(theirs(1), OLD)), [Output::Met(OLD)]);
    meeting
}

#[test]
fn where_two_attempts_cross_that_of_the_smaller_id_serves_both() {
    let (mut smaller, mut larger) = (meeting(SMALLER), meeting(LARGER));
    assert_eq!(said(&mut smaller, 0, Input::Dial), [Output::Begin(own(1))]);
    assert_eq!(said(&mut larger, 0, Input::Dial), [Output::Begin(own(1))]);
    assert_eq!(said(&mut smaller, 0, Input::Proven(theirs(1))), []);
    let yields = [Output::GiveUp(own(1)), Output::Accept(theirs(1))];
    assert_eq!(said(&mut larger, 0, Input::Proven(theirs(1))), yields);
    let keeps = [Output::Refuse(theirs(1), SIMULTANEOUS), Output::Met(NEW)];
    assert_eq!(said(&mut smaller, 0, Input::OwnEstablished(own(1), NEW)), keeps);
    assert_eq!(said(&mut larger, 0, Input::TheirEstablished(theirs(1), NEW)), [Output::Met(NEW)]);
    assert_eq!((smaller.session(), larger.session()), (Some(NEW), Some(NEW)));
    assert_eq!((smaller.poll_timeout(), larger.poll_timeout()), (None, None));
}

#[rstest]
#[case::refused_for_good(Input::OwnFailed(own(1), Failure::Final), &[])]
#[case::failed(Input::OwnFailed(own(1), Failure::MayPass), &[])]
#[case::too_slow(Input::Timeout, &[Output::GiveUp(own(1))])]
#[case::not_wanted(Input::Withdraw, &[Output::GiveUp(own(1))])]
fn an_attempt_that_waits_for_an_answer_is_accepted_when_the_own_one_is_over(
    #[case] over: Input,
    #[case] before: &[Output],
) {
    let mut meeting = meeting(SMALLER);
    said(&mut meeting, 0, Input::Dial);
    said(&mut meeting, 1, Input::Proven(theirs(1)));
    assert_eq!(said(&mut meeting, 10, over), [before, &[Output::Accept(theirs(1))]].concat());
    assert_eq!(said(&mut meeting, 11, Input::TheirEstablished(theirs(1), NEW)), [Output::Met(NEW)]);
}

#[test]
fn whoever_dials_while_the_peers_attempt_runs_gets_its_session() {
    let mut meeting = meeting(SMALLER);
    assert_eq!(said(&mut meeting, 0, Input::Proven(theirs(1))), [Output::Accept(theirs(1))]);
    assert_eq!(said(&mut meeting, 1, Input::Dial), []);
    assert_eq!(said(&mut meeting, 2, Input::TheirEstablished(theirs(1), NEW)), [Output::Met(NEW)]);
    assert_eq!(said(&mut meeting, 3, Input::Dial), [Output::Met(NEW)]);
}

#[test]
fn a_peer_that_proves_itself_anew_takes_the_place_of_its_session_once_it_is_heard() {
    let mut meeting = met(LARGER);
    assert_eq!(said(&mut meeting, 1, Input::Proven(theirs(2))), [Output::Accept(theirs(2))]);
    assert_eq!(meeting.session(), Some(OLD));
    let renewed = [Output::Supersede(OLD), Output::Met(NEW)];
    assert_eq!(said(&mut meeting, 2, Input::TheirEstablished(theirs(2), NEW)), renewed);
    assert_eq!(said(&mut meeting, 3, Input::Ended(OLD)), [], "a late end of the old one");
    assert_eq!(meeting.session(), Some(NEW));
}

#[test]
fn a_session_stays_where_the_peers_new_attempt_comes_to_nothing() {
    let mut meeting = met(LARGER);
    said(&mut meeting, 1, Input::Proven(theirs(2)));
    assert_eq!(said(&mut meeting, 1, Input::Dial), [], "the new one is worth the wait");
    assert_eq!(said(&mut meeting, 2, Input::TheirFailed(theirs(2))), [Output::Met(OLD)]);
    said(&mut meeting, 3, Input::Proven(theirs(3)));
    assert_eq!(meeting.poll_timeout(), Some((at(13), MeetingTimer::Theirs)));
    assert_eq!(said(&mut meeting, 13, Input::Timeout), [Output::Abandon(theirs(3))]);
    assert_eq!(meeting.session(), Some(OLD));
}

#[test]
fn both_end_and_dial_again_at_once() {
    let (mut smaller, mut larger) = (met(SMALLER), met(LARGER));
    for meeting in [&mut smaller, &mut larger] {
        assert_eq!(said(meeting, 1, Input::Ended(OLD)), []);
        assert_eq!(said(meeting, 1, Input::Dial), [Output::Begin(own(1))]);
        assert_eq!(said(meeting, 1, Input::Ended(OLD)), [], "closing first, then closed");
    }
    said(&mut larger, 2, Input::Proven(theirs(2)));
    assert_eq!(said(&mut smaller, 2, Input::OwnEstablished(own(1), NEW)), [Output::Met(NEW)]);
    assert_eq!(said(&mut larger, 3, Input::TheirEstablished(theirs(2), NEW)), [Output::Met(NEW)]);
    assert_eq!(said(&mut larger, 4, Input::Ended(OLD)), []);
    assert_eq!((smaller.session(), larger.session()), (Some(NEW), Some(NEW)));
}

#[test]
fn what_was_given_up_and_made_a_session_all_the_same_is_superseded() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 0, Input::Dial);
    said(&mut meeting, 0, Input::Proven(theirs(1)));
    assert_eq!(said(&mut meeting, 1, Input::OwnEstablished(own(1), OLD)), [Output::Supersede(OLD)]);
    said(&mut meeting, 1, Input::Proven(theirs(2)));
    assert_eq!(said(&mut meeting, 2, Input::TheirEstablished(theirs(1), OLD)), [Output::Supersede(OLD)]);
    assert_eq!(said(&mut meeting, 2, Input::TheirEstablished(theirs(2), NEW)), [Output::Met(NEW)]);
}

#[test]
fn an_older_attempt_never_takes_the_place_of_a_newer_one() {
    let mut meeting = meeting(SMALLER);
    said(&mut meeting, 0, Input::Proven(theirs(2)));
    assert_eq!(said(&mut meeting, 0, Input::Proven(theirs(1))), [Output::Refuse(theirs(1), SIMULTANEOUS)]);
    assert_eq!(said(&mut meeting, 1, Input::TheirEstablished(theirs(2), NEW)), [Output::Met(NEW)]);
}

#[test]
fn a_failure_of_the_own_attempt_is_told() {
    for (failure, told) in [(Failure::MayPass, NotMet::MayPass), (Failure::Final, NotMet::Final)] {
        let mut meeting = meeting(LARGER);
        said(&mut meeting, 0, Input::Dial);
        assert_eq!(said(&mut meeting, 1, Input::OwnFailed(own(2), failure)), [], "another one");
        assert_eq!(said(&mut meeting, 1, Input::OwnFailed(own(1), failure)), [Output::NotMet(told)]);
        assert_eq!(said(&mut meeting, 2, Input::Dial), [Output::Begin(own(2))]);
    }
}

#[test]
fn an_own_attempt_has_its_time() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 5, Input::Dial);
    assert_eq!(meeting.poll_timeout(), Some((at(15), MeetingTimer::Own)));
    assert_eq!(said(&mut meeting, 14, Input::Timeout), []);
    let over = [Output::GiveUp(own(1)), Output::NotMet(NotMet::TimedOut)];
    assert_eq!(said(&mut meeting, 15, Input::Timeout), over);
    assert_eq!(meeting.poll_timeout(), None);
}

#[test]
fn a_peer_that_comes_again_and_again_makes_no_wait_longer() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 0, Input::Dial);
    for second in 1..=9 {
        said(&mut meeting, second, Input::Proven(theirs(second)));
        assert_eq!(meeting.poll_timeout(), Some((at(11), MeetingTimer::Theirs)));
    }
    let goes_on = [Output::Abandon(theirs(9)), Output::Begin(own(2))];
    assert_eq!(said(&mut meeting, 11, Input::Timeout), goes_on);
}

#[test]
fn a_peer_that_changes_its_mind_as_often_as_there_are_tries_is_given_up() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 0, Input::Dial);
    for number in 1..4 {
        said(&mut meeting, 0, Input::Proven(theirs(number)));
        let again = [Output::Begin(own(number + 1))];
        assert_eq!(said(&mut meeting, 0, Input::TheirFailed(theirs(number))), again);
    }
    said(&mut meeting, 0, Input::Proven(theirs(4)));
    let unsettled = [Output::NotMet(NotMet::Unsettled)];
    assert_eq!(said(&mut meeting, 0, Input::TheirFailed(theirs(4))), unsettled);
}

#[test]
fn a_peer_that_always_refuses_is_not_asked_for_ever() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 0, Input::Dial);
    for number in 1..4 {
        let refused = Input::OwnFailed(own(number), Failure::Simultaneous);
        assert_eq!(said(&mut meeting, 0, refused), [Output::Begin(own(number + 1))]);
    }
    let refused = Input::OwnFailed(own(4), Failure::Simultaneous);
    assert_eq!(said(&mut meeting, 0, refused), [Output::NotMet(NotMet::Unsettled)]);
}

#[test]
fn withdrawals_leave_the_peers_attempt_alone() {
    let mut meeting = meeting(LARGER);
    said(&mut meeting, 0, Input::Dial);
    said(&mut meeting, 0, Input::Proven(theirs(1)));
    assert_eq!(said(&mut meeting, 1, Input::Withdraw), []);
    assert_eq!(said(&mut meeting, 2, Input::TheirFailed(theirs(1))), [], "nobody wants another");
    said(&mut meeting, 3, Input::Dial);
    assert_eq!(said(&mut meeting, 4, Input::Withdraw), [Output::GiveUp(own(2))]);
    assert_eq!(meeting.poll_timeout(), None);
}

#[rstest]
#[case::crossed(true, SIMULTANEOUS, Failure::Simultaneous)]
#[case::crossed_says_anyone(false, SIMULTANEOUS, Failure::MayPass)]
#[case::busy(true, RefusalCode::BUSY, Failure::MayPass)]
#[case::not_pinned(true, RefusalCode::PEER_NOT_PINNED, Failure::Final)]
#[case::not_pinned_says_anyone(false, RefusalCode::PEER_NOT_PINNED, Failure::MayPass)]
fn refusals_are_told_apart(
    #[case] authenticated: bool,
    #[case] code: RefusalCode,
    #[case] expected: Failure,
) {
    let error = HandshakeError::Refused { code, authenticated, retry_after: None };
    assert_eq!(Failure::of(&error), expected);
    assert_eq!(Failure::of(&HandshakeError::DeadlineExceeded), Failure::MayPass);
    assert_eq!(Failure::of(&HandshakeError::Untrusted(LARGER)), Failure::Final);
}

/// Explores, prints its line past the capture of the test harness, and asserts that there was something to explore.
fn exhaust(scenario: Scenario, at_least: usize) {
    let report = explore(&scenario).expect("every invariant holds");
    std::io::stdout().write_all(format!("{report}\n").as_bytes()).expect("standard output is open");
    assert!(report.exhausted, "{}: not exhaustive", scenario.name);
    assert!(report.states >= at_least, "{}: only {} states", scenario.name, report.states);
}

#[test]
fn callers_alone() {
    exhaust(Scenario::new("(3 dials)", 3), 1_000);
}

#[test]
fn callers_who_come_and_go() {
    exhaust(Scenario::new("(2 dials, 2 withdrawals)", 2).with_withdrawals(2), 400_000);
}

#[test]
fn callers_who_come_and_go_and_sessions_that_end() {
    let scenario = Scenario::new("(2 dials, 1 withdrawal, 1 end)", 2).with_withdrawals(1).with_ends(1);
    exhaust(scenario, 1_500_000);
}

#[test]
fn losses() {
    exhaust(Scenario::new("(1 dial), 3 losses", 1).with_losses(3), 180_000);
    exhaust(Scenario::new("(2 dials), 2 losses", 2).with_losses(2), 690_000);
}

#[test]
fn everything_at_once() {
    let scenario = Scenario::new("(1 dial, 1 withdrawal, 1 end), 2 losses", 1);
    exhaust(scenario.with_withdrawals(1).with_ends(1).with_losses(2), 380_000);
}

#[test]
fn attempts_in_a_wrong_order_may_fail_callers_and_never_leave_two_sessions() {
    let scenario = Scenario::new("(2 dials, 1 end), numbered late", 2).with_ends(1);
    exhaust(scenario.with_driver(Driver::NumbersLate), 150_000);
}

#[rstest]
#[case::established_before_the_peer_was_heard(Driver::DoesNotListen, "supersedes what the other has")]
#[case::an_end_of_another_session(Driver::MixesUpEnds, "side")]
#[case::both_yield(Driver::SmallerYields, "the smaller id gives up")]
#[case::both_keep(Driver::LargerKeeps, "callers of side 0 wait")]
fn what_the_driver_owes_is_needed(#[case] driver: Driver, #[case] breach: &str) {
    let violation = explore(&Scenario::new("(1 dial)", 1).with_driver(driver)).expect_err("a violation");
    assert!(violation.breach.contains(breach), "{violation}");
}
